package expiring

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

const (
	entrySegment = 512  // entries; 14,336 bytes, a size class of the allocator
	headSegment  = 2048 // heads; 8,192 bytes
	// With eight chains for an entry nearly all are empty, so a lookup mostly
	// ends without touching an entry: with millions of entries the time of a
	// use is that of its cache misses, and this one costs 28 bytes to save.
	headsPerEntry = 8
)

// A table is a hash table of digests that also lists them by the second in
// which they fall due. It grows one slot at a time (linear hashing) in segments
// that never move, so no call is slow because of its size. It contains no
// pointers to single entries, so the garbage collector does not walk it.
//
// Go's map with a list of what is due beside it serves worse: it was measured to
// take 89 bytes an entry when entries come and go, and half as long again for a
// use.
type table struct {
	entries []*[entrySegment]entry
	heads   []*[headSegment]uint32 // first entry of each chain
	size    uint32                 // chains in use
	mask    uint32                 // 2^n-1 with 2^(n-1) <= size < 2^n
	taken   uint32                 // entries that have ever been in use
	free    uint32                 // those that are not in use now, linked by chain
	held    int
	buckets []bucket // latest first; the one due next is the last
}

// entry is 28 bytes. Entries are numbered from 1; 0 is none.
type entry struct {
	key   digest
	until uint32 // the second in which it expires
	chain uint32 // next entry with this hash
	due   uint32 // next entry in this bucket
}

// bucket lists the entries that are taken out from the second due on.
type bucket struct{ due, first uint32 }

func newTable() table {
	return table{heads: []*[headSegment]uint32{new([headSegment]uint32)}, size: headSegment, mask: 2*headSegment - 1}
}

func (t *table) entry(i uint32) *entry {
	i--
	return &t.entries[i/entrySegment][i%entrySegment]
}

// head returns the chain of d. A digest is uniform, so any four bytes will do.
func (t *table) head(d *digest) *uint32 {
	i := binary.LittleEndian.Uint32(d[:]) & t.mask
	if i >= t.size {
		i &= t.mask >> 1 // this chain has not been split yet
	}
	return &t.heads[i/headSegment][i%headSegment]
}

// has reports whether an entry for d is live at the second at.
func (t *table) has(d *digest, at int64) bool {
	for i := *t.head(d); i != 0; {
		e := t.entry(i)
		if e.key == *d && int64(e.until) > at {
			return true
		}
		i = e.chain
	}
	return false
}

// add puts in an entry for d. An expired one for d may still be there; it is
// left to its bucket.
func (t *table) add(d *digest, until uint32, at int64) {
	i := t.free
	if i != 0 {
		t.free = t.entry(i).chain
	} else {
		if t.taken%entrySegment == 0 {
			t.entries = append(t.entries, new([entrySegment]entry))
		}
		t.taken++
		i = t.taken
	}
	head, b := t.head(d), t.bucket(round(until, at))
	*t.entry(i) = entry{key: *d, until: until, chain: *head, due: b.first}
	*head, b.first = i, i
	for t.held++; t.held > int(t.size)/headsPerEntry; {
		t.split()
	}
}

// split adds one chain and moves to it what belongs there from its sibling.
func (t *table) split() {
	if t.size%headSegment == 0 {
		t.heads = append(t.heads, new([headSegment]uint32))
	}
	sibling := t.size & (t.mask >> 1)
	stay := &t.heads[sibling/headSegment][sibling%headSegment]
	t.size++
	for link := stay; *link != 0; {
		i := *link
		e := t.entry(i)
		if head := t.head(&e.key); head != stay {
			*link, e.chain, *head = e.chain, *head, i
		} else {
			link = &e.chain
		}
	}
	if t.size > t.mask {
		t.mask = 2*t.mask + 1
	}
}

// drop takes out one entry whose bucket is due at the second at and returns
// its expiry.
func (t *table) drop(at int64) (until uint32, ok bool) {
	last := len(t.buckets) - 1
	if last < 0 || int64(t.buckets[last].due) > at {
		return 0, false
	}
	b := &t.buckets[last]
	i := b.first
	e := t.entry(i)
	if b.first = e.due; b.first == 0 {
		t.buckets = t.buckets[:last]
	}
	link := t.head(&e.key)
	for *link != i {
		link = &t.entry(*link).chain
	}
	*link, e.chain, t.free = e.chain, t.free, i
	t.held--
	return e.until, true
}

func (t *table) bucket(due uint32) *bucket {
	i, found := slices.BinarySearchFunc(t.buckets, due, func(b bucket, due uint32) int {
		return cmp.Compare(due, b.due)
	})
	if !found {
		t.buckets = slices.Insert(t.buckets, i, bucket{due: due})
	}
	return &t.buckets[i]
}

// round returns the bucket of an entry that is added at the second at. From 128
// seconds ahead on it is a multiple of a power of two, at most a 64th of the
// distance: so there are never more than some 1,700 buckets, and an entry
// leaves late by less than a 64th of its life.
func round(until uint32, at int64) uint32 {
	distance := uint64(max(int64(until)-at, 1))
	step := int64(1) << max(bits.Len64(distance)-7, 0)
	return uint32(min((int64(until)+step-1)&^(step-1), math.MaxUint32))
}
