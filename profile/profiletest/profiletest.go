// Package profiletest tests whether a [profile.CodeStore], [profile.RefreshStore] or [profile.RevocationStore] keeps its
// contract. Run it in the tests of every store:
//
//	func TestStore(t *testing.T) {
//		profiletest.TestCodeStore(t, func(t *testing.T) profile.CodeStore { return openMyStore(t) })
//	}
//
// A type that is all three stores is run through all three tests. Each needs a few seconds, because entries have to expire
// in the store's own time, and leaves nothing behind that does not expire within the hour. It does not test that several
// processes see the same entries.
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

// TestCodeStore runs every check of a store for authorization codes as a subtest. It calls open for each of them; the
// stores may share a database, as keys are random.
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
	short    = 1500 * time.Millisecond // the life of an entry that a check lives to see the end of
	patience = 5 * time.Second         // after which it must be gone
)

// later is an expiry that no check lives to see.
func later() time.Time { return time.Now().Add(30 * time.Minute) }

// newKey returns a key of the form that package profile uses for codes and refresh tokens.
func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newGrantID returns an ID of the form that package profile gives to grants.
func newGrantID() string { return newKey()[:22] }

// together runs f on n goroutines that are released at once.
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

// until calls gone every 50 ms until it is true, and reports whether that was before patience ended.
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
