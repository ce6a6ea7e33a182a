//go:build unix

package demo

import (
	"io/fs"
	"os"
	"syscall"
)

// isOurs reports whether only this user can access a directory.
func isOurs(directory fs.FileInfo) bool {
	owner, ok := directory.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid() && directory.Mode().Perm()&0o077 == 0
}
