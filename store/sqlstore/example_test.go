package sqlstore_test

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// A PostgreSQL store. Import _ "github.com/jackc/pgx/v5/stdlib".
func Example_postgreSQL() {
	db, err := sql.Open("pgx", "postgres://bank@db.internal/bank?sslmode=verify-full")
	if err != nil {
		panic(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	s, err := open(context.Background(), db, sqlstore.PostgreSQL)
	if err != nil {
		panic(err)
	}
	defer s.Close()       //nolint:errcheck // it returns nil
	var _ store.Store = s // for example authserver.Config.Store
}

// A MySQL or MariaDB store. Import _ "github.com/go-sql-driver/mysql".
func Example_mySQL() {
	db, err := sql.Open("mysql", "bank:secret@tcp(db.internal)/bank?tls=true")
	if err != nil {
		panic(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	s, err := open(context.Background(), db, sqlstore.MySQL)
	if err != nil {
		panic(err)
	}
	defer s.Close() //nolint:errcheck // it returns nil
}

// A SQLite store. Import _ "modernc.org/sqlite".
func Example_sqlite() {
	db, err := sql.Open("sqlite", "file:/var/lib/bank/entries.db?_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	defer db.Close() //nolint:errcheck // the program ends
	s, err := open(context.Background(), db, sqlstore.SQLite)
	if err != nil {
		panic(err)
	}
	defer s.Close() //nolint:errcheck // it returns nil
}

func open(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) (*sqlstore.Store, error) {
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20) // a new connection for each call would be slow
	db.SetConnMaxLifetime(30 * time.Minute)
	return sqlstore.Open(ctx, sqlstore.Config{
		DB: db, Dialect: dialect,
		SweepFailed: func(err error) { slog.Warn("expired entries are not deleted", "error", err) },
	})
}
