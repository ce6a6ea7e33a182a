// Package storetest tests whether a [store.Store] keeps its contract. Run it in
// the tests of every store:
//
//	func TestStore(t *testing.T) {
//		storetest.Test(t, func(t *testing.T) store.Store { return openMyStore(t) })
//	}
//
// The kit needs some seconds, because entries have to expire in the store's own
// time. It leaves no entry behind that lives longer than an hour. The clocks of
// the test and of the store must agree within half a second.
//
// To test a promise that holds across processes or connections, return another
// connection to the same database from each call: the kit runs the contenders
// of one check on several of them. The kit does not test what a store does when
// its database fails.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/store"
)

const (
	contenders = 64
	// handles is how many stores a check with contenders opens.
	handles = 4
	// short is a lifetime for which a check can wait. It is longer than the
	// clocks may differ.
	short = 1500 * time.Millisecond
	// late is how long after its expiry an entry may still be there.
	late = time.Second
)

// Test runs every check as a subtest, and all of them at the same time. It
// calls open several times for each. The stores that open returns must share
// their entries, or each check fails that needs more than one of them. Keys are
// random, so the database need not be empty.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := make(shared, handles)
			for i := range s {
				s[i] = open(t)
			}
			if err := c.run(ctx, s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// shared are stores with the same entries. It is a Store that uses the first.
type shared []store.Store

func (s shared) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	return s[0].Add(ctx, key, value, expires)
}

func (s shared) Get(ctx context.Context, key string) ([]byte, int64, error) {
	return s[0].Get(ctx, key)
}

func (s shared) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (bool, error) {
	return s[0].Swap(ctx, key, version, value, expires)
}

type check struct {
	name string
	run  func(ctx context.Context, s shared) error
}

var checks = []check{
	{"Add sets version 1, and Get returns it as often as it is called", addAndGet},
	{"Add does not change an entry that exists", addTwice},
	{"Swap replaces the value and increments the version", swap},
	{"Swap does not change an entry of another version", swapOther},
	{"a key that does not exist has version 0, and Swap returns false", absent},
	{"one of 64 calls of Add wins", oneAdds},
	{"one of 64 calls of Swap wins", oneSwaps},
	{"one of 64 calls of Add wins after an expiry", oneAddsAgain},
	{"16 writers that repeat Swap until it wins lose no update", noLostUpdate},
	{"Get beside Swap returns a value and its own version", getBesideSwap},
	{"keys are compared byte by byte", byteByByte},
	{"every byte comes back", everyByte},
	{"512 KiB come back", largest},
	{"an empty value is not an absent one", empty},
	{"the caller may change its slices", noSharedMemory},
	{"an expiry that has passed is an error, and nothing is stored", passed},
	{"an entry does not exist after its expiry", expires},
	{"an entry exists until its expiry", livesLong},
	{"Add does not move the expiry of an entry that exists", addKeepsExpiry},
	{"Swap moves the expiry in both directions", swapMovesExpiry},
	{"an expiry in twenty years, and one in another time zone", farExpiry},
	{"a call whose context has ended is an error and changes nothing", ended},
}

// hour is an expiry that no check lives to see.
func hour() time.Time { return time.Now().Add(time.Hour) }

func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// add stores an entry under a new key.
func add(ctx context.Context, s store.Store, value []byte, expires time.Time) (key string, err error) {
	key = newKey()
	return key, wantAdd(ctx, s, key, value, expires, true)
}

func wantAdd(ctx context.Context, s store.Store, key string, value []byte, expires time.Time, want bool) error {
	added, err := s.Add(ctx, key, value, expires)
	return wantOutcome("Add", added, err, want)
}

func wantSwap(
	ctx context.Context, s store.Store, key string, version int64, value []byte, expires time.Time, want bool,
) error {
	swapped, err := s.Swap(ctx, key, version, value, expires)
	return wantOutcome("Swap", swapped, err, want)
}

func wantOutcome(verb string, got bool, err error, want bool) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", verb, err)
	case got != want:
		return fmt.Errorf("%s returned %v, want %v", verb, got, want)
	}
	return nil
}

func wantEntry(ctx context.Context, s store.Store, key string, want []byte, version int64) error {
	value, v, err := s.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("Get: %w", err)
	case v != version:
		return fmt.Errorf("Get returned version %d, want %d", v, version)
	case !bytes.Equal(value, want):
		return fmt.Errorf("Get returned %d bytes that are not the %d bytes stored", len(value), len(want))
	}
	return nil
}

// wantAbsent expects that key does not exist.
func wantAbsent(ctx context.Context, s store.Store, key string) error {
	value, version, err := s.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("Get of a key that does not exist: %w", err)
	case version != 0 || len(value) != 0:
		return fmt.Errorf("Get of a key that does not exist returned version %d and %d bytes", version, len(value))
	}
	return nil
}

func addAndGet(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("value"), hour())
	if err != nil {
		return err
	}
	for _, each := range s {
		for range 3 {
			if err := wantEntry(ctx, each, key, []byte("value"), 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func addTwice(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("first"), hour())
	if err != nil {
		return err
	}
	for _, value := range []string{"second", "first"} { // a database may report an equal row as unchanged, or as found
		for _, each := range s {
			if err := wantAdd(ctx, each, key, []byte(value), hour(), false); err != nil {
				return fmt.Errorf("of a key that exists: %w", err)
			}
		}
	}
	return wantEntry(ctx, s, key, []byte("first"), 1)
}

func swap(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("1"), hour())
	if err != nil {
		return err
	}
	expires := hour()
	for version := int64(1); version < 5; version++ { // the same value and expiry again is a change of the version
		if err := wantSwap(ctx, s[int(version)%len(s)], key, version, []byte("x"), expires, true); err != nil {
			return err
		}
		if err := wantEntry(ctx, s, key, []byte("x"), version+1); err != nil {
			return err
		}
	}
	return nil
}

func swapOther(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("1"), hour())
	if err != nil {
		return err
	}
	if err := wantSwap(ctx, s, key, 1, []byte("2"), hour(), true); err != nil {
		return err
	}
	for _, version := range []int64{-1, 0, 1, 3, 1 << 40} {
		if err := wantSwap(ctx, s, key, version, []byte("x"), hour(), false); err != nil {
			return fmt.Errorf("of version %d where it is 2: %w", version, err)
		}
	}
	return wantEntry(ctx, s, key, []byte("2"), 2)
}

func absent(ctx context.Context, s shared) error {
	key := newKey()
	if err := wantAbsent(ctx, s, key); err != nil {
		return err
	}
	for _, version := range []int64{0, 1} {
		if err := wantSwap(ctx, s, key, version, []byte("x"), hour(), false); err != nil {
			return fmt.Errorf("of a key that does not exist: %w", err)
		}
	}
	return wantAbsent(ctx, s, key)
}

// race runs f for each contender at the same time and returns who won.
func race(n int, f func(i int) (bool, error)) (winners []int, err error) {
	var start, done sync.WaitGroup
	var mu sync.Mutex
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			won, failed := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err = errors.Join(err, failed); won {
				winners = append(winners, i)
			}
		})
	}
	start.Done()
	done.Wait()
	return winners, err
}

func oneOf(winners []int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case len(winners) != 1:
		return 0, fmt.Errorf("%d of the contenders won", len(winners))
	}
	return winners[0], nil
}

func oneAdds(ctx context.Context, s shared) error {
	for range 4 {
		if err := oneAddsOf(ctx, s, newKey(), hour()); err != nil {
			return err
		}
	}
	return nil
}

func oneAddsOf(ctx context.Context, s shared, key string, expires time.Time) error {
	winner, err := oneOf(race(contenders, func(i int) (bool, error) {
		return s[i%len(s)].Add(ctx, key, fmt.Append(nil, i), expires)
	}))
	if err != nil {
		return err
	}
	return wantEntry(ctx, s, key, fmt.Append(nil, winner), 1)
}

func oneSwaps(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("x"), hour())
	if err != nil {
		return err
	}
	for version := int64(1); version < 5; version++ {
		winner, err := oneOf(race(contenders, func(i int) (bool, error) {
			return s[i%len(s)].Swap(ctx, key, version, fmt.Append(nil, i), hour())
		}))
		if err != nil {
			return err
		}
		if err := wantEntry(ctx, s, key, fmt.Append(nil, winner), version+1); err != nil {
			return err
		}
	}
	return nil
}

func oneAddsAgain(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("old"), time.Now().Add(short))
	if err != nil {
		return err
	}
	if err := wait(ctx, short+late); err != nil {
		return err
	}
	return oneAddsOf(ctx, s, key, hour()) // over an expired row that is still stored
}

func noLostUpdate(ctx context.Context, s shared) error {
	const writers, each = 16, 8
	key, err := add(ctx, s, make([]byte, 8), hour())
	if err != nil {
		return err
	}
	_, err = race(writers, func(i int) (bool, error) {
		for range each {
			for swapped := false; !swapped; {
				value, version, err := s[i%len(s)].Get(ctx, key)
				if err != nil || len(value) != 8 {
					return false, fmt.Errorf("Get returned %d bytes: %w", len(value), errors.Join(err, ctx.Err()))
				}
				next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1)
				if swapped, err = s[i%len(s)].Swap(ctx, key, version, next, hour()); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return wantEntry(ctx, s, key, binary.BigEndian.AppendUint64(nil, writers*each), writers*each+1)
}

func getBesideSwap(ctx context.Context, s shared) error {
	const rounds = 200
	key, err := add(ctx, s, []byte("1"), hour())
	if err != nil {
		return err
	}
	_, err = race(4, func(i int) (bool, error) {
		if i == 0 {
			for version := int64(1); version <= rounds; version++ {
				if err := wantSwap(ctx, s, key, version, fmt.Append(nil, version+1), hour(), true); err != nil {
					return false, err
				}
			}
			return true, nil
		}
		for last := int64(0); last <= rounds; {
			value, version, err := s[i%len(s)].Get(ctx, key)
			switch {
			case err != nil:
				return false, err
			case string(value) != fmt.Sprint(version):
				return false, fmt.Errorf("Get returned version %d with the value of version %.20s", version, value)
			case version < last:
				return false, fmt.Errorf("Get returned version %d after version %d", version, last)
			}
			last = version
		}
		return true, nil
	})
	return err
}

func byteByByte(ctx context.Context, s shared) error {
	first := strings.Repeat("a", store.KeyLength-1)
	suffix := newKey()[:20] // the keys of one run
	first = suffix + first[len(suffix):]
	var keys []string
	for _, last := range "aAbB09-_" {
		keys = append(keys, first+string(last))
	}
	keys = append(keys, strings.ToUpper(first)+"a", strings.ToLower(first)+"a")
	stored := make(map[string]bool)
	for _, key := range keys {
		if err := wantAdd(ctx, s, key, []byte(key), hour(), !stored[key]); err != nil {
			return fmt.Errorf("of a key that differs from others in its last byte or in case: %w", err)
		}
		stored[key] = true
	}
	for _, key := range keys {
		if err := wantEntry(ctx, s, key, []byte(key), 1); err != nil {
			return err
		}
	}
	return nil
}

func everyByte(ctx context.Context, s shared) error {
	value := make([]byte, 0, 1<<16)
	for i := range 256 {
		value = append(value, byte(i), 0, byte(255-i))
	}
	value = append(append([]byte(" \n"), value...), " \x00\xff\n "...)
	key, err := add(ctx, s, value, hour())
	if err != nil {
		return err
	}
	return wantEntry(ctx, s, key, value, 1)
}

func largest(ctx context.Context, s shared) error {
	value := make([]byte, store.MaxValue)
	rand.Read(value) //nolint:errcheck // never fails
	key, err := add(ctx, s, value, hour())
	if err != nil {
		return err
	}
	if err := wantEntry(ctx, s, key, value, 1); err != nil {
		return err
	}
	value[0] ^= 1
	if err := wantSwap(ctx, s, key, 1, value, hour(), true); err != nil {
		return err
	}
	return wantEntry(ctx, s, key, value, 2)
}

func empty(ctx context.Context, s shared) error {
	for _, value := range [][]byte{nil, {}} {
		key, err := add(ctx, s, value, hour())
		if err != nil {
			return err
		}
		if err := wantEntry(ctx, s, key, nil, 1); err != nil {
			return err
		}
		if err := wantAdd(ctx, s, key, []byte("x"), hour(), false); err != nil {
			return err
		}
	}
	return nil
}

func noSharedMemory(ctx context.Context, s shared) error {
	value := []byte("value")
	key, err := add(ctx, s, value, hour())
	if err != nil {
		return err
	}
	value[0] = 'X'
	got, _, err := s.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	if string(got) != "value" {
		return fmt.Errorf("the caller's change of its slice is in the store: %q", got)
	}
	got[0] = 'X'
	if err := wantEntry(ctx, s, key, []byte("value"), 1); err != nil {
		return fmt.Errorf("after a change of what Get returned: %w", err)
	}
	value = []byte("again")
	if err := wantSwap(ctx, s, key, 1, value, hour(), true); err != nil {
		return err
	}
	value[0] = 'X'
	return wantEntry(ctx, s, key, []byte("again"), 2)
}

func passed(ctx context.Context, s shared) error {
	key := newKey()
	now := time.Now()
	for _, expires := range []time.Time{now.Add(-time.Minute), now.Add(-24 * time.Hour), time.Unix(0, 0)} {
		if added, err := s.Add(ctx, key, []byte("x"), expires); err == nil || added {
			return fmt.Errorf("Add with an expiry that has passed returned %v, %v", added, err)
		}
		if err := wantAbsent(ctx, s, key); err != nil {
			return err
		}
	}
	if err := wantAdd(ctx, s, key, []byte("value"), hour(), true); err != nil {
		return err
	}
	if swapped, err := s.Swap(ctx, key, 1, []byte("x"), time.Now().Add(-time.Minute)); err == nil || swapped {
		return fmt.Errorf("Swap with an expiry that has passed returned %v, %v", swapped, err)
	}
	return wantEntry(ctx, s, key, []byte("value"), 1)
}

// wait lets the store's time pass.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func expires(ctx context.Context, s shared) error {
	read, err := add(ctx, s, []byte("x"), time.Now().Add(short))
	if err != nil {
		return err
	}
	unread, err := add(ctx, s, []byte("x"), time.Now().Add(short))
	if err != nil {
		return err
	}
	if err := wait(ctx, short+late); err != nil {
		return err
	}
	if err := wantAbsent(ctx, s, read); err != nil {
		return fmt.Errorf("%v after its expiry: %w", late, err)
	}
	for _, key := range []string{unread, read} {
		if err := wantSwap(ctx, s, key, 1, []byte("y"), hour(), false); err != nil {
			return fmt.Errorf("of an entry that has expired: %w", err)
		}
		if err := wantAdd(ctx, s, key, []byte("new"), hour(), true); err != nil {
			return fmt.Errorf("of a key whose entry has expired: %w", err)
		}
		if err := wantEntry(ctx, s, key, []byte("new"), 1); err != nil {
			return err
		}
	}
	return nil
}

func livesLong(ctx context.Context, s shared) error {
	end := time.Now().Add(2 * short)
	key, err := add(ctx, s, []byte("x"), end)
	if err != nil {
		return err
	}
	for {
		err := wantEntry(ctx, s, key, []byte("x"), 1)
		if time.Until(end) < short/3 { // the clocks may differ
			return nil
		}
		if err != nil {
			return fmt.Errorf("%v before its expiry: %w", time.Until(end), err)
		}
		if err := wait(ctx, short/3); err != nil {
			return err
		}
	}
}

func addKeepsExpiry(ctx context.Context, s shared) error {
	expiring, err := add(ctx, s, []byte("x"), time.Now().Add(short))
	if err != nil {
		return err
	}
	lasting, err := add(ctx, s, []byte("x"), hour())
	if err != nil {
		return err
	}
	if err := wantAdd(ctx, s, expiring, []byte("x"), hour(), false); err != nil {
		return err
	}
	if err := wantAdd(ctx, s, lasting, []byte("x"), time.Now().Add(short), false); err != nil {
		return err
	}
	if err := wait(ctx, short+late); err != nil {
		return err
	}
	if err := wantEntry(ctx, s, lasting, []byte("x"), 1); err != nil {
		return fmt.Errorf("added again with an earlier expiry: %w", err)
	}
	if err := wantAbsent(ctx, s, expiring); err != nil {
		return fmt.Errorf("added again with a later expiry: %w", err)
	}
	return nil
}

func swapMovesExpiry(ctx context.Context, s shared) error {
	longer, err := add(ctx, s, []byte("x"), time.Now().Add(short))
	if err != nil {
		return err
	}
	if err := wantSwap(ctx, s, longer, 1, []byte("x"), hour(), true); err != nil {
		return err
	}
	shorter, err := add(ctx, s, []byte("x"), hour())
	if err != nil {
		return err
	}
	if err := wantSwap(ctx, s, shorter, 1, []byte("x"), time.Now().Add(short), true); err != nil {
		return err
	}
	if err := wait(ctx, short+late); err != nil {
		return err
	}
	if err := wantEntry(ctx, s, longer, []byte("x"), 2); err != nil {
		return fmt.Errorf("whose expiry was moved later: %w", err)
	}
	if err := wantAbsent(ctx, s, shorter); err != nil {
		return fmt.Errorf("whose expiry was moved earlier: %w", err)
	}
	return nil
}

func farExpiry(ctx context.Context, s shared) error {
	for _, expires := range []time.Time{
		time.Now().AddDate(20, 0, 0), time.Now().Add(time.Minute).In(time.FixedZone("", 14*60*60)),
		time.Now().Add(time.Minute).In(time.FixedZone("", -12*60*60)), time.Now().Add(time.Minute).UTC(),
	} {
		key, err := add(ctx, s, []byte("x"), expires)
		if err != nil {
			return err
		}
		if err := wantEntry(ctx, s, key, []byte("x"), 1); err != nil {
			return fmt.Errorf("with expiry %v: %w", expires, err)
		}
		soon := time.Now().Add(time.Minute) // nothing stays for long
		if err := wantSwap(ctx, s, key, 1, nil, soon, true); err != nil {
			return err
		}
	}
	return nil
}

func ended(ctx context.Context, s shared) error {
	key, err := add(ctx, s, []byte("x"), hour())
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	other := newKey()
	if added, err := s.Add(over, other, []byte("x"), hour()); err == nil || added {
		return fmt.Errorf("Add returned %v, %v", added, err)
	}
	if _, version, err := s.Get(over, key); err == nil || version != 0 {
		return fmt.Errorf("Get returned version %d, %v: a failure is not an absent entry", version, err)
	}
	if swapped, err := s.Swap(over, key, 1, []byte("y"), hour()); err == nil || swapped {
		return fmt.Errorf("Swap returned %v, %v", swapped, err)
	}
	return errors.Join(wantAbsent(ctx, s, other), wantEntry(ctx, s, key, []byte("x"), 1))
}
