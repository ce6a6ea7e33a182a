//go:build !unix

package demo

import "io/fs"

// isOurs believes that the directory for temporary files is the user's own, as on Windows.
func isOurs(directory fs.FileInfo) bool { return directory.IsDir() }
