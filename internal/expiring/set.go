package expiring

import (
	"context"
	"math"
	"sync"
	"time"
)

const defaultSetEntries = 8 << 20

// SetConfig configures a [Set].
type SetConfig struct {
	// MaxEntries bounds the number of entries. The default is 8,388,608. The
	// bound is divided among shards, so with more than 8,191 entries it can be
	// met a few percent early.
	MaxEntries int
	// Now returns the current time. If nil, time.Now is used. It is called
	// concurrently.
	Now func() time.Time
}

// A Set remembers used keys, each until its own expiry. It is safe for
// concurrent use.
//
// An entry takes 40 to 81 bytes, and an empty set of the default size 0.5 MiB.
// Memory of a peak is used again but not freed.
type Set struct {
	seeds
	now    func() time.Time
	quota  int   // entries of each shard
	epoch  int64 // Unix seconds; entries count from here
	shards []setShard
	shares shares
}

type setShard struct {
	mu sync.Mutex
	table
	// forgotten is the latest expiry of all removed entries. If the clock is
	// set back, a key that expires no later may be one of them.
	forgotten uint32
	_         [cachePad]byte
}

// NewSet returns an empty Set.
func NewSet(cfg SetConfig) *Set {
	s := &Set{seeds: newSeeds(), now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	maxEntries := cfg.MaxEntries
	if maxEntries <= 0 {
		maxEntries = defaultSetEntries
	}
	count := 1
	for count < maxShards && maxEntries/(2*count) >= minShardEntries {
		count *= 2
	}
	s.epoch, s.quota = s.now().Unix(), maxEntries/count
	s.shares.max = count * s.quota
	s.shards = make([]setShard, count)
	for i := range s.shards {
		s.shards[i].table = newTable()
	}
	return s
}

// Use records key until expires and reports whether this is the first use. Of
// any number of concurrent calls with one key, exactly one returns true. A key
// whose expiry has passed can be used again. Only the first use sets the
// expiry.
//
// It returns [ErrFull] without room, and [ErrExpired] if expires is not in the
// future. With an error, first is false.
//
// If the clock is set back, Use returns ErrExpired for every expiry up to that
// of a removed entry. A key with a constant expiry is therefore never used
// twice.
func (s *Set) Use(key string, expires time.Time) (first bool, err error) {
	return s.use(key, s.now(), expires)
}

func (s *Set) use(key string, now, expires time.Time) (first bool, err error) {
	now = wall(now)
	if !wall(expires).After(now) {
		return false, ErrExpired
	}
	at := now.Unix() - s.epoch
	until := s.second(expires)
	if int64(until) <= at { // 136 years after construction
		return false, ErrExpired
	}
	f := s.fingerprint(key)
	return s.shards[f.shard(len(s.shards))].use(&f, until, at, s.quota)
}

// UseBy is Use for an owner, which can use as much room as is still free. A
// single owner therefore fills half of the set. Beyond that UseBy returns
// [ErrShare]. Entries with an empty owner are bounded only by the whole set.
func (s *Set) UseBy(owner, key string, expires time.Time) (first bool, err error) {
	now := s.now()
	if owner == "" {
		return s.use(key, now, expires)
	}
	taken, err := s.shares.take(owner, now, expires)
	if err != nil {
		return false, err
	}
	if first, err = s.use(key, now, expires); !first {
		s.shares.giveBack(taken)
	}
	return first, err
}

// Add is UseBy for the owner in the context. It implements the replay stores of
// this module, and does not keep the value.
func (s *Set) Add(ctx context.Context, key string, _ []byte, expires time.Time) (added bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return s.UseBy(Owner(ctx), key, expires)
}

func (sh *setShard) use(f *fingerprint, until uint32, at int64, quota int) (first bool, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	place, used := sh.find(f, at)
	switch {
	case used:
		return false, nil
	case place.until != 0: // an expired entry, which is replaced
		sh.forgotten = max(sh.forgotten, place.until)
	case sh.held >= quota:
		sh.forgotten = max(sh.forgotten, sh.sweep(at))
		if sh.held >= quota {
			return false, ErrFull
		}
		place = nil // it may have moved
	}
	if until <= sh.forgotten {
		return false, ErrExpired
	}
	sh.forgotten = max(sh.forgotten, sh.put(f, until, at, place))
	return true, nil
}

// second returns t in seconds since the epoch, rounded up. An entry may
// therefore live one second too long, and never too short. A time before the
// epoch counts as one second, because the clock was set back. The maximum is
// 136 years.
func (s *Set) second(t time.Time) uint32 {
	sec := t.Unix()
	switch {
	case sec < s.epoch:
		return 1
	case sec-s.epoch >= math.MaxUint32-1:
		return math.MaxUint32
	case t.Nanosecond() > 0:
		sec++
	}
	return uint32(max(sec-s.epoch, 1))
}

// Len returns the number of keys held, including expired keys that were not yet
// removed. It takes the lock of one shard after the other.
func (s *Set) Len() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.held
		sh.mu.Unlock()
	}
	return n
}
