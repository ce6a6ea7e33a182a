// Package snippets contains the Go code of the pages in docs and of the README
// that no Example of a package contains. The architecture tests compare the
// pages with the regions in these files, and go test ./internal/archtest
// -update copies the regions into the pages.
package snippets
