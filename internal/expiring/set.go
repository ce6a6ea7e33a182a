package expiring

import (
	"context"
	"math"
	"sync"
	"time"
)

const defaultSetEntries = 8 << 20

// SetConfig configures a [Set]; MaxEntries defaults to 8,388,608.
type SetConfig = Config

// A Set remembers which keys have been used, each until its own expiry. It is
// safe for concurrent use.
//
// An entry costs 22 to 55 bytes, an empty set of the default size 0.5 MiB.
// Memory that a peak has taken is used again but not given back.
type Set struct {
	sharding
	seeds
	epoch  int64 // Unix seconds; entries count from here
	shards []setShard
	shares shares
}

type setShard struct {
	mu sync.Mutex
	table
	// forgotten is the latest expiry of all entries taken out. Should the
	// clock go backwards, a key that expires no later may be one of them.
	forgotten uint32
	_         [cachePad]byte
}

// NewSet returns an empty Set.
func NewSet(cfg SetConfig) *Set {
	s := &Set{sharding: newSharding(cfg, defaultSetEntries), seeds: newSeeds()}
	s.epoch = s.now().Unix()
	s.shares.max = s.count * s.quota
	s.shards = make([]setShard, s.count)
	for i := range s.shards {
		s.shards[i].table = newTable()
	}
	return s
}

// Use records key until expires and reports whether this is the first use: of
// any number of concurrent calls with one key exactly one gets true. A key
// whose expiry has passed may be used again. Only the first use sets the
// expiry.
//
// It returns [ErrFull] when there is no room, and [ErrExpired] when expires is
// not in the future. first is false with every error.
//
// A clock that goes backwards cannot make a key usable twice, provided that
// the same key always comes with the same expiry: what expired no later than
// anything already forgotten is refused with [ErrExpired].
func (s *Set) Use(key string, expires time.Time) (first bool, err error) {
	now := wall(s.now())
	if !wall(expires).After(now) {
		return false, ErrExpired
	}
	at := now.Unix() - s.epoch
	until := s.second(expires)
	if int64(until) <= at { // 136 years after construction
		return false, ErrExpired
	}
	f := s.fingerprint(key)
	return s.shards[f.shard(s.count)].use(&f, until, at, s.quota)
}

// UseBy is Use for an owner, which can use as much room as is still free. A
// single owner therefore fills half of the set. Beyond that UseBy returns
// [ErrShare]. Entries with an empty owner are bounded only by the whole set.
func (s *Set) UseBy(owner, key string, expires time.Time) (first bool, err error) {
	if owner == "" {
		return s.Use(key, expires)
	}
	taken, err := s.shares.take(owner, s.now(), expires)
	if err != nil {
		return false, err
	}
	if first, err = s.Use(key, expires); !first {
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
	case place.until != 0: // an expired entry, whose room this one takes
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

// second returns t in seconds since the epoch, rounded up: an entry may live up
// to a second too long, never too short. What is before the epoch (the clock
// has been set back) lives longer than asked for; 136 years are the most.
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

// Len returns the number of keys held, among them expired ones whose room has
// not been needed yet. It takes each shard's lock in turn.
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
