package par

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A Store keeps pushed requests between the push and the end of the authorization. Several server processes share one.
//
// Keys are 43 characters of base64url, compared case-sensitively: the hash of a reference, never the reference itself, so a
// reader of the store cannot use what it sees. A key is never saved twice. Values are opaque bytes of at most 132 KiB and
// must be kept as they are; caller and store do not share memory. They hold personal data as the request does.
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

// defaultEntries is what NewMemoryStore takes for 0: about 64 MiB of usual requests.
const defaultEntries = 1 << 16

// A MemoryStore is a [Store] in the memory of one process, bounded in its number of entries. A full one refuses new
// requests and drops none; the zero MemoryStore refuses all. Safe for concurrent use.
type MemoryStore struct {
	entries *expiring.Map[[]byte]
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store for at most maxEntries requests, 65,536 if it is not positive. A request takes 1 to
// 2 KiB as a rule; abandoned ones stay until they expire.
func NewMemoryStore(maxEntries int) *MemoryStore { return newMemoryStore(maxEntries, nil) }

func newMemoryStore(maxEntries int, now func() time.Time) *MemoryStore {
	if maxEntries <= 0 {
		maxEntries = defaultEntries
	}
	return &MemoryStore{expiring.NewMap[[]byte](expiring.MapConfig{MaxEntries: maxEntries, Now: now})}
}

// Save implements [Store]. It fails when the store is full.
func (m *MemoryStore) Save(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	return m.entries.Add(key, bytes.Clone(value), expires)
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
