package enginetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// The store has no clock of its own, so the clock of a client decides only
// which expiries it asks for.
func testClientClock(t *testing.T, e engine) {
	s, ctx := newStore(t, e.config(t)), t.Context()
	const skew, lifetime = 2 * time.Minute, time.Minute
	ahead, behind := time.Now().Add(skew), time.Now().Add(-skew)

	key := newKey()
	added, err := s.Add(ctx, key, nil, ahead.Add(lifetime))
	require.NoError(t, err)
	require.True(t, added)
	added, err = s.Add(ctx, key, nil, behind.Add(lifetime))
	require.False(t, added, "a client that is behind does not replace the entry")
	require.ErrorIs(t, err, store.ErrInvalid)
	added, err = s.Add(ctx, newKey(), nil, behind.Add(lifetime))
	require.ErrorIs(t, err, store.ErrInvalid, "an expiry that has passed for the database")
	require.False(t, added)
}

// A call that waits for a lock compares the expiry when it has the lock. The
// clock of a transaction or a statement would have stood still, as that of
// MySQL does.
func testWaitingCall(t *testing.T, e engine) {
	stands := e.dialect == sqlstore.MySQL
	cfg := e.config(t)
	s, ctx := newStore(t, cfg), t.Context()
	swapped, added := newKey(), newKey()
	end := time.Now().Add(2 * time.Second)
	for _, key := range []string{swapped, added} {
		ok, err := s.Add(ctx, key, []byte("old"), end)
		require.NoError(t, err)
		require.True(t, ok)
	}
	tx, err := cfg.DB.BeginTx(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it has no effect after the commit
	execute(t, tx, "UPDATE %s SET value = value", cfg.Table)

	type outcome struct {
		ok  bool
		err error
	}
	swap, add := make(chan outcome, 1), make(chan outcome, 1)
	go func() {
		ok, err := s.Swap(ctx, swapped, 1, nil, hour())
		swap <- outcome{ok, err}
	}()
	go func() {
		ok, err := s.Add(ctx, added, []byte("new"), hour())
		add <- outcome{ok, err}
	}()
	time.Sleep(time.Until(end) + 100*time.Millisecond) // the time of the database passes
	require.Empty(t, swap, "the call waits for the lock")
	require.NoError(t, tx.Commit())
	require.Equal(t, outcome{stands, nil}, <-swap, "the entry has expired")
	require.Equal(t, outcome{true, nil}, <-add, "the entry has expired")
}

// Rows that have expired exist for nobody, and stay for a minute.
func testRowsStay(t *testing.T, e engine) {
	cfg := e.config(t)
	cfg.SweepInterval = 10 * time.Millisecond
	s, key := newStore(t, cfg), newKey()
	_, err := s.Add(t.Context(), key, nil, time.Now().Add(500*time.Millisecond))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, version, err := s.Get(t.Context(), key)
		return err == nil && version == 0
	}, 10*time.Second, 10*time.Millisecond)
	time.Sleep(100 * time.Millisecond) // some sweeps
	require.EqualValues(t, 1, count(t, cfg, "id = '"+key+"'"))
}

func count(t testing.TB, cfg sqlstore.Config, where string) (n int64) {
	t.Helper()
	require.NoError(t, cfg.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+cfg.Table+" WHERE "+where).Scan(&n))
	return n
}
