package testkit

import "syscall"

// endsWithUs has a process end when this one is killed, as it is by the test command's timeout.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
