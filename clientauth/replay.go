package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A ReplayStore remembers which assertions have been used.
//
// It has the methods of the interface of this name in package dpop: a store made for the one does for the other, and the
// test kit in dpop/dpoptest is the one that a store has to pass. One store may serve both, as their keys never meet.
// Processes that share an issuer need a shared store.
// It must be safe for concurrent use.
type ReplayStore interface {
	// Use records key until expires and reports whether this is its first use. Of
	// any number of concurrent calls with one key, in all processes together,
	// exactly one gets true. An entry whose expiry has passed does not exist; a store
	// may round expires up by at most 2 seconds. Any failure is an error and not a
	// first use. A context that is done and an expiry in the past are failures. A key
	// is 43 characters of base64url, compared case-sensitively.
	Use(ctx context.Context, key string, expires time.Time) (first bool, err error)
}

// A MemoryReplayStore is a [ReplayStore] for one process. It takes about 36 bytes for each assertion that it remembers, and
// forgets them when they expire, without pauses. The zero MemoryReplayStore refuses all. It is safe for concurrent use.
//
// If more than one process answers for an issuer it is not enough, which the composer of a service can refuse by this type.
type MemoryReplayStore struct {
	set *expiring.Set
}

// NewMemoryReplayStore returns a store for at most maxEntries assertions at a time; 0 means 8,388,608. When it is full of
// live ones it rejects new ones: a flood cannot make it forget. One client alone
// fills half of the store, and then gets [ErrUnavailable] while others go on.
func NewMemoryReplayStore(maxEntries int) *MemoryReplayStore {
	return newMemoryReplayStore(maxEntries, nil)
}

func newMemoryReplayStore(maxEntries int, now func() time.Time) *MemoryReplayStore {
	return &MemoryReplayStore{expiring.NewSet(expiring.SetConfig{MaxEntries: maxEntries, Now: now})}
}

// Use implements [ReplayStore].
func (s *MemoryReplayStore) Use(ctx context.Context, key string, expires time.Time) (first bool, err error) {
	if s.set == nil {
		return false, errors.New("clientauth: a MemoryReplayStore that NewMemoryReplayStore has not made")
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return s.set.UseBy(expiring.Owner(ctx), key, expires)
}

// Len returns the number of assertions held, expired ones that still take room included.
func (s *MemoryReplayStore) Len() int {
	if s.set == nil {
		return 0
	}
	return s.set.Len()
}
