//go:build !unix

package demo

import "io/fs"

// isOurs assumes that the directory for temporary files belongs to the user, as
// on Windows.
func isOurs(directory fs.FileInfo) bool { return directory.IsDir() }
