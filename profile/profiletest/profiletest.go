// Package profiletest tests whether a store of codes, refresh tokens or
// revocations keeps its contract. Run it in the tests of every store:
//
//	func TestStore(t *testing.T) {
//		profiletest.TestCodeStore(t, func(t *testing.T) profile.CodeStore { return openMyStore(t) })
//	}
//
// Test a type that implements all three stores with all three tests. Each test
// takes a few seconds, because entries expire by the clock of the store. All
// entries expire within an hour. The tests do not cover several processes.
package profiletest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
)

// TestCodeStore runs each check of a store for authorization codes as a
// subtest. It calls open for each of them. The stores may share a database,
// because keys are random.
func TestCodeStore(t *testing.T, open func(t *testing.T) authserver.CodeStore) {
	t.Helper()
	run(t, valueChecks, func(t *testing.T) values { return open(t) })
	run(t, codeChecks, open)
}

// TestRefreshStore is [TestCodeStore] for a store for refresh tokens.
func TestRefreshStore(t *testing.T, open func(t *testing.T) authserver.RefreshStore) {
	t.Helper()
	run(t, valueChecks, func(t *testing.T) values { return open(t) })
}

// TestRevocationStore is [TestCodeStore] for a store for revocations.
func TestRevocationStore(t *testing.T, open func(t *testing.T) authserver.RevocationStore) {
	t.Helper()
	run(t, revocationChecks, open)
}

type check[S any] struct {
	name string
	run  func(ctx context.Context, s S) error
}

func run[S any](t *testing.T, checks []check[S], open func(t *testing.T) S) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.run(ctx, open(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

const (
	short    = 1500 * time.Millisecond // lifetime of an entry that expires during a check
	patience = 5 * time.Second         // the entry must expire within this time
)

// later returns an expiry after the end of all checks.
func later() time.Time { return time.Now().Add(30 * time.Minute) }

// newKey returns a key of the form that package authserver uses for codes and
// refresh tokens.
func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newGrantID returns an ID of the form that package authserver uses for grants.
func newGrantID() string { return newKey()[:22] }

// together runs f on n goroutines that start together.
func together(n int, f func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	done.Wait()
}

// until calls gone every 50 ms until it returns true. It reports false if that
// takes longer than patience.
func until(gone func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < patience; <-tick.C {
		if gone() {
			return true
		}
	}
	return false
}
