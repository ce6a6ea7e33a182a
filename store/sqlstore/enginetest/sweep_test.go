package enginetest_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

// fillMembers inserts members that expired long ago.
func fillMembers(t testing.TB, cfg sqlstore.Config, set string, rows int) {
	t.Helper()
	columns, format := "set_id, member, expires", "('%s', 'm%05d', 1000)"
	if cfg.Dialect == sqlstore.MySQL {
		columns, format = columns+", puts", "('%s', 'm%05d', 1000, 1)"
	}
	var values []string
	for i := range rows {
		values = append(values, fmt.Sprintf(format, set, i))
	}
	execute(t, cfg.DB, "INSERT INTO %s_members (%s) VALUES %s", cfg.Table, columns, strings.Join(values, ", "))
}

func testSweep(t *testing.T, e engine) {
	cfg := e.config(t)
	fill(t, cfg, 2500)
	live := newKey()
	fillMembers(t, cfg, live, 1500)
	prepareEntry(t, newStore(t, cfg), live)
	prepareMember(t, newStore(t, cfg), live)
	cfg.SweepInterval = 20 * time.Millisecond
	cfg.SweepFailed = func(err error) { t.Error(err) }
	var stores []*sqlstore.Store
	for range 3 { // any instance sweeps, and several do at the same time
		stores = append(stores, newStore(t, cfg))
	}
	require.Eventually(t, func() bool {
		return count(t, cfg, old) == 0 && countMembers(t, cfg, "expires < 1000000") == 0
	}, 20*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 2, count(t, cfg, "1 = 1"), "the live row and the version of the schema stay")
	require.EqualValues(t, 1, members(t, stores[0], live), "the live member stays")
	for _, s := range stores {
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "Close may be called twice")
	}
	require.Eventually(t, func() bool { // the database may still run the last statement
		fill(t, cfg, 1)
		time.Sleep(100 * time.Millisecond)
		return count(t, cfg, old) > 0
	}, 20*time.Second, time.Millisecond, "a closed store does not sweep")
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
	fillMembers(t, cfg, locked, 10)
	execute(t, tx, "UPDATE %s_members SET expires = %d WHERE set_id = '%s' AND member = 'm00003'", cfg.Table, hour().UnixMilli(), locked)
	execute(t, tx, "UPDATE %s_members SET expires = 1001 WHERE set_id = '%s' AND member = 'm00004'", cfg.Table, locked)
	cfg.SweepInterval = 20 * time.Millisecond
	cfg.SweepFailed = func(err error) { t.Error(err) }
	s := newStore(t, cfg)
	left := func(rows, members int64) func() bool {
		return func() bool { return count(t, cfg, old) == rows && countMembers(t, cfg, "1 = 1") == members }
	}
	require.Eventually(t, left(1, 2), 20*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Commit())
	require.Eventually(t, left(0, 1), 20*time.Second, 10*time.Millisecond, "the member with a new expiry stays")
	require.NoError(t, s.Close())
}

// PostgreSQL keeps deleted rows in an index until a vacuum removes them. A
// sweep does not read them again for each batch, because each batch starts at
// the expiry at which the one before ended.
func testSweepStart(t *testing.T, e engine) {
	if e.dialect != sqlstore.PostgreSQL {
		return
	}
	f := newFaults(t, e)
	cfg := e.config(t)
	fillNumbered(t, e, cfg, 0, 600) // with the expiries 1 to 600
	starts := make(chan any, 1000)
	f.query = func(query string, arguments []driver.NamedValue) {
		if strings.Contains(query, "FROM "+cfg.Table+" WHERE ctid") {
			starts <- arguments[0].Value
		}
	}
	cfg.DB, cfg.SweepInterval = f.db, 10*time.Millisecond
	s := newStore(t, cfg)
	require.EqualValues(t, 0, <-starts, "New sweeps one batch")
	require.EqualValues(t, 0, <-starts, "the first batch of the first sweep")
	require.EqualValues(t, 500, <-starts, "the second batch")
	require.EqualValues(t, 0, <-starts, "the next sweep")
	require.NoError(t, s.Close())
	require.Zero(t, count(t, cfg, old))
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
	cfg.SweepFailed = func(err error) { failures <- err; panic("a bug of the host") }
	broken := errors.New("broken")
	var opened atomic.Bool
	f.before = func(query string) error {
		if opened.Load() && strings.Contains(query, "ORDER BY expires LIMIT") {
			return broken
		}
		return nil
	}
	s := newStore(t, cfg)
	opened.Store(true)
	for range 3 {
		require.ErrorIs(t, <-failures, broken)
	}
	added, err := s.Add(t.Context(), newKey(), nil, hour())
	require.NoError(t, err)
	require.True(t, added)
	require.NoError(t, s.Close())
}
