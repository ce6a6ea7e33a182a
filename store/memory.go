package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
)

// MemoryConfig configures a [Memory]. The zero value is sensible.
type MemoryConfig struct {
	// MaxEntries bounds the number of entries, and the number of members of the
	// [Index]. The default is 262,144.
	MaxEntries int
	// MaxBytes bounds the total size of keys and values in bytes. The default
	// is 64 MiB. An entry takes about 100 bytes of memory in addition to its
	// value.
	MaxBytes int
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Memory is a [Store] and an [Index] in the memory of one process. It is
// bounded. When it is full, Add fails with [ErrFull], and so does a Swap to a
// larger value; live entries are never evicted. Expired entries are removed
// during later operations, a bounded number in each. Their values are freed,
// and 100 bytes of each are used again. A Memory starts no goroutine and is
// safe for concurrent use.
//
// The packages of this module name the client that an entry belongs to in the
// context of Add and Swap. A client can use as much room as is still free. A
// single client therefore fills half of the bounds, because it then uses as
// much as is free. After that its calls fail with ErrFull, and those of others
// do not. A client may use slightly more while many expired entries are not yet
// removed. Other stores ignore the client. The members of the Index are counted
// apart from the entries, with the same rules. A member takes at most 500
// bytes.
//
// An entry without a value records that its key was used. If the clock is set
// back, Add fails with [ErrInvalid] for such an entry if it expires no later
// than one that was removed. A used proof is therefore never accepted again.
// Other stores need not detect this, because the clock of a database is rarely
// set back.
//
// Its contents are lost with the process. A server that runs as several
// processes, or that must remember after a restart what was used, needs a
// shared store.
type Memory struct {
	entries *memstore.Store
	index   *memstore.Index
}

// NewMemory returns an empty store. It returns an error if a bound is negative.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.MaxEntries < 0 || cfg.MaxBytes < 0 {
		return nil, fmt.Errorf("store: negative bound: MaxEntries %d, MaxBytes %d", cfg.MaxEntries, cfg.MaxBytes)
	}
	bounds := memstore.Config{MaxEntries: cfg.MaxEntries, MaxBytes: cfg.MaxBytes, Now: cfg.Now}
	return &Memory{memstore.New(bounds), memstore.NewIndex(bounds)}, nil
}

// Add implements [Store].
func (m *Memory) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
	return m.entries.Add(ctx, key, value, expires)
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	return m.entries.Get(ctx, key)
}

// Swap implements [Store].
func (m *Memory) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (swapped bool, err error) {
	return m.entries.Swap(ctx, key, version, value, expires)
}

// Put implements [Index].
func (m *Memory) Put(ctx context.Context, set, member string, expires time.Time) error {
	return m.index.Put(ctx, set, member, expires)
}

// Delete implements [Index].
func (m *Memory) Delete(ctx context.Context, set, member string) error {
	return m.index.Delete(ctx, set, member)
}

// List implements [Index].
func (m *Memory) List(ctx context.Context, set, after string, limit int) (members []string, err error) {
	return m.index.List(ctx, set, after, limit)
}

// String returns only the name of the type, because entries may contain
// personal data.
func (m *Memory) String() string { return "store.Memory" }

// LogValue is String for package log/slog.
func (m *Memory) LogValue() slog.Value { return slog.StringValue(m.String()) }
