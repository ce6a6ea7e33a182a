package par

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A Store keeps pushed requests between the push and the end of the authorization. Several server processes share one.
//
// Keys are 43 characters of base64url, compared case-sensitively: the hash of a reference, never the reference itself, so a
// reader of the store cannot use what it sees. A key is never saved twice. Values are opaque bytes of at most 132 KiB and
// must be kept as they are; caller and store do not share memory. They hold personal data as the request does.
//
// A store may have the method Extend of [MemoryStore] as well. Then requests that no
// browser comes for are kept for the server's Lifetime only. In other stores they
// stay for Lifetime and LoginTime together.
//
// Methods are called concurrently. Any failure is an error: a store that cannot be reached must not report [ErrNotFound].
// That is the ErrNotFound of this package; the stores of package profile have another one, which means a failure here.
// Package partest checks all this.
type Store interface {
	// Save keeps value under key until expires. It returns once the entry can be found by every process.
	Save(ctx context.Context, key string, value []byte, expires time.Time) error
	// Load returns the value as often as it is asked. It returns ErrNotFound, or an error that wraps it, when the entry is
	// unknown, consumed or expired.
	Load(ctx context.Context, key string) ([]byte, error)
	// Consume removes the entry and returns its value. Of any number of concurrent calls exactly one succeeds; all others,
	// and every Load afterwards, return ErrNotFound.
	Consume(ctx context.Context, key string) ([]byte, error)
}

// An extender is a [Store] that can extend the lifetime of a request. A
// [Server] saves requests for their Lifetime only, and extends a request when a
// browser opens it.
type extender interface {
	Extend(ctx context.Context, key string, expires time.Time) error
}

const (
	defaultEntries = 1 << 16
	minBytes       = 4 << 20
	bytesPerEntry  = 1 << 10 // a usual request takes 1 to 2 KiB
)

// A MemoryStore is a [Store] in the memory of one process. It is bounded in
// entries and in bytes, and never drops a live entry. A client can use as much
// room as is still free. A single client therefore fills half of the store and
// then receives an [ErrStore] with status 429; other clients are not affected.
// The zero MemoryStore rejects all requests. It is safe for concurrent use.
type MemoryStore struct {
	entries *expiring.Shared[[]byte]
}

var (
	_ Store    = (*MemoryStore)(nil)
	_ extender = (*MemoryStore)(nil)
)

// NewMemoryStore returns an empty store for at most maxEntries requests. It has
// room for 1 KiB for each of them, and for at least 4 MiB. The default is
// 65,536 requests and 64 MiB.
func NewMemoryStore(maxEntries int) *MemoryStore { return newMemoryStore(maxEntries, nil) }

func newMemoryStore(maxEntries int, now func() time.Time) *MemoryStore {
	if maxEntries <= 0 {
		maxEntries = defaultEntries
	}
	return &MemoryStore{expiring.NewShared[[]byte](expiring.SharedConfig{
		MaxEntries: maxEntries, MaxBytes: max(minBytes, maxEntries*bytesPerEntry), Now: now,
	})}
}

// Save implements [Store]. It returns an error if the store is full or the
// client has used its share.
func (m *MemoryStore) Save(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	err := m.entries.Add(expiring.Owner(ctx), key, bytes.Clone(value), len(value), expires)
	if errors.Is(err, expiring.ErrShare) {
		return fmt.Errorf("%w: %w", errTooMany, err)
	}
	return err
}

// Extend extends a live entry until expires, if that is later. It returns
// [ErrNotFound] like Load.
func (m *MemoryStore) Extend(ctx context.Context, key string, expires time.Time) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	if !m.entries.Update(key, func(value []byte, before time.Time) ([]byte, time.Time) {
		if expires.After(before) {
			return value, expires
		}
		return value, before
	}) {
		return ErrNotFound
	}
	return nil
}

// Load implements [Store].
func (m *MemoryStore) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	value, ok := m.entries.Get(key)
	if !ok {
		return nil, ErrNotFound
	}
	return bytes.Clone(value), nil
}

// Consume implements [Store].
func (m *MemoryStore) Consume(ctx context.Context, key string) ([]byte, error) {
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	value, ok := m.entries.Take(key)
	if !ok {
		return nil, ErrNotFound
	}
	return value, nil
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
		return errors.New("par: a MemoryStore that NewMemoryStore has not made")
	}
	return ctx.Err()
}
