package testserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// PgBouncer starts a PgBouncer that pools the transactions of a PostgreSQL
// server. Each transaction can run on another connection. Its user is postgres,
// and [Server.PostgreSQLURL] returns its URL. Settings are lines of the section
// pgbouncer, for example "default_pool_size=4".
func PgBouncer(t testing.TB, server *Server, settings ...string) *Server {
	t.Helper()
	file := func(s *Server) string { return filepath.Join(s.dir, "pgbouncer.ini") }
	return serve(t, kind{
		name: "pgbouncer", program: "pgbouncer", users: []string{"postgres"}, stop: syscall.SIGTERM,
		prepare: func(s *Server) error {
			return os.WriteFile(filepath.Join(s.dir, "users.txt"), []byte("\"postgres\" \"\"\n"), 0o644)
		},
		arguments: func(s *Server) []string {
			lines := append([]string{
				"[databases]", fmt.Sprintf("* = host=%s port=%s", server.Host(), server.Port()),
				"[pgbouncer]", "listen_addr=" + s.Host(), "listen_port=" + s.Port(), "unix_socket_dir=",
				"pool_mode=transaction", "auth_type=trust", "auth_file=" + filepath.Join(s.dir, "users.txt"),
			}, settings...)
			os.WriteFile(file(s), []byte(strings.Join(lines, "\n")+"\n"), 0o644) //nolint:errcheck // it would not start
			return []string{file(s)}
		},
		ready: func(_ context.Context, s *Server) error {
			return s.run(server.sibling("pg_isready"), "--host="+s.Host(), "--port="+s.Port())
		},
	})
}
