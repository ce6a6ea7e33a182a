package redisstore_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
)

// compareAndSet is the shortest script that could implement Swap.
const compareAndSet = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

// The bare command of Add is SET with NX, that of Get is GET, and that of Swap
// is a script. All use the same client.
func BenchmarkStore(b *testing.B) {
	c := client(b, testserver.Redis(b).Addr)
	s := open(b, c)
	ctx, value := b.Context(), make([]byte, 200)
	n, run := 0, strconv.FormatInt(time.Now().UnixNano(), 36)
	next := func() string {
		n++
		return key(run + strconv.Itoa(n))
	}
	b.Run("Add", func(b *testing.B) {
		testkit.Ratios(b, func() bool {
			return c.Do(ctx, "SET", "bare:"+next(), value, "NX", "PX", 60000).Err() == nil
		}, map[string]testkit.Measured{"Add/SET": {Run: func() bool {
			added, err := s.Add(ctx, next(), value, time.Now().Add(time.Minute))
			return added && err == nil
		}}})
	})
	b.Run("Get", func(b *testing.B) {
		k := next()
		_, err := s.Add(ctx, k, value, hour())
		require.NoError(b, err)
		testkit.Ratios(b, func() bool {
			return c.Get(ctx, "fapi2:"+k).Err() == nil
		}, map[string]testkit.Measured{"Get/GET": {Run: func() bool {
			_, version, err := s.Get(ctx, k)
			return version == 1 && err == nil
		}}})
	})
	b.Run("Swap", func(b *testing.B) {
		k, version := next(), int64(1)
		_, err := s.Add(ctx, k, value, hour())
		require.NoError(b, err)
		require.NoError(b, c.Set(ctx, "bare:"+k, value, time.Hour).Err())
		script := redis.NewScript(compareAndSet)
		require.NoError(b, script.Load(ctx, c).Err())
		testkit.Ratios(b, func() bool {
			return script.EvalSha(ctx, c, []string{"bare:" + k}, value, value, 60000).Err() == nil
		}, map[string]testkit.Measured{"Swap/script": {Run: func() bool {
			swapped, err := s.Swap(ctx, k, version, value, time.Now().Add(time.Minute))
			version++
			return swapped && err == nil
		}}})
	})
}
