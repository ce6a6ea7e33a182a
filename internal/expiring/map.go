package expiring

import (
	"container/heap"
	"sync"
	"time"
)

const defaultMapEntries = 1 << 20

// Each call takes out up to this many due entries.
const evictMap = 4

// MapConfig configures a [Map]; MaxEntries defaults to 1,048,576.
type MapConfig = Config

// A Map keeps values under keys, each until its own expiry. It is safe for
// concurrent use; values are handed out as they are, so a V that holds
// pointers or slices must not be changed by those who get it.
//
// An entry that has been found expired stays gone, even if the clock goes
// backwards. A removed entry gives its room back at once.
type Map[V any] struct {
	sharding
	shards []mapShard[V]
}

type mapShard[V any] struct {
	mu   sync.Mutex
	held map[digest]*node[V]
	due  schedule[V]
	_    [cachePad]byte
}

type node[V any] struct {
	key     digest
	value   V
	expires time.Time // without monotonic reading
	index   int       // in the schedule
}

// NewMap returns an empty Map.
func NewMap[V any](cfg MapConfig) *Map[V] {
	m := &Map[V]{sharding: newSharding(cfg, defaultMapEntries)}
	m.shards = make([]mapShard[V], m.count)
	for i := range m.shards {
		m.shards[i].held = make(map[digest]*node[V])
	}
	return m
}

// Add stores v under key until expires. It returns [ErrExists] when a live
// entry has that key, [ErrFull] when there is no room and [ErrExpired] when
// expires is not in the future.
func (m *Map[V]) Add(key string, v V, expires time.Time) error {
	sh, d, now := m.lock(key)
	defer sh.mu.Unlock()
	if sh.find(d, now) != nil {
		return ErrExists
	}
	return sh.insert(d, v, wall(expires), now, m.quota)
}

// Get returns the live entry of key.
func (m *Map[V]) Get(key string) (v V, ok bool) {
	sh, d, now := m.lock(key)
	defer sh.mu.Unlock()
	if n := sh.find(d, now); n != nil {
		return n.value, true
	}
	return v, false
}

// Take removes the live entry of key and returns it: of any number of
// concurrent calls exactly one gets it.
func (m *Map[V]) Take(key string) (v V, ok bool) {
	sh, d, now := m.lock(key)
	defer sh.mu.Unlock()
	n := sh.find(d, now)
	if n == nil {
		return v, false
	}
	sh.remove(n)
	return n.value, true
}

// Compute calls f with the live entry of key (ok is false when there is none)
// and puts in its place what f returns: with keep a value and its expiry,
// without keep nothing. No other call on that key happens in between.
//
// f runs under a lock: it must be short and must not use the Map. When f
// panics the entry stays as it was.
//
// With keep, the error is [ErrFull] when there was no entry and there is no
// room for one, and [ErrExpired] when the new expiry is not in the future; in
// both cases no entry is left.
func (m *Map[V]) Compute(key string, f func(v V, ok bool) (value V, keep bool, expires time.Time)) error {
	sh, d, now := m.lock(key)
	defer sh.mu.Unlock()
	n := sh.find(d, now)
	var old V
	if n != nil {
		old = n.value
	}
	value, keep, expires := f(old, n != nil)
	expires = wall(expires)
	switch {
	case n != nil && keep && expires.After(now):
		n.value, n.expires = value, expires
		heap.Fix(&sh.due, n.index)
		return nil
	case n != nil:
		sh.remove(n)
	}
	if !keep {
		return nil
	}
	return sh.insert(d, value, expires, now, m.quota)
}

// Len returns the number of entries held, among them expired ones that have
// not been taken out yet. It takes each shard's lock in turn.
func (m *Map[V]) Len() int {
	n := 0
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		n += len(sh.held)
		sh.mu.Unlock()
	}
	return n
}

// lock locks the shard of key and takes out some entries that are due.
func (m *Map[V]) lock(key string) (*mapShard[V], digest, time.Time) {
	now := wall(m.now())
	d, i := m.locate(key)
	sh := &m.shards[i]
	sh.mu.Lock()
	for range evictMap {
		if len(sh.due) == 0 || sh.due[0].expires.After(now) {
			break
		}
		sh.remove(sh.due[0])
	}
	return sh, d, now
}

// find returns the live node of d, or nil. It removes an expired one.
func (sh *mapShard[V]) find(d digest, now time.Time) *node[V] {
	n := sh.held[d]
	if n == nil {
		return nil
	}
	if !n.expires.After(now) {
		sh.remove(n)
		return nil
	}
	return n
}

// insert adds a node for d, which must have none.
func (sh *mapShard[V]) insert(d digest, v V, expires, now time.Time, quota int) error {
	if !expires.After(now) {
		return ErrExpired
	}
	// lock has taken out what is due, so a full shard is full of live
	// entries.
	if len(sh.held) >= quota {
		return ErrFull
	}
	n := &node[V]{key: d, value: v, expires: expires}
	sh.held[d] = n
	heap.Push(&sh.due, n)
	return nil
}

func (sh *mapShard[V]) remove(n *node[V]) {
	heap.Remove(&sh.due, n.index)
	delete(sh.held, n.key)
}

// schedule is a heap of nodes, the next due first. Unlike the buckets of a Set
// it lets a node go in the middle, which Take needs.
type schedule[V any] []*node[V]

func (s schedule[V]) Len() int           { return len(s) }
func (s schedule[V]) Less(i, j int) bool { return s[i].expires.Before(s[j].expires) }
func (s schedule[V]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}
func (s *schedule[V]) Push(x any) {
	n := x.(*node[V])
	n.index = len(*s)
	*s = append(*s, n)
}
func (s *schedule[V]) Pop() any {
	old := *s
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return n
}
