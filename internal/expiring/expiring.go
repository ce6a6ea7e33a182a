// Package expiring holds what a server must remember for a while and then
// forget: used proof identifiers ([Set]), one-time values ([Map]) and parsed
// forms of recurring input ([Cache]).
//
// All three are bounded and sharded, start no goroutine, and make room without
// ever walking over what they hold. Set and Map never drop an entry before its
// expiry: when they are full of live entries they say [ErrFull], and the caller
// has to refuse the request. Cache may forget anything at any moment.
//
// Set and Map do not keep the caller's keys but a keyed hash of them: a Map half
// of SHA-256 over a secret drawn at construction and the key, as it must never
// give out another key's value; a Set 96 bits of a faster one, as two keys taken
// for one only make it refuse. So an entry has a fixed size whatever a peer
// sends, and a peer who picks keys can neither make two of them collide nor
// steer them all into one place.
package expiring

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

var (
	// ErrFull says that there is no room because live entries take it all.
	// Nothing has been recorded; the caller must refuse.
	ErrFull = errors.New("expiring: full of live entries")
	// ErrExpired says that the entry's expiry is not in the future, or lies
	// in a time that has been forgotten already (the clock went backwards).
	// Nothing has been recorded; the caller must refuse.
	ErrExpired = errors.New("expiring: expiry is not in the future")
	// ErrExists says that a live entry with this key is present.
	ErrExists = errors.New("expiring: key exists")
)

const (
	maxShards = 64
	// Below this many entries in a shard the statistical spread between
	// shards would make one of them full noticeably before the others.
	minShardEntries = 4096
	// A shard occupies cache lines of its own: two lines, since processors
	// fetch them in pairs.
	cachePad = 128
)

// Config configures a [Set] or a [Map].
type Config struct {
	// MaxEntries bounds the number of entries; 0 (or less) means the default.
	// The bound is divided among shards, so with more than 8,191 entries it
	// can be met a few percent early.
	MaxEntries int
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// digest stands for a key.
type digest [16]byte

// sharding is the part that Set and Map have in common: how many entries a
// shard may hold, and for Map how a key is turned into a digest and a shard.
type sharding struct {
	// 12 secret bytes and a 43-character key (a hash in base64url) fill
	// exactly one SHA-256 block.
	secret [12]byte
	count  int // shards, a power of two
	quota  int // entries for each shard; count*quota never exceeds the maximum
	now    func() time.Time
}

func newSharding(cfg Config, defaultEntries int) sharding {
	maxEntries, now := cfg.MaxEntries, cfg.Now
	if maxEntries <= 0 {
		maxEntries = defaultEntries
	}
	if now == nil {
		now = time.Now
	}
	s := sharding{count: 1, now: now}
	for s.count < maxShards && maxEntries/(2*s.count) >= minShardEntries {
		s.count *= 2
	}
	s.quota = maxEntries / s.count
	rand.Read(s.secret[:]) // never fails
	return s
}

// locate returns the digest of key and the index of its shard. The index comes
// from a byte outside the digest, so digests in a shard are uniform.
func (s *sharding) locate(key string) (digest, int) {
	var block [128]byte // keeps usual keys off the heap
	b := append(block[:0], s.secret[:]...)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return digest(sum[:16]), int(sum[16]) & (s.count - 1)
}

// wall drops the monotonic reading, so that all comparisons and all orderings
// are made on one time line.
func wall(t time.Time) time.Time { return t.Round(0) }
