// Package memstore implements the verbs of package store in the memory of one
// process. A Store is bounded in entries and in bytes, and shares its room
// fairly among the clients that fill it.
//
// The context of Add names the owner of the new entry, see expiring.WithOwner.
// An owner can use as much room as is still free. A single owner therefore
// fills half of the bounds, two owners fill a third each, and another owner
// always finds room. Entries without an owner are bounded only by the whole.
//
// Packages use it if their configuration has no store. Store.NewMemory returns
// it to hosts.
package memstore

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// Limits of the contract, see package store.
const (
	KeyLength = 43
	MaxValue  = 512 << 10
)

// Errors of a [Store]. Nothing was changed.
var (
	// ErrFull reports that live entries fill the store.
	ErrFull = errors.New("store: full of live entries")
	// ErrShare is an ErrFull that affects only the owner of the entry.
	ErrShare = fmt.Errorf("%w: the share of one client", ErrFull)
	// ErrInvalid reports a malformed key, a value that is too large, or an
	// expiry that is not in the future.
	ErrInvalid = errors.New("store: invalid argument")
)

const (
	defaultMaxEntries = 1 << 18
	defaultMaxBytes   = 64 << 20
	// reclaimed is the maximum number of expired entries that one operation
	// removes. It bounds the time that a caller waits.
	reclaimed = 4
)

// Config configures a [Store].
type Config struct {
	MaxEntries int // the default is 262,144
	MaxBytes   int // of keys and values; the default is 64 MiB
	Now        func() time.Time
}

// Store implements store.Store. It starts no goroutine and is safe for
// concurrent use.
type Store struct {
	max usage
	now func() time.Time

	// One lock is enough. It is held for a look-up and an update of the heap,
	// which takes about a hundredth of the time of a signature check.
	mu      sync.Mutex
	entries map[string]*entry
	due     schedule
	used    usage
	owners  map[string]usage
	// forgotten is the latest expiry of all removed entries without a value.
	forgotten time.Time
}

// entry is one entry. Its value is never written to.
type entry struct {
	key, owner string
	value      []byte
	version    int64
	expires    time.Time // without monotonic reading
	index      int       // in the schedule
}

type usage struct{ entries, bytes int }

func (u usage) plus(v usage) usage { return usage{u.entries + v.entries, u.bytes + v.bytes} }

func (u usage) minus(v usage) usage { return usage{u.entries - v.entries, u.bytes - v.bytes} }

func (u usage) within(max usage) bool { return u.entries <= max.entries && u.bytes <= max.bytes }

// New returns an empty Store.
func New(cfg Config) *Store {
	m := &Store{
		max: usage{cmp.Or(cfg.MaxEntries, defaultMaxEntries), cmp.Or(cfg.MaxBytes, defaultMaxBytes)},
		now: cfg.Now, entries: make(map[string]*entry), owners: make(map[string]usage),
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

// Add implements store.Store. It returns [ErrShare] if the owner of the entry
// has used its share.
//
// An entry without a value records that its key was used. If the clock is set
// back, Add rejects such an entry with [ErrInvalid] if it expires no later than
// a removed one. A used key is therefore never used again.
func (m *Store) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
	if err := check(ctx, key, value); err != nil {
		return false, err
	}
	expires = expires.Round(0)
	stored := bytes.Clone(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.begin()
	if !expires.After(now) {
		return false, fmt.Errorf("%w: expiry %v is not after %v", ErrInvalid, expires, now)
	}
	if m.find(key, now) != nil {
		return false, nil
	}
	if len(value) == 0 && !expires.After(m.forgotten) {
		return false, fmt.Errorf("%w: expiry %v is not after %v, when used keys were forgotten", ErrInvalid,
			expires, m.forgotten)
	}
	owner := expiring.Owner(ctx)
	if err := m.makeRoom(owner, usage{1, len(key) + len(value)}, now); err != nil {
		return false, err
	}
	e := &entry{key: strings.Clone(key), owner: strings.Clone(owner), value: stored, version: 1, expires: expires}
	m.entries[e.key] = e
	m.count(e.owner, e.size())
	heap.Push(&m.due, e)
	return true, nil
}

// Get implements store.Store.
func (m *Store) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	if err := check(ctx, key, nil); err != nil {
		return nil, 0, err
	}
	value, version = m.get(key)
	return bytes.Clone(value), version, nil
}

func (m *Store) get(key string) ([]byte, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(key, m.begin())
	if e == nil {
		return nil, 0
	}
	return e.value, e.version
}

// Swap implements store.Store. The entry keeps its owner. A value that grows
// must stay within the share of that owner, as in Add.
//
// If the entry has an owner and the context has none, the value may grow beyond
// the bounds. Callers use this to record that something has ended.
func (m *Store) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (swapped bool, err error) {
	if err := check(ctx, key, value); err != nil {
		return false, err
	}
	expires = expires.Round(0)
	stored := bytes.Clone(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.begin()
	if !expires.After(now) {
		return false, fmt.Errorf("%w: expiry %v is not after %v", ErrInvalid, expires, now)
	}
	e := m.find(key, now)
	if e == nil || e.version != version {
		return false, nil
	}
	growth, bounded := usage{0, len(value) - len(e.value)}, e.owner == "" || expiring.Owner(ctx) != ""
	if bounded && growth.bytes > 0 {
		if err := m.makeRoom(e.owner, growth, now); err != nil {
			return false, err
		}
	}
	m.count(e.owner, growth)
	e.value, e.expires = stored, expires
	e.version++
	heap.Fix(&m.due, e.index)
	return true, nil
}

// check checks the arguments that do not depend on the entries.
func check(ctx context.Context, key string, value []byte) error {
	switch err := ctx.Err(); {
	case err != nil:
		return err
	case !wellFormed(key):
		return fmt.Errorf("%w: key of %d bytes, want %d of base64url", ErrInvalid, len(key), KeyLength)
	case len(value) > MaxValue:
		return fmt.Errorf("%w: value of %d bytes, more than %d", ErrInvalid, len(value), MaxValue)
	}
	return nil
}

// begin removes some expired entries and returns the time of an operation.
func (m *Store) begin() time.Time {
	now := m.now().Round(0)
	m.reclaim(reclaimed, now)
	return now
}

func wellFormed(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(key) == KeyLength
}

// find returns the live entry of key, or nil. It removes an expired entry,
// which therefore stays removed if the clock is set back.
func (m *Store) find(key string, now time.Time) *entry {
	e := m.entries[key]
	if e != nil && !e.expires.After(now) {
		m.remove(e)
		return nil
	}
	return e
}

// makeRoom removes expired entries until the growth of an owner fits. It
// returns [ErrFull] or [ErrShare] if it does not fit.
func (m *Store) makeRoom(owner string, growth usage, now time.Time) error {
	for {
		err := m.room(owner, growth)
		if err == nil || m.reclaim(1, now) == 0 {
			return err
		}
	}
}

// room checks growth against the free room. An owner that has entries can use
// as much as is then still free.
func (m *Store) room(owner string, growth usage) error {
	free, own := m.max.minus(m.used), m.owners[owner]
	if growth.entries == 0 { // a value that grows needs only bytes
		free.entries = own.entries
	}
	switch {
	case owner != "" && own.entries > 0 && !own.plus(growth).within(free):
		return ErrShare
	case !growth.within(free):
		return ErrFull
	}
	return nil
}

// reclaim removes up to n expired entries in the order of their expiry, and
// returns the number of removed entries.
func (m *Store) reclaim(n int, now time.Time) (removed int) {
	for removed < n && len(m.due) > 0 && !m.due[0].expires.After(now) {
		m.remove(m.due[0])
		removed++
	}
	return removed
}

func (m *Store) remove(e *entry) {
	if len(e.value) == 0 && e.expires.After(m.forgotten) {
		m.forgotten = e.expires
	}
	heap.Remove(&m.due, e.index)
	delete(m.entries, e.key)
	m.count(e.owner, usage{}.minus(e.size()))
}

func (m *Store) count(owner string, growth usage) {
	m.used = m.used.plus(growth)
	if owner == "" {
		return
	}
	if m.owners[owner] = m.owners[owner].plus(growth); m.owners[owner].entries == 0 {
		delete(m.owners, owner)
	}
}

func (e *entry) size() usage { return usage{1, len(e.key) + len(e.value)} }

// schedule is a heap of entries, the next due first.
type schedule []*entry

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].expires.Before(s[j].expires) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}
func (s *schedule) Push(x any) {
	e := x.(*entry)
	e.index = len(*s)
	*s = append(*s, e)
}
func (s *schedule) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return e
}
