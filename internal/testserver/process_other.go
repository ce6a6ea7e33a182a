//go:build !linux

package testserver

import (
	"errors"
	"os"
	"os/exec"
)

// Other systems can start, stop and kill servers. A killed PostgreSQL leaves
// processes that end by themselves.

var pauseSignal, resumeSignal os.Signal

func (*account) run(*exec.Cmd) {}

func bind(*exec.Cmd) (unbind func()) { return func() {} }

func killAll(p *os.Process) { p.Kill() } //nolint:errcheck // it may have ended

func (*Server) signalAll(os.Signal) error { return errors.ErrUnsupported }
