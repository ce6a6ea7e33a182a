package redisstore_test

import (
	"crypto/sha1"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/redisstore"
)

// The flags of TestGrowth. PERFORMANCE.md lists the commands. With the
// defaults, the test only shows that the measurement works.
var (
	rows = flag.Int("rows", 2_000, "the entries of a large store")
	turn = flag.Duration("turn", 100*time.Millisecond, "the time for one operation")
)

const smallStore = 10_000

// fillScript adds entries of version 1 with values of 600 bytes, which expire
// in ten hours.
const fillScript = `local entry = string.rep('\0', 7) .. '\1' .. string.rep('x', 608)
for i = ARGV[1], ARGV[2] do
	redis.call('SET', KEYS[1] .. redis.sha1hex(string.format('%d', i)) .. '000', entry, 'PX', 36000000)
end`

// numbered returns a key of fillScript.
func numbered(i int) string { return fmt.Sprintf("%x000", sha1.Sum([]byte(strconv.Itoa(i)))) }

// TestGrowth compares the operations on a large store with those on a small one
// of another server, in alternating blocks. It fails only if an operation does.
func TestGrowth(t *testing.T) {
	t.Parallel()
	var stores [2]*redisstore.Store
	sizes := [2]int{smallStore, *rows}
	for i, size := range sizes {
		c := client(t, testserver.Redis(t).Addr)
		for first := 1; first <= size; first += smallStore {
			last := min(first+smallStore-1, size)
			require.ErrorContains(t, c.Eval(t.Context(), fillScript, []string{"fapi2:"}, first, last).Err(), "nil")
		}
		stores[i] = open(t, c)
	}
	value := make([]byte, 600)
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	// An operation gets the number of its calls on the store.
	for name, operation := range map[string]func(store, n int) (bool, error){
		"Add": func(store, n int) (bool, error) {
			return stores[store].Add(t.Context(), key(run+strconv.Itoa(n)), value, hour())
		},
		"Get": func(store, _ int) (bool, error) {
			_, version, err := stores[store].Get(t.Context(), numbered(1+rand.N(sizes[store])))
			return version != 0, err
		},
		"Swap": func(store, n int) (bool, error) {
			size := sizes[store]
			return stores[store].Swap(t.Context(), numbered(1+n%size), int64(1+n/size), value, hour())
		},
	} {
		on := func(store int) func() bool {
			n := -1
			return func() bool {
				n++
				ok, err := operation(store, n)
				return ok && err == nil
			}
		}
		ratio, base := testkit.Ratio(t, *turn, on(0), on(1))
		t.Logf("%-4s %.2f × the time with %d entries, %v", name, ratio, smallStore, time.Duration(base))
	}
}
