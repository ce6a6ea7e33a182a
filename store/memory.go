package store

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	defaultMaxEntries = 1 << 18
	defaultMaxBytes   = 64 << 20
	// reclaimed is the maximum number of expired entries that one operation
	// removes. It bounds the time that a caller waits.
	reclaimed = 4
)

// MemoryConfig configures a [Memory]. The zero value is sensible.
type MemoryConfig struct {
	// MaxEntries bounds the number of entries. The default is 262,144.
	MaxEntries int
	// MaxBytes bounds the total size of keys and values in bytes. The default is
	// 64 MiB. An entry needs some 200 bytes of memory in addition.
	MaxBytes int
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Memory is a [Store] in the memory of one process. It is bounded. When it is
// full, Add fails with [ErrFull], and so does a Swap to a larger value; live
// entries are never evicted. Expired entries are removed during later operations.
// A Memory starts no goroutine and is safe for concurrent use.
//
// Its contents are lost with the process. A server that runs as several processes,
// or that must remember after a restart what was used, needs a shared store.
type Memory struct {
	maxEntries, maxBytes int
	now                  func() time.Time

	// One lock is enough. It is held for a look-up and an update of the heap,
	// which takes about a hundredth of the time of a signature check.
	mu      sync.Mutex
	entries map[string]*entry
	due     schedule
	bytes   int
}

// entry is one entry. Its value is never written to.
type entry struct {
	key     string
	value   []byte
	version int64
	expires time.Time // without monotonic reading
	index   int       // in the schedule
}

// NewMemory returns an empty store. It returns an error if a bound is negative.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.MaxEntries < 0 || cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("store: negative bound: MaxEntries %d, MaxBytes %d", cfg.MaxEntries, cfg.MaxBytes)
	}
	m := &Memory{
		maxEntries: cmp.Or(cfg.MaxEntries, defaultMaxEntries), maxBytes: cmp.Or(cfg.MaxBytes, defaultMaxBytes),
		now: cfg.Now, entries: make(map[string]*entry),
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m, nil
}

// Add implements [Store].
func (m *Memory) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
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
	if !m.makeRoom(1, len(key)+len(value), now) {
		return false, ErrFull
	}
	e := &entry{key: strings.Clone(key), value: stored, version: 1, expires: expires}
	m.entries[key] = e
	m.bytes += e.size()
	heap.Push(&m.due, e)
	return true, nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	if err := check(ctx, key, nil); err != nil {
		return nil, 0, err
	}
	value, version = m.get(key)
	return bytes.Clone(value), version, nil
}

func (m *Memory) get(key string) ([]byte, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(key, m.begin())
	if e == nil {
		return nil, 0
	}
	return e.value, e.version
}

// Swap implements [Store].
func (m *Memory) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error) {
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
	if growth := len(value) - len(e.value); growth > 0 && !m.makeRoom(0, growth, now) {
		return false, ErrFull
	}
	m.bytes += len(value) - len(e.value)
	e.value, e.expires = stored, expires
	e.version++
	heap.Fix(&m.due, e.index)
	return true, nil
}

// String returns only the name of the type, because entries may contain
// personal data.
func (m *Memory) String() string { return "store.Memory" }

// LogValue is String for package log/slog.
func (m *Memory) LogValue() slog.Value { return slog.StringValue(m.String()) }

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
func (m *Memory) begin() time.Time {
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
func (m *Memory) find(key string, now time.Time) *entry {
	e := m.entries[key]
	if e != nil && !e.expires.After(now) {
		m.remove(e)
		return nil
	}
	return e
}

// makeRoom removes expired entries until the new entry fits. It returns false
// if it does not fit.
func (m *Memory) makeRoom(entries, size int, now time.Time) bool {
	for len(m.entries)+entries > m.maxEntries || m.bytes+size > m.maxBytes {
		if m.reclaim(1, now) == 0 {
			return false
		}
	}
	return true
}

// reclaim removes up to n expired entries in the order of their expiry, and
// returns the number of removed entries.
func (m *Memory) reclaim(n int, now time.Time) (removed int) {
	for removed < n && len(m.due) > 0 && !m.due[0].expires.After(now) {
		m.remove(m.due[0])
		removed++
	}
	return removed
}

func (m *Memory) remove(e *entry) {
	heap.Remove(&m.due, e.index)
	delete(m.entries, e.key)
	m.bytes -= e.size()
}

func (e *entry) size() int { return len(e.key) + len(e.value) }

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
