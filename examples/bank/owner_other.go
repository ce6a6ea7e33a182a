//go:build !unix

package main

import "io/fs"

// isOurs believes that the directory for temporary files is the user's own, as on Windows.
func isOurs(directory fs.FileInfo) bool { return directory.IsDir() }
