package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/store"
)

// TestIndex runs every check of an index as a parallel subtest. It calls open
// like [Test]. Names of sets are random, so the database need not be empty.
func TestIndex(t *testing.T, open func(t *testing.T) store.Index) {
	t.Helper()
	runAll(t, "the indexes that open returns share their members", indexKit.sharing, indexChecks,
		func(t *testing.T) indexKit { return newIndexKit(t, open) })
}

// An indexKit is the kit of an index.
type indexKit struct {
	group[store.Index]
	store.Index // one of all
}

func newIndexKit(t *testing.T, open func(t *testing.T) store.Index) indexKit {
	t.Helper()
	return indexKit{group: newGroup(t, open)}.on(0)
}

// on returns a kit that uses another index.
func (k indexKit) on(i int) indexKit {
	k.Index = k.all[i%len(k.all)]
	return k
}

// sharing is like that of a store.
func (k indexKit) sharing() {
	set := newKey()
	if err := k.Put(k.ctx(), set, "member", hour()); err != nil {
		return
	}
	if members, err := k.List(k.ctx(), set, "", 1); err != nil || len(members) == 0 {
		return
	}
	for _, other := range k.all[1:] {
		if members, err := other.List(k.ctx(), set, "", 1); err == nil && len(members) == 0 {
			k.Fatal("the indexes that open returns do not share members: " +
				"one of them put a member, and another does not list it")
		}
	}
}

func (k indexKit) put(step, set, member string, expires time.Time) {
	k.Helper()
	if err := k.Put(k.ctx(), set, member, expires); err != nil {
		k.Fatalf("Put %s returned the error %v, want no error", step, err)
	}
}

func (k indexKit) remove(step, set, member string) {
	k.Helper()
	if err := k.Delete(k.ctx(), set, member); err != nil {
		k.Fatalf("Delete %s returned the error %v, want no error", step, err)
	}
}

// wantList expects the members after a string, at most limit of them.
func (k indexKit) wantList(step, set, after string, limit int, want ...string) {
	k.Helper()
	if err := k.list(step, set, after, limit, want...); err != nil {
		k.Fatal(err)
	}
}

func (k indexKit) list(step, set, after string, limit int, want ...string) error {
	got, err := k.List(k.ctx(), set, after, limit)
	if err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("List %s returned %s and the error %v, want %s and no error", step, few(got), err, few(want))
	}
	return nil
}

// want expects the members of a set.
func (k indexKit) want(step, set string, want ...string) {
	k.Helper()
	k.wantList(step, set, "", store.MaxList, want...)
}

func few(members []string) string {
	if len(members) <= 12 {
		return fmt.Sprintf("%q", members)
	}
	return fmt.Sprintf("%d members from %q to %q", len(members), members[0], members[len(members)-1])
}

var indexChecks = []check[indexKit]{
	{"List returns the members of Put, whose order does not matter", putAndList},
	{"members are ordered and compared byte by byte", memberOrder},
	{"sets are compared byte by byte", setsByteByByte},
	{"List begins after a string, which need not be a member", listAfter},
	{"pages of a large set have each member once", pages},
	{"the longest and the shortest member come back", memberLengths},
	{"a second Put is not a second member", putTwice},
	{"Put never shortens the life of a member", putKeepsLater},
	{"Put moves the expiry to a later time", putExtends},
	{"Delete removes one member of one set", deleteOne},
	{"Delete of a member that does not exist is not an error", deleteAbsent},
	{"a member can be put again after Delete, with an earlier expiry", putAfterDelete},
	{"a member does not exist after its expiry", memberExpires},
	{"a member exists until its expiry", memberLives},
	{"expired members do not shorten a page", expiredInPage},
	{"an expired member can be put again", putAfterExpiry},
	{"a member whose expiry has passed is an error, and nothing changes", memberPassed},
	{"a member with an expiry in twenty years, and in another time zone", memberFarExpiry},
	{"64 concurrent calls of Put add 64 members", concurrentPuts},
	{"64 concurrent calls of Put of one member keep the latest expiry", concurrentExpiries},
	{"List returns each other member during calls of Put and Delete", listDuringChanges},
	{"an index call whose context has ended is an error and changes nothing", indexEnded},
	{"List returns an error or all members if its context ends during the call", endsDuringList},
}

func putAndList(k indexKit) {
	set := newKey()
	k.want("of a set that does not exist", set)
	for i, member := range []string{"c", "a", "d", "b"} {
		k.on(i).put("of a new member", set, member, hour())
	}
	for i := range handles {
		k.on(i).want("of four members", set, "a", "b", "c", "d")
	}
}

func memberOrder(k indexKit) {
	set := newKey()
	ordered := []string{
		"-", "-a", "0", "00", "9", "A", "AA", "Aa", "B", "_", "__", "a", "aA", "aa", "b", "b-", "b0", "z",
	}
	for i := range ordered {
		k.on(i).put("of a new member", set, ordered[(i*7)%len(ordered)], hour()) // 7 has no factor in common with 18
	}
	k.want("of members of all kinds of characters", set, ordered...)
	for i, after := range ordered {
		k.wantList("after "+after, set, after, store.MaxList, ordered[i+1:]...)
	}
	k.remove("of a member that differs from others in case", set, "aA")
	k.want("after Delete", set, slices.DeleteFunc(ordered, func(m string) bool { return m == "aA" })...)
}

func setsByteByByte(k indexKit) {
	set := newKey()[:store.KeyLength-2]
	for _, end := range []string{"aa", "aA", "AA", "-_", "_-"} {
		k.put("of a member of a set that differs from others in two bytes", set+end, "in"+end, hour())
	}
	for _, end := range []string{"aa", "aA", "AA", "-_", "_-"} {
		k.want("of a set that differs from others in two bytes", set+end, "in"+end)
	}
	k.want("of another set", set+"Aa")
}

func listAfter(k indexKit) {
	set := newKey()
	for _, member := range []string{"b", "bb", "d"} {
		k.put("of a new member", set, member, hour())
	}
	k.wantList("after a string before all members", set, "a", 9, "b", "bb", "d")
	k.wantList("after a member", set, "b", 9, "bb", "d")
	k.wantList("after a string between two members", set, "ba", 9, "bb", "d")
	k.wantList("after a deleted member", set, "c", 9, "d")
	k.wantList("after the last member", set, "d", 9)
	k.wantList("after a string after all members", set, strings.Repeat("z", store.MaxMember), 9)
	k.wantList("with the limit 1", set, "", 1, "b")
	k.wantList("with the limit 2 after a member", set, "b", 2, "bb", "d")
	k.wantList("with the limit of all members", set, "", 3, "b", "bb", "d")
}

func pages(k indexKit) {
	const size, limit = 1207, 100
	set, members := newKey(), make([]string, size)
	for i := range members {
		members[i] = fmt.Sprintf("%05d-member", i)
	}
	k.race(handles, func(i int, s store.Index) (bool, error) {
		for j := i; j < size; j += handles {
			if err := s.Put(k.ctx(), set, members[j], hour()); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	after := ""
	for from := 0; from < size; from += limit {
		page := members[from:min(from+limit, size)]
		k.on(from).wantList("of a page", set, after, limit, page...)
		after = page[len(page)-1]
	}
	k.wantList("with the largest limit", set, "", store.MaxList, members[:store.MaxList]...)
}

func memberLengths(k indexKit) {
	set, long := newKey(), strings.Repeat("m", store.MaxMember-1)
	for _, member := range []string{long + "a", long + "b", "m"} {
		k.put("of a member with the length 1 or 128", set, member, hour())
	}
	k.want("of members with the lengths 1 and 128", set, "m", long+"a", long+"b")
	k.wantList("after a member of 128 bytes", set, long+"a", 9, long+"b")
}

func putTwice(k indexKit) {
	set, expires := newKey(), hour()
	for i := range handles {
		k.on(i).put("of a member that may exist", set, "a", expires)
		k.on(i).want("after Put of one member", set, "a")
	}
}

func putKeepsLater(k indexKit) {
	set := newKey()
	k.put("with a late expiry", set, "a", hour())
	k.on(1).put("of the same member with an earlier expiry", set, "a", time.Now().Add(short))
	k.waitShort()
	k.want("after the earlier expiry of a member that has a later one", set, "a")
}

func putExtends(k indexKit) {
	set := newKey()
	k.put("with an early expiry", set, "a", time.Now().Add(short))
	k.on(1).put("of the same member with a later expiry", set, "a", hour())
	k.waitShort()
	k.want("after the earlier expiry of a member that has a later one", set, "a")
}

func deleteOne(k indexKit) {
	set, other := newKey(), newKey()
	for _, member := range []string{"a", "b", "c"} {
		k.put("of a new member", set, member, hour())
		k.put("of a new member", other, member, hour())
	}
	k.on(1).remove("of a member", set, "b")
	for i := range handles {
		k.on(i).want("after Delete", set, "a", "c")
		k.on(i).want("of another set after Delete", other, "a", "b", "c")
	}
}

func deleteAbsent(k indexKit) {
	set := newKey()
	k.remove("of a set that does not exist", set, "a")
	k.put("of a new member", set, "a", hour())
	k.remove("of a member that does not exist", set, "b")
	k.remove("of a member", set, "a")
	k.on(1).remove("of a member that does not exist any more", set, "a")
	k.want("after Delete", set)
}

func putAfterDelete(k indexKit) {
	set := newKey()
	k.put("of a new member", set, "a", hour())
	k.inTime(func(expires time.Time) error {
		k.remove("of a member", set, "a")
		k.put("after Delete", set, "a", expires)
		return k.list("after Delete and Put", set, "", 9, "a")
	})
	k.waitShort()
	k.want("after the expiry of a member that once had a later one", set)
}

func memberExpires(k indexKit) {
	set := newKey()
	k.put("of a member that expires", set, "a", time.Now().Add(short))
	k.put("of a member that stays", set, "b", hour())
	k.waitShort()
	for i := range handles {
		k.on(i).want("after the expiry of a member", set, "b")
	}
}

func memberLives(k indexKit) {
	k.race(2, func(i int, s store.Index) (bool, error) {
		return true, untilLooked(func() (looked bool, err error) {
			end, set := lateIn(i), newKey()
			if err := s.Put(k.ctx(), set, "a", end); err != nil {
				return false, fmt.Errorf("Put with the expiry %v: %w", end, err)
			}
			return until(end, func() error {
				members, err := s.List(k.ctx(), set, "", 9)
				if err != nil || len(members) != 1 {
					return fmt.Errorf("List returned %q and the error %v", members, err)
				}
				return nil
			})
		})
	})
}

func expiredInPage(k indexKit) {
	set := newKey()
	for i := range 20 {
		if i%2 == 0 {
			k.put("of a member that expires", set, fmt.Sprintf("m%02d", i), time.Now().Add(short))
		} else {
			k.put("of a member that stays", set, fmt.Sprintf("m%02d", i), hour())
		}
	}
	k.waitShort()
	k.wantList("with the limit 3, before expired members are removed", set, "", 3, "m01", "m03", "m05")
	k.wantList("after an expired member", set, "m06", 2, "m07", "m09")
}

func putAfterExpiry(k indexKit) {
	set := newKey()
	k.put("of a member that expires", set, "a", time.Now().Add(short))
	k.waitShort()
	k.on(1).put("of a member that has expired", set, "a", hour()) // over an expired row that is still stored
	k.want("after Put of a member that had expired", set, "a")
}

func memberPassed(k indexKit) {
	set := newKey()
	k.put("of a new member", set, "a", hour())
	for _, ago := range []time.Duration{2 * time.Second, time.Minute, 24 * time.Hour} {
		expires := time.Now().Add(-ago)
		if err := k.Put(k.ctx(), set, "b", expires); err == nil {
			k.Fatalf("Put with an expiry %v ago returned no error, want an error", ago)
		}
		k.Put(k.ctx(), set, "a", expires) //nolint:errcheck // may succeed
		k.want("after Put with an expiry that has passed", set, "a")
	}
}

func memberFarExpiry(k indexKit) {
	for name, expires := range farExpiries() {
		set := newKey()
		k.put(name, set, "a", expires)
		k.want(name, set, "a")
		k.remove("of a member "+name, set, "a") // nothing stays for long
	}
}

func concurrentPuts(k indexKit) {
	set := newKey()
	var want []string
	for i := range contenders {
		want = append(want, fmt.Sprintf("m%02d", i))
	}
	k.race(contenders, func(i int, s store.Index) (bool, error) {
		return true, s.Put(k.ctx(), set, want[i], hour())
	})
	k.want("after concurrent calls of Put", set, want...)
}

func concurrentExpiries(k indexKit) {
	sets := []string{newKey(), newKey(), newKey(), newKey()} // one race may end well by chance
	for round, set := range sets {
		k.race(contenders, func(i int, s store.Index) (bool, error) {
			expires := time.Now().Add(short)
			if i == round*contenders/len(sets) {
				expires = hour()
			}
			err := s.Put(k.ctx(), set, "a", expires)
			if time.Now().After(expires) { // the store is slow
				err = nil
			}
			return true, err
		})
		k.want("after concurrent calls of Put", set, "a")
	}
	k.waitShort()
	for _, set := range sets {
		k.want("after the earlier expiries", set, "a")
	}
}

// listDuringChanges requires that concurrent changes neither hide other members
// nor show them twice. It continues until List was called during the changes.
func listDuringChanges(k indexKit) {
	const stay, rounds = 20, 40
	set := newKey()
	var want []string
	for i := range stay {
		want = append(want, fmt.Sprintf("m%02d", i))
		k.put("of a new member", set, want[i], hour())
	}
	var changing, reads atomic.Int32
	changing.Store(2)
	k.race(4, func(i int, s store.Index) (bool, error) {
		if i >= 2 {
			defer changing.Add(-1)
			for j := 0; j < rounds || reads.Load() < concurrentReads; j++ {
				member := fmt.Sprintf("m%02d-%d", j%stay, i)
				if err := s.Put(k.ctx(), set, member, hour()); err != nil {
					return false, fmt.Errorf("Put: %w", err)
				}
				members, err := s.List(k.ctx(), set, "", store.MaxList)
				if err != nil || !slices.Contains(members, member) {
					return false, fmt.Errorf("List after Put of %q: %s, error %v", member, few(members), err)
				}
				if err := s.Delete(k.ctx(), set, member); err != nil {
					return false, fmt.Errorf("Delete: %w", err)
				}
			}
			return true, nil
		}
		defer reads.Add(concurrentReads) // a call that failed ends the check
		for ; changing.Load() > 0; reads.Add(1) {
			members, err := s.List(k.ctx(), set, "", store.MaxList)
			if err != nil {
				return false, fmt.Errorf("List: %w", err)
			}
			others := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return len(m) > 3 })
			if !slices.Equal(others, want) || !slices.IsSorted(members) {
				return false, fmt.Errorf("List returned %q, without other members or in another order", members)
			}
		}
		return true, nil
	})
	k.want("after all changes", set, want...)
}

func indexEnded(k indexKit) {
	set := newKey()
	k.put("of a new member", set, "a", hour())
	for name, over := range k.over() {
		if err := k.Put(over, set, "b", hour()); err == nil {
			k.Fatalf("Put with %s returned no error, want an error", name)
		}
		if err := k.Delete(over, set, "a"); err == nil {
			k.Fatalf("Delete with %s returned no error, want an error", name)
		}
		if members, err := k.List(over, set, "", 9); err == nil || len(members) != 0 {
			k.Fatalf("List with %s returned %q and the error %v, want an error, because "+
				"a failure is not an absent member", name, members, err)
		}
		k.want("after calls with "+name, set, "a")
	}
}

func endsDuringList(k indexKit) {
	set := newKey()
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("m%02d", i))
		k.put("of a new member", set, want[i], hour())
	}
	k.endingDuring(func(ctx context.Context, d time.Duration) {
		if members, err := k.List(ctx, set, "", store.MaxList); err == nil && !slices.Equal(members, want) {
			k.Fatalf("List returned %s and no error when its context ended after %v, "+
				"want an error, because a failure is not an absent member", few(members), d)
		}
	})
	k.want("after calls whose context has ended", set, want...)
}
