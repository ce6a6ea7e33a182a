package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

const (
	// schemaKey is the key of the row whose version is that of the schema. No
	// entry has a key of this length.
	schemaKey     = "fapi2-schema"
	schemaVersion = 2

	remedy = "run sqlstore.Migrate or the files of sqlstore.Migrations"
)

//go:embed migrations
var migrations embed.FS

// Migrations returns the statements of [Migrate] as files, for hosts that
// migrate with a tool. There is a directory for each dialect, with the name
// that [Dialect.String] returns. The files have the names and comments of
// goose, which Atlas reads as well. Their tables are those of [DefaultTable].
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the path is valid
	}
	return sub
}

// Migrate creates the tables of a store, or upgrades those of an older version
// of this package. It does nothing if they have the schema of this package.
// Several processes may call it at the same time. The user needs the right to
// create tables. For SQLite, Migrate sets the journal mode to WAL, which the
// file keeps.
//
// An upgrade only adds a table. Processes of the older version can continue to
// run meanwhile. Their New fails after the upgrade.
func Migrate(ctx context.Context, cfg Config) error {
	cfg, err := cfg.check()
	if err != nil {
		return err
	}
	if err := open(cfg).migrate(ctx); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	if s.cfg.Dialect == SQLite {
		if err := s.retry(ctx, func() error { return s.setWAL(ctx) }); err != nil {
			return err
		}
	}
	if err := s.checkSchema(ctx); !errors.Is(err, errNoSchema) && !errors.Is(err, errOldSchema) {
		return err
	}
	text, err := s.cfg.Dialect.migration(s.cfg.Table)
	if err != nil {
		return err
	}
	if s.cfg.Dialect == PostgreSQL {
		err = s.retry(ctx, func() error { return s.migrateLocked(ctx, text) })
	} else {
		err = s.retry(ctx, func() error { return run(ctx, s.cfg.DB, text) })
	}
	if err != nil {
		return fmt.Errorf("table %s or %s%s exists with other columns or the user lacks a right: %w",
			s.cfg.Table, s.cfg.Table, membersSuffix, err)
	}
	return s.checkSchema(ctx)
}

func (s *Store) setWAL(ctx context.Context) error {
	var mode string
	return s.cfg.DB.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
}

// migrateLocked runs the statements in one transaction and one at a time,
// because PostgreSQL can fail if two create the same table. The lock ends with
// the transaction. Its number is random and constant.
func (s *Store) migrateLocked(ctx context.Context, text []string) error {
	tx, err := s.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it has no effect after the commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(7275083640175131)"); err != nil {
		return err
	}
	if err := run(ctx, tx, text); err != nil {
		return err
	}
	return tx.Commit()
}

func run(ctx context.Context, on interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, text []string) error {
	for _, statement := range text {
		if _, err := on.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// migration returns the statements of all files of a dialect for a table. Each
// can be repeated.
func (d Dialect) migration(table string) (all []string, err error) {
	names, err := fs.Glob(Migrations(), d.String()+"/*.sql")
	if err != nil {
		return nil, err
	}
	_, name, qualified := strings.Cut(table, ".")
	if !qualified {
		name = table
	}
	replacer := strings.NewReplacer(DefaultTable+"_expires", name+"_expires",
		DefaultTable+membersSuffix+"_end", name+membersSuffix+"_end", DefaultTable, table)
	for _, name := range names { // in the order of their versions
		file, err := fs.ReadFile(Migrations(), name)
		if err != nil {
			return nil, err
		}
		_, up, _ := strings.Cut(string(file), "-- +goose Up\n")
		up, _, _ = strings.Cut(up, "-- +goose Down\n")
		up = strings.TrimRight(strings.TrimSpace(replacer.Replace(up)), ";")
		all = append(all, strings.Split(up, ";\n")...)
	}
	return all, nil
}

var (
	errNoSchema  = errors.New("missing table, column or schema version")
	errOldSchema = errors.New("old schema")
)

// checkSchema compares the version of the schema with that of this package.
func (s *Store) checkSchema(ctx context.Context) error {
	var version int
	// The other columns are read to find out that they exist.
	switch err := s.cfg.DB.QueryRowContext(ctx, s.text.schema).Scan(&version, new([]byte), new(int64)); {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return fmt.Errorf("table %s: %w, %s: %w", s.cfg.Table, errNoSchema, remedy, err)
	case version > schemaVersion:
		return fmt.Errorf("table %s has schema version %d, want %d: upgrade this program",
			s.cfg.Table, version, schemaVersion)
	case version < schemaVersion:
		return fmt.Errorf("table %s: %w version %d, want %d, %s",
			s.cfg.Table, errOldSchema, version, schemaVersion, remedy)
	}
	switch err := s.cfg.DB.QueryRowContext(ctx, s.text.columns).Scan(new(string), new(string), new(int64)); {
	case errors.Is(err, sql.ErrNoRows), err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("table %s%s: %w, %s: %w", s.cfg.Table, membersSuffix, errNoSchema, remedy, err)
	}
	return nil
}
