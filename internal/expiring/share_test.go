package expiring_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestSetShares(t *testing.T) {
	var n int
	// flood adds entries of an owner until it gets an error, and returns how
	// many.
	flood := func(t *testing.T, s *expiring.Set, owner string, until time.Time) int {
		for added := 0; ; added++ {
			n++
			first, err := s.UseBy(owner, fmt.Sprint("key ", n), until)
			if err != nil {
				require.ErrorIs(t, err, expiring.ErrShare)
				require.False(t, first)
				return added
			}
			require.True(t, first)
		}
	}
	t.Run("D1: one owner fills half, the next ones half of what is left", func(t *testing.T) {
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 1000, Now: c.Now})
		later := c.Now().Add(time.Hour)
		require.Equal(t, 500, flood(t, s, "a", later))
		require.Equal(t, 250, flood(t, s, "b", later))
		require.Equal(t, 125, flood(t, s, "c", later))
		require.Zero(t, flood(t, s, "a", later))
		first, err := s.Use("no owner", later)
		require.NoError(t, err)
		require.True(t, first)
	})
	t.Run("D1: a share is free again soon after the entries expire, and not before", func(t *testing.T) {
		for _, life := range []time.Duration{time.Second, 10 * time.Second, 70 * time.Second, time.Hour} {
			c := testkit.NewClock(start)
			s := expiring.NewSet(expiring.SetConfig{MaxEntries: 100, Now: c.Now})
			require.Equal(t, 50, flood(t, s, "a", c.Now().Add(life)))
			c.Advance(life - 1)
			require.Zero(t, flood(t, s, "a", c.Now().Add(life)), "%v", life)
			c.Advance(life/4 + time.Second + 1)
			require.Equal(t, 50, flood(t, s, "a", c.Now().Add(life)), "%v", life)
		}
	})
	t.Run("D1: a key that was used before counts once", func(t *testing.T) {
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 10, Now: c.Now})
		later := c.Now().Add(time.Hour)
		for i := range 100 {
			first, err := s.UseBy("a", "key", later)
			require.NoError(t, err)
			require.Equal(t, i == 0, first)
			_, err = s.UseBy("a", "key of the past", c.Now())
			require.ErrorIs(t, err, expiring.ErrExpired)
		}
		require.Equal(t, 4, flood(t, s, "a", later))
	})
	t.Run("D1: many owners that expire at once free their shares", func(t *testing.T) {
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 2000, Now: c.Now})
		for i := range 1000 {
			_, err := s.UseBy(fmt.Sprint("owner ", i), fmt.Sprint("k", i), c.Now().Add(time.Minute))
			require.NoError(t, err)
		}
		c.Advance(2 * time.Minute)
		require.Equal(t, 1000, flood(t, s, "a", c.Now().Add(time.Minute)))
	})
	t.Run("D1: a call removes a bounded number of counts", func(t *testing.T) {
		const owners, entries = 10_000, 30_000
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: entries, Now: c.Now})
		use := func(owner string, until time.Time) error {
			n++
			counts := s.Counts()
			_, err := s.UseBy(owner, fmt.Sprint("key ", n), until)
			require.LessOrEqual(t, counts-s.Counts(), 64)
			return err
		}
		soon, later := c.Now().Add(time.Minute), c.Now().Add(24*time.Hour)
		flooded := 12_000
		for range flooded {
			require.NoError(t, use("flood", later))
		}
		for i := range owners {
			require.NoError(t, use(fmt.Sprint("owner ", i), soon))
		}
		require.ErrorIs(t, use("flood", later), expiring.ErrShare)
		c.Advance(time.Hour)
		require.NoError(t, use("flood", later), "its share is not known")
		require.NoError(t, use("owner 1", later))
		for use("flood", later) == nil {
			flooded++
		}
		require.InDelta(t, entries/2, flooded, 100, "D1: the excess is small")
		require.ErrorIs(t, use("flood", later), expiring.ErrShare)
	})
	t.Run("many goroutines", func(t *testing.T) {
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 100_000, Now: testkit.NewClock(start).Now})
		var wins atomic.Int32
		testkit.Hammer(32, func(i int) {
			for k := range 200 {
				if first, err := s.UseBy(fmt.Sprint("owner ", i%4), fmt.Sprint("key ", k), start.Add(time.Minute)); err == nil && first {
					wins.Add(1)
				}
			}
		})
		require.EqualValues(t, 200, wins.Load())
	})
}
