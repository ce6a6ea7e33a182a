// Package testserver runs database servers for tests. It starts the programs
// that the system has installed, on the loopback interface, with data in a
// temporary directory.
//
// [PostgreSQL], [PgBouncer], [MariaDB] and [Redis] start a server and return it
// when it accepts connections. They skip the test if the program is not
// installed, see testkit.Require. The server ends with the test. If the test
// fails, its log contains the end of the server's log.
//
// Servers refuse to run as root. If the test runs as root, the server runs as
// the user that the package of the system has created, or else as nobody.
//
// Tests of failures call [Server.Kill], [Server.Pause] and [Server.Stop], and
// then [Server.Start]. A server keeps its address and its data.
//
// A [Proxy] between a server and its clients cuts and delays connections, loses
// replies, and moves to another server.
//
// The package imports the standard library and testkit only. It has no client:
// tests create databases and users with the driver that they test.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	// startTime is sufficient on a loaded machine.
	startTime = time.Minute
	stopTime  = 20 * time.Second
	logTail   = 4 << 10
)

var errEnded = errors.New("the server has ended")

// A kind is what differs between the servers.
type kind struct {
	name    string   // for messages, and of the Debian package
	program string   // the name or path of the server
	users   []string // who runs the server, if the test runs as root
	stop    os.Signal
	end     os.Signal // after the test; if nil, os.Kill
	// prepare creates the data in s.dir. It runs once.
	prepare func(s *Server) error
	// arguments returns those of the program.
	arguments func(s *Server) []string
	// ready returns nil when the server accepts commands.
	ready func(ctx context.Context, s *Server) error
}

// A Server is a server process of one test. Its methods fail the test if they
// do not succeed. They are not safe for concurrent use.
type Server struct {
	// Addr is the host and port on the loopback interface.
	Addr string

	t       testing.TB
	kind    kind
	dir     string
	account *account
	process *process
}

// process is a running program.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the program has ended
}

// serve prepares and starts a server.
func serve(t testing.TB, k kind) *Server {
	t.Helper()
	program := find(k.program)
	testkit.Require(t, k.name+" (Debian package "+k.name+")", program != "")
	k.program = program
	s := &Server{t: t, kind: k, account: accountOf(k.users)}
	dir, err := os.MkdirTemp("", "fapi2-"+k.name+"-")
	s.check("create a directory", err)
	s.dir = dir
	t.Cleanup(s.clean)
	s.check("set the owner of the directory", s.account.own(dir))
	s.check("prepare the data", k.prepare(s))
	for attempt := 0; ; attempt++ { // another process may take the port before the server does
		s.Addr = freeAddress(t)
		err := s.start()
		if err == nil {
			return s
		}
		if attempt == 2 || !errors.Is(err, errEnded) {
			s.check("start", err)
		}
		s.check("kill", s.halt(os.Kill))
	}
}

// find returns the path of a program, or an empty string. Debian installs
// servers in directories that are not in the PATH of all users.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/local/sbin/", "/usr/lib/postgresql/*/bin/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testserver: %v", err)
	}
	defer socket.Close() //nolint:errcheck // the server needs the port
	return socket.Addr().String()
}

// Host returns the host of Addr.
func (s *Server) Host() string {
	host, _, _ := strings.Cut(s.Addr, ":")
	return host
}

// Port returns the port of Addr.
func (s *Server) Port() string {
	_, port, _ := strings.Cut(s.Addr, ":")
	return port
}

// Start starts a server that was stopped or killed. It returns when the server
// accepts commands.
func (s *Server) Start() {
	s.t.Helper()
	if s.process != nil {
		s.t.Fatalf("testserver: %s is running", s.kind.name)
	}
	s.check("start", s.start())
}

// Stop ends the server as an administrator does, and waits for its end. Open
// connections are closed.
func (s *Server) Stop() {
	s.t.Helper()
	s.check("stop", s.halt(s.kind.stop))
}

// Kill ends all processes of the server at once with SIGKILL, and waits for
// their end. The server cannot write or reply any more.
func (s *Server) Kill() {
	s.t.Helper()
	s.check("kill", s.halt(os.Kill))
}

// Restart stops and starts the server.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Pause halts the processes of the server until Resume. Connections stay open,
// and requests are not answered.
func (s *Server) Pause() {
	s.t.Helper()
	s.check("pause", s.signalAll(pauseSignal))
}

// Resume continues a server after Pause.
func (s *Server) Resume() {
	s.t.Helper()
	s.check("resume", s.signalAll(resumeSignal))
}

func (s *Server) check(step string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("testserver: %s %s: %v\n%s", step, s.kind.name, err, s.log())
	}
}

// command returns a command that runs as the user of the server.
func (s *Server) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, arguments...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "HOME="+s.dir, "TMPDIR="+s.dir, "LC_ALL=C.UTF-8", "TZ=UTC")
	s.account.run(c)
	return c
}

// run runs a command until its end. The error contains the output.
func (s *Server) run(program string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	output, err := s.command(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, tail(output))
	}
	return nil
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Server) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	c := s.command(context.Background(), s.kind.program, s.kind.arguments(s)...)
	c.Stdout, c.Stderr = log, log
	if s.process, err = launch(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		err := s.kind.ready(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready after %v: %w", startTime, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// launch starts a command and waits for its end in a goroutine. The system ends
// the server if the test process dies.
func launch(c *exec.Cmd) (*process, error) {
	p := &process{c, make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.ended)
		defer bind(c)()
		err := c.Start()
		started <- err
		if err == nil {
			c.Wait() //nolint:errcheck // a killed server is not a failure
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// halt sends a signal to the server and waits for its end.
func (s *Server) halt(signal os.Signal) error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if signal == os.Kill {
		killAll(p.command.Process)
	} else if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTime):
		killAll(p.command.Process)
		<-p.ended
		return fmt.Errorf("the server was running after %v and was killed", stopTime)
	}
}

// clean ends the server and deletes its data.
func (s *Server) clean() {
	if s.t.Failed() {
		s.t.Logf("testserver: the end of the log of %s:\n%s", s.kind.name, s.log())
	}
	if s.kind.end == nil {
		s.kind.end = os.Kill
	}
	if s.process != nil {
		s.signalAll(resumeSignal) //nolint:errcheck // most tests do not pause it
	}
	if err := s.halt(s.kind.end); err != nil {
		s.t.Errorf("testserver: %v", err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Errorf("testserver: %v", err)
	}
}

// log returns the end of the log.
func (s *Server) log() string {
	file, err := os.Open(s.logFile())
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err == nil && info.Size() > logTail {
		file.Seek(-logTail, io.SeekEnd) //nolint:errcheck // then the beginning is shown
	}
	text, _ := io.ReadAll(io.LimitReader(file, logTail))
	return string(text)
}

func tail(output []byte) []byte { return output[max(0, len(output)-logTail):] }
