package storetest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/store"
)

var checks = []check[kit]{
	{"Add sets version 1, and Get returns it as often as it is called", addAndGet},
	{"Add does not change an entry that exists", addTwice},
	{"Swap replaces the value and increments the version", swap},
	{"Swap does not change an entry of another version", swapOther},
	{"a key that does not exist has version 0, and Swap returns false", absent},
	{"one of 64 calls of Add wins", oneAdds},
	{"one of 64 calls of Swap wins", oneSwaps},
	{"one of 64 calls of Add wins after an expiry", oneAddsAgain},
	{"16 writers that repeat Swap until it wins lose no update", noLostUpdate},
	{"Get during 300 calls of Swap returns a value and its own version", getDuringSwap},
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
	{"Get returns an error or the entry if its context ends during the call", endsDuringGet},
}

func addAndGet(k kit) {
	key := k.add("value", hour())
	for i := range handles {
		for range 3 {
			k.on(i).wantEntry("of an entry", key, "value", 1)
		}
	}
}

func addTwice(k kit) {
	key := k.add("first", hour())
	for _, value := range []string{"second", "first"} { // a database may report an equal row as unchanged or found
		for i := range handles {
			k.on(i).wantAdd("of a key that exists", key, value, hour(), false)
		}
	}
	k.wantEntry("after Add returned false", key, "first", 1)
}

func swap(k kit) {
	key := k.add("1", hour())
	expires := hour()
	for version := int64(1); version < 5; version++ { // the same value and expiry again is a change of the version
		k.on(int(version)).wantSwap("of the current version", key, version, "x", expires, true)
		k.wantEntry("after Swap", key, "x", version+1)
	}
}

func swapOther(k kit) {
	key := k.add("1", hour())
	k.wantSwap("of the current version", key, 1, "2", hour(), true)
	for _, version := range []int64{-1, 0, 1, 3, 1 << 40} {
		k.wantSwap(fmt.Sprintf("of version %d where it is 2", version), key, version, "x", hour(), false)
	}
	k.wantEntry("after Swap returned false", key, "2", 2)
}

func absent(k kit) {
	key := newKey()
	k.wantAbsent("of a key that does not exist", key)
	for _, version := range []int64{0, 1} {
		k.wantSwap("of a key that does not exist", key, version, "x", hour(), false)
	}
	k.wantAbsent("after Swap returned false", key)
}

func oneAdds(k kit) {
	for range 4 {
		oneAddsOf(k, newKey())
	}
}

func oneAddsOf(k kit, key string) {
	k.Helper()
	value := k.oneWins("Add", func(s store.Store, value []byte) (bool, error) {
		return s.Add(k.ctx(), key, value, hour())
	})
	k.wantEntry("after concurrent calls of Add", key, value, 1)
}

func oneSwaps(k kit) {
	key := k.add("x", hour())
	for version := int64(1); version < 5; version++ {
		value := k.oneWins("Swap", func(s store.Store, value []byte) (bool, error) {
			return s.Swap(k.ctx(), key, version, value, hour())
		})
		k.wantEntry("after concurrent calls of Swap", key, value, version+1)
	}
}

func oneAddsAgain(k kit) {
	key := k.add("old", time.Now().Add(short))
	k.waitShort()
	oneAddsOf(k, key) // over an expired row that is still stored
}

func noLostUpdate(k kit) {
	const writers, each = 16, 8
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	key := k.add(string(number(0)), hour())
	k.race(writers, func(_ int, s store.Store) (bool, error) {
		for range each {
			for swapped := false; !swapped; {
				value, version, err := s.Get(k.ctx(), key)
				switch {
				case err != nil:
					return false, fmt.Errorf("Get: %w", err)
				case len(value) != 8:
					return false, fmt.Errorf("Get returned %d bytes of version %d, want 8 bytes", len(value), version)
				}
				next := number(binary.BigEndian.Uint64(value) + 1)
				if swapped, err = s.Swap(k.ctx(), key, version, next, hour()); err != nil {
					return false, fmt.Errorf("Swap: %w", err)
				}
			}
		}
		return true, nil
	})
	k.wantEntry("after all writers", key, string(number(writers*each)), writers*each+1)
}

// getDuringSwap also finds versions that are stored in one byte. It has some
// large values, which a database may store in parts. It continues until Get was
// called during the calls of Swap.
func getDuringSwap(k kit) {
	const rounds = 300
	valueOf := func(version int64) string {
		if version%15 == 0 {
			return strings.Repeat(fmt.Sprintf("%8d", version), 32<<10)
		}
		return fmt.Sprint(version)
	}
	key := k.add("1", hour())
	var ended atomic.Bool
	var reads atomic.Int64
	version := int64(1)
	k.race(4, func(i int, s store.Store) (bool, error) {
		if i == 0 {
			defer ended.Store(true)
			for ; version <= rounds || reads.Load() < concurrentReads; version++ {
				swapped, err := s.Swap(k.ctx(), key, version, []byte(valueOf(version+1)), hour())
				if err != nil || !swapped {
					return false, fmt.Errorf("Swap of version %d returned %v and the error %v", version, swapped, err)
				}
			}
			return true, nil
		}
		defer reads.Add(concurrentReads) // a call that failed ends the check
		for last := int64(0); !ended.Load(); reads.Add(1) {
			value, version, err := s.Get(k.ctx(), key)
			switch {
			case err != nil:
				return false, fmt.Errorf("Get: %w", err)
			case string(value) != valueOf(version):
				return false, fmt.Errorf("Get returned version %d with the value %.20q of %d bytes",
					version, value, len(value))
			case version < last:
				return false, fmt.Errorf("Get returned version %d after version %d", version, last)
			}
			last = version
		}
		return true, nil
	})
	k.wantEntry("after all calls of Swap", key, valueOf(version), version)
}

func byteByByte(k kit) {
	first := strings.Repeat("a", store.KeyLength-1)
	prefix := newKey()[:20] // the keys of one run
	first = prefix + first[len(prefix):]
	var keys []string
	for _, last := range "aAbB09-_" {
		keys = append(keys, first+string(last))
	}
	keys = append(keys, strings.ToUpper(first)+"a", strings.ToLower(first)+"a")
	stored := make(map[string]bool)
	for _, key := range keys {
		k.wantAdd("of a key that differs from others in its last byte or in case", key, key, hour(), !stored[key])
		stored[key] = true
	}
	for _, key := range keys {
		k.wantEntry("of a key that differs from others in its last byte or in case", key, key, 1)
	}
}

func everyByte(k kit) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i), 0, byte(255-i))
	}
	for _, value := range []string{
		" \n" + string(all) + " \x00\xff\n ", // no byte is trimmed, replaced or the end
		string(all) + "\x00\x00", "value\x00", "\x00", "value",
	} {
		key := k.add(value, hour())
		k.wantEntry("after Add", key, value, 1)
		k.wantSwap("of the current version", key, 1, value, hour(), true)
		k.wantEntry("after Swap", key, value, 2)
	}
}

func largest(k kit) {
	value := make([]byte, store.MaxValue)
	rand.Read(value) //nolint:errcheck // never fails
	key := k.add(string(value), hour())
	k.wantEntry("of a value of 512 KiB", key, string(value), 1)
	value[0] ^= 1
	k.wantSwap("to a value of 512 KiB", key, 1, string(value), hour(), true)
	k.wantEntry("of a value of 512 KiB", key, string(value), 2)
}

func empty(k kit) {
	for name, value := range map[string][]byte{"a nil value": nil, "an empty value": {}} {
		key := newKey()
		added, err := k.Add(k.ctx(), key, value, hour())
		k.wantOutcome("Add of "+name, added, err, true)
		k.wantEntry("of "+name, key, "", 1)
		k.wantAdd("of a key that has "+name, key, "x", hour(), false)
		swapped, err := k.Swap(k.ctx(), key, 1, value, hour())
		k.wantOutcome("Swap to "+name, swapped, err, true)
		k.wantEntry("after Swap to "+name, key, "", 2)
	}
}

func noSharedMemory(k kit) {
	key, value := newKey(), []byte("value")
	added, err := k.Add(k.ctx(), key, value, hour())
	k.wantOutcome("Add", added, err, true)
	value[0] = 'X'
	k.wantEntry("after a change of the slice that Add received", key, "value", 1)
	got, _, err := k.Get(k.ctx(), key)
	if err != nil || len(got) == 0 {
		k.Fatalf("Get returned %q and the error %v, want \"value\" and no error", got, err)
	}
	got[0] = 'X'
	k.wantEntry("after a change of the slice that Get returned", key, "value", 1)
	value = []byte("again")
	swapped, err := k.Swap(k.ctx(), key, 1, value, hour())
	k.wantOutcome("Swap", swapped, err, true)
	value[0] = 'X'
	k.wantEntry("after a change of the slice that Swap received", key, "again", 2)
}

// passed accepts false for a call that returns false with any expiry. A store
// with one statement for each call cannot tell the two reasons apart.
func passed(k kit) {
	key := newKey()
	var past []time.Time
	for _, ago := range []time.Duration{2 * time.Second, time.Minute, 24 * time.Hour} {
		past = append(past, time.Now().Add(-ago))
	}
	past = append(past, time.Unix(0, 0))
	for _, expires := range past {
		added, err := k.Add(k.ctx(), key, []byte("x"), expires)
		k.wantError(fmt.Sprintf("Add with the past expiry %v", expires), added, err)
		k.wantAbsent("after Add with a past expiry", key)
	}
	k.wantAdd("of the same key", key, "value", hour(), true)
	for _, expires := range past {
		if added, _ := k.Add(k.ctx(), key, []byte("x"), expires); added {
			k.Fatalf("Add of a key that exists, with the past expiry %v, returned true", expires)
		}
		swapped, err := k.Swap(k.ctx(), key, 1, []byte("x"), expires)
		k.wantError(fmt.Sprintf("Swap with the past expiry %v", expires), swapped, err)
		if swapped, _ := k.Swap(k.ctx(), key, 2, []byte("x"), expires); swapped {
			k.Fatalf("Swap of another version, with the past expiry %v, returned true", expires)
		}
		k.wantEntry("after Add and Swap with a past expiry", key, "value", 1)
	}
}

func expires(k kit) {
	read, unread := k.add("x", time.Now().Add(short)), k.add("x", time.Now().Add(short))
	k.waitShort()
	k.wantAbsent("after the expiry", read)
	for _, key := range []string{unread, read} {
		k.wantSwap("of an entry that has expired", key, 1, "y", hour(), false)
		k.wantAdd("of a key whose entry has expired", key, "new", hour(), true)
		k.wantEntry("of a key that was added after an expiry", key, "new", 1)
	}
}

func livesLong(k kit) {
	k.race(4, func(i int, s store.Store) (bool, error) {
		look := []func(context.Context, store.Store, string) error{getLooks, addLooks}[i/2]
		return true, untilLooked(func() (looked bool, err error) { return livesUntil(k.ctx(), s, lateIn(i%2), look) })
	})
}

// livesUntil calls look with the key of an entry until its expiry is near.
func livesUntil(
	ctx context.Context, s store.Store, end time.Time, look func(context.Context, store.Store, string) error,
) (looked bool, err error) {
	key := newKey()
	if added, err := s.Add(ctx, key, []byte("x"), end); err != nil || !added {
		return false, fmt.Errorf("Add with the expiry %v returned %v and the error %v", end, added, err)
	}
	return until(end, func() error { return look(ctx, s, key) })
}

func getLooks(ctx context.Context, s store.Store, key string) error {
	switch _, version, err := s.Get(ctx, key); {
	case err != nil:
		return fmt.Errorf("Get: %w", err)
	case version != 1:
		return fmt.Errorf("Get returned version %d, want 1", version)
	}
	return nil
}

func addLooks(ctx context.Context, s store.Store, key string) error {
	switch added, err := s.Add(ctx, key, []byte("y"), hour()); {
	case err != nil:
		return fmt.Errorf("Add of a key that exists: %w", err)
	case added:
		return errors.New("Add replaced an entry")
	}
	return nil
}

func addKeepsExpiry(k kit) {
	lasting, expiring := k.add("x", hour()), ""
	k.wantAdd("of a key that exists", lasting, "x", time.Now().Add(short), false)
	k.inTime(func(expires time.Time) error {
		expiring = k.add("x", expires)
		added, err := k.Add(k.ctx(), expiring, []byte("x"), hour())
		return outcome("Add of a key that exists", added, err, false)
	})
	k.waitShort()
	k.wantEntry("of an entry that was added again with an earlier expiry", lasting, "x", 1)
	k.wantAbsent("after the expiry of an entry that was added again with a later one", expiring)
}

func swapMovesExpiry(k kit) {
	var longer string
	k.inTime(func(expires time.Time) error {
		longer = k.add("x", expires)
		swapped, err := k.Swap(k.ctx(), longer, 1, []byte("x"), hour())
		return outcome("Swap to a later expiry", swapped, err, true)
	})
	shorter := k.add("x", hour())
	k.wantSwap("to an earlier expiry", shorter, 1, "x", time.Now().Add(short), true)
	k.waitShort()
	k.wantEntry("of an entry with a later expiry", longer, "x", 2)
	k.wantAbsent("of an entry with an earlier expiry", shorter)
}

func farExpiry(k kit) {
	for name, expires := range farExpiries() {
		key := newKey()
		k.wantAdd(name, key, "x", expires, true)
		k.wantEntry(name, key, "x", 1)
		k.wantSwap("of an entry "+name, key, 1, "", time.Now().Add(time.Minute), true) // nothing stays for long
	}
}

func ended(k kit) {
	key, other := k.add("x", hour()), newKey()
	for name, over := range k.over() {
		added, err := k.Add(over, other, []byte("x"), hour())
		k.wantError("Add with "+name, added, err)
		if _, version, err := k.Get(over, key); err == nil || version != 0 {
			k.Fatalf("Get with %s returned version %d and the error %v, want an error, because "+
				"a failure is not an absent entry", name, version, err)
		}
		swapped, err := k.Swap(over, key, 1, []byte("y"), hour())
		k.wantError("Swap with "+name, swapped, err)
		k.wantAbsent("after Add with "+name, other)
		k.wantEntry("after Swap with "+name, key, "x", 1)
	}
}

func endsDuringGet(k kit) {
	key := k.add("x", hour())
	k.endingDuring(func(ctx context.Context, d time.Duration) {
		if value, version, err := k.Get(ctx, key); err == nil && (version != 1 || string(value) != "x") {
			k.Fatalf("Get returned %q, version %d and no error when its context ended after %v, "+
				"want an error, because a failure is not an absent entry", value, version, d)
		}
	})
	k.wantEntry("after calls whose context has ended", key, "x", 1)
}
