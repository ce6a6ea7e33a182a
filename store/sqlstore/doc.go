// Package sqlstore implements store.Store and store.Index with two tables of a
// SQL database: PostgreSQL, MySQL, MariaDB or SQLite.
//
// [Migrate] creates or upgrades the tables, and [New] opens the store on a
// *sql.DB of the host. [Open] does both. The module requires no driver. It is
// tested with github.com/jackc/pgx/v5/stdlib, github.com/go-sql-driver/mysql
// and modernc.org/sqlite. The page docs/stores.md describes the set-up of each
// database.
//
// Each statement stands alone, and its row count decides which call wins.
// Expiries are compared with the clock of the database, so all processes agree.
// If the database is ahead of a process, entries of the process live shorter,
// and an expiry that has passed is an error. Rows stay for a minute after their
// expiry. If the clock is set back by less, a used code or proof is still
// found.
//
// The store retries statements that the database has rolled back: serialization
// failures, deadlocks and a busy SQLite database. It does not retry after any
// other error, because the statement may have taken effect.
//
// Use the primary of a replicated database only, because a replica that lags
// returns used codes as unused. A crash or a failover that loses commits also
// makes used codes valid again. Keep the settings that make commits durable.
//
// The package does not cache, does not encrypt and does not create connections.
package sqlstore
