package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store/sqlstore"
)

// The tests of the operations are in module enginetest, because they require
// databases and drivers.

var errUnreachable = errors.New("unreachable")

// unreachable is the driver of a database that does not exist.
type unreachable struct{}

func (unreachable) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }
func (unreachable) Driver() driver.Driver                        { return nil }

func TestConfig(t *testing.T) {
	db := sql.OpenDB(unreachable{})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	table := func(dialect sqlstore.Dialect, name string) sqlstore.Config {
		return sqlstore.Config{DB: db, Dialect: dialect, Table: name}
	}
	for name, c := range map[string]struct {
		cfg  sqlstore.Config
		want []string
	}{
		"empty":                        {sqlstore.Config{}, []string{"missing DB", "missing or unknown Dialect"}},
		"of an unknown dialect":        {sqlstore.Config{DB: db, Dialect: 4}, []string{"unknown Dialect"}},
		"with a table in upper case":   {table(1, "Entries"), []string{`malformed Table "Entries"`}},
		"with a statement for a table": {table(1, "a; DROP TABLE b"), []string{"malformed Table"}},
		"with a quoted table":          {table(1, `"a"`), []string{"malformed Table"}},
		"with a table and a line feed": {table(1, "a\n"), []string{"malformed Table"}},
		"with a table in two schemas":  {table(1, "a.b.c"), []string{"malformed Table"}},
		"with a schema for SQLite":     {table(sqlstore.SQLite, "a.b"), []string{"malformed Table"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlstore.New(t.Context(), c.cfg)
			require.Nil(t, s)
			opened, openErr := sqlstore.Open(t.Context(), c.cfg)
			require.Nil(t, opened)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
				require.ErrorContains(t, sqlstore.Migrate(t.Context(), c.cfg), want)
				require.ErrorContains(t, openErr, want)
			}
		})
	}
	for dialect := sqlstore.PostgreSQL; dialect <= sqlstore.SQLite; dialect++ {
		s, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db, Dialect: dialect, Table: "good_name_2"})
		require.Nil(t, s)
		require.ErrorIs(t, err, errUnreachable)
		require.ErrorContains(t, err, "check the data source name and the server")
	}
}

// The files have the form of goose: a version at the start of the name, and two
// sections.
func TestMigrations(t *testing.T) {
	for dialect := sqlstore.PostgreSQL; dialect <= sqlstore.SQLite; dialect++ {
		names, err := fs.Glob(sqlstore.Migrations(), dialect.String()+"/*")
		require.NoError(t, err)
		require.Equal(t, []string{
			dialect.String() + "/00001_fapi2_entries.sql", dialect.String() + "/00002_fapi2_entries_members.sql",
		}, names)
		for _, name := range names {
			text, err := fs.ReadFile(sqlstore.Migrations(), name)
			require.NoError(t, err)
			up, down := strings.Index(string(text), "\n-- +goose Up\n"), strings.Index(string(text), "\n-- +goose Down\n")
			require.Positive(t, up)
			require.Greater(t, down, up)
			require.NotContains(t, strings.ToUpper(string(text[:down])), "DROP")
			require.NotContains(t, strings.ToUpper(string(text[up:])), "UNLOGGED")
		}
	}
	require.Equal(t, "unknown dialect", sqlstore.Dialect(0).String())
}

func TestStoreIsNotPrinted(t *testing.T) {
	s := new(sqlstore.Store)
	require.Equal(t, "sqlstore.Store", fmt.Sprint(s))
	require.Equal(t, "sqlstore.Store", s.LogValue().String())
}
