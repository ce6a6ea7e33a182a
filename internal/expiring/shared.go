package expiring

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrShare reports that one owner has used its share. Nothing was recorded.
// Other owners can still add entries.
var ErrShare = errors.New("expiring: the share of one owner is full")

// entryBytes is the approximate size of an entry of a [Shared] without its
// value.
const entryBytes = 256

// SharedConfig configures a [Shared]. Both bounds are required.
type SharedConfig struct {
	MaxEntries int
	MaxBytes   int              // of values, with 256 bytes for each entry
	Now        func() time.Time // if nil, time.Now is used
}

// A Shared is a [Map] for several owners, bounded in entries and in bytes. An
// owner can use as much room as is still free. A single owner therefore fills
// half of the bounds, two owners fill a third each, and another owner always
// finds room. Entries without an owner are bounded only by the whole.
//
// It has one lock, which is held for a look-up and an update of a heap. It is
// safe for concurrent use.
type Shared[V any] struct {
	sharding
	max usage

	mu     sync.Mutex
	held   map[digest]*node[owned[V]]
	due    schedule[owned[V]]
	used   usage
	owners map[string]usage
}

type owned[V any] struct {
	value V
	owner string
	bytes int
}

type usage struct{ entries, bytes int }

func (u usage) plus(entries, bytes int) usage { return usage{u.entries + entries, u.bytes + bytes} }

func (u usage) within(max usage) bool { return u.entries <= max.entries && u.bytes <= max.bytes }

// NewShared returns an empty Shared.
func NewShared[V any](cfg SharedConfig) *Shared[V] {
	return &Shared[V]{
		sharding: newSharding(Config{MaxEntries: 1, Now: cfg.Now}, 1), max: usage{cfg.MaxEntries, cfg.MaxBytes},
		held: make(map[digest]*node[owned[V]]), owners: make(map[string]usage),
	}
}

// Add stores v of a size in bytes under key until expires. If owner is empty,
// the entry has no owner. It returns [ErrExists], [ErrExpired], [ErrFull] or
// [ErrShare].
func (s *Shared[V]) Add(owner, key string, v V, size int, expires time.Time) error {
	d, _ := s.locate(key)
	expires = wall(expires)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.begin()
	switch {
	case s.find(d, now) != nil:
		return ErrExists
	case !expires.After(now):
		return ErrExpired
	}
	size += entryBytes
	if err := s.room(owner, size); err != nil {
		for s.expire(now) { // remove all expired entries, so that they do not use up room
		}
		if err = s.room(owner, size); err != nil {
			return err
		}
	}
	n := &node[owned[V]]{key: d, value: owned[V]{v, owner, size}, expires: expires}
	s.held[d] = n
	heap.Push(&s.due, n)
	s.count(owner, 1, size)
	return nil
}

// room reports whether an owner may add an entry.
func (s *Shared[V]) room(owner string, size int) error {
	free := usage{s.max.entries - s.used.entries, s.max.bytes - s.used.bytes}
	if own, ok := s.owners[owner]; ok && !own.plus(1, size).within(free) {
		return ErrShare
	}
	if !(usage{1, size}).within(free) {
		return ErrFull
	}
	return nil
}

// Get returns the live entry of key.
func (s *Shared[V]) Get(key string) (v V, ok bool) {
	d, _ := s.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.find(d, s.begin()); n != nil {
		return n.value.value, true
	}
	return v, false
}

// Take removes the live entry of key and returns it. Of any number of concurrent
// calls exactly one gets it.
func (s *Shared[V]) Take(key string) (v V, ok bool) {
	d, _ := s.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.find(d, s.begin())
	if n == nil {
		return v, false
	}
	s.remove(n)
	return n.value.value, true
}

// Update replaces the live entry of key with the result of f: a value of the
// same size and its expiry. It reports whether the entry existed. f runs under
// the lock and must not use the Shared.
func (s *Shared[V]) Update(key string, f func(v V, expires time.Time) (V, time.Time)) bool {
	d, _ := s.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.find(d, s.begin())
	if n == nil {
		return false
	}
	v, expires := f(n.value.value, n.expires)
	n.value.value, n.expires = v, wall(expires)
	heap.Fix(&s.due, n.index)
	return true
}

// Replace replaces the live entry of key by what f returns: a value, its size and
// its expiry. Without ok the entry stays as it is. With bounded, an entry that
// grows has to stay within the share of its owner, or Replace changes nothing and
// returns [ErrFull] or [ErrShare]. For a time that is past it returns [ErrExpired]
// and changes nothing. It reports whether there was an entry. f runs
// under the lock and must not use the Shared.
func (s *Shared[V]) Replace(key string, bounded bool, f func(v V) (next V, size int, expires time.Time, ok bool)) (found bool, err error) {
	d, _ := s.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.begin()
	n := s.find(d, now)
	if n == nil {
		return false, nil
	}
	v, size, expires, ok := f(n.value.value)
	switch expires = wall(expires); {
	case !ok:
		return true, nil
	case !expires.After(now):
		return true, ErrExpired
	}
	grown := size + entryBytes - n.value.bytes
	if bounded && grown > 0 {
		if err := s.roomToGrow(n.value.owner, grown); err != nil {
			for s.expire(now) {
			}
			if err = s.roomToGrow(n.value.owner, grown); err != nil {
				return true, err
			}
		}
	}
	s.count(n.value.owner, 0, grown)
	n.value.value, n.value.bytes, n.expires = v, size+entryBytes, expires
	heap.Fix(&s.due, n.index)
	return true, nil
}

// roomToGrow reports whether an entry of an owner may grow.
func (s *Shared[V]) roomToGrow(owner string, bytes int) error {
	free := s.max.bytes - s.used.bytes
	switch {
	case bytes > free:
		return ErrFull
	case owner != "" && s.owners[owner].bytes+bytes > free:
		return ErrShare
	}
	return nil
}

// Len returns the number of entries held, among them some that have expired.
func (s *Shared[V]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

// begin removes some expired entries and returns the time.
func (s *Shared[V]) begin() time.Time {
	now := wall(s.now())
	for range evictMap {
		if !s.expire(now) {
			break
		}
	}
	return now
}

// expire removes an expired entry, if one exists.
func (s *Shared[V]) expire(now time.Time) bool {
	if len(s.due) == 0 || s.due[0].expires.After(now) {
		return false
	}
	s.remove(s.due[0])
	return true
}

func (s *Shared[V]) find(d digest, now time.Time) *node[owned[V]] {
	n := s.held[d]
	if n != nil && !n.expires.After(now) {
		s.remove(n)
		return nil
	}
	return n
}

func (s *Shared[V]) remove(n *node[owned[V]]) {
	heap.Remove(&s.due, n.index)
	delete(s.held, n.key)
	s.count(n.value.owner, -1, -n.value.bytes)
}

func (s *Shared[V]) count(owner string, entries, bytes int) {
	s.used = s.used.plus(entries, bytes)
	if owner == "" {
		return
	}
	if s.owners[owner] = s.owners[owner].plus(entries, bytes); s.owners[owner].entries == 0 {
		delete(s.owners, owner)
	}
}

type ownerKey struct{}

// WithOwner returns a context that names the owner of an entry to a store. The
// context also passes through stores that wrap another store.
func WithOwner(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// Owner returns the owner in a context, or "".
func Owner(ctx context.Context) string {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return owner
}
