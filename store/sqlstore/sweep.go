package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// keep is how long a row stays after its expiry. A clock that is set back
	// by less finds the row again.
	keep = time.Minute
	// serverBatch and sqliteBatch bound the rows of one statement, and thereby
	// the time for which others wait for the disk. SQLite locks the whole
	// database.
	serverBatch = 250
	sqliteBatch = 50
	// sweepTime bounds one statement, so that a lost connection ends.
	sweepTime = time.Minute
	// sweepPause is the least time between two statements, in which others
	// write. The pause takes at least twice the time of a statement, so that a
	// busy database spends a third of it on a sweep at most.
	sweepPause = 20 * time.Millisecond
)

// startSweeper sweeps until the function that it returns is called.
func (s *Store) startSweeper() (stop func()) {
	if s.cfg.SweepInterval < 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s.pause(ctx, s.cfg.SweepInterval/2+rand.N(s.cfg.SweepInterval)) {
			if err := s.sweepAll(ctx); err != nil && ctx.Err() == nil {
				s.report(fmt.Errorf("sqlstore: sweep: %w", err))
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// report calls SweepFailed. A panic would end the process, because no server
// recovers it in the goroutine that sweeps.
func (s *Store) report(err error) {
	defer func() { _ = recover() }()
	if s.cfg.SweepFailed != nil {
		s.cfg.SweepFailed(err)
	}
}

// pause waits and reports whether the context goes on.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sweepAll deletes all rows whose time is over, in batches.
func (s *Store) sweepAll(ctx context.Context) error {
	return errors.Join(s.sweepTable(ctx, s.text.sweep), s.sweepTable(ctx, s.text.sweepMembers))
}

func (s *Store) sweepTable(ctx context.Context, text string) error {
	var from int64
	for {
		var deleted int64
		start := time.Now()
		err := s.retry(ctx, func() (err error) {
			deleted, from, err = s.sweep(ctx, text, from)
			return err
		})
		pause := max(sweepPause, 2*time.Since(start))
		if err != nil || deleted < int64(s.cfg.Dialect.batch()) || !s.pause(ctx, pause) {
			return err
		}
	}
}

func (d Dialect) batch() int {
	if d == SQLite {
		return sqliteBatch
	}
	return serverBatch
}

// sweep deletes one batch. In PostgreSQL, the next batch starts at the expiry
// that it returns. It would otherwise read the rows again that are deleted and
// that no vacuum has removed.
func (s *Store) sweep(ctx context.Context, text string, from int64) (deleted, next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	statement := s.cfg.Dialect.statement(text)
	var result sql.Result
	switch s.cfg.Dialect {
	case PostgreSQL:
		err = s.row(ctx, &statement, from).Scan(&deleted, &next)
		return deleted, next, err
	case MySQL:
		result, err = s.execReadCommitted(ctx, statement.text)
	default:
		result, err = s.exec(ctx, &statement)
	}
	if err != nil {
		return 0, 0, err
	}
	deleted, err = result.RowsAffected()
	return deleted, 0, err
}

// execReadCommitted runs a statement that locks only the rows it finds. The
// default isolation of MySQL would lock the gaps between them, and the first
// row that is live.
func (s *Store) execReadCommitted(ctx context.Context, text string) (sql.Result, error) {
	tx, err := s.cfg.DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it has no effect after the commit
	result, err := tx.ExecContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return result, tx.Commit()
}
