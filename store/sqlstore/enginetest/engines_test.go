package enginetest_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
	"github.com/gofapi/fapi2/store/storetest"
)

// An engine is a running database.
type engine struct {
	dialect sqlstore.Dialect
	driver  string
	// dsn returns the data source name of an administrator, with parameters of
	// the driver.
	dsn func(parameters ...string) string
	// user returns the data source name of another user.
	user   func(name string) string
	server *testserver.Server // nil for SQLite
}

// tests are the tests that every engine passes.
var tests = map[string]func(*testing.T, engine){
	"the kit":                                testKit,
	"the kit with other settings":            testSettings,
	"one of 64 goroutines wins":              testGoroutines,
	"one of 8 processes wins":                testProcesses,
	"8 processes change a set":               testIndexProcesses,
	"a process that is killed":               testIndexKilled,
	"a page that fails in the middle":        testPartOfPage,
	"sets and members that are malformed":    testIndexArguments,
	"the clock of a client":                  testClientClock,
	"a call that waits for a lock":           testWaitingCall,
	"rows stay for a minute":                 testRowsStay,
	"a sweep":                                testSweep,
	"rows that are read":                     testReads,
	"a sweep that fails":                     testSweepFails,
	"a sweep during Add":                     testSweepDuringAdd,
	"statements that fail":                   testFaults,
	"a pool of one connection":               testPool,
	"a call that ends while it waits":        testLocked,
	"migrations":                             testMigrate,
	"two applications with stored tokens":    testTokens,
	"an unsuitable table":                    testBadTable,
	"a database that cannot be reached":      testUnreachable,
	"a database or table that loses entries": testUnsuitable,
}

// serverTests are those of databases with a server.
var serverTests = map[string]func(*testing.T, engine){
	"a sweep beside locked rows":             testSweepLocked,
	"a sweep of several batches":             testSweepStart,
	"a user without rights":                  testRights,
	"a table in another schema":              testSchemaName,
	"a server that is killed and comes back": testKill,
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	run(t, postgreSQL(testserver.PostgreSQL(t)))
}

// PgBouncer gives each statement another connection, so statements that were
// prepared on one are unknown on the next.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	e := postgreSQL(testserver.PgBouncer(t, testserver.PostgreSQL(t), "default_pool_size=4", "max_client_conn=500"))
	direct := e.dsn
	e.dsn = func(parameters ...string) string {
		return direct(append([]string{"default_query_exec_mode=exec"}, parameters...)...)
	}
	testKit(t, e)
	testMigrate(t, e)
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	run(t, mariaDB(testserver.MariaDB(t, "log-bin=log", "server-id=1")))
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	run(t, sqlite(filepath.Join(t.TempDir(), "entries.db")))
}

func postgreSQL(s *testserver.Server) engine {
	return engine{
		dialect: sqlstore.PostgreSQL, driver: "pgx", server: s,
		dsn: func(parameters ...string) string {
			return strings.Join(append([]string{s.PostgreSQLURL("postgres", "")}, parameters...), "&")
		},
		user: func(name string) string { return s.PostgreSQLURL(name, "") },
	}
}

func mariaDB(s *testserver.Server) engine {
	user := func(name string) string { return name + "@tcp(" + s.Addr + ")/test" }
	return engine{
		dialect: sqlstore.MySQL, driver: "mysql", server: s, user: user,
		dsn: func(parameters ...string) string { return user("root") + "?" + strings.Join(parameters, "&") },
	}
}

func sqlite(file string) engine {
	return engine{
		dialect: sqlstore.SQLite, driver: "sqlite",
		dsn: func(parameters ...string) string {
			return "file:" + file + "?" + strings.Join(append([]string{"_pragma=busy_timeout(10000)"}, parameters...), "&")
		},
	}
}

// run runs all tests. Those of one engine run one after the other.
func run(t *testing.T, e engine) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
	if e.server == nil {
		return
	}
	for name, test := range serverTests {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// open opens a pool.
func (e engine) open(t testing.TB, parameters ...string) *sql.DB {
	t.Helper()
	return pool(t, e.driver, e.dsn(parameters...))
}

func pool(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := openDB(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func openDB(driver, dsn string) (*sql.DB, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	return db, nil
}

// config returns the configuration of a new table.
func (e engine) config(t testing.TB, parameters ...string) sqlstore.Config {
	t.Helper()
	cfg := sqlstore.Config{
		DB: e.open(t, parameters...), Dialect: e.dialect, Table: "t_" + strings.ToLower(rand.Text()), SweepInterval: -1,
	}
	require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
	return cfg
}

func newStore(t testing.TB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// execute runs a statement of the test.
func execute(t testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, format string, arguments ...any) int64 {
	t.Helper()
	result, err := db.ExecContext(t.Context(), fmt.Sprintf(format, arguments...))
	require.NoError(t, err)
	rows, err := result.RowsAffected()
	require.NoError(t, err)
	return rows
}

func newKey() string {
	var random [32]byte
	rand.Read(random[:]) //nolint:errcheck // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func hour() time.Time { return time.Now().Add(time.Hour) }

func testKit(t *testing.T, e engine) {
	kits(t, e.config(t), func(t *testing.T) *sql.DB { return e.open(t) })
}

// kits runs the kits of a store and of an index.
func kits(t *testing.T, cfg sqlstore.Config, open func(t *testing.T) *sql.DB) {
	newOne := func(t *testing.T) *sqlstore.Store {
		cfg := cfg
		cfg.DB = open(t)
		cfg.DB.SetMaxOpenConns(4)
		return newStore(t, cfg)
	}
	t.Run("of a store", func(t *testing.T) {
		storetest.Test(t, func(t *testing.T) store.Store { return newOne(t) })
	})
	t.Run("of an index", func(t *testing.T) {
		storetest.TestIndex(t, func(t *testing.T) store.Index { return newOne(t) })
	})
}
