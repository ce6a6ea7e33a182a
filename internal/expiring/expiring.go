// Package expiring has two bounded collections for a server: a [Set] of used
// identifiers, and a [Cache] of parsed forms of recurring input.
//
// Both are sharded, start no goroutine, and free room without a walk over all
// entries. A Set never drops an entry before its expiry. When live entries fill
// it, it returns [ErrFull], and the caller rejects its request. A Cache may
// forget an entry at any time.
//
// A Set does not keep keys but 96 bits of a keyed hash. An entry therefore has
// a fixed size. A peer that chooses keys can neither make two of them collide
// nor send all of them to one place. If two keys collide by chance, the second
// use is rejected.
package expiring

import (
	"errors"
	"time"
)

var (
	// ErrFull reports that live entries fill the set. Nothing was recorded.
	ErrFull = errors.New("expiring: full of live entries")
	// ErrExpired reports that the expiry is not in the future, or that entries
	// with that expiry were forgotten before the clock was set back. Nothing
	// was recorded.
	ErrExpired = errors.New("expiring: expiry is not in the future")
)

const (
	maxShards = 64
	// With fewer entries in a shard, the random spread between shards would
	// fill one of them noticeably before the others.
	minShardEntries = 4096
	// cachePad separates shards by two cache lines, because processors fetch
	// them in pairs.
	cachePad = 128
)

// wall drops the monotonic reading, so that all comparisons use one time line.
func wall(t time.Time) time.Time { return t.Round(0) }
