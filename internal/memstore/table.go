package memstore

import (
	"encoding/base64"
	"hash/maphash"
	"math/bits"
	"strings"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// A key is the binary form of a key. The 43 characters contain 258 bits: sum
// has the first 256 of them, and rest has the last two.
type key struct {
	sum  [32]byte
	rest uint32
}

// parseKey returns false if text is not KeyLength characters of base64url.
func parseKey(text string) (k key, ok bool) {
	var src [KeyLength]byte
	if copy(src[:], text) != len(text) || len(text) != KeyLength {
		return key{}, false
	}
	n, err := base64.RawURLEncoding.Decode(k.sum[:], src[:])
	k.rest = uint32(strings.IndexByte(alphabet, src[KeyLength-1]) & 3)
	return k, err == nil && n == len(k.sum) // the decoder skips line breaks
}

// A table finds the entry of a key. Entries have numbers from 1 on. The number
// of a removed entry is used again.
//
// The table is a hash table with chains that grows by one bucket at a time
// (linear hashing), so no call is slow because of its size. The seed of the
// hash is secret. A peer that chooses keys cannot make a chain long. Entries
// refer to each other by number, so the garbage collector has few pointers to
// follow.
type table struct {
	seed    maphash.Seed
	entries array[entry] // by number; the first is not used
	heads   array[int32] // of the chains
	held    int
	free    int32 // the first of the free entries
}

// An entry takes 64 bytes, a cache line, and contains one pointer. A version
// that does not fit makes Swap fail.
type entry struct {
	value   string
	sum     [32]byte
	version uint32
	mark    uint32 // the rest of the key, and 4 times the number of the account
	next    int32  // in the chain of the bucket, or of the free entries
	place   int32  // in the schedule
}

func (e *entry) rest() uint32   { return e.mark & 3 }
func (e *entry) account() int32 { return int32(e.mark >> 2) }

func newTable() table {
	t := table{seed: maphash.MakeSeed(), entries: array[entry]{len: 1}}
	t.heads.push()
	return t
}

func (t *table) entry(id int32) *entry { return t.entries.at(int(id)) }

// head returns the start of the chain for a sum.
func (t *table) head(sum *[32]byte) *int32 {
	mask := 1<<bits.Len(uint(t.heads.len-1)) - 1
	i := int(maphash.Bytes(t.seed, sum[:])&(1<<31-1)) & mask
	if i >= t.heads.len { // this bucket does not exist yet
		i &= mask >> 1
	}
	return t.heads.at(i)
}

// find returns the number of an entry, or 0.
func (t *table) find(k *key) int32 {
	id := *t.head(&k.sum)
	for id != 0 {
		e := t.entry(id)
		if e.sum == k.sum && e.rest() == k.rest {
			break
		}
		id = e.next
	}
	return id
}

// insert adds a key that is not in the table.
func (t *table) insert(k *key, value string, account int32) (id int32) {
	if id = t.free; id == 0 {
		id = int32(t.entries.push())
	} else {
		t.free = t.entry(id).next
	}
	if t.held++; t.held > t.heads.len {
		t.divide()
	}
	*t.entry(id) = entry{value: value, sum: k.sum, version: 1, mark: uint32(account)<<2 | k.rest}
	t.link(id)
	return id
}

func (t *table) link(id int32) {
	e := t.entry(id)
	head := t.head(&e.sum)
	e.next, *head = *head, id
}

// divide adds a bucket. Its entries were in the bucket whose index lacks the
// highest bit.
func (t *table) divide() {
	i := t.heads.push()
	old := t.heads.at(i &^ (1 << (bits.Len(uint(i)) - 1)))
	id := *old
	*old = 0
	for id != 0 {
		next := t.entry(id).next
		t.link(id)
		id = next
	}
}

func (t *table) remove(id int32) {
	e := t.entry(id)
	link := t.head(&e.sum)
	for *link != id {
		link = &t.entry(*link).next
	}
	*link = e.next
	*e = entry{next: t.free}
	t.free = id
	t.held--
}
