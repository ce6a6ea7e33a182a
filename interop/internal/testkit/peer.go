package testkit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // until a server is ready; the race detector makes it slow
	runTimeout   = 4 * time.Minute  // of a script from beginning to end
	maxLine      = 4 << 20
	maxComplaint = 32 << 10
)

// A complaint contains the end of a peer's standard error.
type complaint struct {
	mu   sync.Mutex
	text []byte
}

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p...)
	c.text = c.text[max(0, len(c.text)-maxComplaint):]
	return len(p), nil
}

func (c *complaint) show(t testing.TB, script string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Failed() && len(c.text) > 0 {
		t.Logf("%s wrote:\n%s", script, c.text)
	}
}

func node(ctx context.Context, script string, stderr io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", filepath.Join("peers", script))
	// The environment is not inherited: there is no proxy and no NODE_OPTIONS.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "NODE_NO_WARNINGS=1"}
	cmd.Stderr = stderr
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Start runs a peer that is a server until the test ends. The peer reads config
// as one line of JSON and responds with a line that Start stores in ready. It
// ends when its standard input ends, so no peer outlives a killed test.
func Start(t testing.TB, script string, config, ready any) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	said := new(complaint)
	cmd := node(ctx, script, said)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := readLine(stdout)
	t.Cleanup(func() {
		stdin.Close() //nolint:errcheck // it ends by this or by the next
		cancel()
		for range lines { // Wait must not close stdout before it has been read
		}
		cmd.Wait() //nolint:errcheck // it was killed
		said.show(t, script)
	})
	line, err := json.Marshal(config)
	check(t, err)
	_, err = stdin.Write(append(line, '\n'))
	check(t, err)
	select {
	case line, ok := <-lines:
		if !ok {
			t.Fatalf("%s ended without a word", script)
		}
		if err := json.Unmarshal(line, ready); err != nil {
			t.Fatalf("%s said %.300q: %v", script, line, err)
		}
	case <-time.After(startTimeout):
		t.Fatalf("%s is not ready after %v", script, startTimeout)
	}
}

// readLine sends the first line of a process's output. It closes the channel
// when the process ends.
func readLine(stdout io.Reader) <-chan []byte {
	lines := make(chan []byte, 1)
	go func() {
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, maxLine)
		if scanner.Scan() {
			lines <- bytes.Clone(scanner.Bytes())
		}
		io.Copy(io.Discard, stdout) //nolint:errcheck // until it ends
		close(lines)
	}()
	return lines
}

// Run runs a peer that is a client until it ends. The peer reads input as JSON.
// Run stores its one line of JSON in output.
func Run(t testing.TB, script string, input, output any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	said := new(complaint)
	cmd := node(ctx, script, said)
	config, err := json.Marshal(input)
	check(t, err)
	cmd.Stdin = bytes.NewReader(append(config, '\n'))
	t.Cleanup(func() { said.show(t, script) })
	line, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v; it said %.2000s", script, err, line)
	}
	if err := json.Unmarshal(line, output); err != nil {
		t.Fatalf("%s said %.300q: %v", script, line, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
