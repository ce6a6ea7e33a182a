package testserver_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
)

// sslRequest is the first packet of a client of PostgreSQL. The server replies
// with one byte.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

func TestPostgreSQL(t *testing.T) {
	s := testserver.PostgreSQL(t)
	lifecycle(t, s, sslRequest)
	require.Equal(t, "postgres://app@"+s.Addr+"/postgres?sslmode=disable", s.PostgreSQLURL("app", ""))

	replica := s.Replica("hot_standby=on")
	require.NotEqual(t, s.Addr, replica.Addr)
	speak(t, replica, sslRequest)
	replica.Promote()
	s.Kill()
	speak(t, replica, sslRequest)
}

func TestMariaDB(t *testing.T) { lifecycle(t, testserver.MariaDB(t), nil) }

func TestRedis(t *testing.T) {
	ping := []byte("PING\r\n")
	s := testserver.Redis(t, "maxmemory=10mb")
	lifecycle(t, s, ping)
	replica := s.RedisReplica()
	require.NotEqual(t, s.Addr, replica.Addr)
	speak(t, replica, ping)
	speak(t, testserver.RedisSentinel(t, s, 1), ping)
	s.Flush()
	s.Kill()
	replica.AwaitPromotion()
	nodes := testserver.RedisCluster(t, 3, 1)
	require.Len(t, nodes, 6)
	nodes[0].Restart()
	speak(t, nodes[0], ping)
}

// lifecycle ends and starts a server in each way. hello is the packet that the
// server replies to, if it does not speak first.
func lifecycle(t *testing.T, s *testserver.Server, hello []byte) {
	addr := s.Addr
	open := speak(t, s, hello)
	s.Kill()
	dead(t, s, open)
	s.Start()
	require.Equal(t, addr, s.Addr)
	open = speak(t, s, hello)
	s.Stop()
	dead(t, s, open)
	s.Start()
	s.Restart()
	speak(t, s, hello)

	s.Pause()
	c := dial(t, s)
	_, _ = c.Write(hello)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a paused server does not reply")
	s.Resume()
	speak(t, s, hello)
}

func dial(t *testing.T, s *testserver.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// speak opens a connection and reads what the server replies first.
func speak(t *testing.T, s *testserver.Server, hello []byte) net.Conn {
	t.Helper()
	c := dial(t, s)
	_, err := c.Write(hello)
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	return c
}

// dead requires that the server has closed a connection and accepts no other.
func dead(t *testing.T, s *testserver.Server, open net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, open)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = net.Dial("tcp", s.Addr)
	require.Error(t, err)
}

// failing is a test that records its failure and may be skipped.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, arguments ...any) {
	f.message = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

func (f *failing) Skipf(string, ...any) { runtime.Goexit() }

func TestFailedStart(t *testing.T) {
	for setting, start := range map[string]func(testing.TB, ...string) *testserver.Server{
		"no_such_setting": testserver.PostgreSQL, "no-such-setting": testserver.MariaDB,
	} {
		t.Run(setting, func(t *testing.T) {
			f := &failing{TB: t}
			done := make(chan struct{})
			go func() { // Fatalf ends the goroutine
				defer close(done)
				start(f, setting+"=1")
			}()
			<-done
			testkit.Require(t, "the server", f.message != "")
			require.Contains(t, f.message, setting, "the message contains the log of the server")
			require.Contains(t, f.message, "the server has ended")
		})
	}
}
