package store

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
)

// Limits of the contract.
const (
	// KeyLength is the length of every key: 32 bytes in base64url without
	// padding.
	KeyLength = memstore.KeyLength
	// MaxValue is the size of the largest value in bytes.
	MaxValue = memstore.MaxValue
)

// A Store is a key-value store with atomic operations on single keys.
//
// Keys are 43 characters of base64url, compared byte by byte. Values are
// opaque, at most 512 KiB, and may contain personal data. A store copies the
// values that it receives and returns. Operations on one key are linearizable
// across all processes that use the store.
//
// A failure is an error, never a missing entry. After an error the caller does
// not know whether the operation took effect. It must not have taken effect in
// part.
//
// An entry whose expiry has passed does not exist. Entries do not disappear
// earlier: a store without room returns an error from Add and Swap.
//
// Versions start again after an expiry. A Swap with the version of an expired
// entry can replace a new entry under the same key. Callers that use Swap
// therefore never add a key again after its expiry: they derive it from a fresh
// random ID.
//
// Implementations are safe for concurrent use.
type Store interface {
	// Add stores value under key until expires and returns true, unless key
	// exists. It sets version 1. An expiry that is not in the future is an
	// error.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
	// Get returns the value and its version. Version 0 means that key does not
	// exist, which is not an error.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Swap replaces value and expires and increments the version, if the
	// current version is version. It returns false if the version differs or
	// key does not exist. An expiry that is not in the future is an error.
	Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error)
}

// Errors of [Memory]. The contract has no errors of its own: callers treat
// every error of a [Store] alike.
var (
	// ErrFull reports that live entries fill the store or the share of one
	// client. Nothing was changed. The caller rejects its request and may retry
	// later.
	ErrFull error = memstore.ErrFull
	// ErrInvalid reports that a caller violated the contract: a malformed key,
	// a value that is too large, or an expiry that is not in the future.
	// Nothing was changed.
	ErrInvalid error = memstore.ErrInvalid
)
