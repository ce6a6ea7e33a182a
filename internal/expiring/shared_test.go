package expiring_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
)

func newShared(entries, bytes int) (*expiring.Shared[int], *testkit.Clock) {
	clock := testkit.NewClock(start)
	return expiring.NewShared[int](expiring.SharedConfig{MaxEntries: entries, MaxBytes: bytes, Now: clock.Now}), clock
}

func TestShares(t *testing.T) {
	later := start.Add(time.Hour)
	fill := func(s *expiring.Shared[int], owner string, size int) (n int) {
		for s.Add(owner, fmt.Sprint(owner, n), n, size, later) == nil {
			n++
		}
		return n
	}
	t.Run("D1: one owner fills half, the next ones half of what is left", func(t *testing.T) {
		s, _ := newShared(800, 1<<30)
		require.Equal(t, 400, fill(s, "a", 0))
		require.Equal(t, 200, fill(s, "b", 0))
		require.Equal(t, 100, fill(s, "c", 0))
		require.ErrorIs(t, s.Add("a", "more", 0, 0, later), expiring.ErrShare)
		require.NoError(t, s.Add("d", "first", 0, 0, later))
	})
	t.Run("D1: bytes count as entries do", func(t *testing.T) {
		s, _ := newShared(1<<20, 1<<20)
		require.InDelta(t, 1<<19, fill(s, "a", 1000)*1256, 2*1256)
		require.ErrorIs(t, s.Add("b", "large", 0, 1<<20, later), expiring.ErrFull)
		require.NoError(t, s.Add("b", "small", 0, 10, later))
	})
	t.Run("entries without an owner fill the whole", func(t *testing.T) {
		s, _ := newShared(10, 1<<20)
		require.Equal(t, 10, fill(s, "", 0))
		require.ErrorIs(t, s.Add("", "x", 0, 0, later), expiring.ErrFull)
		require.ErrorIs(t, s.Add("a", "x", 0, 0, later), expiring.ErrFull)
	})
	t.Run("D1: expired entries keep no live one out", func(t *testing.T) {
		s, clock := newShared(800, 1<<20)
		require.Equal(t, 400, fill(s, "a", 0))
		clock.Advance(time.Hour)
		later = later.Add(2 * time.Hour)
		require.Equal(t, 400, fill(s, "a", 0))
		require.Equal(t, 400, s.Len())
	})
	t.Run("D1: an entry grows within the share of its owner", func(t *testing.T) {
		s, clock := newShared(100, 10_000)
		resize := func(key string, bounded bool, size int) error {
			found, err := s.Replace(key, bounded, func(v int) (int, int, time.Time, bool) { return v + 1, size, clock.Now().Add(time.Hour), true })
			require.True(t, found)
			return err
		}
		require.NoError(t, s.Add("a", "1", 0, 0, clock.Now().Add(time.Hour)))
		require.NoError(t, resize("1", true, 4000))
		require.ErrorIs(t, resize("1", true, 6000), expiring.ErrShare)
		require.ErrorIs(t, resize("1", true, 11_000), expiring.ErrFull)
		v, _ := s.Get("1")
		require.Equal(t, 1, v, "nothing has changed")
		require.NoError(t, resize("1", false, 9000), "what is not bounded")
		require.ErrorIs(t, s.Add("a", "2", 0, 0, clock.Now().Add(time.Hour)), expiring.ErrShare)
		require.NoError(t, s.Add("b", "2", 0, 0, clock.Now().Add(time.Hour)))
		require.NoError(t, resize("1", true, 100))
		require.NoError(t, s.Add("a", "3", 0, 0, clock.Now().Add(time.Hour)), "smaller entries make room")
		_, err := s.Replace("1", false, func(v int) (int, int, time.Time, bool) { return v, 0, clock.Now(), true })
		require.ErrorIs(t, err, expiring.ErrExpired)
		for _, key := range []string{"1", "2", "3"} {
			s.Take(key)
		}
		require.Zero(t, s.Len())
		require.NoError(t, s.Add("c", "all", 0, 9000, clock.Now().Add(time.Hour)), "no count has leaked")
		found, err := s.Replace("gone", true, nil)
		require.False(t, found)
		require.NoError(t, err)
	})
}

// TestSharedAgainstAModel: whatever happens, the bounds hold and nothing live is lost.
func TestSharedAgainstAModel(t *testing.T) {
	type held struct {
		value   int
		expires time.Time
	}
	s, clock := newShared(100, 40_000)
	model := map[string]held{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 50_000 {
		key, owner := fmt.Sprint(r.IntN(300)), fmt.Sprint(r.IntN(4))
		known, live := model[key]
		live = live && known.expires.After(clock.Now())
		switch r.IntN(6) {
		case 0, 1, 2:
			expires := clock.Now().Add(time.Duration(r.IntN(100)) * time.Second)
			err := s.Add(owner, key, i, r.IntN(2000), expires)
			require.Equal(t, live, err == expiring.ErrExists)
			if err == nil {
				model[key] = held{i, expires}
			}
		case 3:
			v, ok := s.Get(key)
			require.Equal(t, live, ok)
			require.True(t, !ok || v == known.value)
		case 4:
			v, ok := s.Take(key)
			require.Equal(t, live, ok)
			require.True(t, !ok || v == known.value)
			delete(model, key)
		case 5:
			longer := known.expires.Add(time.Second)
			require.Equal(t, live, s.Update(key, func(v int, expires time.Time) (int, time.Time) {
				require.Equal(t, known.value, v)
				return v, longer
			}))
			if live {
				model[key] = held{known.value, longer}
			}
			clock.Advance(time.Second)
		}
		require.LessOrEqual(t, s.Len(), 100)
	}
}

func TestSharedTakeHasOneWinner(t *testing.T) {
	s, _ := newShared(10, 1<<20)
	require.NoError(t, s.Add("a", "k", 1, 0, start.Add(time.Hour)))
	var wins atomic.Int32
	testkit.Hammer(64, func(int) {
		if _, ok := s.Take("k"); ok {
			wins.Add(1)
		}
	})
	require.EqualValues(t, 1, wins.Load())
}
