package expiring_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/stretchr/testify/require"
)

var start = time.Unix(1_700_000_000, 0)

// ceil rounds up to the second, which a Set may and does.
func ceil(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// set moves the clock to t, backwards if need be.
func set(c *testkit.Clock, t time.Time) { c.Advance(t.Sub(c.Now())) }

func TestSetAgreesWithNaiveModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 1 << 20, Now: c.Now})
		model := map[string]time.Time{}
		lives := []int64{2, 130, 5000, 200_000} // seconds
		for range 20_000 {
			c.Advance(time.Duration(r.Int64N(int64(3 * time.Second))))
			key := fmt.Sprint("k", r.IntN(500))
			expires := c.Now().Add(time.Duration(r.Int64N(lives[r.IntN(len(lives))]*1e9)) - time.Second/10)
			first, err := s.Use(key, expires)
			if !expires.After(c.Now()) {
				require.ErrorIs(t, err, expiring.ErrExpired)
				require.False(t, first)
				continue
			}
			require.NoError(t, err)
			live := ceil(model[key]).After(c.Now())
			require.Equal(t, !live, first, "seed %d key %s now %v expires %v", seed, key, c.Now(), model[key])
			if first {
				model[key] = expires
			}
		}
	}
}

func TestSetHasOneWinner(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{Now: c.Now})
	for round := range 100 {
		var won atomic.Int32
		testkit.Hammer(64, func(int) {
			first, err := s.Use(fmt.Sprint("proof", round), c.Now().Add(time.Minute))
			if err == nil && first {
				won.Add(1)
			}
		})
		require.EqualValues(t, 1, won.Load())
	}
}

func TestSetHasOneWinnerWhileTimePassesAndEntriesLeave(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{MaxEntries: 1 << 16, Now: c.Now})
	var won [500]atomic.Int32
	testkit.Hammer(64, func(i int) {
		for n := range won {
			c.Advance(time.Millisecond)
			if first, err := s.Use(fmt.Sprint("kept", n), start.Add(time.Hour)); err == nil && first {
				won[n].Add(1)
			}
			_, _ = s.Use(fmt.Sprint("short", i, n), c.Now().Add(time.Second))
		}
	})
	for n := range won {
		require.EqualValues(t, 1, won[n].Load())
	}
}

func TestSetExpiryIsRoundedUpNeverDown(t *testing.T) {
	c := testkit.NewClock(start.Add(300 * time.Millisecond))
	s := expiring.NewSet(expiring.SetConfig{Now: c.Now})
	expires := start.Add(10*time.Second + time.Nanosecond)
	use := func() bool {
		first, err := s.Use("k", expires.Add(time.Minute))
		require.NoError(t, err)
		return first
	}
	first, err := s.Use("k", expires)
	require.NoError(t, err)
	require.True(t, first)
	set(c, expires)
	require.False(t, use())
	set(c, start.Add(11*time.Second-1))
	require.False(t, use())
	set(c, start.Add(11*time.Second))
	require.True(t, use())
}

func TestSetRefusesWhatIsNotInTheFuture(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{Now: c.Now})
	for _, expires := range []time.Time{{}, start.Add(-time.Hour), start.Add(-1), start} {
		first, err := s.Use("k", expires)
		require.ErrorIs(t, err, expiring.ErrExpired)
		require.False(t, first)
	}
	require.Zero(t, s.Len())
}

func TestSetTakesExtremeTimes(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{Now: c.Now})
	for i, expires := range []time.Time{
		time.Unix(1<<62, 0), time.Unix(1<<63-1, 999), start.AddDate(136, 0, 0), start.AddDate(5000, 0, 0), start.Add(1),
	} {
		key := fmt.Sprint(i)
		first, err := s.Use(key, expires)
		if err == nil { // the year of some exceeds what package time can order
			require.True(t, first, "%d", i)
			first, err = s.Use(key, expires)
			require.NoError(t, err)
			require.False(t, first)
		}
	}
}

func TestSetFullOfLiveEntriesRefusesAndKeepsThem(t *testing.T) {
	for _, limit := range []int{1, 7, 100, 20_000} {
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: limit, Now: c.Now})
		var in []string
		refused := 0
		for i := range 2 * limit {
			key := fmt.Sprint("flood", i)
			first, err := s.Use(key, start.Add(time.Minute))
			if err != nil {
				require.ErrorIs(t, err, expiring.ErrFull)
				require.False(t, first)
				refused++
				continue
			}
			in = append(in, key)
		}
		require.LessOrEqual(t, len(in), limit)
		require.GreaterOrEqual(t, len(in), limit*9/10)
		require.Equal(t, 2*limit-len(in), refused)
		for _, key := range in {
			first, err := s.Use(key, start.Add(time.Minute))
			require.NoError(t, err)
			require.False(t, first, "a live entry has been evicted")
		}
		// As soon as they have expired there is room again.
		c.Advance(time.Minute)
		for i := range limit / 2 {
			first, err := s.Use(fmt.Sprint("later", i), c.Now().Add(time.Minute))
			require.NoError(t, err)
			require.True(t, first)
		}
		require.LessOrEqual(t, s.Len(), limit)
	}
}

func TestSetClockGoingBackwardsMakesNothingUsableTwice(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{MaxEntries: 1000, Now: c.Now})
	expires := start.Add(time.Minute)
	for i := range 100 {
		first, err := s.Use(fmt.Sprint(i), expires)
		require.NoError(t, err)
		require.True(t, first)
	}
	set(c, start.Add(2*time.Minute))
	for i := range 60 { // takes out the hundred
		_, err := s.Use(fmt.Sprint("new", i), c.Now().Add(time.Minute))
		require.NoError(t, err)
	}
	for _, back := range []time.Duration{0, 59 * time.Second, -time.Hour, -150 * 365 * 24 * time.Hour} {
		set(c, start.Add(back))
		for i := range 100 {
			first, err := s.Use(fmt.Sprint(i), expires)
			require.False(t, first, "at %v", back) // still held, or refused
			if err != nil {
				require.ErrorIs(t, err, expiring.ErrExpired)
			}
		}
		first, err := s.Use(fmt.Sprint("fresh", back), start.Add(10*time.Minute))
		require.NoError(t, err, "a wrong clock must not close the set for longer than needed")
		require.True(t, first)
	}
}

func TestSetMemoryIsBoundedUnderEndlessFlood(t *testing.T) {
	c := testkit.NewClock(start)
	const limit = 20_000
	s := expiring.NewSet(expiring.SetConfig{MaxEntries: limit, Now: c.Now})
	r := rand.New(rand.NewPCG(1, 2))
	before := heapInUse()
	var key [16]byte
	for i := range uint64(300_000) {
		binary.LittleEndian.PutUint64(key[:], i)
		c.Advance(4 * time.Millisecond)
		_, err := s.Use(string(key[:]), c.Now().Add(time.Duration(r.Int64N(int64(200*time.Second)))+1))
		if err != nil {
			require.ErrorIs(t, err, expiring.ErrFull)
		}
		// One key over and over, and as short-lived as possible.
		_, _ = s.Use("again", c.Now().Add(1))
	}
	grown := heapInUse() - before
	require.Less(t, grown, int64(limit*96), "%d bytes", grown)
	require.LessOrEqual(t, s.Len(), limit)
	runtime.KeepAlive(s)
}

func TestSetDoesNotRetainLongKeys(t *testing.T) {
	s := expiring.NewSet(expiring.SetConfig{})
	before := heapInUse()
	for i := range 1000 {
		_, err := s.Use(fmt.Sprint(i, strings.Repeat("x", 1<<16)), time.Now().Add(time.Hour))
		require.NoError(t, err)
	}
	require.Less(t, heapInUse()-before, int64(1<<20))
	runtime.KeepAlive(s)
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	c := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{MaxEntries: 10_000, Now: c.Now})
	testkit.Hammer(64, func(i int) {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		for range 2000 {
			c.Advance(time.Duration(r.Int64N(int64(20*time.Millisecond))) - 5*time.Millisecond)
			_, _ = s.Use(fmt.Sprint(r.IntN(5000)), c.Now().Add(time.Duration(r.Int64N(int64(time.Minute)))))
		}
		s.Len()
	})
	require.LessOrEqual(t, s.Len(), 10_000)
}

// FuzzSet plays three-byte operations: what to do, which key, how much.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 1, 60, 1, 0, 30, 0, 1, 60, 1, 0, 61, 0, 1, 60})
	f.Add([]byte{0, 1, 60, 1, 0, 200, 0, 2, 9, 2, 0, 250, 0, 1, 60})
	f.Fuzz(func(t *testing.T, ops []byte) {
		c := testkit.NewClock(start)
		s := expiring.NewSet(expiring.SetConfig{MaxEntries: 64, Now: c.Now})
		// Every key comes with one expiry only, so it must win at most once
		// while that lies ahead, whatever the clock does.
		won := map[string]time.Time{}
		for ; len(ops) >= 3; ops = ops[3:] {
			n := time.Duration(ops[2])
			switch ops[0] % 4 {
			case 0, 3:
				expires := start.Add(n * time.Duration(1+ops[1]) * time.Second / 3)
				key := fmt.Sprint(expires.UnixNano())
				first, err := s.Use(key, expires)
				require.False(t, first && err != nil)
				if first {
					require.NotContains(t, won, key)
					require.True(t, expires.After(c.Now()))
					won[key] = expires
				} else if err == nil {
					require.Contains(t, won, key)
				}
			case 1:
				c.Advance(n * time.Second)
			case 2:
				c.Advance(-n * time.Second)
			}
			require.LessOrEqual(t, s.Len(), 64)
		}
	})
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSetAdd(t *testing.T) {
	clock := testkit.NewClock(start)
	s := expiring.NewSet(expiring.SetConfig{MaxEntries: 4, Now: clock.Now})
	later := start.Add(time.Hour)
	first := expiring.WithOwner(t.Context(), "first")
	for _, want := range []bool{true, false} {
		added, err := s.Add(first, "a", nil, later)
		require.NoError(t, err)
		require.Equal(t, want, added)
	}
	_, err := s.Add(first, "b", nil, later)
	require.NoError(t, err)
	added, err := s.Add(first, "c", nil, later)
	require.ErrorIs(t, err, expiring.ErrShare)
	require.False(t, added)
	added, err = s.Add(expiring.WithOwner(t.Context(), "second"), "c", nil, later)
	require.NoError(t, err)
	require.True(t, added)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	added, err = s.Add(done, "d", nil, later)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, added)
	require.Equal(t, 3, s.Len())
}
