package memstore

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// Limits of the contract, see package store.
const (
	MaxMember = 128
	MaxList   = 1000
)

// An Index implements store.Index. It starts no goroutine and is safe for
// concurrent use. It is bounded in members, each of which takes at most 500
// bytes of memory. Members belong to owners, and an owner has a share like that
// of a [Store].
//
// Members without an owner have as much room as all others together, and that
// room is their own. A caller can therefore record that something has ended
// even if clients have filled the index.
type Index struct {
	max int
	now func() time.Time

	mu     sync.Mutex
	sets   map[string]*memberSet // those that have members
	due    deadlines
	owners map[string]*memberOwner // those that have members
}

type memberSet struct {
	name    string
	members []*member // in the order of their names
}

type memberOwner struct {
	name    string // empty for the members without an owner
	members int
}

type member struct {
	name    string
	set     *memberSet
	owner   *memberOwner
	expires time.Time
	place   int // in deadlines
}

// NewIndex returns an empty Index. It ignores MaxBytes.
func NewIndex(cfg Config) *Index {
	x := &Index{
		max: cmp.Or(cfg.MaxEntries, defaultMaxEntries), now: cfg.Now,
		sets: make(map[string]*memberSet), owners: make(map[string]*memberOwner),
	}
	if x.now == nil {
		x.now = time.Now
	}
	return x
}

// Put implements store.Index. It returns [ErrShare] if the owner of a new
// member has used its share.
func (x *Index) Put(ctx context.Context, set, name string, expires time.Time) error {
	if err := checkMember(ctx, set, name); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.begin()
	expires = expires.Round(0)
	if !expires.After(now) {
		return errExpiry(expires, now)
	}
	if m := x.find(set, name); m != nil && m.expires.After(now) {
		if expires.After(m.expires) {
			m.expires = expires
			heap.Fix(&x.due, m.place)
		}
		return nil
	} else if m != nil {
		x.remove(m)
	}
	owner := expiring.Owner(ctx)
	if err := x.makeRoom(owner, now); err != nil {
		return err
	}
	x.insert(set, name, owner, expires)
	return nil
}

// Delete implements store.Index.
func (x *Index) Delete(ctx context.Context, set, name string) error {
	if err := checkMember(ctx, set, name); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begin()
	if m := x.find(set, name); m != nil {
		x.remove(m)
	}
	return nil
}

// List implements store.Index.
func (x *Index) List(ctx context.Context, set, after string, limit int) ([]string, error) {
	if err := checkMember(ctx, set, cmp.Or(after, "-")); err != nil {
		return nil, err
	}
	if limit < 1 || limit > MaxList {
		return nil, fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, limit, MaxList)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.begin()
	s := x.sets[set]
	if s == nil {
		return nil, nil
	}
	i, ok := s.place(after)
	if ok {
		i++
	}
	var names []string
	for _, m := range s.members[i:] {
		if len(names) == limit {
			break
		}
		if m.expires.After(now) {
			names = append(names, m.name)
		}
	}
	return names, nil
}

// checkMember checks the arguments that do not depend on the members.
func checkMember(ctx context.Context, set, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(set) != KeyLength || !isBase64URL(set) {
		return fmt.Errorf("%w: set of %d bytes, want %d of base64url", ErrInvalid, len(set), KeyLength)
	}
	if name == "" || len(name) > MaxMember || !isBase64URL(name) {
		return fmt.Errorf("%w: member of %d bytes, want 1 to %d of base64url", ErrInvalid, len(name), MaxMember)
	}
	return nil
}

func isBase64URL(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// begin removes some expired members and returns the time of an operation.
func (x *Index) begin() time.Time {
	now := x.now().Round(0)
	for range reclaimed {
		if !x.reclaim(now) {
			break
		}
	}
	return now
}

// place returns the place of a member, and whether it is there.
func (s *memberSet) place(name string) (int, bool) {
	return slices.BinarySearchFunc(s.members, name, func(m *member, name string) int {
		return strings.Compare(m.name, name)
	})
}

// find returns a member, or nil.
func (x *Index) find(set, name string) *member {
	if s := x.sets[set]; s != nil {
		if i, ok := s.place(name); ok {
			return s.members[i]
		}
	}
	return nil
}

func (x *Index) insert(set, name, owner string, expires time.Time) {
	s, o := x.sets[set], x.owners[owner]
	if s == nil {
		s = &memberSet{name: strings.Clone(set)}
		x.sets[s.name] = s
	}
	if o == nil {
		o = &memberOwner{name: strings.Clone(owner)}
		x.owners[o.name] = o
	}
	m := &member{name: strings.Clone(name), set: s, owner: o, expires: expires}
	i, _ := s.place(name)
	s.members = slices.Insert(s.members, i, m)
	o.members++
	heap.Push(&x.due, m)
}

func (x *Index) remove(m *member) {
	heap.Remove(&x.due, m.place)
	i, _ := m.set.place(m.name)
	if m.set.members = slices.Delete(m.set.members, i, i+1); len(m.set.members) == 0 {
		delete(x.sets, m.set.name)
	}
	if m.owner.members--; m.owner.members == 0 {
		delete(x.owners, m.owner.name)
	}
}

// held returns the number of members of an owner.
func (x *Index) held(owner string) int {
	if o := x.owners[owner]; o != nil {
		return o.members
	}
	return 0
}

// makeRoom removes expired members until another one fits. It returns [ErrFull]
// or [ErrShare] if it does not fit. If more members have expired than one call
// removes, the owner needs only free room, as in a [Store].
func (x *Index) makeRoom(owner string, now time.Time) error {
	for range reclaimedForRoom {
		err := x.room(owner, x.held(owner))
		if err == nil || !x.reclaim(now) {
			return err
		}
	}
	own := x.held(owner)
	if len(x.due) > 0 && !x.due[0].expires.After(now) {
		own = 0
	}
	return x.room(owner, own)
}

// room checks whether another member of an owner with own members fits. An
// owner that has members can use as much room as is then still free.
func (x *Index) room(owner string, own int) error {
	used := x.held("")
	if owner != "" {
		used = len(x.due) - used
	}
	switch {
	case used >= x.max:
		return ErrFull
	case owner != "" && own > 0 && own+1 > x.max-used:
		return ErrShare
	}
	return nil
}

// reclaim removes the member that is due first, if it has expired.
func (x *Index) reclaim(now time.Time) bool {
	if len(x.due) == 0 || x.due[0].expires.After(now) {
		return false
	}
	x.remove(x.due[0])
	return true
}

// deadlines is a heap of members, the next due first.
type deadlines []*member

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].expires.Before(d[j].expires) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

func (d *deadlines) Push(v any) {
	m := v.(*member)
	m.place = len(*d)
	*d = append(*d, m)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	m := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return m
}
