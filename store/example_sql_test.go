package store_test

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gofapi/fapi2/store"
)

// The statements are those of SQLite. The clock is that of the database, in
// milliseconds, and constant within a statement.
const (
	sqlNow    = `(unixepoch('subsec') * 1000)`
	sqlSchema = `CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY,
		value BLOB NOT NULL, version INTEGER NOT NULL, expires INTEGER NOT NULL)`
	sqlAdd = `INSERT INTO entries (key, value, expires, version)
		SELECT ?1, ?2, ?3, 1 WHERE ?3 > ` + sqlNow + `
		ON CONFLICT (key) DO UPDATE
		SET value = excluded.value, expires = excluded.expires, version = 1
		WHERE entries.expires <= ` + sqlNow
	sqlGet  = `SELECT value, version FROM entries WHERE key = ?1 AND expires > ` + sqlNow
	sqlSwap = `UPDATE entries SET value = ?2, expires = ?3, version = version + 1
		WHERE key = ?1 AND version = ?4 AND min(expires, ?3) > ` + sqlNow
	sqlPast = `SELECT ?1 <= ` + sqlNow
)

type sqlStore struct{ db *sql.DB }

func (s sqlStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	return s.write(ctx, sqlAdd, key, value, expires)
}

func (s sqlStore) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	err = s.db.QueryRowContext(ctx, sqlGet, key).Scan(&value, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return value, version, err
}

func (s sqlStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	return s.write(ctx, sqlSwap, key, value, expires, version)
}

func (s sqlStore) write(
	ctx context.Context, statement, key string, value []byte, expires time.Time, version ...any,
) (bool, error) {
	millis := expires.UnixMilli() + 1            // rounded up
	value = append(make([]byte, 0, 1), value...) // a nil slice would be NULL
	result, err := s.db.ExecContext(ctx, statement, append([]any{key, value, millis}, version...)...)
	if err != nil {
		return false, err
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 1 {
		return err == nil, err
	}
	var past bool
	err = s.db.QueryRowContext(ctx, sqlPast, millis).Scan(&past)
	if past {
		err = errors.New("expiry is not in the future")
	}
	return false, err
}

// A SQL database needs one statement for each method. The driver must wait
// while the database is busy.
func Example_sql() {
	db, err := sql.Open("sqlite", "file:entries.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		panic(err)
	}
	if _, err := db.Exec(sqlSchema); err != nil {
		panic(err)
	}
	var s store.Store = sqlStore{db}
	_ = s // for example authserver.Config.Store
}
