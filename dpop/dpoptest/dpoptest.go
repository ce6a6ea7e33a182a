// Package dpoptest tests implementations of [dpop.ReplayStore]: one that is shared by processes, in a database or a cache,
// is where proofs of possession are easily undone by a race or by a rounded expiry. Run it in the tests of every store:
//
//	func TestReplayStore(t *testing.T) {
//		dpoptest.TestReplayStore(t, func(t *testing.T) dpop.ReplayStore { return openMyStore(t) }, nil)
//	}
//
// With nil for the clock it takes a few seconds, because entries have to expire in the store's own time.
package dpoptest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
)

// A Clock is what a store under test takes for the time, if that can be set.
type Clock struct {
	// Now returns the store's time. Required.
	Now func() time.Time
	// Advance moves it on. Required.
	Advance func(time.Duration)
}

// TestReplayStore runs the contract of [dpop.ReplayStore] as subtests. open is called once for each and returns a store,
// which may be the same each time and hold other entries: all keys are new and random.
//
// clock is nil for a store that lives by the clock of its server. Then subtests run in parallel, and two wait for an
// expiry, a few seconds.
func TestReplayStore(t *testing.T, open func(t *testing.T) dpop.ReplayStore, clock *Clock) {
	k := &kit{now: time.Now, clock: clock}
	if clock != nil {
		k.now = clock.Now
	}
	for _, test := range []struct {
		name string
		run  func(*kit, *testing.T, dpop.ReplayStore)
	}{
		{"a key is used once", (*kit).once},
		{"keys are independent", (*kit).independent},
		{"of 64 uses at once one is the first", (*kit).race},
		{"a key may be used again after its expiry", (*kit).expiry},
		{"of 64 uses at once after an expiry one is the first", (*kit).raceAfterExpiry},
		{"a later use does not move the expiry", (*kit).fixedExpiry},
		{"an expiry in the past is never a first use", (*kit).past},
		{"a context that is done is an error", (*kit).done},
	} {
		t.Run(test.name, func(t *testing.T) {
			if clock == nil {
				t.Parallel() // so that the waits are one
			}
			test.run(k, t, open(t))
		})
	}
}

const (
	// life is long enough for a slow store to answer several times.
	life = 2 * time.Minute
	// short is the life of entries that are waited for in real time; stores may round up to a second.
	short  = 2 * time.Second
	racers = 64
	// rounding is the maximum by which a store may round an expiry up.
	rounding = 2 * time.Second
)

type kit struct {
	now   func() time.Time
	clock *Clock
}

// newKey returns a key of the form that stores get.
func newKey() string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func use(t *testing.T, s dpop.ReplayStore, key string, expires time.Time, want bool) {
	t.Helper()
	first, err := s.Use(t.Context(), key, expires)
	if err != nil {
		t.Fatalf("Use: %v", err)
	}
	if first != want {
		t.Fatalf("Use says that it is the first: %t, want %t", first, want)
	}
}

func (k *kit) once(t *testing.T, s dpop.ReplayStore) {
	key := newKey()
	use(t, s, key, k.now().Add(life), true)
	for range 3 {
		use(t, s, key, k.now().Add(life), false)
	}
}

// independent tries keys that a collation or a pattern might take for one another.
func (k *kit) independent(t *testing.T, s dpop.ReplayStore) {
	stem := newKey()[:38]
	for _, end := range []string{"abcde", "ABCDE", "Abcde", "a_cde", "a-cde", "axcde", "-----", "_____", "00000", "00001"} {
		use(t, s, stem+end, k.now().Add(life), true)
	}
	use(t, s, strings.Repeat("-", 38)+newKey()[:5], k.now().Add(life), true)
	use(t, s, stem+"abcde", k.now().Add(life), false)
}

// hammer uses one key on many goroutines let go together.
func (k *kit) hammer(t *testing.T, s dpop.ReplayStore, key string) {
	t.Helper()
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	expires := k.now().Add(life)
	firsts := make([]bool, racers)
	errs := make([]error, racers)
	ctx := t.Context()
	for i := range racers {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			firsts[i], errs[i] = s.Use(ctx, key, expires)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	n := 0
	for i := range racers {
		switch {
		case errs[i] != nil && firsts[i]:
			t.Fatalf("Use says both that it is the first and %v", errs[i])
		case errs[i] != nil:
			t.Fatalf("Use: %v", errs[i])
		case firsts[i]:
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d of %d uses at once say that they are the first", n, racers)
	}
}

func (k *kit) race(t *testing.T, s dpop.ReplayStore) {
	for range 10 {
		k.hammer(t, s, newKey())
	}
}

// expire waits until a key of short life may be used again, which it must not be before.
func (k *kit) expire(t *testing.T, s dpop.ReplayStore, key string, expires time.Time) {
	t.Helper()
	if k.clock != nil {
		k.clock.Advance(expires.Sub(k.now()) - 1)
		use(t, s, key, expires, false)
		k.clock.Advance(rounding + 1)
		return
	}
	for k.now().Before(expires.Add(-short / 2)) {
		use(t, s, key, k.now().Add(life), false)
		time.Sleep(short / 10)
	}
	time.Sleep(time.Until(expires.Add(rounding + time.Millisecond)))
}

func (k *kit) expiry(t *testing.T, s dpop.ReplayStore) {
	key, expires := newKey(), k.now().Add(short)
	use(t, s, key, expires, true)
	k.expire(t, s, key, expires)
	use(t, s, key, k.now().Add(life), true)
	use(t, s, key, k.now().Add(life), false)
}

func (k *kit) raceAfterExpiry(t *testing.T, s dpop.ReplayStore) {
	key, expires := newKey(), k.now().Add(short)
	use(t, s, key, expires, true)
	k.expire(t, s, key, expires)
	if k.clock == nil {
		time.Sleep(time.Second)
	}
	k.hammer(t, s, key)
}

// fixedExpiry: only the first use counts, be it that a later one comes with an earlier expiry.
func (k *kit) fixedExpiry(t *testing.T, s dpop.ReplayStore) {
	key := newKey()
	use(t, s, key, k.now().Add(life), true)
	use(t, s, key, k.now().Add(3*time.Second), false)
	if k.clock != nil {
		k.clock.Advance(5 * time.Second)
	}
	use(t, s, key, k.now().Add(life), false)
}

func (k *kit) past(t *testing.T, s dpop.ReplayStore) {
	for _, ago := range []time.Duration{0, time.Millisecond, time.Second, time.Hour} {
		if first, err := s.Use(t.Context(), newKey(), k.now().Add(-ago)); first || err == nil {
			t.Fatalf("with an expiry %v ago Use says %t, %v, want an error", ago, first, err)
		}
	}
}

func (k *kit) done(t *testing.T, s dpop.ReplayStore) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if first, err := s.Use(ctx, newKey(), k.now().Add(life)); first || err == nil {
		t.Fatalf("with a context that is done Use says %t, %v, want an error", first, err)
	}
}
