package memstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

// Package store tests the contract, the bounds and a model.

var start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newStore(entries, bytes int) (*memstore.Store, *testkit.Clock) {
	clock := testkit.NewClock(start)
	return memstore.New(memstore.Config{MaxEntries: entries, MaxBytes: bytes, Now: clock.Now}), clock
}

func add(s *memstore.Store, owner, name string, size int, expires time.Time) error {
	ctx := expiring.WithOwner(context.Background(), owner)
	added, err := s.Add(ctx, key(name), make([]byte, size), expires)
	if err == nil && !added {
		return fmt.Errorf("%s exists", name)
	}
	return err
}

func TestShares(t *testing.T) {
	later := start.Add(time.Hour)
	fill := func(s *memstore.Store, owner string, size int) (n int) {
		for add(s, owner, fmt.Sprint(owner, n, later), size, later) == nil {
			n++
		}
		return n
	}
	t.Run("D1: one owner fills half, the next ones half of what is left", func(t *testing.T) {
		s, _ := newStore(800, 1<<30)
		require.Equal(t, 400, fill(s, "a", 0))
		require.Equal(t, 200, fill(s, "b", 0))
		require.Equal(t, 100, fill(s, "c", 0))
		err := add(s, "a", "more", 0, later)
		require.ErrorIs(t, err, memstore.ErrShare)
		require.ErrorIs(t, err, memstore.ErrFull)
		require.NoError(t, add(s, "d", "first", 0, later))
	})
	t.Run("D1: bytes count as entries do", func(t *testing.T) {
		s, _ := newStore(1<<20, 1<<20)
		require.InDelta(t, 1<<19, fill(s, "a", 1000)*1043, 2*1043)
		require.ErrorIs(t, add(s, "b", "large", 1<<19, later), memstore.ErrFull)
		require.NoError(t, add(s, "b", "small", 10, later))
	})
	t.Run("entries without an owner fill the whole", func(t *testing.T) {
		s, _ := newStore(10, 1<<20)
		require.Equal(t, 10, fill(s, "", 0))
		for _, owner := range []string{"", "a"} {
			err := add(s, owner, "x", 0, later)
			require.ErrorIs(t, err, memstore.ErrFull)
			require.NotErrorIs(t, err, memstore.ErrShare)
		}
	})
	t.Run("D1: expired entries keep no live one out", func(t *testing.T) {
		s, clock := newStore(800, 1<<20)
		require.Equal(t, 400, fill(s, "a", 0))
		clock.Advance(time.Hour)
		later = later.Add(2 * time.Hour)
		require.Equal(t, 400, fill(s, "a", 0))
	})
}

func TestGrowth(t *testing.T) {
	s, clock := newStore(100, 10_000)
	later := func() time.Time { return clock.Now().Add(time.Hour) }
	version := int64(1)
	resize := func(owner string, size int) error {
		swapped, err := s.Swap(expiring.WithOwner(t.Context(), owner), key("1"), version, make([]byte, size), later())
		require.Equal(t, err == nil, swapped)
		if swapped {
			version++
		}
		return err
	}
	require.NoError(t, add(s, "a", "1", 0, later()))
	require.NoError(t, resize("a", 4000), "D1: an entry grows within the share of its owner")
	require.ErrorIs(t, resize("a", 8000), memstore.ErrShare)
	require.ErrorIs(t, resize("a", 11_000), memstore.ErrFull)
	_, at, err := s.Get(t.Context(), key("1"))
	require.NoError(t, err)
	require.Equal(t, version, at, "nothing has changed")
	require.NoError(t, resize("", 12_000), "the end of something is not bounded")
	require.ErrorIs(t, add(s, "b", "2", 0, later()), memstore.ErrFull)
	require.NoError(t, resize("b", 9000), "the owner stays")
	require.ErrorIs(t, add(s, "a", "2", 0, later()), memstore.ErrShare)
	require.NoError(t, add(s, "b", "2", 0, later()))
	require.NoError(t, resize("a", 100))
	require.NoError(t, add(s, "a", "3", 0, later()), "smaller entries make room")
	clock.Advance(time.Hour)
	require.NoError(t, add(s, "c", "all", 10_000-memstore.KeyLength, later()), "no count has leaked")
}

// An owner has used its share of the entries. Its values still grow, because
// another owner must not decide whether a grant can change.
func TestGrowthNeedsOnlyBytes(t *testing.T) {
	s, _ := newStore(10, 10_000)
	later := start.Add(time.Hour)
	for i := range 5 {
		require.NoError(t, add(s, "a", fmt.Sprint("a", i), 0, later))
	}
	for i := range 2 {
		require.NoError(t, add(s, "b", fmt.Sprint("b", i), 0, later))
	}
	require.ErrorIs(t, add(s, "a", "more", 0, later), memstore.ErrShare)
	swapped, err := s.Swap(expiring.WithOwner(t.Context(), "a"), key("a0"), 1, make([]byte, 100), later)
	require.NoError(t, err, "attack: D1 entries of others keep no value from growing")
	require.True(t, swapped)
}

// An entry without a value records that its key was used. If the clock is set
// back, a forgotten key must not count as unused.
func TestUsedKeysAndAClockThatIsSetBack(t *testing.T) {
	s, clock := newStore(0, 0)
	until := start.Add(time.Minute)
	require.NoError(t, add(s, "a", "used", 0, until))
	require.NoError(t, add(s, "a", "value", 1, start.Add(2*time.Minute)))
	clock.Advance(3 * time.Minute)
	require.NoError(t, add(s, "a", "another", 0, clock.Now().Add(time.Minute)), "both are removed")
	clock.Advance(-3 * time.Minute)
	require.ErrorIs(t, add(s, "a", "used", 0, until), memstore.ErrInvalid, "attack: a replay")
	require.ErrorIs(t, add(s, "b", "like it", 0, until), memstore.ErrInvalid, "it could be one of them")
	require.NoError(t, add(s, "a", "later", 0, until.Add(time.Nanosecond)), "no such key was used")
	require.NoError(t, add(s, "a", "value", 1, until), "values have keys that are new")
}

// A version never starts again while its entry exists.
func TestLastVersion(t *testing.T) {
	s, _ := newStore(0, 0)
	later := start.Add(time.Hour)
	require.NoError(t, add(s, "a", "1", 1, later))
	s.SetVersion(key("1"), math.MaxUint32-1)
	swapped, err := s.Swap(t.Context(), key("1"), math.MaxUint32-1, []byte("last"), later)
	require.NoError(t, err)
	require.True(t, swapped)
	swapped, err = s.Swap(t.Context(), key("1"), math.MaxUint32, nil, later)
	require.ErrorIs(t, err, memstore.ErrFull)
	require.False(t, swapped)
	for _, version := range []int64{0, -1, 1 << 32} {
		swapped, err = s.Swap(t.Context(), key("1"), version, nil, later)
		require.NoError(t, err)
		require.False(t, swapped, "version %d", version)
	}
	value, version, err := s.Get(t.Context(), key("1"))
	require.NoError(t, err)
	require.Equal(t, int64(math.MaxUint32), version)
	require.Equal(t, "last", string(value))
}
