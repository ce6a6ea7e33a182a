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
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
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
	// reclaimed is the maximum number of expired entries that each operation
	// removes. It bounds the time that a caller waits.
	reclaimed = 4
	// reclaimedForRoom is the maximum for an operation that needs room, in
	// addition to the entries that make room for its bytes.
	reclaimedForRoom = 64
	// maxEntries is the maximum of Config.MaxEntries, because numbers of
	// accounts have 30 bits.
	maxEntries = 1<<30 - 1
)

// Config configures a [Store].
type Config struct {
	MaxEntries int // the default is 262,144
	MaxBytes   int // of keys and values; the default is 64 MiB
	Now        func() time.Time
}

// Store implements store.Store. It starts no goroutine and is safe for
// concurrent use.
//
// An entry takes 84 bytes of memory in addition to its value, and contains one
// pointer. An operation touches a bounded number of entries. It does not grow
// with the store, except that the heap of expiries has more levels.
type Store struct {
	max usage
	now func() time.Time

	// One lock is enough. It is held for a look-up and an update of the heap,
	// which takes about a hundredth of the time of a signature check.
	mu     sync.Mutex
	table  table
	due    schedule
	used   usage
	owners accounts
	// forgotten is the latest expiry of all removed entries without a value.
	forgotten deadline
}

// New returns an empty Store.
func New(cfg Config) *Store {
	m := &Store{
		max: usage{
			min(cmp.Or(cfg.MaxEntries, defaultMaxEntries), maxEntries),
			cmp.Or(cfg.MaxBytes, defaultMaxBytes),
		},
		now: cfg.Now, table: newTable(), owners: newAccounts(),
		forgotten: deadline{sec: math.MinInt64},
	}
	m.due.table = &m.table
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
	k, err := check(ctx, key, value)
	if err != nil {
		return false, err
	}
	stored := string(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.begin()
	if !expires.After(now) {
		return false, errExpiry(expires, now)
	}
	if m.find(&k, now) != 0 {
		return false, nil
	}
	due := newDeadline(expires, 0)
	if len(value) == 0 && !m.forgotten.before(due) {
		return false, fmt.Errorf("%w: expiry %v is not after that of a forgotten key", ErrInvalid, expires.Round(0))
	}
	owner, size := expiring.Owner(ctx), usage{1, KeyLength + len(value)}
	if err := m.makeRoom(owner, size, now); err != nil {
		return false, err
	}
	due.id = m.table.insert(&k, stored, m.owners.open(owner))
	m.due.add(due)
	m.count(m.table.entry(due.id), size)
	return true, nil
}

// Get implements store.Store.
func (m *Store) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	k, err := check(ctx, key, nil)
	if err != nil {
		return nil, 0, err
	}
	stored, version := m.get(&k)
	return append(value, stored...), version, nil
}

func (m *Store) get(k *key) (value string, version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.find(k, m.begin())
	if id == 0 {
		return "", 0
	}
	e := m.table.entry(id)
	return e.value, int64(e.version)
}

// Swap implements store.Store. The entry keeps its owner. A value that grows
// must stay within the share of that owner, as in Add.
//
// If the entry has an owner and the context has none, the value may grow beyond
// the bounds. Callers use this to record that something has ended.
func (m *Store) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (swapped bool, err error) {
	k, err := check(ctx, key, value)
	if err != nil {
		return false, err
	}
	stored := string(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.begin()
	if !expires.After(now) {
		return false, errExpiry(expires, now)
	}
	id := m.find(&k, now)
	if id == 0 {
		return false, nil
	}
	e := m.table.entry(id)
	switch {
	case int64(e.version) != version:
		return false, nil
	case e.version == math.MaxUint32:
		return false, fmt.Errorf("%w: the versions of an entry", ErrFull)
	}
	growth, bounded := usage{0, len(value) - len(e.value)}, e.account() == 0 || expiring.Owner(ctx) != ""
	if bounded && growth.bytes > 0 {
		if err := m.makeRoom(m.owners.name(e.account()), growth, now); err != nil {
			return false, err
		}
	}
	m.count(e, growth)
	e.value = stored
	e.version++
	m.due.move(newDeadline(expires, id))
	return true, nil
}

// check checks the arguments that do not depend on the entries.
func check(ctx context.Context, text string, value []byte) (key, error) {
	k, ok := parseKey(text)
	switch err := ctx.Err(); {
	case err != nil:
		return key{}, err
	case !ok:
		return key{}, fmt.Errorf("%w: key of %d bytes, want %d of base64url", ErrInvalid, len(text), KeyLength)
	case len(value) > MaxValue:
		return key{}, fmt.Errorf("%w: value of %d bytes, more than %d", ErrInvalid, len(value), MaxValue)
	}
	return k, nil
}

func errExpiry(expires, now time.Time) error {
	return fmt.Errorf("%w: expiry %v is not after %v", ErrInvalid, expires.Round(0), now)
}

// begin removes some expired entries and returns the time of an operation.
func (m *Store) begin() time.Time {
	now := m.now().Round(0)
	for range reclaimed {
		if !m.reclaim(now) {
			break
		}
	}
	return now
}

// find returns the live entry of a key, or 0. It removes an expired entry,
// which therefore stays removed if the clock is set back.
func (m *Store) find(k *key, now time.Time) int32 {
	id := m.table.find(k)
	if id != 0 && m.due.of(id).expired(now) {
		m.remove(id)
		return 0
	}
	return id
}

// makeRoom removes expired entries until the growth of an owner fits. It
// returns [ErrFull] or [ErrShare] if it does not fit.
//
// It removes a bounded number of entries, which have at least twice the bytes
// of the growth. If more entries have expired, the share of the owner is not
// known, and the owner needs only free room. Each such call increases the free
// room for others by more than it uses.
func (m *Store) makeRoom(owner string, growth usage, now time.Time) error {
	for range reclaimedForRoom + 2*growth.bytes/KeyLength {
		err := m.room(owner, growth)
		if err == nil || !m.reclaim(now) {
			return err
		}
	}
	if m.due.len > 0 && m.due.next().expired(now) {
		owner = ""
	}
	return m.room(owner, growth)
}

// room checks growth against the free room. An owner that has entries can use
// as much as is then still free.
func (m *Store) room(owner string, growth usage) error {
	free, own := m.max.minus(m.used), m.owners.of(owner)
	if growth.entries == 0 { // a value that grows needs only bytes
		free.entries = m.max.entries
	}
	switch {
	case own.entries > 0 && !own.plus(growth).within(free):
		return ErrShare
	case !growth.within(free):
		return ErrFull
	}
	return nil
}

// reclaim removes the entry that is due first, if it has expired.
func (m *Store) reclaim(now time.Time) bool {
	if m.due.len == 0 || !m.due.next().expired(now) {
		return false
	}
	m.remove(m.due.next().id)
	return true
}

func (m *Store) remove(id int32) {
	e := m.table.entry(id)
	if due := *m.due.of(id); e.value == "" && m.forgotten.before(due) {
		m.forgotten = due
	}
	m.count(e, usage{-1, -KeyLength - len(e.value)})
	m.due.remove(id)
	m.table.remove(id)
}

// count adds the growth of an entry to the usage of the store and its owner.
func (m *Store) count(e *entry, growth usage) {
	m.used = m.used.plus(growth)
	m.owners.count(e.account(), growth)
}
