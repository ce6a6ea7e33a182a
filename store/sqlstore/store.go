package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gofapi/fapi2/store"
)

// DefaultTable is the table if Config.Table is empty, and the table of
// [Migrations].
const DefaultTable = "fapi2_entries"

const defaultSweepInterval = time.Minute

// Config configures a [Store].
type Config struct {
	// DB is the pool of connections to the primary. Required. Its limits are
	// those of the store: a call waits for a connection until its context ends.
	DB *sql.DB
	// Dialect is the kind of the database. Required.
	Dialect Dialect
	// Table is the name of the table of entries. The default is [DefaultTable].
	// It has lower-case letters, digits and underscores. PostgreSQL and MySQL
	// accept the name of a schema and a dot before it. The table of the index
	// has this name with "_members" after it.
	Table string
	// SweepInterval is the mean time between two sweeps of this store, which
	// delete expired rows. The default is one minute. If negative, the store
	// does not sweep.
	SweepInterval time.Duration
	// SweepFailed is called with the error of a sweep, on the goroutine that
	// sweeps. Its panics are recovered. If nil, such errors are dropped. A
	// failed sweep affects only the size of the table, and the next sweep
	// retries it.
	SweepFailed func(error)
	// Retryable reports that the database has rolled back the failed statement,
	// so that the store may retry it. It is called for errors that the store
	// does not know. If nil, such errors are returned. The store knows the
	// errors of pgx, lib/pq, go-sql-driver/mysql and the usual drivers of
	// SQLite.
	Retryable func(error) bool
}

var tableName = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,47}\.)?[a-z_][a-z0-9_]{0,47}$`)

// check returns all problems of a Config, and its defaults.
func (c Config) check() (Config, error) {
	var errs []error
	if c.DB == nil {
		errs = append(errs, errors.New("missing DB"))
	}
	if c.Dialect < PostgreSQL || c.Dialect > SQLite {
		errs = append(errs, errors.New("missing or unknown Dialect, want PostgreSQL, MySQL or SQLite"))
	}
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if !tableName.MatchString(c.Table) || c.Dialect == SQLite && strings.Contains(c.Table, ".") {
		errs = append(errs, fmt.Errorf("malformed Table %q", c.Table))
	}
	if c.SweepInterval == 0 {
		c.SweepInterval = defaultSweepInterval
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, fmt.Errorf("sqlstore: %w", err)
	}
	return c, nil
}

// A Store is a [store.Store] and a [store.Index] in two tables of a SQL
// database. It is safe for concurrent use. A malformed key or member, a value
// that is too large and an expiry that has passed are [store.ErrInvalid].
type Store struct {
	cfg                           Config
	text                          statements
	add, replace, get, swap, past statement
	put, strike, list             statement // of the index
	// writer contains one value while a call writes to SQLite, which would
	// otherwise make the calls poll for its lock.
	writer chan struct{}

	stop   func() // ends the sweeper and waits for it
	closed sync.Once
}

var _ store.Store = (*Store)(nil)

// New opens the store on tables that [Migrate] has created. It writes and
// deletes some rows, sweeps once, and starts a goroutine that sweeps until
// [Store.Close].
//
// New returns an error if the database cannot be reached, a table is missing or
// has another schema, the user lacks a right, or the settings of the database
// or the driver break the contract. The error names the remedy.
func New(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := open(cfg)
	for _, check := range []func(context.Context) error{
		s.reach, s.inspect, s.checkSchema, s.prepare, s.probe, s.probeSweep,
	} {
		if err := check(ctx); err != nil {
			s.release()
			return nil, fmt.Errorf("sqlstore: %w", err)
		}
	}
	s.stop = s.startSweeper()
	return s, nil
}

// Open calls [Migrate] and then [New]. It is for programs that create their own
// tables.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := Migrate(ctx, cfg); err != nil {
		return nil, err
	}
	return New(ctx, cfg)
}

// open returns a store that has not been checked.
func open(cfg Config) *Store {
	text := cfg.Dialect.statements(cfg.Table)
	s := &Store{
		cfg: cfg, text: text, stop: func() {},
		add: cfg.Dialect.statement(text.add), replace: cfg.Dialect.statement(text.replace),
		get: cfg.Dialect.statement(text.get), swap: cfg.Dialect.statement(text.swap),
		past: cfg.Dialect.statement(text.past),
		put:  cfg.Dialect.statement(text.put), strike: cfg.Dialect.statement(text.strike),
		list: cfg.Dialect.statement(text.list),
	}
	if cfg.Dialect == SQLite {
		s.writer = make(chan struct{}, 1)
	}
	return s
}

// prepared returns the statements that the store prepares.
func (s *Store) prepared() []*statement {
	all := []*statement{&s.add, &s.get, &s.swap, &s.put, &s.strike, &s.list}
	switch s.cfg.Dialect {
	case MySQL:
		return append(all, &s.replace)
	case SQLite:
		return all
	}
	return nil
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range s.prepared() {
		var err error
		if p.prepared, err = s.cfg.DB.PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("table %s has other columns or the user lacks a right: %w", s.cfg.Table, err)
		}
	}
	return nil
}

// release closes what prepare has opened.
func (s *Store) release() {
	for _, p := range s.prepared() {
		if p.prepared != nil {
			p.prepared.Close() //nolint:errcheck // its connection may have ended
		}
	}
}

// Close ends the sweeping and waits for its end. It does not close the DB. Call
// it after the last operation. It returns nil.
func (s *Store) Close() error {
	s.closed.Do(func() {
		s.stop()
		s.release()
	})
	return nil
}

// Add implements [store.Store].
func (s *Store) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
	writes := []*statement{&s.add}
	if s.replace.text != "" {
		// A sweep may delete the expired row before it is replaced. Then the
		// last statement inserts the entry.
		writes = []*statement{&s.add, &s.replace, &s.add}
	}
	for _, w := range writes {
		if added, err = s.write(ctx, w, key, value, expires); added || err != nil {
			break
		}
	}
	if err == nil && !added {
		err = s.rejectPast(ctx, expires)
	}
	return added, wrap("Add", err)
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	if err = checkCall(ctx, key, nil); err == nil {
		err = s.retry(ctx, func() error {
			return s.row(ctx, &s.get, key).Scan(&value, &version)
		})
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, 0, nil
	case err != nil:
		return nil, 0, wrap("Get", err)
	}
	return value, version, nil
}

// Swap implements [store.Store].
func (s *Store) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (swapped bool, err error) {
	swapped, err = s.write(ctx, &s.swap, key, value, expires, version)
	if err == nil && !swapped {
		err = s.rejectPast(ctx, expires)
	}
	return swapped, wrap("Swap", err)
}

// write runs a statement and reports whether it has changed a row.
func (s *Store) write(
	ctx context.Context, statement *statement, key string, value []byte, expires time.Time, version ...any,
) (changed bool, err error) {
	if err := checkCall(ctx, key, value); err != nil {
		return false, err
	}
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	rows, err := s.changed(ctx, statement, append([]any{key, value, millis(expires)}, version...)...)
	return err == nil && rows == 1, err
}

// changed runs a statement and returns the number of rows that it has changed.
func (s *Store) changed(ctx context.Context, statement *statement, arguments ...any) (rows int64, err error) {
	err = s.retry(ctx, func() error {
		result, err := s.exec(ctx, statement, arguments...)
		if err != nil {
			return err
		}
		rows, err = result.RowsAffected()
		return err
	})
	return rows, err
}

// rejectPast returns an error if an expiry has passed, which is one of the
// reasons why no row was changed.
func (s *Store) rejectPast(ctx context.Context, expires time.Time) error {
	var past int
	err := s.retry(ctx, func() error { return s.row(ctx, &s.past, millis(expires)).Scan(&past) })
	if err == nil && past != 0 {
		err = pastExpiry(expires)
	}
	return err
}

func pastExpiry(expires time.Time) error {
	return fmt.Errorf("%w: past expiry %s", store.ErrInvalid, expires.UTC().Format(time.RFC3339Nano))
}

// exec runs a statement once.
func (s *Store) exec(ctx context.Context, statement *statement, arguments ...any) (sql.Result, error) {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	arguments = statement.arguments(arguments)
	if statement.prepared != nil {
		return statement.prepared.ExecContext(ctx, arguments...)
	}
	return s.cfg.DB.ExecContext(ctx, statement.text, arguments...)
}

func (s *Store) row(ctx context.Context, statement *statement, arguments ...any) *sql.Row {
	arguments = statement.arguments(arguments)
	if statement.prepared != nil {
		return statement.prepared.QueryRowContext(ctx, arguments...)
	}
	return s.cfg.DB.QueryRowContext(ctx, statement.text, arguments...)
}

func (s *Store) query(ctx context.Context, statement *statement, arguments ...any) (*sql.Rows, error) {
	arguments = statement.arguments(arguments)
	if statement.prepared != nil {
		return statement.prepared.QueryContext(ctx, arguments...)
	}
	return s.cfg.DB.QueryContext(ctx, statement.text, arguments...)
}

// checkCall rejects what a database could store in a changed form. MySQL would
// cut a long key, because its statement ignores that the key exists.
func checkCall(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if len(key) != store.KeyLength {
		return fmt.Errorf("%w: key of %d bytes", store.ErrInvalid, len(key))
	}
	if !isBase64URL(key) {
		return fmt.Errorf("%w: malformed key", store.ErrInvalid)
	}
	if len(value) > store.MaxValue {
		return fmt.Errorf("%w: value of %d bytes", store.ErrInvalid, len(value))
	}
	return nil
}

func isBase64URL(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// millis returns milliseconds since 1970, rounded up.
func millis(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %s: %w", operation, err)
}

// String returns only the name of the type, because entries may contain
// personal data.
func (s *Store) String() string { return "sqlstore.Store" }

// LogValue is String for package log/slog.
func (s *Store) LogValue() slog.Value { return slog.StringValue(s.String()) }
