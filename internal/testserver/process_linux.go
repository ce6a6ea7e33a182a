package testserver

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

// run sets the user of a command.
func (a *account) run(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{}
	if a != nil {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// bind makes the system kill the command if the test process dies. Linux ties
// that to the thread, so the calling goroutine must wait for the command before
// it calls the function that bind returns.
func bind(c *exec.Cmd) (unbind func()) {
	runtime.LockOSThread()
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return runtime.UnlockOSThread
}

// children returns the processes that a process has started. A server that
// takes connections in processes of their own has no process group: PostgreSQL
// puts each of them in a new one.
func children(parent int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid, of int
		var state string
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		after := string(stat)[strings.LastIndexByte(string(stat), ')')+1:]
		if _, err := fmt.Sscan(after, &state, &of); err == nil && of == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills a process and its children. The process is stopped first, so
// that it starts no more.
func killAll(p *os.Process) {
	p.Signal(syscall.SIGSTOP) //nolint:errcheck // it may have ended
	all := children(p.Pid)
	p.Kill() //nolint:errcheck // it may have ended
	for _, pid := range all {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
	}
	for end := time.Now().Add(stopTime); time.Now().Before(end) && len(all) > 0; {
		if syscall.Kill(all[0], 0) != nil {
			all = all[1:]
			continue
		}
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", all[0])); strings.Contains(string(stat), ") Z ") {
			all = all[1:] // an orphan that init has not reaped
			continue
		}
		time.Sleep(time.Millisecond)
	}
}

// signalAll sends a signal to the server and its children.
func (s *Server) signalAll(signal syscall.Signal) error {
	if s.process == nil {
		return os.ErrProcessDone
	}
	p := s.process.command.Process
	if err := p.Signal(signal); err != nil {
		return err
	}
	for _, pid := range children(p.Pid) {
		syscall.Kill(pid, signal) //nolint:errcheck // it may have ended
	}
	return nil
}
