package store

import (
	"context"
	"time"
)

// Limits of an [Index]. Callers keep them, so an index need not check them.
const (
	// MaxMember is the length of the longest member in bytes.
	MaxMember = 128
	// MaxList is the largest limit of [Index.List].
	MaxList = 1000
)

// An Index keeps sets of short strings, because a [Store] cannot list its
// entries. It is optional. Package grants lists the grants of a user and the
// undelivered events with it. A SQL database needs one table of set, member and
// expiry, and one statement for each method. Package storetest tests an index.
//
// Sets have names of 43 characters of base64url. Callers derive them by
// hashing, like keys. Members have 1 to 128 characters of base64url. Sets and
// members are compared byte by byte. A set exists while it has members. An
// Index may share its database with a Store. Sets and keys are apart.
//
// Operations on one set are linearizable across all processes that use the
// index. A List therefore returns each member whose Put has returned before.
//
// A member whose expiry has passed does not exist. The clock and the precision
// of expiries are those of a Store. An index without room returns an error from
// Put and evicts nothing.
//
// A failure is an error, never a missing member. After an error the caller does
// not know whether the operation took effect. It may repeat the call, because
// each method is idempotent. If the context had ended before the call, the call
// returns an error and changes nothing.
//
// Implementations are safe for concurrent use.
type Index interface {
	// Put adds member to set until expires. If set has the member, Put moves
	// its expiry to expires if that is later. It never makes the life of a
	// member shorter, so the order of concurrent calls does not matter. An
	// expiry that is not in the future is an error. If set has the member, Put
	// may return no error instead.
	Put(ctx context.Context, set, member string, expires time.Time) error
	// Delete removes member from set. It is not an error if set does not have
	// the member.
	Delete(ctx context.Context, set, member string) error
	// List returns the first members of set that come after after, in the order
	// of their bytes and at most limit of them. It returns fewer only if set
	// has no more. If after is empty, List begins with the first member. There
	// need not be a member after. The limit is 1 to 1000.
	List(ctx context.Context, set, after string, limit int) (members []string, err error)
}
