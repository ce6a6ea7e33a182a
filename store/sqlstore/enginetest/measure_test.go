package enginetest_test

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sqlitedriver "modernc.org/sqlite"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// The flags of TestMeasure. PERFORMANCE.md lists the commands. With the
// defaults, the test only shows that the measurements work.
var (
	rows = flag.Int("rows", 2_000, "the live rows of a large table")
	turn = flag.Duration("turn", 100*time.Millisecond, "the time of one turn of a measurement")
)

const (
	smallTable = 10_000
	turns      = 5
	// flowsPerSecond is the load during a sweep. A flow is one call of Add, Get
	// and Swap.
	flowsPerSecond = 200
	// sweptPerSecond is more than a sweep deletes in a second.
	sweptPerSecond = 15_000
)

// TestMeasure measures a large table, and sweeping under load. It fails only if
// an operation does.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t testing.TB, durable bool) engine{
		"PostgreSQL": func(t testing.TB, durable bool) engine {
			fsync := map[bool]string{true: "fsync=on", false: "fsync=off"}[durable]
			return postgreSQL(testserver.PostgreSQL(t, fsync, "shared_buffers=1GB", "max_wal_size=8GB",
				"maintenance_work_mem=1GB", "wal_level=minimal", "max_wal_senders=0"))
		},
		"MariaDB": func(t testing.TB, durable bool) engine {
			flush := map[bool]string{true: "1", false: "2"}[durable]
			return mariaDB(testserver.MariaDB(t, "innodb-flush-log-at-trx-commit="+flush, "innodb-flush-method=fsync",
				"innodb-buffer-pool-size=1G", "innodb-log-file-size=1G"))
		},
		"SQLite": func(t testing.TB, _ bool) engine { return sqlite(filepath.Join(t.TempDir(), "entries.db")) },
	} {
		t.Run(name+" sweeping", func(t *testing.T) { measureSweeping(t, start(t, true)) })
		t.Run(name+" growth", func(t *testing.T) { measureGrowth(t, start(t, false)) })
	}
}

// measureGrowth compares the operations on a large table with those on a small
// one, in alternating blocks. Commits do not wait for the disk, which would
// hide the difference.
func measureGrowth(t *testing.T, e engine) {
	parameter := ""
	if e.dialect == sqlstore.SQLite {
		parameter = "_pragma=synchronous(NORMAL)"
	}
	var stores [2]*sqlstore.Store
	sizes := [2]int{smallTable, *rows}
	for i, size := range sizes {
		if e.dialect == sqlstore.SQLite { // fillNumbered needs a file of its own
			e = sqlite(filepath.Join(t.TempDir(), "entries.db"))
		}
		cfg := e.config(t, parameter)
		start := time.Now()
		fillNumbered(t, e, cfg, size, 0)
		t.Logf("filled %d rows in %v", size, time.Since(start).Round(time.Second))
		stores[i] = newStore(t, cfg)
	}
	value := make([]byte, 600)
	// An operation gets the number of its calls on the table.
	for name, operation := range map[string]func(table, n int) (bool, error){
		"Add": func(table, _ int) (bool, error) { return stores[table].Add(t.Context(), newKey(), value, hour()) },
		"Get": func(table, _ int) (bool, error) {
			_, version, err := stores[table].Get(t.Context(), numbered(1+rand.N(sizes[table])))
			return version != 0, err
		},
		"Swap": func(table, n int) (bool, error) {
			// The keys of consecutive rows are far apart. After the last row,
			// all rows have the next version.
			size := sizes[table]
			return stores[table].Swap(t.Context(), numbered(1+n%size), int64(1+n/size), value, hour())
		},
	} {
		on := func(table int) func() bool {
			n := -1
			return func() bool {
				n++
				ok, err := operation(table, n)
				return ok && err == nil
			}
		}
		ratio, base := testkit.Ratio(t, turns*(*turn), on(0), on(1))
		t.Logf("%-4s %.2f × the time with %d rows, %v", name, ratio, smallTable, time.Duration(base))
	}
}

// measureSweeping measures the operations under a constant load, in turns with
// and without a store that sweeps all the time. The time of an operation starts
// when its flow is due, so that a pause delays each flow that it meets.
func measureSweeping(t *testing.T, e engine) {
	cfg := e.config(t)
	fillNumbered(t, e, cfg, *rows, int(turns*turn.Seconds()*sweptPerSecond))
	const expired = "expires < 1000000000"
	intervals := [2]time.Duration{-1, time.Millisecond}
	var p50, p99, most [2][]float64
	var swept []int64
	for range turns {
		for kind, interval := range intervals {
			cfg.SweepInterval = interval
			cfg.SweepFailed = func(err error) { t.Error(err) }
			left := count(t, cfg, expired)
			s := newStore(t, cfg)
			times := loaded(t, s)
			require.NoError(t, s.Close())
			if interval > 0 {
				swept = append(swept, left-count(t, cfg, expired))
			}
			p50[kind] = append(p50[kind], testkit.Percentile(times, 50))
			p99[kind] = append(p99[kind], testkit.Percentile(times, 99))
			most[kind] = append(most[kind], testkit.Percentile(times, 100))
		}
	}
	for kind, name := range []string{"alone", "sweeping"} {
		t.Logf("%-8s median %.2f ms, 99th percentile %.2f ms, longest %.1f ms",
			name, testkit.Percentile(p50[kind], 50), testkit.Percentile(p99[kind], 50), testkit.Percentile(most[kind], 50))
	}
	t.Logf("rows swept in each turn: %v", swept)
	require.Positive(t, slices.Max(swept))
}

// loaded runs flows for one turn and returns the milliseconds of all
// operations.
func loaded(t *testing.T, s *sqlstore.Store) (times []float64) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	ticker := time.NewTicker(time.Second / flowsPerSecond)
	defer ticker.Stop()
	value := make([]byte, 600)
	for due, end := time.Now(), time.Now().Add(*turn); due.Before(end); due = <-ticker.C {
		wg.Go(func() {
			key, start := newKey(), due
			for _, operation := range []func() (bool, error){
				func() (bool, error) { return s.Add(t.Context(), key, value, hour()) },
				func() (bool, error) {
					_, version, err := s.Get(t.Context(), key)
					return version == 1, err
				},
				func() (bool, error) { return s.Swap(t.Context(), key, 1, value, hour()) },
			} {
				if ok, err := operation(); err != nil || !ok {
					t.Errorf("operation failed: %v", err)
				}
				mu.Lock()
				times = append(times, float64(time.Since(start).Microseconds())/1000)
				mu.Unlock()
				start = time.Now()
			}
		})
	}
	wg.Wait()
	return times
}

// numbered returns the key of a row that fillNumbered has inserted.
func numbered(i int) string {
	digest := sha256.Sum256([]byte(strconv.Itoa(i)))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func init() {
	sqlitedriver.MustRegisterDeterministicScalarFunction("numbered", 1,
		func(_ *sqlitedriver.FunctionContext, arguments []driver.Value) (driver.Value, error) {
			i, _ := arguments[0].(int64)
			return numbered(int(i)), nil
		})
}

// fillNumbered fills an empty table with the fastest means of the engine: first
// live rows, which expire in ten hours, then expired ones. Row i has the key
// numbered(i) and a value of 600 bytes.
func fillNumbered(t testing.TB, e engine, cfg sqlstore.Config, live, expired int) {
	t.Helper()
	insertNumbered(t, e, cfg, live, expired)
	require.NoError(t, sqlstore.Migrate(t.Context(), cfg)) // the row and the index that are missing
	if e.dialect == sqlstore.PostgreSQL {
		execute(t, cfg.DB, "VACUUM ANALYZE %s", cfg.Table)
	}
}

func insertNumbered(t testing.TB, e engine, cfg sqlstore.Config, live, expired int) {
	t.Helper()
	row := `1, CASE WHEN i > %[2]d THEN i ELSE %[3]d END`
	arguments := []any{cfg.Table, live, hour().Add(9 * time.Hour).UnixMilli(), live + expired}
	one, err := cfg.DB.Conn(t.Context())
	require.NoError(t, err)
	defer one.Close() //nolint:errcheck // the statements have ended
	switch e.dialect {
	case sqlstore.PostgreSQL:
		// An index that is created after the rows takes a fraction of the time.
		// A table that is truncated in the same transaction is not logged.
		execute(t, one, `BEGIN; TRUNCATE %[1]s; ALTER TABLE %[1]s DROP CONSTRAINT %[1]s_pkey; DROP INDEX %[1]s_expires;
			INSERT INTO %[1]s SELECT translate(rtrim(encode(sha256(i::text::bytea), 'base64'), '='), '+/', '-_'),
			decode(repeat('ab', 600), 'hex'), `+row+` FROM generate_series(1, %[4]d) i;
			ALTER TABLE %[1]s ADD PRIMARY KEY (id); COMMIT`, arguments...)
	case sqlstore.MySQL:
		// In the order of the keys, each page is written once.
		execute(t, one, "SET sort_buffer_size = 268435456")
		execute(t, one, `INSERT INTO %[1]s SELECT k, REPEAT('x', 600), `+row+` FROM (SELECT seq AS i,
			CAST(REPLACE(REPLACE(TRIM(TRAILING '=' FROM TO_BASE64(UNHEX(SHA2(seq, 256)))), '+', '-'), '/', '_')
			AS CHAR(43) CHARACTER SET ascii) COLLATE ascii_bin AS k FROM seq_1_to_%[4]d) AS n ORDER BY k`, arguments...)
	case sqlstore.SQLite:
		// The file is written once, without a log. This connection is the only
		// one, and ends here.
		cfg.DB.SetMaxIdleConns(0)
		defer cfg.DB.SetMaxIdleConns(10)
		execute(t, one, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1500000")
		defer one.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // it is the error above
		execute(t, one, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[4]d)
			INSERT INTO %[1]s SELECT numbered(i), CAST(replace(hex(zeroblob(300)), '0', 'x') AS BLOB), `+row+` FROM n`, arguments...)
		execute(t, one, "PRAGMA journal_mode = WAL")
	}
}
