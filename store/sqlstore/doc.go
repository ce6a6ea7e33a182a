// Package sqlstore implements store.Store with a table of a SQL database:
// PostgreSQL, MySQL, MariaDB or SQLite.
//
// [Migrate] creates the table, and [New] opens the store on a *sql.DB of the
// host. The module requires no driver. It is tested with
// github.com/jackc/pgx/v5/stdlib, github.com/go-sql-driver/mysql and
// modernc.org/sqlite. The page docs/stores.md describes the set-up of each
// database.
//
// Each operation is one statement, and its row count decides who wins. Expiries
// are compared with the clock of the database, so the clocks of the processes
// do not matter. Rows stay for a minute after their expiry. A clock that is set
// back by less does not bring a used code back into use.
//
// The store retries statements that the database has rolled back: serialization
// failures, deadlocks and a busy SQLite database. It does not retry after any
// other error, because the statement may have taken effect.
//
// Use the primary of a replicated database only. A replica lags, and a lagging
// read returns an unused code that was used. What a database loses in a crash
// or at a failover is used no more: keep the settings that make commits
// durable.
//
// The package does not cache, does not encrypt and does not create connections.
package sqlstore
