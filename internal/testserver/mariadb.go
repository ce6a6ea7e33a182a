package testserver

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// MariaDB starts a MariaDB server with the user root, who has no password, and
// the database test. Settings are options of the server, for example
// "max-connections=200". The server does not wait for the disk; the setting
// "innodb-flush-log-at-trx-commit=1" changes that. Commits survive Kill.
func MariaDB(t testing.TB, settings ...string) *Server {
	t.Helper()
	return serve(t, kind{
		name: "mariadb-server", program: "mariadbd", users: []string{"mysql"},
		stop: syscall.SIGTERM,
		prepare: func(s *Server) error {
			if err := os.WriteFile(s.initFile(), []byte("CREATE DATABASE IF NOT EXISTS test;\n"), 0o644); err != nil {
				return err
			}
			// Every user has all rights in the test database that the program
			// would create.
			return s.run(find("mariadb-install-db"), "--no-defaults", "--datadir="+s.data(), "--skip-test-db",
				"--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0")
		},
		arguments: func(s *Server) []string {
			arguments := []string{
				"--no-defaults", "--datadir=" + s.data(), "--bind-address=" + s.Host(), "--port=" + s.Port(),
				"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
				"--init-file=" + s.initFile(), "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2",
				"--max-connections=200",
			}
			for _, setting := range settings {
				arguments = append(arguments, "--"+setting)
			}
			return arguments
		},
		ready: greeted,
	})
}

func (s *Server) initFile() string { return filepath.Join(s.dir, "init.sql") }

// greeted connects and waits for the first packet of the protocol, which the
// server sends when it has recovered. The packet has a header of four bytes,
// and then the version of the protocol.
func greeted(ctx context.Context, s *Server) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer connection.Close()                                 //nolint:errcheck // the packet has been read
	connection.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // never fails for TCP
	var packet [5]byte
	if _, err := io.ReadFull(connection, packet[:]); err != nil {
		return err
	}
	if packet[4] != 10 {
		return errors.New("unknown greeting")
	}
	return nil
}
