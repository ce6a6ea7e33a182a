package testkit

import (
	"os"
	"strings"
	"sync"
	"testing"
)

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// MutateJWS returns token with exactly one base64url character replaced by another one. The number i says which:
// with n such characters in token, i and i+n strike the same place with different replacements, and the numbers from 0
// to 63n-1 give every possible replacement once. Any i is allowed. A token without a base64url character comes back with
// one appended.
//
// A strict verifier refuses every result: either the decoded bytes differ, or the last character of a segment is no
// longer the canonical one.
func MutateJWS(token string, i int) string {
	var places []int
	for at := range len(token) {
		if strings.IndexByte(base64URL, token[at]) >= 0 {
			places = append(places, at)
		}
	}
	if len(places) == 0 {
		return token + base64URL[:1]
	}
	all := 63 * len(places)
	i = ((i % all) + all) % all
	at := places[i%len(places)]
	replacement := base64URL[strings.IndexByte(base64URL, token[at])^(1+i/len(places))]
	return token[:at] + string(replacement) + token[at+1:]
}

// Hammer runs f(0) to f(n-1) on n goroutines that are let go together, and waits for all of them. f must not call
// FailNow or a function that does (require); it stores what it saw, for the caller to judge.
func Hammer(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// RequireAll is the environment variable that, set to "1", turns the skips of [Require] into failures. The full run sets it.
const RequireAll = "FAPI_REQUIRE_ALL"

// Require skips the test when something it needs from outside the process is not there, and fails it instead when the
// environment says that everything must be ([RequireAll]). what completes the sentence "this test needs …".
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv(RequireAll) == "1":
		t.Fatalf("this test needs %s, and %s=1 forbids skipping it", what, RequireAll)
	default:
		t.Skipf("this test needs %s (set %s=1 to make its absence a failure)", what, RequireAll)
	}
}
