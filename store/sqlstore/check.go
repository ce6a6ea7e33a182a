package sqlstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/store"
)

// reach finds a DSN that cannot work.
func (s *Store) reach(ctx context.Context) error {
	if err := s.cfg.DB.PingContext(ctx); err != nil {
		return fmt.Errorf("unreachable database, check the data source name and the server: %w", err)
	}
	if err := s.cfg.DB.QueryRowContext(ctx, s.text.clock).Scan(new(int64)); err != nil {
		return fmt.Errorf("unreadable clock, check whether the database is %v: %w", s.cfg.Dialect, err)
	}
	return s.checkSession(ctx)
}

// checkSession finds settings of the connections that break the contract. The
// statement returns each of them with its value.
func (s *Store) checkSession(ctx context.Context) error {
	var text string
	switch s.cfg.Dialect {
	case PostgreSQL: // a crash would lose commits
		text = `SELECT name, setting FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off'`
	case MySQL: // nothing would be committed, or Get would find values that are being written
		text = `SHOW SESSION VARIABLES WHERE variable_name = 'autocommit' AND value = 'OFF'
			OR variable_name IN ('transaction_isolation', 'tx_isolation') AND value = 'READ-UNCOMMITTED'`
	default:
		return nil
	}
	var name, value string
	switch err := s.cfg.DB.QueryRowContext(ctx, text).Scan(&name, &value); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("unreadable settings, check whether the database is %v: %w", s.cfg.Dialect, err)
	}
	return fmt.Errorf("unsuitable setting %s=%s: set another in the data source name", name, value)
}

// inspect finds settings with which the database forgets entries or fails.
func (s *Store) inspect(ctx context.Context) error {
	if s.cfg.Dialect == SQLite {
		return s.inspectSQLite(ctx)
	}
	var table, problem string
	switch err := s.cfg.DB.QueryRowContext(ctx, s.text.inspect).Scan(&table, &problem); {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("missing table %s, %s", s.cfg.Table, remedy)
	case err != nil:
		return fmt.Errorf("unreadable settings, check whether the database is %v: %w", s.cfg.Dialect, err)
	case problem != "":
		return fmt.Errorf("table %s: %s", table, problem)
	}
	return nil
}

func (s *Store) inspectSQLite(ctx context.Context) error {
	var mode string
	var timeout, synchronous int
	connection, err := s.cfg.DB.Conn(ctx) // the settings of one connection
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // it returns to the pool
	if err := errors.Join(
		connection.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode),
		connection.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout),
		connection.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
	); err != nil {
		return fmt.Errorf("unreadable settings: %w", err)
	}
	switch {
	case mode != "wal":
		err = fmt.Errorf("journal_mode is %s, want wal: use a file and run sqlstore.Migrate", mode)
	case timeout < 1000:
		err = fmt.Errorf("busy_timeout is %d ms, want 1000 or more: set it in the data source name", timeout)
	case synchronous == 0:
		err = errors.New("synchronous is OFF, want FULL or NORMAL: set it in the data source name")
	}
	return err
}

// probe uses the store as its callers do. It finds a user without the rights, a
// driver that counts rows otherwise, keys that are compared without case, and
// values that are cut.
func (s *Store) probe(ctx context.Context) error {
	var now int64
	if err := s.cfg.DB.QueryRowContext(ctx, s.text.clock).Scan(&now); err != nil {
		return err
	}
	var random [32]byte
	rand.Read(random[:]) //nolint:errcheck // never fails
	prefix := base64.RawURLEncoding.EncodeToString(random[:])[:42]
	lower, upper, value := prefix+"a", prefix+"A", bytes.Repeat([]byte{0, 0xff}, store.MaxValue/2)
	expires := time.UnixMilli(now).Add(10 * time.Minute)
	add := func(key string) func() (bool, error) {
		return func() (bool, error) { return s.Add(ctx, key, value, expires) }
	}
	swap := func() (bool, error) { return s.Swap(ctx, lower, 1, value, expires) }
	get := func(want int64) func() (bool, error) {
		return func() (bool, error) {
			got, version, err := s.Get(ctx, lower)
			return version == want && bytes.Equal(got, value), err
		}
	}
	for _, step := range []struct {
		name string
		run  func() (bool, error)
		want bool
	}{
		{"Add", add(lower), true},
		{"Get of its value", get(1), true},
		{"Add of a key that exists", add(lower), false},
		{"Add of a key that differs by case", add(upper), true},
		{"Swap", swap, true},
		{"Swap of another version", swap, false},
		{"Get of the swapped value", get(2), true},
	} {
		switch got, err := step.run(); {
		case err != nil:
			return fmt.Errorf("rejected statement, grant SELECT, INSERT, UPDATE and DELETE on table %s "+
				"of the primary to the user: %w", s.cfg.Table, err)
		case got != step.want:
			return fmt.Errorf("%s returned %v, want %v: create table %s with sqlstore.Migrate",
				step.name, got, step.want, s.cfg.Table)
		}
	}
	remove := s.cfg.Dialect.statement(s.text.remove)
	for _, key := range []string{lower, upper} {
		if err := s.retry(ctx, func() error { _, err := s.exec(ctx, &remove, key); return err }); err != nil {
			return fmt.Errorf("rejected statement, grant DELETE on table %s to the user: %w", s.cfg.Table, err)
		}
	}
	return s.probeIndex(ctx, lower, upper, expires)
}

// probeIndex is probe for the index. It also finds members that are ordered
// otherwise than by their bytes.
func (s *Store) probeIndex(ctx context.Context, set, other string, expires time.Time) error {
	table, members := s.cfg.Table+membersSuffix, []string{"A", "B", "a"}
	rejected := func(err error) error {
		return fmt.Errorf("rejected statement, grant SELECT, INSERT, UPDATE and DELETE on table %s "+
			"to the user: %w", table, err)
	}
	for _, member := range []string{"a", "A", "B", "a"} {
		if err := s.Put(ctx, set, member, expires); err != nil {
			return rejected(err)
		}
	}
	got, err := s.List(ctx, set, "", store.MaxList)
	if err != nil {
		return rejected(err)
	}
	none, err := s.List(ctx, other, "", store.MaxList)
	if err != nil {
		return rejected(err)
	}
	if !slices.Equal(got, members) || len(none) != 0 {
		return fmt.Errorf("members %q of a set and %q of another, want %q and none: "+
			"create table %s with sqlstore.Migrate", got, none, members, table)
	}
	for _, member := range members {
		if err := s.Delete(ctx, set, member); err != nil {
			return rejected(err)
		}
	}
	return nil
}

// probeSweep deletes one batch of each table, if the store sweeps.
func (s *Store) probeSweep(ctx context.Context) error {
	if s.cfg.SweepInterval < 0 {
		return nil
	}
	for _, text := range []string{s.text.sweep, s.text.sweepMembers} {
		if err := s.retry(ctx, func() error { _, _, err := s.sweep(ctx, text, 0); return err }); err != nil {
			return fmt.Errorf("rejected sweep of table %s: %w", s.cfg.Table, err)
		}
	}
	return nil
}
