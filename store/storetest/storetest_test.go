package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
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

// faults are what stores get wrong, with a check that fails then.
var faults = map[string]string{
	"none":                           "",
	"not atomic":                     "one of 64 calls of Add wins",
	"rows found, not rows changed":   "Add does not change an entry that exists",
	"an entry is overwritten":        "Add does not change an entry that exists",
	"lost update":                    "16 writers that repeat Swap until it wins lose no update",
	"any version is swapped":         "Swap does not change an entry of another version",
	"the version stays":              "Swap replaces the value and increments the version",
	"an equal value is no change":    "Swap replaces the value and increments the version",
	"versions continue after an end": "an entry does not exist after its expiry",
	"late expiry":                    "an entry does not exist after its expiry",
	"expired entries are swapped":    "an entry does not exist after its expiry",
	"early expiry":                   "an entry exists until its expiry",
	"a clock that is ahead":          "an entry does not exist after its expiry",
	"a clock that is behind":         "an entry does not exist after its expiry",
	"a past expiry is no error":      "an expiry that has passed is an error, and nothing is stored",
	"Add moves the expiry":           "Add does not move the expiry of an entry that exists",
	"Swap keeps the expiry":          "Swap moves the expiry in both directions",
	"shared memory in":               "the caller may change its slices",
	"shared memory out":              "the caller may change its slices",
	"keys without case":              "keys are compared byte by byte",
	"values are trimmed":             "every byte comes back",
	"64 KiB":                         "512 KiB come back",
	"empty is absent":                "an empty value is not an absent one",
	"absent is an error":             "a key that does not exist has version 0, and Swap returns false",
	"absent told for a failure":      "a call whose context has ended is an error and changes nothing",
	"errors swallowed":               "a call whose context has ended is an error and changes nothing",
	"done beside an error":           "a call whose context has ended is an error and changes nothing",
	"local time":                     "an expiry in twenty years, and one in another time zone",
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
	case "shared memory in":
		return value
	}
	return append([]byte(nil), value...)
}

func (p *plain) expiry(t time.Time) time.Time {
	if p.is("local time") { // the wall clock of another zone, read as one's own
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	}
	return t
}

func (p *plain) past(t time.Time) error {
	if !p.is("a past expiry is no error") && !p.now().Before(t) {
		return errors.New("the expiry has passed")
	}
	return nil
}

func (p *plain) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
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
	if ok && p.is("Add moves the expiry") {
		old.expires = p.expiry(expires)
		p.entries[p.key(key)] = old
	}
	switch {
	case p.is("rows found, not rows changed") && ok:
		return true, nil
	case ok && !p.is("not atomic") && !p.is("an entry is overwritten") && !(p.is("empty is absent") && len(old.value) == 0):
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
		if p.is("absent told for a failure") {
			return nil, 0, nil
		}
		return nil, 0, err
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
	if p.is("the version stays") {
		next.version = e.version
	}
	if p.is("Swap keeps the expiry") {
		next.expires = e.expires
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
	s := &plain{entries: make(map[string]plainEntry), fault: fault}
	storetest.Test(t, func(*testing.T) store.Store { return s })
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	type result struct {
		output string
		err    error
	}
	results := make(map[string]result)
	var mu sync.Mutex
	var all sync.WaitGroup
	for fault := range faults {
		all.Go(func() { // each waits for seconds and does little else
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBroken$", "-test.parallel=64")
			cmd.Env = append(os.Environ(), "STORETEST_FAULT="+fault)
			output, err := cmd.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			results[fault] = result{string(output), err}
		})
	}
	all.Wait()
	for fault, check := range faults {
		t.Run(fault, func(t *testing.T) {
			got := results[fault]
			if check == "" {
				require.NoError(t, got.err, got.output)
				require.NotContains(t, got.output, "no tests to run")
				return
			}
			require.Error(t, got.err, "the kit is content")
			require.Contains(t, got.output, "--- FAIL: TestBroken/"+strings.ReplaceAll(check, " ", "_"), got.output)
		})
	}
}
