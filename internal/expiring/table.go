package expiring

import "hash/maphash"

const (
	pageSlots = 510 // with its two counters a page takes 8,176 bytes, a size class of the allocator
	// A page that is this full is cleared of expired entries, and divided in
	// two if that does not help: three in four, so that a search stays within
	// a few cache lines.
	pageFull = pageSlots * 3 / 4
	// With more live entries than this, clearing would soon be due again.
	pageDivide = pageSlots * 3 / 5
	// So many pages are cleared when there is no room otherwise.
	sweepPages = 4
)

// A fingerprint stands for a key. It comes from a seeded hash, so a peer who
// picks keys can neither find two with one fingerprint nor aim at a page; should
// two keys share one by chance, an honest use is refused and nothing is let in.
type fingerprint struct {
	a uint64
	b uint32
}

type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *seeds) fingerprint(key string) fingerprint {
	return fingerprint{maphash.String(s[0], key), uint32(maphash.String(s[1], key))}
}

// shard, prefix and start take bits of their own each, for the shard, the page
// in it and the place in that.
func (f *fingerprint) shard(count int) int { return int(f.b) & (count - 1) }
func (f *fingerprint) prefix() int         { return int(uint32(f.a)) }
func (f *fingerprint) start() int          { return int(f.a >> 32 * pageSlots >> 32) }

// A table is a hash table of fingerprints, in pages that a directory finds by
// their prefix (extendible hashing). It grows by dividing one page at a time, so
// no call is slow because of its size, and it keeps no list of what is due: an
// expired entry stays until its room is wanted. So a use touches one page and
// mostly one cache line of it, which is where its time goes when there are
// millions of entries. Pages contain no pointers, so the garbage collector does
// not walk them.
//
// Go's map with a list of what is due beside it was measured to take 89 bytes an
// entry when entries come and go, and twice as long for a use.
type table struct {
	directory []*page // 2^n of them; a page of depth d stands in 2^(n-d) places
	held      int     // entries in all pages, expired ones too
	next      int     // where sweep goes on
}

type page struct {
	slots [pageSlots]slot
	held  int32
	depth uint32 // how many bits of the prefix all entries share
}

// slot is 16 bytes. An expired entry's is taken by the next that comes along.
type slot struct {
	fingerprint
	until uint32 // the second in which it expires; 0: never taken
}

func newTable() table { return table{directory: []*page{new(page)}} }

func (t *table) page(f *fingerprint) *page {
	return t.directory[f.prefix()&(len(t.directory)-1)]
}

// find looks for a live entry of d. If there is none it returns where one may
// go: the slot of an expired entry, or a free one.
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

// put stores an entry at place, which find has returned, or where find would
// if it is nil. It returns the latest expiry of the entries it has taken out.
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

// clear takes the expired entries out of a page and returns the latest expiry.
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

// insert puts in an entry that is known to be new.
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

// divide splits the page of d by one more bit of the digests.
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

// sweep clears some pages, others each time, and returns the latest expiry of
// what it has taken out.
func (t *table) sweep(at int64) (forgotten uint32) {
	for range min(sweepPages, len(t.directory)) {
		t.next = (t.next + 1) % len(t.directory)
		forgotten = max(forgotten, t.clear(t.directory[t.next], at))
	}
	return forgotten
}
