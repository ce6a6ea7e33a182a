// Package testkit is what the runs against other people's software have in common: child processes, certificates, keys that
// both sides can read, a browser without a person. It serves tests only, so everything takes a testing.TB and ends the test
// when it fails.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// requireAll is the environment variable that, set to "1", turns skips into failures. The gate sets it.
const requireAll = "FAPI_REQUIRE_ALL"

// Require skips the test when something it needs from outside the process is not there, and fails it instead when the
// environment says that everything must be. what completes the sentence "this test needs …".
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv(requireAll) == "1":
		t.Fatalf("this test needs %s, and %s=1 forbids skipping it", what, requireAll)
	default:
		t.Skipf("this test needs %s (set %s=1 to make its absence a failure)", what, requireAll)
	}
}

// RequirePeers needs Node.js and some packages of package-lock.json.
func RequirePeers(t testing.TB, packages ...string) {
	t.Helper()
	_, err := exec.LookPath("node")
	Require(t, "Node.js", err == nil)
	for _, name := range packages {
		_, err := os.Stat(filepath.Join("node_modules", name, "package.json"))
		Require(t, "the packages of the peers: npm ci --ignore-scripts --prefix interop", err == nil)
	}
}
