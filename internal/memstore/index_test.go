package memstore_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

func newIndex(members int) (*memstore.Index, *testkit.Clock) {
	clock := testkit.NewClock(start)
	return memstore.NewIndex(memstore.Config{MaxEntries: members, Now: clock.Now}), clock
}

// put returns a function that puts members of an owner into a set.
func put(x *memstore.Index, owner string, expires time.Time) func(member string) error {
	ctx := expiring.WithOwner(context.Background(), owner)
	return func(member string) error { return x.Put(ctx, key("set"), member, expires) }
}

func TestIndexShares(t *testing.T) {
	x, clock := newIndex(100)
	hour := clock.Now().Add(time.Hour)
	attacker, other, system := put(x, "attacker", hour), put(x, "other", hour), put(x, "", hour)
	for i := range 50 {
		require.NoError(t, attacker(fmt.Sprintf("a%d", i)))
	}
	require.ErrorIs(t, attacker("a50"), memstore.ErrShare)
	require.NoError(t, attacker("a0"), "a member that exists needs no room")
	for i := range 25 {
		require.NoError(t, other(fmt.Sprintf("b%d", i)))
	}
	require.ErrorIs(t, other("b25"), memstore.ErrShare)
	for i := range 100 {
		require.NoError(t, system(fmt.Sprintf("s%d", i)), "room for the ends of entries when the index is full")
	}
	require.ErrorIs(t, system("s100"), memstore.ErrFull)
	for i := range 25 {
		require.NoError(t, put(x, fmt.Sprintf("new%d", i), hour)(fmt.Sprintf("c%d", i)))
	}
	require.ErrorIs(t, put(x, "last", hour)("d"), memstore.ErrFull)

	clock.Advance(2 * time.Hour)
	for i := range 50 {
		require.NoError(t, put(x, "attacker", clock.Now().Add(time.Hour))(fmt.Sprintf("a%d", i)), "expired members leave room")
	}
}

func TestIndexDeleteFreesRoom(t *testing.T) {
	x, clock := newIndex(2)
	hour := clock.Now().Add(time.Hour)
	for i := range 100 {
		member := fmt.Sprintf("m%d", i)
		require.NoError(t, put(x, "one", hour)(member))
		require.ErrorIs(t, put(x, "one", hour)("more"), memstore.ErrShare)
		require.NoError(t, x.Delete(t.Context(), key("set"), member))
	}
}

func TestIndexRejects(t *testing.T) {
	x, clock := newIndex(10)
	hour := clock.Now().Add(time.Hour)
	long := string(make([]byte, memstore.MaxMember+1))
	for name, err := range map[string]error{
		"a short set":         x.Put(t.Context(), key("set")[1:], "m", hour),
		"a set of other text": x.Put(t.Context(), key("set")[1:]+"+", "m", hour),
		"an empty member":     x.Put(t.Context(), key("set"), "", hour),
		"a member with space": x.Put(t.Context(), key("set"), "a b", hour),
		"a long member":       x.Delete(t.Context(), key("set"), long),
		"a passed expiry":     x.Put(t.Context(), key("set"), "m", clock.Now()),
	} {
		require.ErrorIs(t, err, memstore.ErrInvalid, name)
	}
	for _, limit := range []int{-1, 0, memstore.MaxList + 1} {
		_, err := x.List(t.Context(), key("set"), "", limit)
		require.ErrorIs(t, err, memstore.ErrInvalid, limit)
	}
}

// TestIndexModel compares an index with a map in random operations.
func TestIndexModel(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		x, clock := newIndex(1000)
		model := make(map[string]map[string]time.Time)
		for range 400 {
			set, member := key(fmt.Sprint(random.IntN(3))), fmt.Sprintf("m%d", random.IntN(40))
			if model[set] == nil {
				model[set] = make(map[string]time.Time)
			}
			maps.DeleteFunc(model[set], func(_ string, expires time.Time) bool { return !expires.After(clock.Now()) })
			switch random.IntN(5) {
			case 0, 1:
				expires := clock.Now().Add(time.Duration(1+random.IntN(100)) * time.Second)
				require.NoError(t, x.Put(t.Context(), set, member, expires))
				if expires.After(model[set][member]) {
					model[set][member] = expires
				}
			case 2:
				require.NoError(t, x.Delete(t.Context(), set, member))
				delete(model[set], member)
			case 3:
				clock.Advance(time.Duration(random.IntN(20)) * time.Second)
			case 4:
				limit := 1 + random.IntN(10)
				want := slices.DeleteFunc(slices.Sorted(maps.Keys(model[set])), func(m string) bool { return m <= member })
				got, err := x.List(t.Context(), set, member, limit)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(want[:min(limit, len(want))]), fmt.Sprint(got))
			}
		}
	}
}
