package expiring_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/stretchr/testify/require"
)

type modelEntry struct {
	value   int
	expires time.Time
}

func TestMapAgreesWithNaiveModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := testkit.NewClock(start)
		m := expiring.NewMap[int](expiring.MapConfig{Now: c.Now})
		model := map[string]modelEntry{}
		for step := range 20_000 {
			c.Advance(time.Duration(r.Int64N(int64(time.Second))))
			now := c.Now()
			key := fmt.Sprint("k", r.IntN(300))
			expires := now.Add(time.Duration(r.Int64N(int64(400*time.Second))) - time.Second)
			have, live := model[key]
			if live && !have.expires.After(now) {
				delete(model, key)
				have, live = modelEntry{}, false
			}
			switch r.IntN(5) {
			case 0, 1:
				err := m.Add(key, step, expires)
				switch {
				case live:
					require.ErrorIs(t, err, expiring.ErrExists)
				case !expires.After(now):
					require.ErrorIs(t, err, expiring.ErrExpired)
				default:
					require.NoError(t, err)
					model[key] = modelEntry{step, expires}
				}
			case 2:
				v, ok := m.Get(key)
				require.Equal(t, live, ok)
				require.Equal(t, have.value, v)
			case 3:
				v, ok := m.Take(key)
				require.Equal(t, live, ok)
				require.Equal(t, have.value, v)
				delete(model, key)
			case 4:
				keep := r.IntN(3) > 0
				err := m.Compute(key, func(v int, ok bool) (int, bool, time.Time) {
					require.Equal(t, live, ok)
					require.Equal(t, have.value, v)
					return step, keep, expires
				})
				delete(model, key)
				if keep && expires.After(now) {
					model[key] = modelEntry{step, expires}
				}
				if keep && !expires.After(now) && !live {
					require.ErrorIs(t, err, expiring.ErrExpired)
				}
			}
		}
		live := 0
		for _, e := range model {
			if e.expires.After(c.Now()) {
				live++
			}
		}
		require.GreaterOrEqual(t, m.Len(), live)
	}
}

func TestMapTakeHasOneWinner(t *testing.T) {
	m := expiring.NewMap[int](expiring.MapConfig{})
	for round := range 100 {
		key := fmt.Sprint("code", round)
		require.NoError(t, m.Add(key, round, time.Now().Add(time.Hour)))
		var won atomic.Int32
		testkit.Hammer(64, func(int) {
			if v, ok := m.Take(key); ok && v == round {
				won.Add(1)
			}
		})
		require.EqualValues(t, 1, won.Load())
	}
	require.Zero(t, m.Len())
}

func TestMapAddHasOneWinner(t *testing.T) {
	m := expiring.NewMap[int](expiring.MapConfig{})
	var won atomic.Int32
	testkit.Hammer(64, func(i int) {
		if m.Add("k", i, time.Now().Add(time.Hour)) == nil {
			won.Add(1)
		}
	})
	require.EqualValues(t, 1, won.Load())
}

func TestMapComputeIsAtomic(t *testing.T) {
	m := expiring.NewMap[int](expiring.MapConfig{})
	testkit.Hammer(64, func(int) {
		for range 100 {
			_ = m.Compute("n", func(v int, _ bool) (int, bool, time.Time) {
				return v + 1, true, time.Now().Add(time.Hour)
			})
		}
	})
	v, ok := m.Get("n")
	require.True(t, ok)
	require.Equal(t, 6400, v)
}

func TestMapComputeThatPanicsLeavesTheEntryAndTheLock(t *testing.T) {
	m := expiring.NewMap[int](expiring.MapConfig{})
	require.NoError(t, m.Add("k", 1, time.Now().Add(time.Hour)))
	require.Panics(t, func() {
		_ = m.Compute("k", func(int, bool) (int, bool, time.Time) { panic("host") })
	})
	v, ok := m.Take("k")
	require.True(t, ok)
	require.Equal(t, 1, v)
}

func TestMapComputeErrorsLeaveNoEntry(t *testing.T) {
	c := testkit.NewClock(start)
	m := expiring.NewMap[int](expiring.MapConfig{MaxEntries: 1, Now: c.Now})
	require.NoError(t, m.Add("k", 1, start.Add(time.Hour)))
	require.ErrorIs(t, m.Compute("other", func(int, bool) (int, bool, time.Time) {
		return 2, true, start.Add(time.Hour)
	}), expiring.ErrFull)
	require.ErrorIs(t, m.Compute("k", func(int, bool) (int, bool, time.Time) {
		return 2, true, start
	}), expiring.ErrExpired)
	require.Zero(t, m.Len())
}

func TestMapFullOfLiveEntriesRefusesAndKeepsThem(t *testing.T) {
	for _, limit := range []int{1, 10, 20_000} {
		c := testkit.NewClock(start)
		m := expiring.NewMap[int](expiring.MapConfig{MaxEntries: limit, Now: c.Now})
		var in []int
		for i := range 2 * limit {
			if err := m.Add(fmt.Sprint(i), i, start.Add(time.Minute)); err != nil {
				require.ErrorIs(t, err, expiring.ErrFull)
				continue
			}
			in = append(in, i)
		}
		require.LessOrEqual(t, len(in), limit)
		require.GreaterOrEqual(t, len(in), limit*9/10)
		for _, i := range in {
			v, ok := m.Get(fmt.Sprint(i))
			require.True(t, ok)
			require.Equal(t, i, v)
		}
		_, ok := m.Take(fmt.Sprint(in[0]))
		require.True(t, ok)
		require.NoError(t, m.Add(fmt.Sprint(in[0]), 0, start.Add(time.Minute)), "a removed entry gives its room back")
		c.Advance(time.Minute)
		for i := range limit / 2 {
			require.NoError(t, m.Add(fmt.Sprint("later", i), i, c.Now().Add(time.Minute)))
		}
	}
}

func TestMapMemoryIsBoundedByWhatIsHeld(t *testing.T) {
	m := expiring.NewMap[int](expiring.MapConfig{})
	before := heapInUse()
	for i := range 200_000 {
		key := fmt.Sprint(i)
		require.NoError(t, m.Add(key, i, time.Now().Add(10*time.Minute)))
		_, ok := m.Take(key)
		require.True(t, ok)
	}
	require.Less(t, heapInUse()-before, int64(1<<20))
	runtime.KeepAlive(m)
}

func TestMapFoundExpiredStaysGoneWhenTheClockGoesBack(t *testing.T) {
	c := testkit.NewClock(start)
	m := expiring.NewMap[string](expiring.MapConfig{Now: c.Now})
	require.NoError(t, m.Add("code", "v", start.Add(time.Minute)))
	set(c, start.Add(time.Minute))
	_, ok := m.Get("code")
	require.False(t, ok)
	set(c, start.Add(-time.Hour))
	_, ok = m.Take("code")
	require.False(t, ok)
	require.NoError(t, m.Add("code", "w", start.Add(time.Minute)))
	v, ok := m.Take("code")
	require.True(t, ok)
	require.Equal(t, "w", v)
}

func FuzzMap(f *testing.F) {
	f.Add([]byte{0, 1, 60, 1, 0, 61, 2, 1, 0, 0, 1, 60})
	f.Fuzz(func(t *testing.T, ops []byte) {
		c := testkit.NewClock(start)
		m := expiring.NewMap[int](expiring.MapConfig{MaxEntries: 16, Now: c.Now})
		held := map[string]time.Time{} // added and not taken
		latest := start                // what expires no later may be gone
		for i := 0; len(ops) >= 3; i, ops = i+1, ops[3:] {
			key, n := fmt.Sprint(ops[1]%32), time.Duration(ops[2])
			if c.Now().After(latest) {
				latest = c.Now()
			}
			switch ops[0] % 5 {
			case 0:
				if m.Add(key, i, c.Now().Add(n*time.Second)) == nil {
					require.False(t, held[key].After(latest))
					held[key] = c.Now().Add(n * time.Second)
				}
			case 1:
				c.Advance(n * time.Second)
			case 2:
				if _, ok := m.Take(key); ok {
					require.True(t, held[key].After(c.Now()))
				}
				delete(held, key)
			case 3:
				c.Advance(-n * time.Second)
			case 4:
				_ = m.Compute(key, func(v int, ok bool) (int, bool, time.Time) { return v, ok, held[key] })
			}
			require.LessOrEqual(t, m.Len(), 16)
		}
	})
}
