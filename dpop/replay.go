package dpop

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A ReplayStore remembers which proofs have been used. Verifiers that answer for the same URL, in however many
// processes, must share one. It must be safe for concurrent use. Package dpoptest tests one.
type ReplayStore interface {
	// Use records key until expires and reports whether this is its first use. Of
	// any number of concurrent calls with one key, in all processes together,
	// exactly one gets true. An entry whose expiry has passed does not exist; a store
	// may round expires up by at most 2 seconds. Any failure is an error and not a
	// first use. A context that is done and an expiry in the past are failures. A key
	// is 43 characters of base64url, compared case-sensitively.
	Use(ctx context.Context, key string, expires time.Time) (first bool, err error)
}

// A MemoryReplayStore is a [ReplayStore] for one process. It takes about 60 bytes for each proof that it remembers, and
// forgets proofs when they expire, without pauses. It is safe for concurrent use.
//
// If more than one process answers for a URL it is not enough, which the composer of a service can refuse by this type.
type MemoryReplayStore struct {
	set *expiring.Set
}

// NewMemoryReplayStore returns a store for at most maxEntries proofs at a time; 0 means 8,388,608. Proofs are remembered
// for 70 seconds with the defaults of [VerifierConfig]. A store full of live proofs
// rejects new ones. Package profile tells it which client a proof belongs to. One
// client alone then fills half of the store, and others go on.
func NewMemoryReplayStore(maxEntries int) *MemoryReplayStore {
	return newMemoryReplayStore(maxEntries, nil)
}

func newMemoryReplayStore(maxEntries int, now func() time.Time) *MemoryReplayStore {
	// DPOP-11.1-3: the set keeps digests of fixed size, whatever the identifiers are.
	return &MemoryReplayStore{expiring.NewSet(expiring.SetConfig{MaxEntries: maxEntries, Now: now})}
}

// Use implements [ReplayStore].
func (s *MemoryReplayStore) Use(ctx context.Context, key string, expires time.Time) (first bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return s.set.UseBy(expiring.Owner(ctx), key, expires)
}

// Len returns the number of proofs held, expired ones that still take room included.
func (s *MemoryReplayStore) Len() int { return s.set.Len() }
