package enginetest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store/sqlstore"
)

const old = "id <> 'fapi2-schema' AND expires < 1000000"

// fill inserts rows that expired long ago.
func fill(t testing.TB, cfg sqlstore.Config, rows int) {
	t.Helper()
	literal := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: "''", sqlstore.MySQL: "''", sqlstore.SQLite: "x''"}[cfg.Dialect]
	for rows > 0 {
		var values []string
		for range min(rows, 500) {
			values = append(values, fmt.Sprintf("('%s', %s, 1, %d)", newKey(), literal, 1000+rows))
		}
		execute(t, cfg.DB, "INSERT INTO %s (id, value, version, expires) VALUES %s", cfg.Table, strings.Join(values, ", "))
		rows -= len(values)
	}
}

func testSweep(t *testing.T, e engine) {
	cfg := e.config(t)
	fill(t, cfg, 2500)
	live := newKey()
	_, err := newStore(t, cfg).Add(t.Context(), live, []byte("x"), hour())
	require.NoError(t, err)
	cfg.SweepInterval = 20 * time.Millisecond
	cfg.SweepFailed = func(err error) { t.Error(err) }
	var stores []*sqlstore.Store
	for range 3 { // any instance sweeps, and several do at the same time
		stores = append(stores, newStore(t, cfg))
	}
	require.Eventually(t, func() bool { return count(t, cfg, old) == 0 }, 20*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 2, count(t, cfg, "1 = 1"), "the live row and the version of the schema stay")
	for _, s := range stores {
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "Close may be called twice")
	}
	fill(t, cfg, 1)
	time.Sleep(100 * time.Millisecond)
	require.EqualValues(t, 1, count(t, cfg, old), "a closed store does not sweep")
}

// A sweep does not wait for locked rows, and others do not wait for a sweep.
func testSweepLocked(t *testing.T, e engine) {
	cfg := e.config(t)
	fill(t, cfg, 10)
	tx, err := cfg.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it has no effect after the commit
	locked := newKey()
	fillKey(t, cfg, locked)
	execute(t, tx, "UPDATE %s SET version = 7 WHERE id = '%s'", cfg.Table, locked)
	cfg.SweepInterval = 20 * time.Millisecond
	cfg.SweepFailed = func(err error) { t.Error(err) }
	s := newStore(t, cfg)
	require.Eventually(t, func() bool { return count(t, cfg, old) == 1 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Commit())
	require.Eventually(t, func() bool { return count(t, cfg, old) == 0 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, s.Close())
}

func fillKey(t *testing.T, cfg sqlstore.Config, key string) {
	t.Helper()
	s := newStore(t, cfg)
	_, err := s.Add(t.Context(), key, nil, hour())
	require.NoError(t, err)
	execute(t, cfg.DB, "UPDATE %s SET expires = 5 WHERE id = '%s'", cfg.Table, key)
}

// A sweep that fails is reported, and the store works on.
func testSweepFails(t *testing.T, e engine) {
	f := newFaults(t, e)
	cfg := e.config(t)
	cfg.DB, cfg.SweepInterval = f.db, 10*time.Millisecond
	failures := make(chan error, 1000)
	cfg.SweepFailed = func(err error) { failures <- err }
	broken := errors.New("broken")
	f.before = func(query string) error {
		if strings.Contains(query, "LIMIT 10") {
			return broken
		}
		return nil
	}
	s := newStore(t, cfg)
	for range 3 {
		require.ErrorIs(t, <-failures, broken)
	}
	added, err := s.Add(t.Context(), newKey(), nil, hour())
	require.NoError(t, err)
	require.True(t, added)
	require.NoError(t, s.Close())
}
