package testserver

import (
	"context"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
)

// PostgreSQL starts a PostgreSQL server with the user and the database
// postgres. Every user of the machine can log in without a password. Settings
// are those of postgresql.conf, for example "max_connections=200". The server
// does not wait for the disk; the setting "fsync=on" changes that. Commits
// survive Kill.
func PostgreSQL(t testing.TB, settings ...string) *Server {
	t.Helper()
	return serve(t, postgreSQL(settings, func(s *Server) error {
		return s.run(s.sibling("initdb"), "--pgdata="+s.data(), "--username=postgres", "--auth=trust",
			"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	}))
}

// Replica starts a PostgreSQL server that follows s by streaming. Settings are
// those of [PostgreSQL].
func (s *Server) Replica(settings ...string) *Server {
	s.t.Helper()
	primary := s
	return serve(s.t, postgreSQL(settings, func(s *Server) error {
		return s.run(s.sibling("pg_basebackup"), "--pgdata="+s.data(), "--write-recovery-conf", "--checkpoint=fast",
			"--no-sync", "--dbname="+primary.PostgreSQLURL("postgres", ""))
	}))
}

// Promote makes a replica a primary.
func (s *Server) Promote() {
	s.t.Helper()
	s.check("promote", s.run(s.sibling("pg_ctl"), "promote", "--pgdata="+s.data(), "--wait"))
}

// PostgreSQLURL returns the URL of a user and a database. If database is empty,
// the URL is that of the database postgres.
func (s *Server) PostgreSQLURL(user, database string) string {
	if database == "" {
		database = "postgres"
	}
	u := url.URL{
		Scheme: "postgres", User: url.User(user), Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// sibling returns a program from the directory of the server.
func (s *Server) sibling(program string) string {
	server := s.kind.program
	if resolved, err := filepath.EvalSymlinks(server); err == nil {
		server = resolved
	}
	return filepath.Join(filepath.Dir(server), program)
}

func postgreSQL(settings []string, prepare func(*Server) error) kind {
	return kind{
		name: "postgresql", program: "postgres", users: []string{"postgres"}, prepare: prepare,
		stop: syscall.SIGINT,  // a fast shutdown: it closes connections
		end:  syscall.SIGQUIT, // SIGKILL would leave a segment of shared memory
		arguments: func(s *Server) []string {
			arguments := []string{"-D", s.data()}
			for _, setting := range append([]string{
				"listen_addresses=" + s.Host(), "port=" + s.Port(), "unix_socket_directories=", "fsync=off",
				"max_connections=200",
			}, settings...) {
				arguments = append(arguments, "-c", setting)
			}
			return arguments
		},
		ready: func(_ context.Context, s *Server) error {
			return s.run(s.sibling("pg_isready"), "--host="+s.Host(), "--port="+s.Port())
		},
	}
}
