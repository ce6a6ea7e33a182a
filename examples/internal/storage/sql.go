package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/gofapi/fapi2/store/sqlstore"
)

// maxConnections bounds the connections of one process to a database server.
const maxConnections = 20

// openSQLite returns a function that opens the file, whose directory is created
// for this user alone.
func openSQLite(path string) func(context.Context, Config) (*Storage, error) {
	return func(ctx context.Context, cfg Config) (*Storage, error) {
		if err := makeFile(path); err != nil {
			return nil, err
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		file := url.URL{Path: filepath.ToSlash(absolute)}
		db, err := sql.Open("sqlite", "file:"+file.EscapedPath()+"?_pragma=busy_timeout(5000)")
		if err != nil {
			return nil, err
		}
		return openSQL(ctx, cfg, db, sqlstore.SQLite)
	}
}

// makeFile creates the file of a database with its directory. The entries
// contain keys and personal data. Other users therefore must not be able to
// read the file, and must not be able to replace it.
func makeFile(path string) error {
	directory := filepath.Dir(path)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("unusable directory, name another file: %w", err)
	}
	there, err := os.Stat(directory)
	if err != nil {
		return err
	}
	hasModes := runtime.GOOS != "windows"
	if hasModes && there.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("other users can write to the directory %s, want mode 0700: "+
			"name a file in a directory of its own", directory)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("unusable file, name another one: %w", err)
	}
	opened, err := file.Stat()
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if hasModes && opened.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("other users can read the file %s, want mode 0600", path)
	}
	return nil
}

func parsePostgreSQL(u *url.URL) (Name, error) {
	parsed, err := pgx.ParseConfig(u.String())
	if err != nil {
		return Name{}, err
	}
	open := func(ctx context.Context, cfg Config) (*Storage, error) {
		return openSQL(ctx, cfg, stdlib.OpenDB(*parsed), sqlstore.PostgreSQL)
	}
	return Name{kind: "PostgreSQL", open: open}, nil
}

// parseMySQL converts the URL to the form of the driver.
func parseMySQL(u *url.URL) (Name, error) {
	database := strings.TrimPrefix(u.Path, "/")
	if database == "" {
		return Name{}, errors.New("missing name of the database, want mysql://user:password@host/database")
	}
	plain := mysql.NewConfig()
	plain.Net, plain.Addr = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	plain.User, plain.DBName = u.User.Username(), database
	plain.Passwd, _ = u.User.Password()
	name := plain.FormatDSN()
	if u.RawQuery != "" {
		separator := "?"
		if strings.Contains(name[strings.LastIndex(name, "/"):], "?") {
			separator = "&"
		}
		name += separator + u.RawQuery
	}
	parsed, err := mysql.ParseDSN(name)
	if err != nil {
		return Name{}, err
	}
	open := func(ctx context.Context, cfg Config) (*Storage, error) {
		connector, err := mysql.NewConnector(parsed)
		if err != nil {
			return nil, err
		}
		return openSQL(ctx, cfg, sql.OpenDB(connector), sqlstore.MySQL)
	}
	return Name{kind: "MySQL or MariaDB", open: open}, nil
}

// openSQL opens the store on a database and creates its table.
func openSQL(ctx context.Context, cfg Config, db *sql.DB, dialect sqlstore.Dialect) (*Storage, error) {
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxLifetime(30 * time.Minute)
	settings := sqlstore.Config{DB: db, Dialect: dialect, SweepFailed: func(err error) {
		cfg.Logger.Warn("expired entries not deleted", "reason", err.Error())
	}}
	opened, err := sqlstore.Open(ctx, settings)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Storage{
		Store: opened,
		count: func(ctx context.Context) (n int64, err error) {
			return n, db.QueryRowContext(ctx, "SELECT count(*) FROM "+sqlstore.DefaultTable).Scan(&n)
		},
		close: func() error { return errors.Join(opened.Close(), db.Close()) },
	}, nil
}
