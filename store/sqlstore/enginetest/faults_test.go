package enginetest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store/sqlstore"
)

// faults are a driver whose statements fail as the test demands.
type faults struct {
	db     *sql.DB
	driver driver.Driver
	dsn    string

	query func(query string, arguments []driver.NamedValue) // before a query; may be nil

	mu       sync.Mutex
	before   func(query string) error // instead of the statement
	after    func(query string) error // when the statement has taken effect
	attempts int                      // statements since the last call of set
}

func newFaults(t *testing.T, e engine) *faults {
	t.Helper()
	f := &faults{driver: e.open(t).Driver(), dsn: e.dsn()}
	f.db = sql.OpenDB(f)
	t.Cleanup(func() { require.NoError(t, f.db.Close()) })
	return f
}

// set sets the faults of statements that contain a text.
func (f *faults) set(before, after func(query string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.attempts = before, after, 0
}

func (f *faults) call(query string, run func() error) error {
	f.mu.Lock()
	f.attempts++
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(query); err != nil {
			return err
		}
	}
	err := run()
	if errors.Is(err, driver.ErrBadConn) { // the connection had ended, and package database/sql takes another one
		f.mu.Lock()
		f.attempts--
		f.mu.Unlock()
	}
	if err != nil || after == nil {
		return err
	}
	return after(query)
}

func (f *faults) Driver() driver.Driver { return f.driver }

func (f *faults) Connect(context.Context) (driver.Conn, error) {
	c, err := f.driver.Open(f.dsn)
	return &faultyConn{c, f}, err
}

// faultyConn has no methods for statements without preparation, so that package
// database/sql prepares all of them.
type faultyConn struct {
	driver.Conn
	faults *faults
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return &faultyStmt{s, c, query}, err
}

func (c *faultyConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type faultyStmt struct {
	driver.Stmt
	conn  *faultyConn
	query string
}

func (s *faultyStmt) ExecContext(ctx context.Context, arguments []driver.NamedValue) (result driver.Result, err error) {
	err = s.conn.faults.call(s.query, func() (err error) {
		result, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, arguments)
		return err
	})
	return result, err
}

func (s *faultyStmt) QueryContext(ctx context.Context, arguments []driver.NamedValue) (rows driver.Rows, err error) {
	if s.conn.faults.query != nil {
		s.conn.faults.query(s.query, arguments)
	}
	rows, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, arguments)
	if err != nil {
		return nil, err
	}
	return &faultyRows{rows, s}, nil
}

// faultyRows fail while they are read.
type faultyRows struct {
	driver.Rows
	stmt *faultyStmt
}

func (r *faultyRows) Next(values []driver.Value) error {
	return r.stmt.conn.faults.call(r.stmt.query, func() error { return r.Rows.Next(values) })
}

// coded, temporary and locked are errors of SQLite drivers that the module does
// not require.
type coded struct{ code int }

func (e coded) Error() string { return "busy" }
func (e coded) Code() int     { return e.code }

type temporary struct{ is bool }

func (e temporary) Error() string   { return "busy" }
func (e temporary) Temporary() bool { return e.is }

// rollbacks are errors after which the statement may be retried.
var rollbacks = map[sqlstore.Dialect][]error{
	sqlstore.PostgreSQL: {&pgconn.PgError{Code: "40001"}, &pgconn.PgError{Code: "40P01"}},
	sqlstore.MySQL: {
		&mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001"))}, &mysql.MySQLError{Number: 1205},
		&mysql.MySQLError{Number: 1020, Message: "Error 9999"},
	},
	sqlstore.SQLite: {coded{5}, coded{6}, coded{517}, temporary{true}, errors.New("database is locked")},
}

// others are errors that say nothing about the outcome, or that last.
var others = map[sqlstore.Dialect][]error{
	sqlstore.PostgreSQL: {
		errors.New("connection reset"), &pgconn.PgError{Code: "57P01"}, &pgconn.PgError{Code: "40003", Message: "40001"},
		&pgconn.PgError{Code: "25006"}, errors.New("40001"),
	},
	sqlstore.MySQL: {
		errors.New("invalid connection"), &mysql.MySQLError{Number: 1290}, &mysql.MySQLError{Number: 12130},
		&mysql.MySQLError{Number: 1105, Message: "Error 1213"}, errors.New("40001"),
	},
	sqlstore.SQLite: {errors.New("interrupted"), coded{10}, coded{1}, temporary{false}, errors.New("a database is locked")},
}

// An operation of the store, on a key or set in the state that it needs.
type operation struct {
	statement string // a part of it
	prepare   func(testing.TB, *sqlstore.Store, string)
	run       func(context.Context, *sqlstore.Store, string) (bool, error)
	// state returns a number, which is before and after the operation as
	// stated.
	state         func(testing.TB, *sqlstore.Store, string) int64
	before, after int64
	calls         int // of the driver, beyond the first
}

var operations = map[string]operation{
	"Add": {
		"INSERT", func(testing.TB, *sqlstore.Store, string) {},
		func(ctx context.Context, s *sqlstore.Store, key string) (bool, error) {
			return s.Add(ctx, key, nil, hour())
		}, version, 0, 1, 0,
	},
	"Swap": {
		"UPDATE", prepareEntry,
		func(ctx context.Context, s *sqlstore.Store, key string) (bool, error) {
			return s.Swap(ctx, key, 1, nil, hour())
		}, version, 1, 2, 0,
	},
	"Get": {
		"SELECT value", prepareEntry,
		func(ctx context.Context, s *sqlstore.Store, key string) (bool, error) {
			_, version, err := s.Get(ctx, key)
			return version != 0, err
		}, version, 1, 1, 0,
	},
	"Put": {
		"INSERT", func(testing.TB, *sqlstore.Store, string) {},
		func(ctx context.Context, s *sqlstore.Store, set string) (bool, error) {
			err := s.Put(ctx, set, "a", hour())
			return err == nil, err
		}, members, 0, 1, 0,
	},
	"Delete": {
		"DELETE", prepareMember,
		func(ctx context.Context, s *sqlstore.Store, set string) (bool, error) {
			err := s.Delete(ctx, set, "a")
			return err == nil, err
		}, members, 1, 0, 0,
	},
	"List": {
		"SELECT member", prepareMember,
		func(ctx context.Context, s *sqlstore.Store, set string) (bool, error) {
			members, err := s.List(ctx, set, "", 9)
			return len(members) != 0, err
		}, members, 1, 1, 1, // the call that finds the end
	},
}

func prepareEntry(t testing.TB, s *sqlstore.Store, key string) {
	t.Helper()
	added, err := s.Add(t.Context(), key, nil, hour())
	require.NoError(t, err)
	require.True(t, added)
}

func prepareMember(t testing.TB, s *sqlstore.Store, set string) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), set, "a", hour()))
}

func version(t testing.TB, s *sqlstore.Store, key string) int64 {
	t.Helper()
	_, version, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return version
}

func members(t testing.TB, s *sqlstore.Store, set string) int64 {
	t.Helper()
	all, err := s.List(t.Context(), set, "", 9)
	require.NoError(t, err)
	return int64(len(all))
}

func testFaults(t *testing.T, e engine) {
	f := newFaults(t, e)
	cfg := e.config(t)
	whole := newStore(t, cfg)
	cfg.DB = f.db
	s := newStore(t, cfg)
	for name, o := range operations {
		// failing runs the operation on a new key and checks what it did.
		failing := func(t *testing.T, want error, done bool) {
			t.Helper()
			key := newKey()
			f.mu.Lock()
			before, after := f.before, f.after
			f.mu.Unlock()
			f.set(nil, nil)
			o.prepare(t, s, key)
			f.set(before, after)
			ok, err := o.run(t.Context(), s, key)
			require.ErrorIs(t, err, want)
			require.False(t, ok, "an error is not a success")
			require.Equal(t, map[bool]int64{false: o.before, true: o.after}[done], o.state(t, whole, key))
		}
		t.Run(name+": an error that leaves the outcome open is returned at once", func(t *testing.T) {
			for _, err := range others[e.dialect] {
				f.set(func(string) error { return err }, nil)
				failing(t, err, false)
				require.Equal(t, 1, f.attempts, "of %v", err)
				f.set(nil, func(string) error { return err })
				failing(t, err, true)
				require.Equal(t, 1, f.attempts, "of %v", err)
			}
		})
		t.Run(name+": a rollback is retried", func(t *testing.T) {
			for _, err := range rollbacks[e.dialect] {
				key, left := newKey(), 3
				f.set(nil, nil)
				o.prepare(t, s, key)
				f.set(func(query string) error {
					if left--; left >= 0 && strings.Contains(query, o.statement) {
						return err
					}
					return nil
				}, nil)
				ok, err := o.run(t.Context(), s, key)
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, 4+o.calls, f.attempts)
			}
		})
		t.Run(name+": the retries are bounded", func(t *testing.T) {
			err := rollbacks[e.dialect][0]
			f.set(func(string) error { return err }, nil)
			failing(t, err, false)
			require.Equal(t, 16, f.attempts)
		})
		t.Run(name+": the retries end with the context", func(t *testing.T) {
			key := newKey()
			f.set(nil, nil)
			o.prepare(t, s, key)
			ctx, cancel := context.WithCancel(t.Context())
			f.set(func(string) error { cancel(); return rollbacks[e.dialect][0] }, nil)
			_, err := o.run(ctx, s, key)
			require.ErrorIs(t, err, context.Canceled)
			require.LessOrEqual(t, f.attempts, 1)
		})
	}
	t.Run("a driver that the store does not know", func(t *testing.T) {
		unknown, left := errors.New("rolled back"), 2
		cfg := cfg
		cfg.Retryable = func(err error) bool { return errors.Is(err, unknown) }
		f.set(nil, nil)
		s := newStore(t, cfg)
		f.set(func(string) error {
			if left--; left >= 0 {
				return unknown
			}
			return nil
		}, nil)
		added, err := s.Add(t.Context(), newKey(), nil, hour())
		require.NoError(t, err)
		require.True(t, added)
	})
	t.Run("the check of the expiry fails", func(t *testing.T) {
		key, broken := newKey(), errors.New("broken")
		f.set(nil, nil)
		prepareEntry(t, s, key)
		f.set(func(query string) error {
			if strings.Contains(query, "CASE") {
				return broken
			}
			return nil
		}, nil)
		added, err := s.Add(t.Context(), key, nil, hour())
		require.ErrorIs(t, err, broken)
		require.False(t, added)
	})
	f.set(nil, nil)
}

// A call waits for a connection until its context ends.
func testPool(t *testing.T, e engine) {
	cfg := e.config(t)
	cfg.DB.SetMaxOpenConns(1)
	s := newStore(t, cfg)
	held, err := cfg.DB.Conn(t.Context())
	require.NoError(t, err)
	for name, o := range operations {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		ok, err := o.run(ctx, s, newKey())
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.False(t, ok)
	}
	require.NoError(t, held.Close())
	added, err := s.Add(t.Context(), newKey(), nil, hour())
	require.NoError(t, err)
	require.True(t, added)
}

// A call whose context ends while the row is locked is an error. MariaDB can
// execute the statement later.
func testLocked(t *testing.T, e engine) {
	cfg := e.config(t, map[sqlstore.Dialect]string{sqlstore.SQLite: "_pragma=busy_timeout(1000)"}[e.dialect])
	s, key := newStore(t, cfg), newKey()
	prepareEntry(t, s, key)
	tx, err := cfg.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it has no effect after the end
	execute(t, tx, "UPDATE %s SET value = value, version = version + 1 WHERE id = '%s'", cfg.Table, key)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	swapped, err := s.Swap(ctx, key, 1, nil, hour())
	require.Error(t, err)
	require.False(t, swapped)
	require.NoError(t, tx.Rollback())
	_, version, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.Contains(t, []int64{1, 2}, version, "the call has taken effect once or not at all")
}

// Calls fail while the server is down. When it is back, the same store finds
// its entries, and no call has taken effect in part or twice.
func testKill(t *testing.T, e engine) {
	s, key := newStore(t, e.config(t)), newKey()
	prepareEntry(t, s, key)
	prepareMember(t, s, key)
	e.server.Kill()
	for name, o := range operations {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		ok, err := o.run(ctx, s, key)
		cancel()
		require.Error(t, err, name)
		require.False(t, ok)
	}
	e.server.Start()
	require.Eventually(t, func() bool { // connections of before fail once
		_, version, err := s.Get(t.Context(), key)
		return err == nil && version == 1
	}, 10*time.Second, 10*time.Millisecond)
	swapped, err := s.Swap(t.Context(), key, 1, nil, hour())
	require.NoError(t, err)
	require.True(t, swapped)
	added, err := s.Add(t.Context(), key, nil, hour())
	require.NoError(t, err)
	require.False(t, added)
	require.EqualValues(t, 1, members(t, s, key))
}

// A sweep can delete an expired row while Add replaces it.
func testSweepDuringAdd(t *testing.T, e engine) {
	f := newFaults(t, e)
	cfg := e.config(t)
	key := newKey()
	fillKey(t, cfg, key)
	plain := cfg.DB
	cfg.DB = f.db
	s := newStore(t, cfg)
	f.set(func(query string) error {
		if strings.Contains(query, "INSERT") && e.dialect != sqlstore.MySQL || strings.Contains(query, "version = 1") {
			execute(t, plain, "DELETE FROM %s WHERE id = '%s'", cfg.Table, key)
		}
		return nil
	}, nil)
	added, err := s.Add(t.Context(), key, nil, hour())
	require.NoError(t, err)
	require.True(t, added)
	f.set(nil, nil)
}
