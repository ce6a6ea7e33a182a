package enginetest_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store/sqlstore"
)

func testMigrate(t *testing.T, e engine) {
	cfg := e.config(t)
	s, key := newStore(t, cfg), newKey()
	prepareEntry(t, s, key)
	require.NoError(t, sqlstore.Migrate(t.Context(), cfg), "a second time")
	require.EqualValues(t, 1, version(t, s, key), "the second migration keeps the entries")

	t.Run("by 8 processes", func(t *testing.T) {
		for range 3 {
			processes(t, task{
				Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: "t_" + strings.ToLower(rand.Text()), Migrate: true,
			})
		}
	})
	t.Run("from the first version", func(t *testing.T) {
		cfg := e.config(t)
		s, key := newStore(t, cfg), newKey()
		prepareEntry(t, s, key)
		downgrade(t, cfg)
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "version 1, want 2, run sqlstore.Migrate")
		require.EqualValues(t, 1, version(t, s, key), "a process of the first version goes on")
		processes(t, task{Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: cfg.Table, Migrate: true})
		require.EqualValues(t, 1, version(t, s, key), "the upgrade keeps the entries")
		require.NoError(t, sqlstore.Migrate(t.Context(), cfg), "again")
		s = newStore(t, cfg)
		require.EqualValues(t, 1, version(t, s, key))
		prepareMember(t, s, key)
	})
	t.Run("that stopped in the middle", func(t *testing.T) {
		cfg := e.config(t)
		execute(t, cfg.DB, "UPDATE %s SET version = 1 WHERE id = 'fapi2-schema'", cfg.Table)
		require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
		newStore(t, cfg)
		execute(t, cfg.DB, "DROP TABLE %s_members", cfg.Table)
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, cfg.Table+"_members: missing table")
		require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
		newStore(t, cfg)
	})
	t.Run("with the files, and then with Migrate", func(t *testing.T) {
		files, err := fs.Glob(sqlstore.Migrations(), e.dialect.String()+"/*.sql")
		require.NoError(t, err)
		cfg := cfg
		cfg.Table = ""
		var down []string
		for i, file := range files {
			text, err := fs.ReadFile(sqlstore.Migrations(), file)
			require.NoError(t, err)
			_, up, _ := strings.Cut(string(text), "-- +goose Up\n")
			up, back, found := strings.Cut(up, "-- +goose Down\n")
			require.True(t, found)
			apply(t, cfg.DB, up)
			down = append([]string{back}, down...)
			if i < len(files)-1 {
				_, err = sqlstore.New(t.Context(), cfg)
				require.ErrorContains(t, err, "run sqlstore.Migrate or the files")
			}
		}
		newStore(t, cfg)
		require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
		for _, back := range down {
			apply(t, cfg.DB, back)
			_, err = sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, "run sqlstore.Migrate or the files")
		}
		require.ErrorContains(t, err, "missing table")
	})
}

// downgrade makes the tables those of the first version.
func downgrade(t *testing.T, cfg sqlstore.Config) {
	execute(t, cfg.DB, "DROP TABLE %s_members", cfg.Table)
	execute(t, cfg.DB, "UPDATE %s SET version = 1 WHERE id = 'fapi2-schema'", cfg.Table)
}

// apply runs the statements of a file.
func apply(t *testing.T, db *sql.DB, file string) {
	t.Helper()
	for _, statement := range strings.Split(strings.TrimSpace(file), ";\n") {
		execute(t, db, "%s", statement)
	}
}

func testBadTable(t *testing.T, e engine) {
	for name, c := range map[string]struct {
		change string // of the table
		want   string // a part of the error
	}{
		"missing":               {"DROP TABLE {t}", "run sqlstore.Migrate"},
		"empty":                 {"DELETE FROM {t}", "run sqlstore.Migrate"},
		"of a later version":    {"UPDATE {t} SET version = 3", "upgrade this program"},
		"of an earlier version": {"UPDATE {t} SET version = 0", "run sqlstore.Migrate"},
		"without a column":      {"ALTER TABLE {t} DROP COLUMN value", "missing table, column"},
		"without members":       {"DROP TABLE {t}_members", "run sqlstore.Migrate"},
		"without a due time":    {"ALTER TABLE {t}_members RENAME COLUMN expires TO ends", "missing table, column"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := e.config(t)
			_, err := cfg.DB.ExecContext(t.Context(), strings.ReplaceAll(c.change, "{t}", cfg.Table))
			require.NoError(t, err)
			_, err = sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, cfg.Table)
		})
	}
	t.Run("a column of its host with a default is left alone", func(t *testing.T) {
		cfg := e.config(t)
		execute(t, cfg.DB, "ALTER TABLE %s ADD COLUMN tenant INTEGER NOT NULL DEFAULT 7", cfg.Table)
		newStore(t, cfg)
	})
	t.Run("a table of its host with the same name", func(t *testing.T) {
		cfg := e.config(t)
		cfg.Table = "t_" + strings.ToLower(rand.Text())
		execute(t, cfg.DB, "CREATE TABLE %s (name VARCHAR(10))", cfg.Table)
		require.ErrorContains(t, sqlstore.Migrate(t.Context(), cfg), "other columns")
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, cfg.Table)
	})
	t.Run("keys that are compared without case", func(t *testing.T) {
		cfg := e.config(t)
		for _, statement := range map[sqlstore.Dialect][]string{
			sqlstore.PostgreSQL: {
				"CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
				"ALTER TABLE {t} ALTER COLUMN id TYPE text COLLATE nocase",
			},
			sqlstore.MySQL: {"ALTER TABLE {t} MODIFY id VARCHAR(43) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL"},
			sqlstore.SQLite: {
				"DROP TABLE {t}",
				"CREATE TABLE {t} (id TEXT COLLATE NOCASE PRIMARY KEY, value BLOB, version INTEGER, expires INTEGER)",
				"INSERT INTO {t} VALUES ('fapi2-schema', x'', 2, 253402300799999)",
			},
		}[e.dialect] {
			execute(t, cfg.DB, "%s", strings.ReplaceAll(statement, "{t}", cfg.Table))
		}
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "differs by case")
	})
	t.Run("members that are compared or ordered otherwise", func(t *testing.T) {
		create := "CREATE TABLE {t} (set_id VARCHAR(43), member VARCHAR(128) %s, expires BIGINT, puts BIGINT, PRIMARY KEY (set_id, member))"
		for _, collation := range map[sqlstore.Dialect][]string{
			sqlstore.PostgreSQL: {`COLLATE "en-x-icu"`},
			sqlstore.MySQL:      {"CHARACTER SET ascii COLLATE ascii_general_ci"},
			sqlstore.SQLite:     {"COLLATE NOCASE"},
		}[e.dialect] {
			cfg := e.config(t)
			execute(t, cfg.DB, "DROP TABLE %s_members", cfg.Table)
			execute(t, cfg.DB, "%s", strings.ReplaceAll(fmt.Sprintf(create, collation), "{t}", cfg.Table+"_members"))
			cfg.DB = e.open(t) // without statements that the driver has prepared
			_, err := sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, "create table "+cfg.Table+"_members with sqlstore.Migrate")
		}
	})
}

func testRights(t *testing.T, e engine) {
	cfg := e.config(t)
	for rights, ok := range map[string]bool{
		"SELECT": false, "SELECT, INSERT, UPDATE": false, "INSERT, UPDATE, DELETE": false, "SELECT, INSERT, UPDATE, DELETE": true,
	} {
		t.Run(rights, func(t *testing.T) {
			name := "u_" + strings.ToLower(rand.Text())[:12]
			if e.dialect == sqlstore.PostgreSQL {
				execute(t, cfg.DB, "CREATE ROLE %s LOGIN", name)
			} else {
				execute(t, cfg.DB, "CREATE USER %s", name)
			}
			execute(t, cfg.DB, "GRANT %s ON %s TO %s", rights, cfg.Table, name)
			execute(t, cfg.DB, "GRANT %s ON %s_members TO %s", rights, cfg.Table, name)
			cfg := cfg
			cfg.DB = pool(t, e.driver, e.user(name))
			s, err := sqlstore.New(t.Context(), cfg)
			if ok {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				require.NoError(t, sqlstore.Migrate(t.Context(), cfg), "a migrated table needs no right to create tables")
				return
			}
			require.ErrorContains(t, err, cfg.Table)
			require.ErrorContains(t, err, "denied")
			cfg.Table = "t_" + strings.ToLower(rand.Text())
			require.ErrorContains(t, sqlstore.Migrate(t.Context(), cfg), "the user lacks a right")
		})
	}
	t.Run("none on the index", func(t *testing.T) {
		cfg := e.config(t)
		name := "u_" + strings.ToLower(rand.Text())[:12]
		execute(t, cfg.DB, map[bool]string{true: "CREATE ROLE %s LOGIN", false: "CREATE USER %s"}[e.dialect == sqlstore.PostgreSQL], name)
		execute(t, cfg.DB, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s", cfg.Table, name)
		cfg.DB = pool(t, e.driver, e.user(name))
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, cfg.Table+"_members")
		require.ErrorContains(t, err, "denied")
	})
}

func testUnreachable(t *testing.T, e engine) {
	cfg := e.config(t)
	dead := map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "postgres://nobody@127.0.0.1:1/postgres?sslmode=disable", sqlstore.MySQL: "nobody@tcp(127.0.0.1:1)/test",
		sqlstore.SQLite: "file:" + filepath.Join(t.TempDir(), "none", "entries.db"),
	}[e.dialect]
	cfg.DB = pool(t, e.driver, dead)
	_, err := sqlstore.New(t.Context(), cfg)
	require.ErrorContains(t, err, "unreachable database, check the data source name and the server")
	require.ErrorContains(t, sqlstore.Migrate(t.Context(), cfg), "unreachable database")

	cfg = e.config(t)
	for _, other := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.SQLite} {
		if cfg.Dialect = other; other != e.dialect {
			_, err := sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, "check whether the database is "+other.String())
		}
	}
}

// testUnsuitable has tables that lose entries.
func testUnsuitable(t *testing.T, e engine) {
	switch e.dialect {
	case sqlstore.PostgreSQL:
		cfg := e.config(t)
		for _, table := range []string{cfg.Table, cfg.Table + "_members"} {
			execute(t, cfg.DB, "ALTER TABLE %s SET UNLOGGED", table)
			_, err := sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, "table "+table+": an unlogged")
			execute(t, cfg.DB, "ALTER TABLE %s SET LOGGED", table)
		}
		cfg = e.config(t)
		cfg.DB = e.open(t, "default_transaction_read_only=on")
		_, err := sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "primary")
		replica := e.server.Replica()
		cfg.DB = pool(t, e.driver, replica.PostgreSQLURL("postgres", ""))
		_, err = sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "a replica, want the primary")
		require.NoError(t, cfg.DB.Close())
		replica.Stop()
		cfg = e.config(t)
		cfg.DB = e.open(t, "synchronous_commit=off")
		requireProblem(t, cfg, "unsuitable setting synchronous_commit=off")
	case sqlstore.MySQL:
		cfg := e.config(t)
		for _, table := range []string{cfg.Table, cfg.Table + "_members"} {
			execute(t, cfg.DB, "ALTER TABLE %s ENGINE = MyISAM", table)
			_, err := sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, "table "+table+": the engine MyISAM")
			execute(t, cfg.DB, "ALTER TABLE %s ENGINE = InnoDB", table)
		}
		cfg = e.config(t)
		execute(t, cfg.DB, "SET GLOBAL read_only = ON")
		_, err := sqlstore.New(t.Context(), cfg)
		execute(t, cfg.DB, "SET GLOBAL read_only = OFF")
		require.ErrorContains(t, err, "a replica, want the primary")
		cfg = e.config(t)
		cfg.DB = e.open(t, "autocommit=0")
		requireProblem(t, cfg, "unsuitable setting autocommit=OFF")
		cfg.DB = e.open(t, "tx_isolation=%27READ-UNCOMMITTED%27") // Get would return a part of a value
		requireProblem(t, cfg, "isolation=READ-UNCOMMITTED")
		cfg.DB, cfg.SweepInterval = e.open(t, "binlog_format=STATEMENT"), time.Hour
		_, err = sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "rejected sweep")
		require.ErrorContains(t, err, "BINLOG_FORMAT")
		cfg = e.config(t)
		execute(t, cfg.DB, "ALTER TABLE %s MODIFY value BLOB NOT NULL", cfg.Table) // INSERT IGNORE cuts values
		_, err = sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "Get of its value returned false, want true")
	case sqlstore.SQLite:
		for parameter, want := range map[string]string{
			"_pragma=busy_timeout(0)": "busy_timeout is 0 ms, want 1000 or more", "_pragma=busy_timeout(2000)&_pragma=synchronous(0)": "synchronous is OFF",
			"_pragma=busy_timeout(2000)&mode=ro": "readonly",
		} {
			cfg := e.config(t)
			cfg.DB = pool(t, e.driver, strings.Replace(e.dsn(parameter), "_pragma=busy_timeout(10000)&", "", 1))
			_, err := sqlstore.New(t.Context(), cfg)
			require.ErrorContains(t, err, want, parameter)
		}
		db, err := sql.Open("sqlite", ":memory:")
		require.NoError(t, err)
		defer db.Close()
		cfg := sqlstore.Config{DB: db, Dialect: sqlstore.SQLite}
		require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
		_, err = sqlstore.New(t.Context(), cfg)
		require.ErrorContains(t, err, "journal_mode is memory, want wal")
	}
}

// requireProblem requires that neither New nor Migrate accepts cfg.
func requireProblem(t *testing.T, cfg sqlstore.Config, want string) {
	t.Helper()
	_, err := sqlstore.New(t.Context(), cfg)
	require.ErrorContains(t, err, want)
	require.ErrorContains(t, sqlstore.Migrate(t.Context(), cfg), want)
}

func testSchemaName(t *testing.T, e engine) {
	cfg := e.config(t)
	execute(t, cfg.DB, "CREATE SCHEMA s_one")
	cfg.Table = "s_one.entries"
	require.NoError(t, sqlstore.Migrate(t.Context(), cfg))
	newStore(t, cfg)
}
