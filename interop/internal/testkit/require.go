// Package testkit contains helpers for tests against other software: child
// processes, certificates, keys that both sides can read, and a browser without
// a user. It serves tests only. Its functions take a testing.TB and end the
// test when they fail.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// requireAll is the environment variable that turns skips into failures if it
// is "1". The gate sets it.
const requireAll = "FAPI_REQUIRE_ALL"

// bare is the environment variable that hides everything outside the process if
// it is "1". The gate sets it for the command of the README.
const bare = "FAPI_BARE"

// Require skips the test if ok is false: a requirement outside the process is
// missing. If the environment demands all requirements, it fails the test
// instead. what completes the sentence "this test needs …".
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok && os.Getenv(bare) != "1":
	case os.Getenv(requireAll) == "1":
		t.Fatalf("this test needs %s, and %s=1 forbids skipping it", what, requireAll)
	default:
		t.Skipf("this test needs %s (set %s=1 to make its absence a failure)", what, requireAll)
	}
}

// RequirePeers requires Node.js and packages of package-lock.json.
func RequirePeers(t testing.TB, packages ...string) {
	t.Helper()
	_, err := exec.LookPath("node")
	Require(t, "Node.js", err == nil)
	for _, name := range packages {
		_, err := os.Stat(filepath.Join("node_modules", name, "package.json"))
		Require(t, "the packages of the peers: npm ci --ignore-scripts --prefix interop", err == nil)
	}
}
