package expiring

import "hash/maphash"

const (
	// With its two counters a page takes 8,176 bytes, a size class of the
	// allocator.
	pageSlots = 510
	// From this number of entries on, a page is cleared of expired entries, and
	// divided in two if it stays too full. At three in four a search stays
	// within a few cache lines.
	pageFull = pageSlots * 3 / 4
	// With more live entries than this, the page would soon be full again.
	pageDivide = pageSlots * 3 / 5
	// sweepPages is the number of pages that one call clears in a full table.
	sweepPages = 4
)

// A fingerprint represents a key. It is a seeded hash, so a peer that chooses
// keys can neither find two with one fingerprint nor aim at a page. If two keys
// share one by chance, a first use is rejected and no second use is accepted.
type fingerprint struct {
	a uint64
	b uint32
}

type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *seeds) fingerprint(key string) fingerprint {
	return fingerprint{maphash.String(s[0], key), uint32(maphash.String(s[1], key))}
}

// shard, prefix and start use separate bits: for the shard, the page in the
// shard and the slot in the page.
func (f *fingerprint) shard(count int) int { return int(f.b) & (count - 1) }
func (f *fingerprint) prefix() int         { return int(uint32(f.a)) }
func (f *fingerprint) start() int          { return int(f.a >> 32 * pageSlots >> 32) }

// A table is a hash table of fingerprints, in pages that a directory finds by
// their prefix (extendible hashing). It grows by the division of one page at a
// time, so no call is slow because of its size. It has no list of due entries:
// an expired entry stays until its room is needed. A use therefore touches one
// page, and usually one cache line of it. Pages contain no pointers, so the
// garbage collector does not scan them.
//
// A Go map with a list of due entries took 89 bytes for an entry, and twice the
// time for a use.
type table struct {
	directory []*page // 2^n pages; a page of depth d is in 2^(n-d) places
	held      int     // entries in all pages, including expired entries
	next      int     // the page at which sweep continues
}

type page struct {
	slots [pageSlots]slot
	held  int32
	depth uint32 // the number of prefix bits that all entries share
}

// slot is 16 bytes. The slot of an expired entry is used again.
type slot struct {
	fingerprint
	until uint32 // the second in which it expires; 0 if never used
}

func newTable() table { return table{directory: []*page{new(page)}} }

func (t *table) page(f *fingerprint) *page {
	return t.directory[f.prefix()&(len(t.directory)-1)]
}

// find searches a live entry of f. If it does not exist, find returns a slot
// for it: that of an expired entry, or a free one.
func (t *table) find(f *fingerprint, at int64) (place *slot, used bool) {
	p := t.page(f)
	for i := f.start(); ; i++ { // ends, as a page is never full
		if i == pageSlots {
			i = 0
		}
		s := &p.slots[i]
		switch {
		case s.until == 0:
			if place == nil {
				place = s
			}
			return place, false
		case int64(s.until) <= at:
			if place == nil {
				place = s
			}
		case s.fingerprint == *f:
			return s, true
		}
	}
}

// put stores an entry at place, a result of find. If place is nil, put calls
// find. It returns the latest expiry of the entries that it removed.
func (t *table) put(f *fingerprint, until uint32, at int64, place *slot) (forgotten uint32) {
	if place == nil {
		place, _ = t.find(f, at)
	}
	if place.until == 0 {
		for p := t.page(f); p.held >= pageFull; p = t.page(f) {
			forgotten = max(forgotten, t.clear(p, at))
			if p.held > pageDivide {
				t.divide(p, f)
			}
			place, _ = t.find(f, at)
		}
		t.page(f).held++
		t.held++
	}
	*place = slot{*f, until}
	return forgotten
}

// clear removes the expired entries of a page and returns the latest expiry.
func (t *table) clear(p *page, at int64) (forgotten uint32) {
	old := p.slots
	p.slots = [pageSlots]slot{}
	t.held -= int(p.held)
	p.held = 0
	for i := range old {
		switch s := &old[i]; {
		case s.until == 0:
		case int64(s.until) <= at:
			forgotten = max(forgotten, s.until)
		default:
			p.insert(s)
		}
	}
	t.held += int(p.held)
	return forgotten
}

// insert adds an entry that is known to be new.
func (p *page) insert(s *slot) {
	i := s.start()
	for p.slots[i].until != 0 {
		if i++; i == pageSlots {
			i = 0
		}
	}
	p.slots[i] = *s
	p.held++
}

// divide splits the page of f by one more bit of the prefixes.
func (t *table) divide(p *page, f *fingerprint) {
	if 1<<p.depth == len(t.directory) {
		t.directory = append(t.directory, t.directory...)
	}
	bit := 1 << p.depth
	halves := [2]*page{{depth: p.depth + 1}, {depth: p.depth + 1}}
	for i := range p.slots {
		if s := &p.slots[i]; s.until != 0 {
			halves[s.prefix()/bit&1].insert(s)
		}
	}
	for i := f.prefix() & (bit - 1); i < len(t.directory); i += bit {
		t.directory[i] = halves[i/bit&1]
	}
}

// sweep clears the next few pages and returns the latest expiry of the removed
// entries.
func (t *table) sweep(at int64) (forgotten uint32) {
	for range min(sweepPages, len(t.directory)) {
		t.next = (t.next + 1) % len(t.directory)
		forgotten = max(forgotten, t.clear(t.directory[t.next], at))
	}
	return forgotten
}
