package dpop

import (
	"context"
	"time"
)

// A ReplayStore remembers which proofs were used. It is the method Add of
// store.Store, so every such store is a ReplayStore. Processes that serve the
// same URL must share one. Package storetest tests a store.
type ReplayStore interface {
	// Add stores key until expires and returns true, unless key exists. Of any
	// number of concurrent calls with one key, exactly one returns true. An
	// entry whose expiry has passed does not exist. The value is empty. A
	// failure is an error, and so is an expiry that is not in the future. A key
	// is 43 characters of base64url, compared byte by byte. Add is safe for
	// concurrent use.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
}
