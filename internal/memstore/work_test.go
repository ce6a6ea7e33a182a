package memstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

// Bounds of the work of one operation, whatever the number of entries. Work is
// the number of accesses to memory that grows with the store.
const (
	// searched is generous for the chains of a hash table.
	searched = 200
	// removal is the work of removing one entry: seven accesses on each level
	// of a heap of 2^31 entries, and the search of a chain.
	removal = 7*16 + 100
	// usual is the work of an operation that needs no room: four expired
	// entries are removed.
	usual = searched + 4*removal
)

// A meter measures the work of single operations.
type meter struct {
	*memstore.Store
	clock *testkit.Clock
	added int
}

func newMeter(entries, bytes int) *meter {
	s, clock := newStore(entries, bytes)
	return &meter{Store: s, clock: clock}
}

// work returns the work of an operation and the number of removed entries.
func (m *meter) work(f func()) (work, removed int) {
	touched, held := m.Touched(), m.Held()
	f()
	return m.Touched() - touched, held - m.Held()
}

func (m *meter) name(owner string) string {
	m.added++
	return owner + fmt.Sprint(m.added)
}

// fill adds n entries of an owner and returns the most work of one.
func (m *meter) fill(t *testing.T, owner string, n int, life time.Duration) (most int) {
	for range n {
		work, _ := m.work(func() { require.NoError(t, add(m.Store, owner, m.name(owner), 1, m.clock.Now().Add(life))) })
		most = max(most, work)
		m.clock.Advance(time.Microsecond)
	}
	return most
}

// use adds, reads and swaps an entry of an owner and returns the most work of
// one operation.
func (m *meter) use(t *testing.T, owner string) (most int) {
	ctx, name, later := expiring.WithOwner(t.Context(), owner), m.name(owner), m.clock.Now().Add(time.Hour)
	for _, f := range []func(){
		func() { require.NoError(t, add(m.Store, owner, name, 10, later)) },
		func() {
			_, version, err := m.Get(ctx, key(name))
			require.NoError(t, err)
			require.EqualValues(t, 1, version)
		},
		func() {
			swapped, err := m.Swap(ctx, key(name), 1, make([]byte, 20), later.Add(time.Hour))
			require.NoError(t, err)
			require.True(t, swapped)
		},
	} {
		work, removed := m.work(f)
		require.LessOrEqual(t, removed, 4)
		most = max(most, work)
	}
	return most
}

func TestWorkDoesNotGrow(t *testing.T) {
	for _, n := range []int{100, 10_000, 200_000} {
		m := newMeter(4*n, 1<<30)
		require.LessOrEqual(t, m.fill(t, "a", n, time.Minute), usual, "%d entries, while the store grows", n)
		for range 100 {
			require.LessOrEqual(t, m.use(t, "b"), usual, "%d entries, none expired", n)
		}
		m.clock.Advance(time.Hour / 2)
		for range 100 {
			require.LessOrEqual(t, m.use(t, "b"), usual, "%d entries, all expired", n)
		}
	}
}

// A client that fills its share is rejected, and every other client uses the
// store as if it were empty.
func TestFlood(t *testing.T) {
	const entries = 100_000
	m := newMeter(entries, 1<<30)
	alone := 0
	for range 100 {
		alone = max(alone, m.use(t, "b"))
	}
	require.LessOrEqual(t, alone, usual)
	rejected := 0
	for i := range entries {
		if err := add(m.Store, "a", m.name("a"), 1, m.clock.Now().Add(time.Hour)); err != nil {
			require.ErrorIs(t, err, memstore.ErrShare)
			rejected++
		}
		if i%100 == 0 {
			require.LessOrEqual(t, m.use(t, "b"), usual, "attack: D1 the flood is work for another client")
		}
	}
	require.Greater(t, rejected, entries/4)

	m.clock.Advance(time.Hour)
	for range 100 {
		require.LessOrEqual(t, m.use(t, "b"), usual, "attack: D1 the end of the flood is work for another client")
	}
}

// All entries have expired while nobody used the store. The next operations
// remove a bounded number each, and no client is rejected because of them.
func TestRoomAfterAnIdleTime(t *testing.T) {
	const entries, size = 50_000, 1000
	for _, bytes := range []int{1 << 30, entries * (memstore.KeyLength + 1)} {
		m := newMeter(entries, bytes)
		m.fill(t, "a", entries/2, time.Minute)
		m.fill(t, "", entries/2, time.Minute)
		m.clock.Advance(time.Hour)
		const most = 4 + 64 + 2*(memstore.KeyLength+size)/memstore.KeyLength
		for i := range 1000 {
			owner := []string{"a", "b"}[i%2]
			work, removed := m.work(func() {
				require.NoError(t, add(m.Store, owner, m.name(owner), size, m.clock.Now().Add(time.Hour)))
			})
			require.LessOrEqual(t, removed, most)
			require.LessOrEqual(t, work, searched+most*removal)
		}
	}
}

// The entries that one operation removes free the bytes of its value.
func TestRoomForLargeValues(t *testing.T) {
	const entries, size = 20_000, 100_000
	m := newMeter(2*entries, entries*(memstore.KeyLength+1))
	m.fill(t, "a", entries/2, time.Minute)
	m.fill(t, "", entries/2, time.Minute)
	m.clock.Advance(time.Hour)
	for _, owner := range []string{"a", "b", "a", "b"} {
		_, removed := m.work(func() {
			require.NoError(t, add(m.Store, owner, m.name(owner), size, m.clock.Now().Add(time.Hour)))
		})
		require.LessOrEqual(t, removed, 4+64+2*(memstore.KeyLength+size)/memstore.KeyLength)
	}
}

// The memory of removed entries and of owners without entries is used again.
func TestMemoryIsUsedAgain(t *testing.T) {
	const entries = 1000
	m := newMeter(entries, 1<<30)
	for i := range 20 * entries {
		require.NoError(t, add(m.Store, fmt.Sprint(i), m.name(""), 1, m.clock.Now().Add(entries*time.Second)))
		m.clock.Advance(time.Second)
	}
	require.LessOrEqual(t, m.Places(), 2*(entries+1))
}

// Expired entries that are not yet removed hide the share of an owner. The
// owner uses little more than its share in that time, and others find room.
func TestShareAfterAnIdleTime(t *testing.T) {
	const entries = 50_000
	m := newMeter(entries, 1<<30)
	m.fill(t, "", entries-10, time.Minute)
	m.fill(t, "a", 5, 3*time.Hour)
	m.clock.Advance(time.Hour)
	n := 5
	for ; add(m.Store, "a", m.name("a"), 1, m.clock.Now().Add(time.Hour)) == nil; n++ {
		require.LessOrEqual(t, m.Held(), entries)
	}
	require.Equal(t, entries/2, n)
	require.LessOrEqual(t, m.use(t, "b"), usual)
}
