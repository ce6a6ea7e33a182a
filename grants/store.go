package grants

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
)

// A Store keeps grants. It is the contract of package store, which documents
// the methods and their guarantees. Processes that serve one issuer share one
// Store. Values contain personal data.
type Store interface {
	// Add stores value under key until expires and returns true, unless key
	// exists. It sets version 1.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
	// Get returns the value and its version. Version 0 means that key does not
	// exist.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Swap replaces value and expires and increments the version, if the
	// current version is version. Otherwise it returns false.
	Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error)
}

// memory is the store and the index of a [Manager] whose configuration has
// none.
type memory struct {
	*memstore.Store
	*memstore.Index
}

// newMemory returns a memory. A usual grant takes 1 to 2 KiB.
func newMemory(now func() time.Time) Store {
	bounds := memstore.Config{MaxEntries: 1 << 20, MaxBytes: 1 << 30, Now: now}
	return memory{memstore.New(bounds), memstore.NewIndex(bounds)}
}
