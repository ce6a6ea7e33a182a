// Package storetest tests whether a [store.Store] or a [store.Index] keeps its
// contract. Run it in the tests of every store:
//
//	func TestStore(t *testing.T) {
//		storetest.Test(t, func(t *testing.T) store.Store { return openMyStore(t) })
//		storetest.TestIndex(t, func(t *testing.T) store.Index { return openMyStore(t) })
//	}
//
// The checks are parallel subtests, which run after the calling test has
// returned. Close a database that they share with t.Cleanup, not with defer.
//
// Entries have to expire in the store's own time. With a fast store the kit
// needs about 6 seconds if all its checks run at once, for example with go test
// -parallel 64. By default go test runs as many as the machine has processors.
// The clocks of the test and of the store must agree within 50 milliseconds.
// The kit finds a store that expires entries 250 milliseconds too early,
// usually even 100 milliseconds, or more than 1.1 seconds too late. It accepts
// up to one second, because a store may round expiries up. A check fails if the
// store or the machine is too slow for it to look in time. A store that keeps
// the contract has no entry of the kit for longer than an hour.
//
// To test several connections, return another connection to the same database
// from each call of open. The kit runs the contenders of one check on several
// of them. All contenders run in the process of the test. The kit therefore
// accepts a store with a lock in that process around statements that are not
// atomic.
//
// The kit does not test a store whose database fails, and not whether entries
// survive the end of the process. It does not find a store that reports such a
// failure as false, or that limits expiries to an hour.
package storetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/store"
)

const (
	contenders = 64
	// handles is the number of stores that each check opens.
	handles = 4
	// short is a lifetime for which a check can wait.
	short = 1500 * time.Millisecond
	// late is how long after its expiry an entry may still exist.
	late = time.Second
	// agree is how far the clocks of the test and of the store may differ.
	agree = 50 * time.Millisecond
	// early is how long before its expiry an entry has to exist in the view of
	// at least one call. The call also ends before the clocks may disagree.
	early = 250 * time.Millisecond
	// concurrentReads is how many reads a check makes during changes.
	concurrentReads = 10
	// attempts bounds the repetitions of a check that came too late to look.
	attempts = 10
	tooSlow  = "the store or the machine is too slow for this check"
)

// Test runs every check as a parallel subtest. It calls open four times for
// each check, from several goroutines. The stores that open returns must share
// their entries. If they do not, Test reports only that. Keys are random, so
// the database need not be empty.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	runAll(t, "the stores that open returns share their entries", kit.sharing, checks,
		func(t *testing.T) kit { return newKit(t, open) })
}

// A check of a kit K.
type check[K any] struct {
	name string
	run  func(k K)
}

// runAll runs the other checks in parallel if sharing passes.
func runAll[K any](t *testing.T, name string, sharing func(K), checks []check[K], newKit func(*testing.T) K) {
	t.Helper()
	if !t.Run(name, func(t *testing.T) { sharing(newKit(t)) }) {
		return
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newKit(t))
		})
	}
}

// A group has the stores of one check, which are of the type S.
type group[S any] struct {
	*testing.T
	all []S
	ctx func() context.Context
}

func newGroup[S any](t *testing.T, open func(t *testing.T) S) group[S] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	g := group[S]{T: t, ctx: func() context.Context { return ctx }}
	for range handles {
		s := open(t)
		if any(s) == nil {
			t.Fatal("open returned a nil store")
		}
		g.all = append(g.all, s)
	}
	return g
}

// A kit runs one check. Its methods fail the test at the line of the check, and
// their messages contain the step. Only the goroutine of the test calls them.
type kit struct {
	group[store.Store]
	store.Store // one of all
}

func newKit(t *testing.T, open func(t *testing.T) store.Store) kit {
	t.Helper()
	return kit{group: newGroup(t, open)}.on(0)
}

// on returns a kit that uses another store.
func (k kit) on(i int) kit {
	k.Store = k.all[i%len(k.all)]
	return k
}

// sharing finds the mistake that would fail most checks with a message that
// misleads. Every other fault is left to the checks.
func (k kit) sharing() {
	key := newKey()
	if added, err := k.Add(k.ctx(), key, []byte("value"), hour()); err != nil || !added {
		return
	}
	if _, version, err := k.Get(k.ctx(), key); err != nil || version == 0 {
		return
	}
	for _, other := range k.all[1:] {
		if _, version, err := other.Get(k.ctx(), key); err == nil && version == 0 {
			k.Fatal("the stores that open returns do not share entries: " +
				"one of them added a key, and another does not find it")
		}
	}
}

// hour is an expiry that no check lives to see.
func hour() time.Time { return time.Now().Add(time.Hour) }

func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// add stores an entry under a new key.
func (k kit) add(value string, expires time.Time) (key string) {
	k.Helper()
	key = newKey()
	k.wantAdd("of a new key", key, value, expires, true)
	return key
}

func (k kit) wantAdd(step, key, value string, expires time.Time, want bool) {
	k.Helper()
	added, err := k.Add(k.ctx(), key, []byte(value), expires)
	k.wantOutcome("Add "+step, added, err, want)
}

func (k kit) wantSwap(step, key string, version int64, value string, expires time.Time, want bool) {
	k.Helper()
	swapped, err := k.Swap(k.ctx(), key, version, []byte(value), expires)
	k.wantOutcome("Swap "+step, swapped, err, want)
}

func (k kit) wantOutcome(call string, got bool, err error, want bool) {
	k.Helper()
	if err := outcome(call, got, err, want); err != nil {
		k.Fatal(err)
	}
}

func outcome(call string, got bool, err error, want bool) error {
	if err != nil || got != want {
		return fmt.Errorf("%s returned %v and the error %v, want %v and no error", call, got, err, want)
	}
	return nil
}

func (k kit) wantError(call string, got bool, err error) {
	k.Helper()
	if err == nil || got {
		k.Fatalf("%s returned %v and the error %v, want false and an error", call, got, err)
	}
}

func (k kit) wantEntry(step, key, value string, version int64) {
	k.Helper()
	got, v, err := k.Get(k.ctx(), key)
	if err != nil || v != version || string(got) != value {
		shown, wanted := excerpts(string(got), value)
		k.Fatalf("Get %s returned %s of version %d and the error %v, want %s of version %d and no error",
			step, shown, v, err, wanted, version)
	}
}

// wantAbsent expects that key does not exist.
func (k kit) wantAbsent(step, key string) {
	k.Helper()
	if value, version, err := k.Get(k.ctx(), key); err != nil || version != 0 || len(value) != 0 {
		shown, _ := excerpts(string(value), "")
		k.Fatalf("Get %s returned %s of version %d and the error %v, want no value, version 0 and no error",
			step, shown, version, err)
	}
}

// excerpts quotes two values, or a part of them where they start to differ.
func excerpts(got, want string) (string, string) {
	from := 0
	for from < min(len(got), len(want)) && got[from] == want[from] {
		from++
	}
	from = max(0, from-8)
	excerpt := func(s string) string {
		if len(s) <= 40 {
			return fmt.Sprintf("%q", s)
		}
		return fmt.Sprintf("%d bytes with %q at byte %d", len(s), s[from:min(len(s), from+24)], from)
	}
	return excerpt(got), excerpt(want)
}

// race calls f n times at the same time and returns the winners.
func (g group[S]) race(n int, f func(i int, s S) (bool, error)) (winners []int) {
	g.Helper()
	var start, done sync.WaitGroup
	var mu sync.Mutex
	var first error
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			won, err := f(i, g.all[i%len(g.all)])
			mu.Lock()
			defer mu.Unlock()
			if won {
				winners = append(winners, i)
			}
			if first == nil {
				first = err
			}
		})
	}
	start.Done()
	done.Wait()
	if first != nil {
		g.Fatalf("of %d concurrent calls, one failed: %v", n, first)
	}
	return winners
}

// oneWins races the contenders and returns the value of the winner.
func (k kit) oneWins(verb string, f func(s store.Store, value []byte) (bool, error)) string {
	k.Helper()
	winners := k.race(contenders, func(i int, s store.Store) (bool, error) { return f(s, fmt.Append(nil, i)) })
	if len(winners) != 1 {
		k.Fatalf("%d of %d concurrent calls of %s returned true, want 1", len(winners), contenders, verb)
	}
	return fmt.Sprint(winners[0])
}

// until calls f more and more often until end is near. It ignores errors that
// arrive when end may have passed by the clock of the store. It reports whether
// a call was made so late that it can find an early expiry.
func until(end time.Time, f func() error) (looked bool, err error) {
	for {
		near := time.Until(end) <= early
		err := f()
		left := time.Until(end)
		switch {
		case left < agree:
			return looked, nil
		case err != nil:
			return false, fmt.Errorf("%v before the expiry %v: %w", left, end, err)
		}
		looked = looked || near
		time.Sleep(max(left/10, 10*time.Millisecond))
	}
}

// untilLooked repeats an attempt of a check until it has looked, because a
// check must not pass without that.
func untilLooked(attempt func() (looked bool, err error)) error {
	for range attempts {
		if looked, err := attempt(); looked || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: each of %d attempts came too late", tooSlow, attempts)
}

// inTime calls f with an expiry that is soon, until a call returns before the
// expiry. The check fails if that call returns an error.
func (g group[S]) inTime(f func(expires time.Time) error) {
	g.Helper()
	err := untilLooked(func() (looked bool, err error) {
		expires := time.Now().Add(short)
		if err = f(expires); time.Until(expires) < agree {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		g.Fatal(err)
	}
}

// lateIn returns two expiries after a time that lose much if a store rounds
// whole seconds down, or to the nearest.
func lateIn(i int) time.Time {
	fraction := []time.Duration{999 * time.Millisecond, 499 * time.Millisecond}[i]
	return time.Now().Add(short).Truncate(time.Second).Add(time.Second + fraction)
}

// farExpiries are expiries that a store could store in another form.
func farExpiries() map[string]time.Time {
	soon := time.Now().Add(time.Minute)
	return map[string]time.Time{
		"with an expiry in twenty years":           time.Now().AddDate(20, 0, 0),
		"with an expiry 14 hours ahead of UTC":     soon.In(time.FixedZone("", 14*60*60)),
		"with an expiry 12 hours behind UTC":       soon.In(time.FixedZone("", -12*60*60)),
		"with an expiry in the time zone UTC":      soon.UTC(),
		"with an expiry that the local clock made": soon,
	}
}

// over returns contexts that have ended.
func (g group[S]) over() map[string]context.Context {
	canceled, cancel := context.WithCancel(g.ctx())
	cancel()
	late, cancel := context.WithDeadline(g.ctx(), time.Now().Add(-time.Minute))
	g.Cleanup(cancel)
	return map[string]context.Context{"a canceled context": canceled, "a deadline that passed": late}
}

// endingDuring calls f with contexts that end during the call, which is how the
// kit makes the database fail.
func (g group[S]) endingDuring(f func(ctx context.Context, d time.Duration)) {
	g.Helper()
	for d := 10 * time.Microsecond; d < 20*time.Millisecond; d += d / 4 {
		ctx, cancel := context.WithTimeout(g.ctx(), d)
		f(ctx, d)
		cancel()
	}
}

// wait lets the store's time pass.
func (g group[S]) wait(d time.Duration) {
	g.Helper()
	select {
	case <-time.After(d):
	case <-g.ctx().Done():
		g.Fatalf("the check needs more than a minute: %v", context.Cause(g.ctx()))
	}
}

// waitShort waits until an entry with the lifetime short does not exist.
func (g group[S]) waitShort() {
	g.Helper()
	g.wait(short + late + 2*agree)
}
