package enginetest_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// The servers do not wait for a disk, so that the disk does not hide the
// difference.

func BenchmarkPostgreSQL(b *testing.B) {
	benchmark(b, postgreSQL(testserver.PostgreSQL(b)), [3]string{
		"INSERT INTO bare (id, value, version, expires) VALUES ($1, $2, 1, $3) ON CONFLICT (id) DO NOTHING",
		"SELECT value, version FROM bare WHERE id = $1",
		"UPDATE bare SET value = $1, expires = $2, version = version + 1 WHERE id = $3",
	})
}

func BenchmarkMariaDB(b *testing.B) {
	benchmark(b, mariaDB(testserver.MariaDB(b)), [3]string{
		"INSERT IGNORE INTO bare (id, value, version, expires) VALUES (?, ?, 1, ?)",
		"SELECT value, version FROM bare WHERE id = ?",
		"UPDATE bare SET value = ?, expires = ?, version = version + 1 WHERE id = ?",
	})
}

func BenchmarkSQLite(b *testing.B) {
	benchmark(b, sqlite(filepath.Join(b.TempDir(), "entries.db")), [3]string{
		"INSERT INTO bare (id, value, version, expires) VALUES (?, ?, 1, ?) ON CONFLICT (id) DO NOTHING",
		"SELECT value, version FROM bare WHERE id = ?",
		"UPDATE bare SET value = ?, expires = ?, version = version + 1 WHERE id = ?",
	})
}

// benchmark compares each operation with a bare statement through the same
// driver, on a table of the same form: an insert unless the key exists, a
// lookup and an update by key. PostgreSQL executes both without explicit
// preparation, and the others prepare both.
func benchmark(b *testing.B, e engine, statements [3]string) {
	parameter := ""
	if e.dialect == sqlstore.SQLite {
		parameter = "_pragma=synchronous(NORMAL)"
	}
	cfg := e.config(b, parameter)
	s := newStore(b, cfg)
	bare := cfg
	bare.Table = "bare"
	require.NoError(b, sqlstore.Migrate(b.Context(), bare))
	var prepared [3]*sql.Stmt
	if e.dialect != sqlstore.PostgreSQL {
		for i, text := range statements {
			var err error
			prepared[i], err = cfg.DB.PrepareContext(b.Context(), text)
			require.NoError(b, err)
			defer prepared[i].Close() //nolint:errcheck // the benchmark is over
		}
	}
	run := func(i int, arguments ...any) bool {
		var result sql.Result
		var err error
		if prepared[i] != nil {
			result, err = prepared[i].ExecContext(b.Context(), arguments...)
		} else {
			result, err = cfg.DB.ExecContext(b.Context(), statements[i], arguments...)
		}
		if err != nil {
			return false
		}
		rows, err := result.RowsAffected()
		return err == nil && rows == 1
	}
	value, expires := make([]byte, 500), hour()
	key := newKey()
	prepareEntry(b, s, key)
	require.True(b, run(0, key, value, expires.UnixMilli()))
	version := int64(1)

	b.Run("Add", func(b *testing.B) {
		testkit.Ratios(b, func() bool { return run(0, newKey(), value, expires.UnixMilli()) }, map[string]testkit.Measured{
			"x-bare": {Run: func() bool {
				added, err := s.Add(b.Context(), newKey(), value, expires)
				return err == nil && added
			}},
		})
	})
	b.Run("Get", func(b *testing.B) {
		testkit.Ratios(b, func() bool {
			var value []byte
			var version int64
			if prepared[1] != nil {
				return prepared[1].QueryRowContext(b.Context(), key).Scan(&value, &version) == nil
			}
			return cfg.DB.QueryRowContext(b.Context(), statements[1], key).Scan(&value, &version) == nil
		}, map[string]testkit.Measured{
			"x-bare": {Run: func() bool {
				_, version, err := s.Get(b.Context(), key)
				return err == nil && version != 0
			}},
		})
	})
	b.Run("Swap", func(b *testing.B) {
		testkit.Ratios(b, func() bool { return run(2, value, expires.UnixMilli(), key) }, map[string]testkit.Measured{
			"x-bare": {Run: func() bool {
				swapped, err := s.Swap(b.Context(), key, version, value, expires)
				version++
				return err == nil && swapped
			}},
		})
	})
}
