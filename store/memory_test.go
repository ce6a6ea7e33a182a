package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/store"
)

// The limits of the contract are those of its implementation.
var (
	_ [memstore.KeyLength]byte = [store.KeyLength]byte{}
	_ [memstore.MaxValue]byte  = [store.MaxValue]byte{}
	_ [memstore.MaxMember]byte = [store.MaxMember]byte{}
	_ [memstore.MaxList]byte   = [store.MaxList]byte{}
)

// key returns a key of the contract's form.
func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newMemory(t testing.TB, cfg store.MemoryConfig) (*store.Memory, *testkit.Clock) {
	clock := testkit.NewClock(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	cfg.Now = clock.Now
	m, err := store.NewMemory(cfg)
	require.NoError(t, err)
	return m, clock
}

func requireGet(t *testing.T, s store.Store, name, value string, version int64) {
	t.Helper()
	got, at, err := s.Get(t.Context(), key(name))
	require.NoError(t, err)
	require.Equal(t, version, at)
	require.Equal(t, value, string(got))
}

func TestMemoryVersions(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, later := t.Context(), clock.Now().Add(time.Hour)

	requireGet(t, m, "a", "", 0)
	swapped, err := m.Swap(ctx, key("a"), 0, nil, later)
	require.NoError(t, err)
	require.False(t, swapped, "version 0 is not an entry to swap")

	added, err := m.Add(ctx, key("a"), []byte("one"), later)
	require.NoError(t, err)
	require.True(t, added)
	requireGet(t, m, "a", "one", 1)
	added, err = m.Add(ctx, key("a"), []byte("two"), later)
	require.NoError(t, err)
	require.False(t, added)
	requireGet(t, m, "a", "one", 1)
	requireGet(t, m, "A", "", 0)

	for _, wrong := range []int64{-1, 0, 2} {
		swapped, err = m.Swap(ctx, key("a"), wrong, []byte("two"), later)
		require.NoError(t, err)
		require.False(t, swapped, "version %d", wrong)
	}
	swapped, err = m.Swap(ctx, key("a"), 1, []byte("two"), later)
	require.NoError(t, err)
	require.True(t, swapped)
	requireGet(t, m, "a", "two", 2)
	swapped, err = m.Swap(ctx, key("a"), 1, []byte("three"), later)
	require.NoError(t, err)
	require.False(t, swapped)
	swapped, err = m.Swap(ctx, key("a"), 2, nil, later)
	require.NoError(t, err)
	require.True(t, swapped)
	requireGet(t, m, "a", "", 3)
}

func TestMemoryCopiesValues(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, later := t.Context(), clock.Now().Add(time.Hour)
	value := []byte("one")
	_, err := m.Add(ctx, key("a"), value, later)
	require.NoError(t, err)
	value[0] = 'x'
	got, _, err := m.Get(ctx, key("a"))
	require.NoError(t, err)
	got[0] = 'x'
	requireGet(t, m, "a", "one", 1)
	_, err = m.Swap(ctx, key("a"), 1, value, later)
	require.NoError(t, err)
	value[0] = 'y'
	requireGet(t, m, "a", "xne", 2)
}

func TestMemoryExpiry(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, start := t.Context(), clock.Now()
	for _, expires := range []time.Time{start, start.Add(-time.Nanosecond), {}} {
		added, err := m.Add(ctx, key("a"), nil, expires)
		require.ErrorIs(t, err, store.ErrInvalid, "%v", expires)
		require.False(t, added)
	}
	_, err := m.Add(ctx, key("a"), []byte("one"), start.Add(time.Minute))
	require.NoError(t, err)
	swapped, err := m.Swap(ctx, key("a"), 1, nil, start)
	require.ErrorIs(t, err, store.ErrInvalid)
	require.False(t, swapped)
	requireGet(t, m, "a", "one", 1)

	clock.Advance(time.Minute - time.Nanosecond)
	requireGet(t, m, "a", "one", 1)
	clock.Advance(time.Nanosecond)
	requireGet(t, m, "a", "", 0)
	swapped, err = m.Swap(ctx, key("a"), 1, nil, start.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, swapped, "an expired entry does not exist")
	clock.Advance(-time.Minute)
	requireGet(t, m, "a", "", 0) // what has been found expired stays gone

	added, err := m.Add(ctx, key("a"), []byte("two"), start.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, added)
	requireGet(t, m, "a", "two", 1)
	swapped, err = m.Swap(ctx, key("a"), 1, []byte("three"), start.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, swapped)
	clock.Advance(30 * time.Minute)
	requireGet(t, m, "a", "three", 2) // a swap moves the expiry
	_, err = m.Swap(ctx, key("a"), 2, []byte("four"), clock.Now().Add(time.Second))
	require.NoError(t, err)
	clock.Advance(time.Second)
	requireGet(t, m, "a", "", 0) // also to an earlier instant
}

func TestMemoryArguments(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, later := t.Context(), clock.Now().Add(time.Hour)
	good := key("a")
	for name, k := range map[string]string{
		"empty": "", "short": good[1:], "long": good + "A", "padded": good[1:] + "=", "base64": good[1:] + "/", "a space": good[1:] + " ",
		"another script": good[2:] + "ä", "zero": good[1:] + "\x00",
	} {
		t.Run("a key that is "+name, func(t *testing.T) {
			_, err := m.Add(ctx, k, nil, later)
			require.ErrorIs(t, err, store.ErrInvalid)
			_, _, err = m.Get(ctx, k)
			require.ErrorIs(t, err, store.ErrInvalid)
			_, err = m.Swap(ctx, k, 1, nil, later)
			require.ErrorIs(t, err, store.ErrInvalid)
		})
	}
	added, err := m.Add(ctx, good, make([]byte, store.MaxValue+1), later)
	require.ErrorIs(t, err, store.ErrInvalid)
	require.False(t, added)
	added, err = m.Add(ctx, good, make([]byte, store.MaxValue), later)
	require.NoError(t, err)
	require.True(t, added)
	_, err = m.Swap(ctx, good, 1, make([]byte, store.MaxValue+1), later)
	require.ErrorIs(t, err, store.ErrInvalid)

	done, cancel := context.WithCancel(ctx)
	cancel()
	_, err = m.Add(done, key("b"), nil, later)
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = m.Get(done, good)
	require.ErrorIs(t, err, context.Canceled, "a failure is not a missing entry")
	_, err = m.Swap(done, good, 1, nil, later)
	require.ErrorIs(t, err, context.Canceled)
	requireGet(t, m, "b", "", 0)

	for _, cfg := range []store.MemoryConfig{{MaxEntries: -1}, {MaxBytes: -1}} {
		_, err := store.NewMemory(cfg)
		require.Error(t, err)
	}
	require.Equal(t, "store.Memory", fmt.Sprint(m))
	require.Equal(t, "store.Memory", slog.AnyValue(m).Resolve().String())
}

func TestMemoryIsBoundedInEntries(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{MaxEntries: 8})
	ctx, start := t.Context(), clock.Now()
	for i := range 8 {
		added, err := m.Add(ctx, key(fmt.Sprint(i)), nil, start.Add(time.Duration(i+1)*time.Minute))
		require.NoError(t, err)
		require.True(t, added)
	}
	added, err := m.Add(ctx, key("8"), nil, start.Add(time.Hour))
	require.ErrorIs(t, err, store.ErrFull)
	require.False(t, added)
	added, err = m.Add(ctx, key("7"), nil, start.Add(time.Hour))
	require.NoError(t, err, "an entry that exists needs no room")
	require.False(t, added)
	for i := range 8 {
		_, version, err := m.Get(ctx, key(fmt.Sprint(i)))
		require.NoError(t, err)
		require.EqualValues(t, 1, version, "a live entry is never evicted")
	}
	swapped, err := m.Swap(ctx, key("0"), 1, []byte("x"), start.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, swapped)
	clock.Advance(7 * time.Minute) // six have expired, the first one lives longer now
	for i := range 6 {
		_, err := m.Add(ctx, key(fmt.Sprint("new", i)), nil, start.Add(time.Hour))
		require.NoError(t, err)
	}
	_, err = m.Add(ctx, key("one more"), nil, start.Add(time.Hour))
	require.ErrorIs(t, err, store.ErrFull)
	requireGet(t, m, "0", "x", 2)
	requireGet(t, m, "7", "", 1)
}

func TestMemoryIsBoundedInBytes(t *testing.T) {
	const room = 1000
	m, clock := newMemory(t, store.MemoryConfig{MaxBytes: 2 * room})
	ctx, soon, later := t.Context(), clock.Now().Add(time.Minute), clock.Now().Add(time.Hour)
	full := make([]byte, room-store.KeyLength)
	_, err := m.Add(ctx, key("a"), full, soon)
	require.NoError(t, err)
	_, err = m.Add(ctx, key("b"), append(full, 0), soon)
	require.ErrorIs(t, err, store.ErrFull, "one byte too many")
	_, err = m.Add(ctx, key("b"), full, soon)
	require.NoError(t, err)
	_, err = m.Add(ctx, key("c"), nil, soon)
	require.ErrorIs(t, err, store.ErrFull, "keys count")

	swapped, err := m.Swap(ctx, key("a"), 1, append(full, 0), later)
	require.ErrorIs(t, err, store.ErrFull)
	require.False(t, swapped)
	swapped, err = m.Swap(ctx, key("a"), 1, full[1:], later)
	require.NoError(t, err)
	require.True(t, swapped, "a smaller value needs no room")
	swapped, err = m.Swap(ctx, key("a"), 2, full, later)
	require.NoError(t, err)
	require.True(t, swapped, "the room was given back")

	clock.Advance(time.Minute)
	_, err = m.Add(ctx, key("c"), full, later)
	require.NoError(t, err, "the room of the one that expired")
	_, err = m.Add(ctx, key("d"), nil, later)
	require.ErrorIs(t, err, store.ErrFull)
}

// A flood of entries that expire soon costs no more than the bounds, and does
// not keep others out for longer than its entries live.
func TestMemoryReclaims(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{MaxEntries: 1000})
	for round := range 5 {
		for i := range 1000 {
			_, err := m.Add(t.Context(), key(fmt.Sprint(round, "-", i)), []byte("value"), clock.Now().Add(time.Minute))
			require.NoError(t, err)
		}
		_, err := m.Add(t.Context(), key("another"), nil, clock.Now().Add(time.Minute))
		require.ErrorIs(t, err, store.ErrFull)
		clock.Advance(time.Minute)
	}
}

type modelEntry struct {
	size    int
	version int64
	expires time.Time
}

// Memory behaves like a plain map whatever operations come in whatever order,
// and gives back all room in the end. The clock only goes forwards here:
// backwards, whether an expired entry comes back depends on whether it was
// removed.
func TestMemoryIsAMap(t *testing.T) {
	const maxEntries, maxBytes = 6, 600
	for seed := range uint64(200) {
		m, clock := newMemory(t, store.MemoryConfig{MaxEntries: maxEntries, MaxBytes: maxBytes})
		r, model, ctx := rand.New(rand.NewPCG(seed, 1)), make(map[string]modelEntry), t.Context()
		for step := range 200 {
			name := fmt.Sprint(r.IntN(10))
			used := 0
			for other, e := range model {
				if !e.expires.After(clock.Now()) {
					delete(model, other)
				} else {
					used += store.KeyLength + e.size
				}
			}
			before, exists := model[name]
			size, expires := r.IntN(200), clock.Now().Add(time.Duration(1+r.IntN(20))*time.Second)
			where := fmt.Sprintf("seed %d step %d key %s", seed, step, name)
			switch r.IntN(4) {
			case 0:
				added, err := m.Add(ctx, key(name), make([]byte, size), expires)
				full := !exists && (len(model) == maxEntries || used+store.KeyLength+size > maxBytes)
				require.Equal(t, full, err != nil, where)
				require.Equal(t, !exists && !full, added, where)
				if added {
					model[name] = modelEntry{size, 1, expires}
				}
			case 1:
				version := before.version - int64(r.IntN(2))
				swapped, err := m.Swap(ctx, key(name), version, make([]byte, size), expires)
				current := exists && version == before.version
				full := current && size > before.size && used+size-before.size > maxBytes
				require.Equal(t, full, err != nil, where)
				require.Equal(t, current && !full, swapped, where)
				if swapped {
					model[name] = modelEntry{size, version + 1, expires}
				}
			case 2:
				value, version, err := m.Get(ctx, key(name))
				require.NoError(t, err)
				require.Equal(t, before.version, version, where)
				require.Len(t, value, before.size, where)
			case 3:
				clock.Advance(time.Duration(r.IntN(4)) * time.Second)
			}
		}
		clock.Advance(time.Hour)
		added, err := m.Add(ctx, key("all"), make([]byte, maxBytes-store.KeyLength), clock.Now().Add(time.Second))
		require.NoError(t, err)
		require.True(t, added, "seed %d: all room is there again", seed)
	}
}

func TestMemoryHasOneWinner(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, later := t.Context(), clock.Now().Add(time.Hour)
	for round := range 50 {
		k := key(fmt.Sprint(round))
		require.Equal(t, 1, testkit.Winners(t, 64, func(i int) (bool, error) { return m.Add(ctx, k, []byte{byte(i)}, later) }), "of 64 that add")
		require.Equal(t, 1, testkit.Winners(t, 64, func(i int) (bool, error) { return m.Swap(ctx, k, 1, []byte{byte(i)}, later) }), "of 64 that swap")
		_, version, err := m.Get(ctx, k)
		require.NoError(t, err)
		require.EqualValues(t, 2, version)
	}
}

// A counter that is read and swapped loses no increment.
func TestMemoryIsLinearizable(t *testing.T) {
	m, clock := newMemory(t, store.MemoryConfig{})
	ctx, k, later := t.Context(), key("counter"), clock.Now().Add(time.Hour)
	_, err := m.Add(ctx, k, nil, later)
	require.NoError(t, err)
	testkit.Winners(t, 64, func(int) (bool, error) {
		for {
			value, version, err := m.Get(ctx, k)
			if err != nil {
				return false, err
			}
			if int64(len(value)) != version-1 {
				return false, fmt.Errorf("version %d has %d bytes", version, len(value))
			}
			if swapped, err := m.Swap(ctx, k, version, append(value, 'x'), later); swapped || err != nil {
				return swapped, err
			}
		}
	})
	requireGet(t, m, "counter", strings.Repeat("x", 64), 65)
}

func BenchmarkMemory(b *testing.B) {
	m, err := store.NewMemory(store.MemoryConfig{MaxEntries: 1 << 20, MaxBytes: 1 << 30})
	require.NoError(b, err)
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = key(fmt.Sprint(i))
	}
	value, later := make([]byte, 200), time.Now().Add(time.Hour)
	b.Run("Add", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, _ = m.Add(b.Context(), keys[i%len(keys)], value, later)
		}
	})
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, _, _ = m.Get(b.Context(), keys[i%len(keys)])
		}
	})
}
