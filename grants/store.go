package grants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A Store keeps grants. Several server processes share one.
//
// Keys are 43 characters of base64url, compared case-sensitively: the hash of a grant ID. A key is never created twice. Values
// are opaque bytes of at most 512 KiB and must be kept as they are; caller and store do not share memory. They hold
// personal data. Each has a version, a number that the store counts: 1 when it is created, and 1 more with each update.
//
// Methods are called concurrently. Any failure is an error: a store that cannot be reached must not report [ErrNotFound]
// or [ErrConflict]. An update that has failed with another error may or may not have been made; it must not have been made in
// part. Package granttest checks all this.
type Store interface {
	// Create keeps value under key until expires, as version 1. It returns [ErrExists], or an error that wraps it, when there
	// is a live entry.
	Create(ctx context.Context, key string, value []byte, expires time.Time) error
	// Get returns the value and its version. It returns [ErrNotFound], or an error that wraps it, when the entry is unknown or
	// expired. It sees every Create and Update that has returned, in whichever process: no replica that lags behind.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Update puts value and expires in the place of what is there, if that still has this version, and counts the version up.
	// Of any number of concurrent calls with one version exactly one succeeds; all others return [ErrConflict], or an error
	// that wraps it, and change nothing. So does a call for an entry that is unknown or expired.
	Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error
}

const (
	defaultGrants = 1 << 20
	minBytes      = 4 << 20
	bytesPerGrant = 1 << 10 // a usual grant takes 1 to 2 KiB
)

// A MemoryStore is a [Store] in the memory of one process, bounded in entries and
// in bytes: grants that must survive a restart belong elsewhere. A full one rejects
// new grants and drops none. A client may keep as much as is free: one client alone
// fills half of the store, and then gets [ErrTooMany] while others go on. The end of
// a grant is always recorded. The zero MemoryStore rejects all. It is safe for
// concurrent use.
type MemoryStore struct {
	entries *expiring.Shared[entry]
}

type entry struct {
	value   []byte
	version int64
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store for at most maxEntries grants and 1 KiB for
// each of them, but at least 4 MiB. The default is 1,048,576 grants and 1 GiB.
// Memory is taken when entries come. If now is nil, time.Now is used.
func NewMemoryStore(maxEntries int, now func() time.Time) *MemoryStore {
	if maxEntries <= 0 {
		maxEntries = defaultGrants
	}
	return &MemoryStore{expiring.NewShared[entry](expiring.SharedConfig{
		MaxEntries: maxEntries, MaxBytes: max(minBytes, maxEntries*bytesPerGrant), Now: now,
	})}
}

// Create implements [Store]. It fails when the store is full, or when the client
// keeps as much as it may.
func (m *MemoryStore) Create(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	err := m.entries.Add(expiring.Owner(ctx), key, entry{value: bytes.Clone(value), version: 1}, len(value), expires)
	if errors.Is(err, expiring.ErrExists) {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return tooMany(err)
}

// tooMany makes an [ErrTooMany] of the error of a client that keeps too much.
func tooMany(err error) error {
	if errors.Is(err, expiring.ErrShare) {
		return fmt.Errorf("%w: %w", ErrTooMany, err)
	}
	return err
}

// Get implements [Store].
func (m *MemoryStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := m.ready(ctx); err != nil {
		return nil, 0, err
	}
	e, ok := m.entries.Get(key)
	if !ok {
		return nil, 0, ErrNotFound
	}
	return bytes.Clone(e.value), e.version, nil
}

// Update implements [Store].
func (m *MemoryStore) Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	value = bytes.Clone(value)
	swapped := false
	// Entries that are not for a client, such as the end of a grant, are not bounded.
	found, err := m.entries.Replace(key, expiring.Owner(ctx) != "", func(e entry) (entry, int, time.Time, bool) {
		swapped = e.version == version
		return entry{value: value, version: version + 1}, len(value), expires, swapped
	})
	if !found || !swapped {
		return ErrConflict
	}
	return tooMany(err)
}

// Len returns the number of entries held, among them some that have expired.
func (m *MemoryStore) Len() int {
	if m.entries == nil {
		return 0
	}
	return m.entries.Len()
}

func (m *MemoryStore) ready(ctx context.Context) error {
	if m.entries == nil {
		return errors.New("grants: a MemoryStore that NewMemoryStore has not made")
	}
	return ctx.Err()
}
