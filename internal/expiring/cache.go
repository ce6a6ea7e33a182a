package expiring

import (
	"hash/maphash"
	"strings"
	"sync"
)

const (
	maxCacheShards = 32
	// A cache smaller than two shards of this size has one shard.
	minCacheShard = 64
)

// A Cache keeps recent values under recent keys. It is for values that can be
// computed again, because an entry may be lost at any time. It is safe for
// concurrent use, and concurrent hits do not wait for each other.
//
// Entries live in two generations, each of half the size. When the new
// generation is full, it replaces the old one, which is dropped. Get moves an
// entry from the old generation to the new one. Keys in steady use therefore
// survive a flood of others.
type Cache[V any] struct {
	seed   maphash.Seed
	half   int // entries in a generation of a shard
	shards []cacheShard[V]
}

type cacheShard[V any] struct {
	mu sync.RWMutex
	// Keys are hashed once, with a secret seed, and compared on every hit. Two
	// keys with one hash displace each other and are never confused.
	recent, old map[uint64]cached[V]
	_           [cachePad]byte
}

type cached[V any] struct {
	key   string
	value V
}

// NewCache returns an empty Cache for at most maxEntries entries, and at least
// for 2. It allocates memory when entries arrive.
func NewCache[V any](maxEntries int) *Cache[V] {
	maxEntries = max(maxEntries, 2)
	count := 1
	for count < maxCacheShards && maxEntries/(2*count) >= minCacheShard {
		count *= 2
	}
	c := &Cache[V]{
		seed:   maphash.MakeSeed(),
		half:   maxEntries / count / 2,
		shards: make([]cacheShard[V], count),
	}
	for i := range c.shards {
		c.shards[i].recent = make(map[uint64]cached[V])
	}
	return c
}

// Get returns the value of key, unless the cache has forgotten it.
func (c *Cache[V]) Get(key string) (v V, ok bool) {
	sum, sh := c.locate(key)
	sh.mu.RLock()
	e, recent := sh.recent[sum]
	if !recent {
		e, ok = sh.old[sum]
	}
	sh.mu.RUnlock()
	if (!recent && !ok) || e.key != key {
		return v, false
	}
	if !recent {
		c.carry(sh, sum)
	}
	return e.value, true
}

// Put stores v under key and replaces an earlier value. The cache keeps a copy
// of key, so it does not keep a larger string that contains key.
func (c *Cache[V]) Put(key string, v V) {
	sum, sh := c.locate(key)
	e := cached[V]{key: strings.Clone(key), value: v}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.old, sum)
	c.store(sh, sum, e)
}

// carry moves an entry from the old generation to the new one, unless another
// call has moved, replaced or dropped it.
func (c *Cache[V]) carry(sh *cacheShard[V], sum uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e, ok := sh.old[sum]; ok {
		delete(sh.old, sum)
		c.store(sh, sum, e)
	}
}

func (c *Cache[V]) store(sh *cacheShard[V], sum uint64, e cached[V]) {
	if _, present := sh.recent[sum]; !present && len(sh.recent) >= c.half {
		// The map of the old generation is used again. A new map would have to
		// grow while the shard is locked.
		empty := sh.old
		clear(empty)
		if empty == nil {
			empty = make(map[uint64]cached[V])
		}
		sh.old, sh.recent = sh.recent, empty
	}
	sh.recent[sum] = e
}

func (c *Cache[V]) locate(key string) (uint64, *cacheShard[V]) {
	sum := maphash.String(c.seed, key)
	return sum, &c.shards[sum>>32&uint64(len(c.shards)-1)]
}
