package jar

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// ReplayStore remembers which request objects have been used.
//
// It has the methods of the interface of this name in the packages dpop and clientauth: a store made for one of them does
// for all, and the test kit in dpop/dpoptest is the one that a store has to pass. One store may serve all, as their keys
// never meet. Processes that share an issuer need a shared store.
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

// memory is the ReplayStore of one process.
type memory struct{ set *expiring.Set }

func newMemory(now func() time.Time) memory {
	return memory{expiring.NewSet(expiring.SetConfig{Now: now})}
}

func (m memory) Use(ctx context.Context, key string, expires time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.set.UseBy(expiring.Owner(ctx), key, expires)
}
