package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// startAttempts bounds the attempts to start an instance, because another
// process can take its port.
const startAttempts = 3

// logTail is the part of an instance's log that a failed test shows.
const logTail = 8 << 10

// An Instance is one bank of a cluster. It keeps its address. It is safe for
// concurrent use.
type Instance struct {
	cluster *Cluster
	t       testing.TB
	number  int

	mu      sync.Mutex
	address string
	program string
	process *testkit.Process
}

// String returns the name of the instance: bank-1 for the first.
func (i *Instance) String() string { return fmt.Sprintf("bank-%d", i.number) }

// Start starts an instance that was killed or stopped. It returns when the
// instance accepts requests. If it does not, the test fails.
func (i *Instance) Start() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	isNew := i.address == ""
	var err error
	for range startAttempts {
		if isNew { // later, HAProxy knows the address
			i.address = freeAddress(i.t)
		}
		if err = i.launch(); err == nil {
			break
		}
	}
	if err != nil {
		i.t.Errorf("%v does not start: %v\n%s", i, err, i.log())
	}
}

// launch starts the process and waits for its line.
func (i *Instance) launch() error {
	document, err := i.cluster.document(i.address)
	if err != nil {
		return err
	}
	path := i.cluster.file(i.String() + ".json")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(i.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	command := exec.Command(i.program, "-config", path)
	command.Stderr = log
	process, err := testkit.Launch(command)
	if err != nil {
		return err
	}
	line, err := process.FirstLine()
	if err != nil {
		process.Kill()
		return err
	}
	var ready struct {
		Ready bool `json:"ready"`
	}
	if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
		process.Kill()
		return errors.Join(err, fmt.Errorf("malformed line %.200q", line))
	}
	i.process = process
	return nil
}

// SetClock makes the clock of the instance run ahead. It takes effect when the
// instance starts again. The program is built with another clock, because Go
// programs read the clock of the kernel without a library that a test could
// replace.
func (i *Instance) SetClock(ahead time.Duration) {
	i.t.Helper()
	program := i.cluster.program
	if ahead != 0 {
		program = testkit.BuildChanged(i.t, "bank", "ahead-"+ahead.String(), "main.go", "time.Now",
			fmt.Sprintf("func() time.Time { return time.Now().Add(%d) }", ahead))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.program = program
}

// Kill ends the instance with SIGKILL. Running requests get no response.
func (i *Instance) Kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil {
		i.process.Kill()
		i.process = nil
	}
}

// Stop ends the instance with SIGTERM. Running requests get their responses.
func (i *Instance) Stop() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil {
		return
	}
	if err := i.process.Stop(); err != nil {
		i.t.Errorf("%v: %v", i, err)
	}
	i.process = nil
}

// Running reports whether the process of the instance has not ended.
func (i *Instance) Running() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.process != nil && i.process.Running()
}

// PID returns the process ID, or 0 if the instance was killed.
func (i *Instance) PID() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil {
		return 0
	}
	return i.process.PID()
}

// HTTPClient returns a client that sends the requests for the issuer to this
// instance. It follows no redirect.
func (i *Instance) HTTPClient(t testing.TB) *http.Client {
	t.Helper()
	client := i.cluster.authority.HTTPClient(t)
	transport := client.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, i.address)
	}
	return client
}

// WaitReady waits until the instance is ready.
func (i *Instance) WaitReady(t testing.TB) {
	t.Helper()
	if err := waitReady(i.HTTPClient(t), i.cluster.Issuer); err != nil {
		t.Fatalf("%v is not ready: %v\n%s", i, err, i.log())
	}
}

func (i *Instance) clean() {
	i.Stop()
	if i.t.Failed() {
		i.t.Logf("the end of the log of %v:\n%s", i, i.log())
	}
}

func (i *Instance) logFile() string { return i.cluster.file(i.String() + ".log") }

func (i *Instance) log() []byte {
	text, _ := os.ReadFile(i.logFile()) // an unreadable log is empty
	return text[max(0, len(text)-logTail):]
}
