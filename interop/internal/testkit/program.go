package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// builds contains the programs that tests of this process have built.
var builds struct {
	mu   sync.Mutex
	dir  string
	made map[string]string
}

// Main runs the tests and removes the programs of [Build]. It returns the exit
// status.
func Main(m *testing.M) int {
	defer func() {
		if builds.dir != "" {
			os.RemoveAll(builds.dir) //nolint:errcheck // in the system's directory for temporary files
		}
	}()
	return m.Run()
}

// Build returns the path of a program of examples/. The program is built
// without the race detector, because password hashing would take seconds with
// it. The program's own tests use the race detector.
func Build(t testing.TB, name string) string {
	t.Helper()
	return build(t, name, name)
}

// BuildChanged is Build for a program in which the text old of one source file
// is replaced by text. It requires that the file contains old. variant
// distinguishes the changes of one program.
func BuildChanged(t testing.TB, name, variant, file, old, text string) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join(examples(t), name, file))
	check(t, err)
	content, err := os.ReadFile(source)
	check(t, err)
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s does not contain %q", source, old)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, file)
	check(t, os.WriteFile(changed, bytes.ReplaceAll(content, []byte(old), []byte(text)), 0o600))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	return build(t, name, name+"-"+variant, "-overlay", filepath.Join(dir, "overlay.json"))
}

// build builds a program once for each output.
func build(t testing.TB, name, output string, flags ...string) string {
	t.Helper()
	_, err := exec.LookPath("go")
	Require(t, "the go command", err == nil)
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if path, ok := builds.made[output]; ok {
		return path
	}
	if builds.dir == "" {
		builds.dir, err = os.MkdirTemp("", "fapi2-interop-")
		check(t, err)
		builds.made = map[string]string{}
	}
	path := filepath.Join(builds.dir, output)
	args := append(append([]string{"build", "-o", path}, flags...), "./"+name)
	cmd := exec.Command("go", args...)
	cmd.Dir = examples(t)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, said)
	}
	builds.made[output] = path
	return path
}

// examples returns the directory of the programs. Tests run in the directory of
// their package.
func examples(t testing.TB) string {
	t.Helper()
	for up := ".."; len(up) < 20; up = filepath.Join(up, "..") {
		dir := filepath.Join(up, "examples")
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("the directory examples is not above the test")
	return ""
}

// StartProgram runs a server until the test ends. It then sends SIGTERM and
// requires a successful exit. It stores the first line of output in ready. If
// the server has ended without one, ok is false.
func StartProgram(t testing.TB, path string, args []string, ready any) (ok bool) {
	t.Helper()
	said := new(complaint)
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Stderr, cmd.SysProcAttr = said, endsWithUs()
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := readLine(stdout)
	end := func() error {
		cmd.Process.Signal(syscall.SIGTERM)                                   //nolint:errcheck // it has ended
		killer := time.AfterFunc(startTimeout, func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
		defer killer.Stop()
		for range lines { // Wait must not close stdout before it has been read
		}
		return cmd.Wait()
	}
	name := filepath.Base(path)
	select {
	case line, ok := <-lines:
		if !ok {
			end() //nolint:errcheck // by itself
			t.Logf("%s ended without a word:\n%s", name, said.text)
			return false
		}
		t.Cleanup(func() {
			if err := end(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			said.show(t, name)
		})
		if err := json.Unmarshal(line, ready); err != nil {
			t.Fatalf("%s said %.300q: %v", name, line, err)
		}
	case <-time.After(startTimeout):
		end() //nolint:errcheck // it is the test that fails
		t.Fatalf("%s is not ready after %v", name, startTimeout)
	}
	return true
}

// RunProgram runs a program until it ends, and returns its exit status and its
// output.
func RunProgram(t testing.TB, path string, args ...string) (status int, stdout, stderr []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &complaints, endsWithUs()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
	return cmd.ProcessState.ExitCode(), out.Bytes(), complaints.Bytes()
}
