package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Process is a child process that a test can kill. It ends with the test
// process. Its methods are safe for concurrent use.
type Process struct {
	command *exec.Cmd
	line    firstLine
	ended   chan struct{} // closed when the process has ended
	err     error         // of its end
}

// Launch starts a command. The command must have no Stdout.
func Launch(command *exec.Cmd) (*Process, error) {
	p := &Process{
		command: command, line: firstLine{complete: make(chan struct{})}, ended: make(chan struct{}),
	}
	command.Stdout, command.SysProcAttr = &p.line, endsWithUs()
	started := make(chan error)
	go func() {
		defer close(p.ended)
		// Linux sends the signal when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			p.err = command.Wait()
		}
	}()
	return p, <-started
}

// FirstLine waits for the first line of the output.
func (p *Process) FirstLine() ([]byte, error) {
	select {
	case <-p.line.complete:
		return p.line.text, nil
	case <-p.ended:
		return nil, fmt.Errorf("the process has ended: %w", errors.Join(p.err, os.ErrProcessDone))
	case <-time.After(startTimeout):
		return nil, fmt.Errorf("the process has printed no line after %v", startTimeout)
	}
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.command.Process.Kill() //nolint:errcheck // it may have ended
	<-p.ended
}

// Stop ends the process with SIGTERM, waits for its end, and returns the error
// of its exit status. After 30 seconds it kills the process.
func (p *Process) Stop() error {
	p.command.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	select {
	case <-p.ended:
		return p.err
	case <-time.After(startTimeout):
		p.Kill()
		return fmt.Errorf("the process was running %v after SIGTERM", startTimeout)
	}
}

// PID returns the process ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// A firstLine keeps the first line that is written to it.
type firstLine struct {
	mu       sync.Mutex
	text     []byte
	done     bool
	complete chan struct{} // closed when text is the line
}

func (l *firstLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return len(p), nil
	}
	line, _, found := bytes.Cut(p, []byte("\n"))
	l.text = append(l.text, line...)
	if found || len(l.text) > maxLine {
		l.done = true
		close(l.complete)
	}
	return len(p), nil
}
