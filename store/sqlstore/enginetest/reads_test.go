package enginetest_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// The cost of an operation and of a sweep does not depend on the number of live
// rows, because no statement reads a table from its start to its end.
func testReads(t *testing.T, e engine) {
	const live = 20_000
	cfg := e.config(t)
	fillNumbered(t, e, cfg, live, 0)
	cfg.SweepInterval = time.Hour // New sweeps once
	use := func(cfg sqlstore.Config) {
		s := newStore(t, cfg)
		for range 20 {
			key := newKey()
			prepareEntry(t, s, key)
			swapped, err := s.Swap(t.Context(), key, 1, nil, hour())
			require.NoError(t, err)
			require.True(t, swapped)
			_, version, err := s.Get(t.Context(), key)
			require.NoError(t, err)
			require.EqualValues(t, 2, version)
		}
	}
	if e.dialect == sqlstore.SQLite {
		f := newFaults(t, e)
		plain := cfg.DB
		cfg.DB = f.db
		f.set(func(query string) error {
			if strings.Contains(query, cfg.Table) && !strings.Contains(query, "_members") {
				require.NotContains(t, plan(t, plain, query), "SCAN "+cfg.Table, query)
			}
			return nil
		}, nil)
		use(cfg)
		return
	}
	cfg.DB.SetMaxOpenConns(1) // one connection publishes its statistics
	before := rowsScanned(t, cfg)
	unused := rowsScanned(t, cfg) - before
	use(cfg)
	require.Less(t, rowsScanned(t, cfg)-before-2*unused, int64(live/4))
}

// rowsScanned returns a counter of rows that were read without a lookup by key.
func rowsScanned(t *testing.T, cfg sqlstore.Config) (n int64) {
	t.Helper()
	query := `SELECT SUM(variable_value) FROM information_schema.global_status
		WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_PREV', 'HANDLER_READ_RND_NEXT')`
	if cfg.Dialect == sqlstore.PostgreSQL {
		var version int
		require.NoError(t, cfg.DB.QueryRowContext(t.Context(), "SHOW server_version_num").Scan(&version))
		testkit.Require(t, "PostgreSQL 15 or later", version >= 150000)
		execute(t, cfg.DB, "SELECT pg_stat_force_next_flush()")
		query = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = '" + cfg.Table + "'"
	}
	require.NoError(t, cfg.DB.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// plan returns the plan of a statement in SQLite.
func plan(t *testing.T, db *sql.DB, query string) (text string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 1, 1, 1)
	require.NoError(t, err)
	defer found.Close() //nolint:errcheck // it has been read
	for found.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, found.Scan(&id, &parent, &unused, &detail))
		text += detail + "\n"
	}
	require.NoError(t, found.Err())
	return text
}
