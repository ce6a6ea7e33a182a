package testkit

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// MutateJWS returns token with one base64url character replaced. The number i
// selects the place and the replacement. With n such characters in token, the
// numbers from 0 to 63n-1 select each possible replacement once. i and i+n
// select the same place. Every i is valid. A token without a base64url
// character is returned with one appended.
//
// A strict verifier rejects every result. Either the decoded bytes differ, or
// the last character of a segment is not canonical.
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

// Hammer runs f(0) to f(n-1) on n goroutines that start together, and waits for
// all of them. f must not call FailNow or require, which calls it. f stores its
// results, and the caller checks them.
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

// Winners calls f like [Hammer] and returns how many calls reported true. An
// error fails the test.
func Winners(t testing.TB, n int, f func(i int) (bool, error)) int {
	t.Helper()
	var won atomic.Int64
	Hammer(n, func(i int) {
		ok, err := f(i)
		if err != nil {
			t.Error(err)
		}
		if ok {
			won.Add(1)
		}
	})
	return int(won.Load())
}

// OneWinner calls use on 64 goroutines. It requires that one call succeeds and
// that the others return the error replayed.
func OneWinner(t testing.TB, replayed error, use func() error) {
	t.Helper()
	errs := make([]error, 64)
	Hammer(len(errs), func(i int) { errs[i] = use() })
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, replayed) {
			t.Errorf("testkit: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("testkit: %d winners, want 1", won)
	}
}

// RequireAll is an environment variable. If it is "1", [Require] fails instead
// of skipping. The gate sets it.
const RequireAll = "FAPI_REQUIRE_ALL"

// BareMachine is an environment variable. If it is "1", [Require] treats
// everything as missing, as on a machine that has only Go. The gate sets it for
// the command of the README.
const BareMachine = "FAPI_BARE"

// Require skips the test if ok is false. If [RequireAll] is set, it fails the
// test instead. what completes the sentence "this test needs …" and names
// something outside the process.
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	switch {
	case ok && os.Getenv(BareMachine) != "1":
	case os.Getenv(RequireAll) == "1":
		t.Fatalf("this test needs %s, and %s=1 forbids skipping it", what, RequireAll)
	default:
		t.Skipf("this test needs %s (set %s=1 to make its absence a failure)", what, RequireAll)
	}
}

// Must returns v. It panics if err is not nil.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A RoundTripper is a function that is an http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
