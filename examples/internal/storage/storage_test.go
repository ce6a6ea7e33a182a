package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/internal/testserver"
)

const key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestNamesThatAreRejected(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"", "unknown store, want memory:, sqlite:PATH"},
		{"bank.db", "unknown store"},
		{"mongodb://bank:hunter2@db/bank", "unknown store"},
		{"memory:x", "want memory: alone"},
		{"sqlite:", "want sqlite:PATH"},
		{"sqlite::memory:", "want sqlite:PATH"},
		{"sqlite://bank.db", "want sqlite:PATH"},
		{"postgres://", "want postgres://user:password@host:port/database"},
		{"postgres:bank", "malformed URL"},
		{"postgres://bank:hunter2%@db/bank", "write special characters of the password as %XX"},
		{"postgres://bank:hunter2/x@db/bank", "malformed URL"},
		{"postgres://bank:hunter2@db/bank?sslmode=hunter", "sslmode"},
		{"mysql://bank:hunter2@db", "missing name of the database"},
		{"mysql://bank:hunter2@db/bank?tls=nothing", "malformed URL"},
		{"redis://bank:hunter2@db/x", "malformed URL"},
		{"redis://bank:hunter2@db/0?unknown=x", "malformed URL"},
	} {
		_, err := storage.Parse(tc.name)
		require.ErrorContains(t, err, tc.want, tc.name)
		require.NotContains(t, err.Error(), "hunter2", tc.name)
	}
}

func TestServersThatCannotBeReached(t *testing.T) {
	for _, name := range []string{
		"postgres://bank:hunter2@127.0.0.1:1/bank", "postgres://127.0.0.1:1/bank?user=bank&password=hunter2",
		"mysql://bank:hunter2@127.0.0.1:1/bank", "redis://bank:hunter2@127.0.0.1:1/0",
	} {
		parsed, err := storage.Parse(name)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = parsed.Open(ctx, storage.Config{})
		require.ErrorContains(t, err, parsed.String())
		for _, shown := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", parsed, parsed, parsed)} {
			require.NotContains(t, shown, "hunter2", name)
		}
	}
}

func TestFilesThatOthersCanUse(t *testing.T) {
	open := func(path string) error {
		parsed, err := storage.Parse("sqlite:" + path)
		require.NoError(t, err)
		s, err := parsed.Open(t.Context(), storage.Config{})
		if err == nil {
			require.NoError(t, s.Close())
		}
		return err
	}
	dir := filepath.Join(t.TempDir(), "data ?#%41")
	path := filepath.Join(dir, "bank & more.db")
	require.NoError(t, open(path))
	require.NoError(t, open(path), "again")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
		require.Contains(t, entry.Name(), "bank & more.db")
	}
	require.NoError(t, os.Chmod(path, 0o644))
	require.ErrorContains(t, open(path), "want mode 0600")
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Chmod(dir, 0o770))
	require.ErrorContains(t, open(path), "want mode 0700")
	require.NoError(t, os.Chmod(dir, 0o700))
	require.Error(t, open(filepath.Join(path, "below.db")), "a file is not a directory")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("not a database, and longer than a header of one"), 0o600))
	require.Error(t, open(filepath.Join(dir, "other")))
}

func TestEachEngineKeepsEntries(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"memory":     func(*testing.T) string { return "memory:" },
		"SQLite":     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "data", "bank.db") },
		"PostgreSQL": func(t *testing.T) string { return testserver.PostgreSQL(t).PostgreSQLURL("postgres", "") },
		"MariaDB": func(t *testing.T) string {
			return "mysql://root@" + testserver.MariaDB(t).Addr + "/test?timeout=5s"
		},
		"Redis": func(t *testing.T) string { return "redis://" + testserver.Redis(t).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := storage.Parse(start(t))
			require.NoError(t, err)
			s, err := parsed.Open(t.Context(), storage.Config{})
			require.NoError(t, err)
			added, err := s.Add(t.Context(), key, []byte("value"), time.Now().Add(time.Hour))
			require.NoError(t, err)
			require.True(t, added)
			entries, ok, err := s.Count(t.Context())
			require.NoError(t, err)
			require.Equal(t, ok, entries > 0)
			require.NotEqual(t, parsed.InMemory(), ok)
			require.NoError(t, s.Close())
			if parsed.InMemory() {
				return
			}
			again, err := parsed.Open(t.Context(), storage.Config{})
			require.NoError(t, err)
			defer again.Close()
			value, _, err := again.Get(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, "value", string(value))
		})
	}
}
