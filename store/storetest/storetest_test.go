package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	s, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	storetest.Test(t, func(*testing.T) store.Store { return s })
	storetest.TestIndex(t, func(*testing.T) store.Index { return s })
}

// A plain store is right unless one of its faults is on.
type plain struct {
	mu      sync.Mutex
	entries map[string]plainEntry
	fault   string
}

type plainEntry struct {
	value   []byte
	version int64
	expires time.Time
}

// faults are the mistakes of stores, each with a check that finds it. The kit
// accepts those without a check.
var faults = map[string]string{
	"none":                                "",
	"whole seconds, rounded up":           "",
	"false for a past expiry, if it lost": "",
	"unshared stores":                     sharing,
	"no store":                            sharing,
	"not atomic":                          "one of 64 calls of Add wins",
	"rows found, not rows changed":        "Add does not change an entry that exists",
	"an entry is overwritten":             "Add does not change an entry that exists",
	"lost update":                         "16 writers that repeat Swap until it wins lose no update",
	"any version is swapped":              "Swap does not change an entry of another version",
	"the version stays":                   "Swap replaces the value and increments the version",
	"the version is one byte":             "Get during 300 calls of Swap returns a value and its own version",
	"large values are stored in parts":    "Get during 300 calls of Swap returns a value and its own version",
	"an equal value is no change":         "Swap replaces the value and increments the version",
	"versions continue after an end":      "an entry does not exist after its expiry",
	"late expiry":                         "an entry does not exist after its expiry",
	"expired entries are swapped":         "an entry does not exist after its expiry",
	"early expiry":                        "an entry exists until its expiry",
	"early expiry by 300 ms":              "an entry exists until its expiry",
	"Add replaces 300 ms too early":       "an entry exists until its expiry",
	"whole seconds, rounded down":         "an entry exists until its expiry",
	"whole seconds, to the nearest":       "an entry exists until its expiry",
	"a clock that is ahead":               "an entry does not exist after its expiry",
	"a clock that is behind":              "an entry does not exist after its expiry",
	"a past expiry is no error":           past,
	"a past expiry ends the entry":        past,
	"a recent expiry is not past":         past,
	"Add moves the expiry":                "Add does not move the expiry of an entry that exists",
	"Swap keeps the expiry":               "Swap moves the expiry in both directions",
	"shared memory in":                    "the caller may change its slices",
	"shared memory out":                   "the caller may change its slices",
	"keys without case":                   "keys are compared byte by byte",
	"values are trimmed":                  "every byte comes back",
	"trailing zero bytes are trimmed":     "every byte comes back",
	"64 KiB":                              "512 KiB come back",
	"empty is absent":                     "an empty value is not an absent one",
	"nil is an error":                     "an empty value is not an absent one",
	"absent is an error":                  "a key that does not exist has version 0, and Swap returns false",
	"absent told for a failure":           over,
	"absent told for a passed deadline":   over,
	"absent told for a failed call":       "Get returns an error or the entry if its context ends during the call",
	"errors swallowed":                    over,
	"done beside an error":                over,
	"local time":                          "an expiry in twenty years, and one in another time zone",
}

const (
	sharing = "the stores that open returns share their entries"
	past    = "an expiry that has passed is an error, and nothing is stored"
	over    = "a call whose context has ended is an error and changes nothing"
)

// messages are parts of what the kit reports about a fault.
var messages = map[string]string{
	"unshared stores":              "the stores that open returns do not share entries",
	"no store":                     "open returned a nil store",
	"rows found, not rows changed": "Add of a key that exists returned true and the error <nil>, want false and no error",
	"values are trimmed":           `bytes with "`,
	"shared memory in":             `Get after a change of the slice that Add received returned "Xalue" of version 1`,
	"local time":                   "Get with an expiry",
}

func (p *plain) is(fault string) bool { return p.fault == fault }

func (p *plain) key(key string) string {
	if p.is("keys without case") {
		return strings.ToLower(key)
	}
	return key
}

func (p *plain) now() time.Time {
	switch p.fault {
	case "a clock that is ahead":
		return time.Now().Add(5 * time.Second)
	case "a clock that is behind", "late expiry":
		return time.Now().Add(-5 * time.Second)
	case "early expiry":
		return time.Now().Add(1400 * time.Millisecond)
	case "early expiry by 300 ms":
		return time.Now().Add(300 * time.Millisecond)
	}
	return time.Now()
}

func (p *plain) failed(ctx context.Context) error {
	if p.is("errors swallowed") || p.is("done beside an error") {
		return nil
	}
	return ctx.Err()
}

// live returns the entry that exists. The caller has the lock.
func (p *plain) live(key string) (plainEntry, bool) {
	e, ok := p.entries[p.key(key)]
	return e, ok && p.now().Before(e.expires)
}

func (p *plain) stored(value []byte) []byte {
	switch p.fault {
	case "values are trimmed":
		return []byte(strings.TrimSpace(string(value)))
	case "64 KiB":
		return append([]byte(nil), value[:min(len(value), 64<<10)]...)
	case "trailing zero bytes are trimmed":
		return []byte(strings.TrimRight(string(value), "\x00"))
	case "shared memory in":
		return value
	}
	return append([]byte(nil), value...)
}

func (p *plain) expiry(t time.Time) time.Time {
	switch p.fault {
	case "local time": // the wall clock of another zone, read as one's own
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	case "whole seconds, rounded down":
		return time.Unix(t.Unix(), 0)
	case "whole seconds, rounded up":
		return time.Unix(t.Unix()+1, 0)
	case "whole seconds, to the nearest":
		return t.Round(time.Second)
	}
	return t
}

func (p *plain) past(t time.Time) error {
	now := p.now()
	if p.is("a recent expiry is not past") {
		now = now.Add(-30 * time.Second)
	}
	if !p.is("a past expiry is no error") && !now.Before(t) {
		return errors.New("the expiry has passed")
	}
	return nil
}

// early applies the faults of calls with a past expiry. It reports whether the
// call returns false before it checks the expiry.
func (p *plain) early(key string, version int64, expires time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.live(key)
	switch {
	case p.past(expires) == nil:
	case p.is("a past expiry ends the entry"):
		delete(p.entries, p.key(key))
	case p.is("false for a past expiry, if it lost"):
		return ok && e.version != version
	}
	return false
}

func (p *plain) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	if p.early(key, 0, expires) {
		return false, nil
	}
	if p.is("nil is an error") && value == nil {
		return false, errors.New("the column is not null")
	}
	if err := errors.Join(p.failed(ctx), p.past(expires)); err != nil {
		return false, err
	}
	if p.is("not atomic") { // looks, and then writes
		p.mu.Lock()
		_, ok := p.live(key)
		p.mu.Unlock()
		if ok {
			return false, nil
		}
		time.Sleep(time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.live(key)
	if p.is("Add replaces 300 ms too early") {
		ok = ok && time.Until(old.expires) > 300*time.Millisecond
	}
	if ok && p.is("Add moves the expiry") {
		old.expires = p.expiry(expires)
		p.entries[p.key(key)] = old
	}
	switch {
	case p.is("rows found, not rows changed") && ok:
		return true, nil
	case ok && !p.is("not atomic") && !p.is("an entry is overwritten") &&
		!(p.is("empty is absent") && len(old.value) == 0):
		return false, nil
	}
	version := int64(1)
	if p.is("versions continue after an end") {
		version = p.entries[p.key(key)].version + 1
	}
	p.entries[p.key(key)] = plainEntry{p.stored(value), version, p.expiry(expires)}
	if p.is("done beside an error") {
		return true, ctx.Err()
	}
	return true, nil
}

func (p *plain) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := p.failed(ctx); err != nil {
		if p.is("absent told for a failure") ||
			p.is("absent told for a passed deadline") && errors.Is(err, context.DeadlineExceeded) {
			return nil, 0, nil
		}
		return nil, 0, err
	}
	if p.is("absent told for a failed call") {
		select {
		case <-ctx.Done():
			return nil, 0, nil
		case <-time.After(time.Millisecond):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.live(key)
	if !ok {
		if p.is("absent is an error") {
			return nil, 0, errors.New("not found")
		}
		return nil, 0, nil
	}
	if p.is("shared memory out") {
		return e.value, e.version, nil
	}
	return append([]byte(nil), e.value...), e.version, nil
}

func (p *plain) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (bool, error) {
	if p.early(key, version, expires) {
		return false, nil
	}
	if err := errors.Join(p.failed(ctx), p.past(expires)); err != nil {
		return false, err
	}
	if p.is("lost update") {
		p.mu.Lock()
		e, ok := p.live(key)
		p.mu.Unlock()
		if !ok || e.version != version {
			return false, nil
		}
		time.Sleep(time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.live(key)
	if p.is("expired entries are swapped") {
		e, ok = p.entries[p.key(key)]
	}
	switch {
	case !ok, e.version != version && !p.is("any version is swapped") && !p.is("lost update"):
		return false, nil
	case p.is("an equal value is no change") && string(e.value) == string(value):
		return false, nil
	}
	next := plainEntry{p.stored(value), e.version + 1, p.expiry(expires)}
	switch p.fault {
	case "the version stays":
		next.version = e.version
	case "the version is one byte":
		next.version = e.version%255 + 1
	}
	if p.is("Swap keeps the expiry") {
		next.expires = e.expires
	}
	if p.is("large values are stored in parts") && len(value) > 1<<10 {
		p.entries[p.key(key)] = plainEntry{next.value[:1<<10], next.version, next.expires}
		p.mu.Unlock()
		time.Sleep(time.Millisecond)
		p.mu.Lock()
	}
	p.entries[p.key(key)] = next
	return true, nil
}

// TestBroken runs the kit on the store whose fault the environment names. It is
// for TestFaultsAreFound, which runs it in a process of its own.
func TestBroken(t *testing.T) {
	fault, ok := os.LookupEnv("STORETEST_FAULT")
	if !ok {
		return
	}
	open := func(*testing.T) store.Store { return &plain{entries: make(map[string]plainEntry), fault: fault} }
	s := open(t)
	storetest.Test(t, func(t *testing.T) store.Store {
		switch fault {
		case "no store":
			return nil
		case "unshared stores":
			return open(t)
		}
		return s
	})
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	results := runBroken(t, "TestBroken", faults)
	for fault, check := range faults {
		t.Run(fault, func(t *testing.T) {
			got := results[fault]
			requireFound(t, got, "TestBroken", check)
			require.Contains(t, got.output, messages[fault])
			if check != "" && check != sharing {
				require.NotContains(t, got.output, "storetest.go", "each message names the line of its check")
			}
		})
	}
}

// A slowStore is a store whose calls are slow until a time.
type slowStore struct {
	store.Store
	until time.Time
}

func (s slowStore) wait() {
	if time.Now().Before(s.until) {
		time.Sleep(300 * time.Millisecond)
	}
}

func (s slowStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	s.wait()
	return s.Store.Get(ctx, key)
}

func (s slowStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	s.wait()
	return s.Store.Add(ctx, key, value, expires)
}

// A call that takes longer than the time in which an early expiry can be seen
// does not see it.
func TestTheKitPassesOnlyIfItLooked(t *testing.T) {
	get, add := storetest.GetLooks, storetest.AddLooks
	for _, tc := range []struct {
		name, fault string
		slow        time.Duration
		look        func(context.Context, store.Store, string) error
		want        string // part of the error
	}{
		{"a fast store without a fault, Get", "none", 0, get, ""},
		{"a fast store without a fault, Add", "none", 0, add, ""},
		{"a fast store, Get is early", "early expiry by 300 ms", 0, get, "Get returned version 0"},
		{"a fast store, Add is early", "Add replaces 300 ms too early", 0, add, "Add replaced an entry"},
		{"a store that is slow at first, Get", "none", 4 * time.Second, get, ""},
		{"a store that is slow at first, Get is early", "early expiry by 300 ms", 4 * time.Second, get, "Get returned version 0"},
		{"a store that is slow at first, Add is early", "Add replaces 300 ms too early", 4 * time.Second, add, "Add replaced an entry"},
		{"a slow store, Get", "none", time.Hour, get, storetest.TooSlow},
		{"a slow store, Add", "none", time.Hour, add, storetest.TooSlow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := slowStore{&plain{entries: make(map[string]plainEntry), fault: tc.fault}, time.Now().Add(tc.slow)}
				err := storetest.Lives(t.Context(), s, tc.look)
				if tc.want == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, tc.want)
			})
		})
	}
}

type result struct {
	output string
	err    error
}

// running bounds the processes of all calls of runBroken, because more of them
// would be late for the expiries that they observe.
var running = make(chan struct{}, 24)

// runBroken runs a test for each fault, in processes of their own.
func runBroken(t *testing.T, test string, faults map[string]string) map[string]result {
	self, err := os.Executable()
	require.NoError(t, err)
	results := make(map[string]result)
	var mu sync.Mutex
	var all sync.WaitGroup
	for fault := range faults {
		all.Go(func() {
			running <- struct{}{}
			defer func() { <-running }()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+test+"$", "-test.parallel=64")
			cmd.Env = append(os.Environ(), "STORETEST_FAULT="+fault)
			output, err := cmd.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			results[fault] = result{string(output), err}
		})
	}
	all.Wait()
	return results
}

// requireFound requires that a check of a test has failed. If check is empty,
// the test must have passed.
func requireFound(t *testing.T, got result, test, check string) {
	t.Helper()
	if check == "" {
		require.NoError(t, got.err, got.output)
		require.NotContains(t, got.output, "no tests to run")
		return
	}
	require.Error(t, got.err, "the kit is content")
	require.Contains(t, got.output, "--- FAIL: "+test+"/"+strings.ReplaceAll(check, " ", "_"), got.output)
	require.NotContains(t, got.output, "%!", "a message with a wrong verb")
	if strings.Contains(check, "exists until its expiry") {
		require.NotContains(t, got.output, storetest.TooSlow, "the check did not look")
	}
}
