//go:build !linux

package testkit

import "syscall"

func endsWithUs() *syscall.SysProcAttr { return nil }
