package expiring_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/stretchr/testify/require"
)

func TestCacheNeverAnswersWithAnotherValue(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 10, 1000} {
		r := rand.New(rand.NewPCG(uint64(limit), 5))
		c := expiring.NewCache[int](limit)
		latest := map[string]int{}
		for i := range 50_000 {
			key := fmt.Sprint("k", r.IntN(400))
			if r.IntN(2) == 0 {
				c.Put(key, i)
				latest[key] = i
				v, ok := c.Get(key)
				require.True(t, ok, "what has just been put is there")
				require.Equal(t, i, v)
			} else if v, ok := c.Get(key); ok {
				require.Equal(t, latest[key], v)
			}
		}
	}
}

func TestCacheHoldsHalfAndNoMoreThanItsSize(t *testing.T) {
	for _, limit := range []int{2, 10, 1000, 10_000} {
		c := expiring.NewCache[int](limit)
		for i := range 10 * limit {
			c.Put(fmt.Sprint(i), i)
		}
		held := 0
		for i := range 10 * limit {
			// A Get may move an entry and displace others, so count from the
			// last one back.
			if _, ok := c.Get(fmt.Sprint(10*limit - 1 - i)); ok {
				held++
			}
		}
		require.LessOrEqual(t, held, limit)
		require.GreaterOrEqual(t, held, limit/3)
	}
}

func TestCacheKeyInUseSurvivesAFlood(t *testing.T) {
	c := expiring.NewCache[string](1000)
	c.Put("hot", "value")
	for i := range 100_000 {
		c.Put(fmt.Sprint("flood", i), "x")
		if i%5 == 0 {
			v, ok := c.Get("hot")
			require.True(t, ok)
			require.Equal(t, "value", v)
		}
	}
}

func TestCacheRetainsNeitherDroppedKeysNorTheirSurroundings(t *testing.T) {
	const limit, keySize = 256, 8 << 10
	c := expiring.NewCache[int](limit)
	before := heapInUse()
	for i := range 20 * limit {
		request := fmt.Sprint(i, strings.Repeat("x", 64<<10))
		c.Put(request[:keySize], i)
	}
	require.Less(t, heapInUse()-before, int64(2*limit*keySize))
	runtime.KeepAlive(c)
}

func TestCacheIsSafeForConcurrentUse(t *testing.T) {
	c := expiring.NewCache[int](500)
	testkit.Hammer(64, func(g int) {
		r := rand.New(rand.NewPCG(uint64(g), 6))
		for range 3000 {
			k := r.IntN(1000)
			if v, ok := c.Get(fmt.Sprint(k)); ok {
				if v != k {
					panic("another key's value")
				}
				continue
			}
			c.Put(fmt.Sprint(k), k)
		}
	})
}
