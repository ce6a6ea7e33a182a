package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The bounds of a retry. The last pauses are about as long as a burst of calls
// on one key needs. All pauses take about one second at most.
const (
	attempts   = 16
	firstPause = 2 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// retry calls f until it succeeds or fails with an error that is not a
// rollback. It waits between two calls.
func (s *Store) retry(ctx context.Context, f func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := f()
		switch {
		case err == nil || !s.rolledBack(err):
			return err
		case attempt == attempts:
			return fmt.Errorf("%d attempts: %w", attempts, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
		pause = min(2*pause, lastPause)
	}
}

// rolledBack reports whether the database says that the statement had no effect
// and may be retried. Every other error leaves the outcome open.
func (s *Store) rolledBack(err error) bool {
	for _, open := range []error{sql.ErrNoRows, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, open) {
			return false
		}
	}
	known := false
	switch s.cfg.Dialect {
	case PostgreSQL:
		known = rolledBackPostgreSQL(err)
	case MySQL:
		known = rolledBackMySQL(err)
	case SQLite:
		known = rolledBackSQLite(err)
	}
	return known || s.cfg.Retryable != nil && s.cfg.Retryable(err)
}

// rolledBackPostgreSQL reads the SQLSTATE, which the errors of pgx and lib/pq
// have as a method.
func rolledBackPostgreSQL(err error) bool {
	var e interface{ SQLState() string }
	if !errors.As(err, &e) {
		return false
	}
	state := e.SQLState()
	return state == "40001" || state == "40P01" // a serialization failure, a deadlock
}

// rolledBackMySQL reads the number at the start of the text, because the error
// of go-sql-driver/mysql has no method for it: "Error 1213 (40001): …".
func rolledBackMySQL(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		var number int
		if _, failed := fmt.Sscanf(err.Error(), "Error %d", &number); failed != nil {
			continue
		}
		switch number {
		case 1205, // a lock wait timeout, which rolls the statement back
			1213, // a deadlock
			1020: // a changed row under innodb_snapshot_isolation (MariaDB)
			return true
		}
	}
	return false
}

// rolledBackSQLite finds SQLITE_BUSY and SQLITE_LOCKED. The errors of
// modernc.org/sqlite have their code as a method, those of ncruces/go-sqlite3
// report temporary ones, and those of mattn/go-sqlite3 have only a text.
func rolledBackSQLite(err error) bool {
	const busy, locked, primary = 5, 6, 0xff
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		code := coded.Code() & primary
		return code == busy || code == locked
	}
	var temporary interface{ Temporary() bool }
	if errors.As(err, &temporary) {
		return temporary.Temporary()
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if text := err.Error(); text == "database is locked" || text == "database table is locked" {
			return true
		}
	}
	return false
}
