package testkit

import "syscall"

// endsWithUs ends a process when this process is killed, for example by the
// timeout of the test command.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
