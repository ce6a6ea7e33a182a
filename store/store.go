package store

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
)

// Limits of the contract. Callers keep them, so a store need not check them.
const (
	// KeyLength is the length of every key: 32 bytes in base64url without
	// padding.
	KeyLength = 43
	// MaxValue is the size of the largest value in bytes, 512 KiB.
	MaxValue = 512 << 10
)

// A Store is a key-value store with atomic operations on single keys. A SQL
// database needs one statement for each, see docs/stores.md. Package storetest
// tests a store.
//
// Keys are 43 characters of base64url, compared byte by byte. Values are any
// bytes, at most 512 KiB. A nil value is an empty value, and an entry with an
// empty value exists. A store copies the values that it receives and returns.
//
// Operations on one key are linearizable across all processes that use the
// store. Of several concurrent calls of Add on one key, or of Swap on one
// version, at most one succeeds.
//
// An entry whose expiry has passed does not exist. A store removes such entries
// at a time of its choice. One clock decides for all processes, usually that of
// the database. An entry may exist at most one second longer than its expiry,
// and never shorter: a store that rounds expiries rounds them up. A store
// without room returns an error from Add and Swap, and evicts nothing.
//
// A failure is an error, never a missing entry. After an error the caller does
// not know whether the operation took effect. It must not have taken effect in
// part. If the context had ended before the call, the call returns an error and
// changes nothing.
//
// A store that loses an entry accepts a used code or proof again. Entries
// should therefore be durable before Add and Swap return true. docs/stores.md
// compares databases.
//
// Implementations are safe for concurrent use.
//
// Callers of Swap follow a rule, and stores need not check it. Versions start
// again after an expiry. A Swap with the version of an expired entry can
// replace a new entry under the same key. Callers of Swap therefore never add a
// key again after its expiry. They derive it from a fresh random ID, or they
// replace the entry and keep it for a day longer than its value is valid.
type Store interface {
	// Add stores value under key until expires and returns true, unless key
	// exists. It sets version 1. An expiry that is not in the future is an
	// error. If key exists, Add may return false instead.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
	// Get returns the value and its version. If key does not exist, Get returns
	// no value, version 0 and no error.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Swap replaces value and expires and increments the version, if the
	// current version is version. It returns false if the version differs or
	// key does not exist. An expiry that is not in the future is an error. If
	// the version differs or key does not exist, Swap may return false instead.
	Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error)
}

// Errors of [Memory]. The contract has no errors of its own: callers treat
// every error of a [Store] alike.
var (
	// ErrFull reports that live entries fill the Memory, or the share of one
	// client. Nothing was changed. The caller rejects its request and may retry
	// later.
	ErrFull error = memstore.ErrFull
	// ErrInvalid reports that a caller violated the contract: a malformed key,
	// a value that is too large, or an expiry that is not in the future.
	// Nothing was changed.
	ErrInvalid error = memstore.ErrInvalid
)
