package redisstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/redisstore"
	"github.com/gofapi/fapi2/store/storetest"
)

// silent is the log of the client.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(m.Run())
}

// key returns a key of the contract's form.
func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func hour() time.Time { return time.Now().Add(time.Hour) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func client(t testing.TB, addr string, change ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: addr, ContextTimeoutEnabled: true}
	for _, f := range change {
		f(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func clusterClient(t testing.TB, change ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	o := &redis.ClusterOptions{ContextTimeoutEnabled: true}
	for _, f := range change {
		f(o)
	}
	c := redis.NewClusterClient(o)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// open returns a store on a client.
func open(t testing.TB, c redis.UniversalClient, change ...func(*redisstore.Config)) *redisstore.Store {
	t.Helper()
	cfg := redisstore.Config{Client: c, Logger: quiet()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := redisstore.New(t.Context(), cfg)
	require.NoError(t, err)
	return s
}

func requireAdd(t testing.TB, s *redisstore.Store, name, value string, want bool) {
	t.Helper()
	added, err := s.Add(t.Context(), key(name), []byte(value), hour())
	require.NoError(t, err)
	require.Equal(t, want, added)
}

func requireGet(t testing.TB, s *redisstore.Store, name, value string, version int64) {
	t.Helper()
	got, v, err := s.Get(t.Context(), key(name))
	require.NoError(t, err)
	require.Equal(t, version, v)
	require.Equal(t, value, string(got))
}

func TestSingleNode(t *testing.T) {
	t.Parallel()
	addr := testserver.Redis(t).Addr
	kits(t, func(t *testing.T) *redisstore.Store { return open(t, client(t, addr)) })
}

// kits runs the kits of a store and of an index.
func kits(t *testing.T, open func(t *testing.T) *redisstore.Store) {
	t.Run("store", func(t *testing.T) { storetest.Test(t, func(t *testing.T) store.Store { return open(t) }) })
	t.Run("index", func(t *testing.T) { storetest.TestIndex(t, func(t *testing.T) store.Index { return open(t) }) })
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	primary := testserver.Redis(t)
	primary.RedisReplica()
	sentinel := testserver.RedisSentinel(t, primary, 1)
	kits(t, func(t *testing.T) *redisstore.Store {
		return open(t, failoverClient(t, sentinel.Addr), patient)
	})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	var addrs []string
	for _, node := range testserver.RedisCluster(t, 3, 1) {
		addrs = append(addrs, node.Addr)
	}
	options := func(o *redis.ClusterOptions) { o.Addrs = addrs }
	kits(t, func(t *testing.T) *redisstore.Store { return open(t, clusterClient(t, options)) })

	s := open(t, clusterClient(t, options), patient)
	for i := range 8 { // keys of all masters
		name := fmt.Sprint("confirmed ", i)
		require.Equal(t, 1, testkit.Winners(t, 64, func(int) (bool, error) {
			return s.Add(t.Context(), key(name), nil, hour())
		}))
		require.Equal(t, 1, testkit.Winners(t, 64, func(i int) (bool, error) {
			return s.Swap(t.Context(), key(name), 1, []byte("value"), hour())
		}))
		requireGet(t, s, name, "value", 2)
	}
}

// The client learns that a slot has moved, or is moving, from the responses.
func TestClusterMovesSlots(t *testing.T) {
	t.Parallel()
	nodes := testserver.RedisCluster(t, 2, 1)
	c := clusterClient(t, func(o *redis.ClusterOptions) { o.Addrs = []string{nodes[0].Addr} })
	s, confirmed := open(t, c), open(t, c, patient)
	var admins []*redis.Client
	var ids []string
	for _, node := range nodes[:2] {
		admins = append(admins, client(t, node.Addr))
		ids = append(ids, admins[len(ids)].Do(t.Context(), "CLUSTER", "MYID").Val().(string))
	}
	set := func(node int, slot int64, arguments ...any) {
		t.Helper()
		require.NoError(t, admins[node].Do(t.Context(), append([]any{"CLUSTER", "SETSLOT", slot}, arguments...)...).Err())
	}
	move := func(key string) (finish func()) {
		slot, err := c.ClusterKeySlot(t.Context(), "fapi2:"+key).Result()
		require.NoError(t, err)
		from := int(slot / 8192)
		set(1-from, slot, "IMPORTING", ids[from])
		set(from, slot, "MIGRATING", ids[1-from])
		return func() {
			set(1-from, slot, "NODE", ids[1-from])
			set(from, slot, "NODE", ids[1-from])
		}
	}
	for name, s := range map[string]*redisstore.Store{"moved": s, "moved, confirmed": confirmed} {
		move(key(name))()
		requireAdd(t, s, name, "1", true)
		swapped, err := s.Swap(t.Context(), key(name), 1, []byte("2"), hour())
		require.NoError(t, err)
		require.True(t, swapped)
		requireGet(t, s, name, "2", 2)
	}
	move("set:" + key("moved"))()
	require.Eventually(t, func() bool { // the client does not repeat the first call at the other master
		return s.Put(t.Context(), key("moved"), "a", hour()) == nil
	}, 10*time.Second, 10*time.Millisecond)
	requireList(t, s, "moved", "a")
	requireList(t, confirmed, "moved", "a")
	finish := move(key("moving"))
	requireAdd(t, s, "moving", "1", true)
	requireAdd(t, s, "moving", "1", false)
	swapped, err := s.Swap(t.Context(), key("moving"), 1, []byte("2"), hour())
	require.NoError(t, err)
	require.True(t, swapped)
	added, err := confirmed.Add(t.Context(), key("moving"), nil, hour())
	require.Error(t, err, "the client cannot wait for replicas during the move")
	require.False(t, added)
	finish()
	requireGet(t, s, "moving", "2", 2)
	requireAdd(t, confirmed, "moving", "", false)
}

func TestExpiryByTheClockOfTheServer(t *testing.T) {
	t.Parallel()
	c := client(t, testserver.Redis(t).Addr)
	right := open(t, c)
	clock := time.Duration(0)
	s := open(t, c, func(cfg *redisstore.Config) { cfg.Now = func() time.Time { return time.Now().Add(clock) } })

	t.Run("attack: an expiry that only the server knows to be past", func(t *testing.T) {
		clock = -time.Hour
		past := time.Now().Add(-time.Minute)
		for range 2 {
			added, err := s.Add(t.Context(), key("past"), nil, past)
			require.ErrorIs(t, err, store.ErrInvalid)
			require.False(t, added)
		}
		requireAdd(t, right, "past", "x", true)
		swapped, err := s.Swap(t.Context(), key("past"), 1, nil, past)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.False(t, swapped)
		requireGet(t, right, "past", "x", 1)
	})
	t.Run("attack: an entry that would end too early by the clock of the process", func(t *testing.T) {
		clock = -2 * time.Second
		added, err := s.Add(t.Context(), key("ahead"), nil, hour())
		require.ErrorIs(t, err, redisstore.ErrClock)
		require.False(t, added)
		requireAdd(t, right, "swapped ahead", "", true)
		swapped, err := s.Swap(t.Context(), key("swapped ahead"), 1, nil, hour())
		require.ErrorIs(t, err, redisstore.ErrClock)
		require.False(t, swapped)
		require.ErrorIs(t, s.Check(t.Context()), redisstore.ErrClock)
	})
	t.Run("an expiry that is past for the process", func(t *testing.T) {
		clock = 2 * time.Hour
		_, err := s.Add(t.Context(), key("behind"), nil, hour())
		require.ErrorIs(t, err, store.ErrInvalid)
		_, err = s.Swap(t.Context(), key("behind"), 1, nil, hour())
		require.ErrorIs(t, err, store.ErrInvalid)
		requireGet(t, right, "behind", "", 0)
	})
	t.Run("a process ahead of the server ends no entry early", func(t *testing.T) {
		clock = 2 * time.Minute
		expires := time.Now().Add(3 * time.Minute)
		added, err := s.Add(t.Context(), key("fast"), nil, expires)
		require.NoError(t, err)
		require.True(t, added)
		left, err := c.PTTL(t.Context(), "fapi2:"+key("fast")).Result()
		require.NoError(t, err)
		require.GreaterOrEqual(t, left, time.Until(expires))
		require.LessOrEqual(t, left, 3*time.Minute+time.Second)
	})
}

func TestFailuresAreErrors(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	c := client(t, server.Addr, func(o *redis.Options) { o.MaxRetries, o.DialerRetries = -1, 1 })
	s := open(t, c)
	for name, value := range map[string]string{
		"empty": "", "short": "1234567", "of version 0": strings.Repeat("\x00", 20),
	} {
		require.NoError(t, c.Set(t.Context(), "fapi2:"+key(name), value, 0).Err())
		_, version, err := s.Get(t.Context(), key(name))
		require.ErrorIs(t, err, redisstore.ErrEntry, name)
		require.Zero(t, version)
	}
	require.NoError(t, c.HSet(t.Context(), "fapi2:"+key("hash"), "a", "b").Err())
	_, version, err := s.Get(t.Context(), key("hash"))
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Zero(t, version)
	swapped, err := s.Swap(t.Context(), key("hash"), 1, nil, hour())
	require.ErrorContains(t, err, "WRONGTYPE")
	require.False(t, swapped)

	requireAdd(t, s, "a", "value", true)
	require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	added, err := s.Add(t.Context(), key("b"), nil, hour())
	require.ErrorContains(t, err, "OOM")
	require.False(t, added)
	swapped, err = s.Swap(t.Context(), key("a"), 1, nil, hour())
	require.ErrorContains(t, err, "OOM")
	require.False(t, swapped)
	requireGet(t, s, "a", "value", 1)

	server.Kill()
	_, version, err = s.Get(t.Context(), key("a"))
	require.Error(t, err)
	require.Zero(t, version)
	added, err = s.Add(t.Context(), key("c"), nil, hour())
	require.Error(t, err)
	require.False(t, added)
	swapped, err = s.Swap(t.Context(), key("a"), 1, nil, hour())
	require.Error(t, err)
	require.False(t, swapped)
}

func TestCallsEndWhenThePoolIsFull(t *testing.T) {
	t.Parallel()
	c := client(t, testserver.Redis(t).Addr, func(o *redis.Options) { o.PoolSize = 1 })
	s := open(t, c)
	held := c.Conn()
	require.NoError(t, held.Ping(t.Context()).Err())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	added, err := s.Add(ctx, key("a"), nil, hour())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, added)
	require.Less(t, time.Since(start), 2*time.Second)
	require.NoError(t, held.Close())
	requireAdd(t, s, "a", "", true)
}

// A store continues after a restart of its server. Without appendonly, the
// entries are lost.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		settings []string
		lost     bool
	}{
		"appendonly with fsync":    {[]string{"appendonly=yes", "appendfsync=always"}, false},
		"appendonly without fsync": {[]string{"appendonly=yes"}, false}, // the process dies, and not the machine
		"no appendonly":            {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := testserver.Redis(t, row.settings...)
			s := open(t, client(t, server.Addr))
			requireAdd(t, s, "a", "1", true)
			swapped, err := s.Swap(t.Context(), key("a"), 1, []byte("2"), hour())
			require.NoError(t, err)
			require.True(t, swapped)
			server.Kill()
			server.Start()
			requireAdd(t, s, "a", "3", row.lost)
			if !row.lost {
				requireGet(t, s, "a", "2", 2)
				swapped, err := s.Swap(t.Context(), key("a"), 2, []byte("3"), hour())
				require.NoError(t, err)
				require.True(t, swapped)
			}
		})
	}
}

// A tracing hook prints commands.
type tracing struct{ text string }

func (*tracing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*tracing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *tracing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		for _, c := range commands {
			h.text += c.String() + fmt.Sprint(c.Args()...) + "\n"
		}
		return next(ctx, commands)
	}
}

func TestTextsDiscloseNothing(t *testing.T) {
	t.Parallel()
	c, hook, value := client(t, testserver.Redis(t).Addr), &tracing{}, []byte("secret")
	s := open(t, c)
	c.AddHook(hook)
	requireAdd(t, s, "traced", string(value), true)
	swapped, err := s.Swap(t.Context(), key("traced"), 1, value, hour())
	require.NoError(t, err)
	require.True(t, swapped)
	require.Contains(t, strings.ToLower(hook.text), "evalsha")
	require.NotContains(t, hook.text, string(value))
	require.NotContains(t, hook.text, strings.Trim(fmt.Sprint(value), "[]"))
	require.Equal(t, "redisstore.Store", fmt.Sprint(s))
	require.Equal(t, "redisstore.Store", slog.AnyValue(s).Resolve().String())
}

func TestScriptsAreFlushed(t *testing.T) {
	t.Parallel()
	c := client(t, testserver.Redis(t).Addr)
	s := open(t, c)
	requireAdd(t, s, "counter", "", true)
	const writers, each = 4, 25
	ctx, cancel := context.WithCancel(t.Context())
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for ctx.Err() == nil {
			c.ScriptFlush(ctx)
		}
	})
	testkit.Winners(t, writers, func(int) (bool, error) {
		for range each {
			for swapped := false; !swapped; {
				value, version, err := s.Get(t.Context(), key("counter"))
				if err != nil {
					return false, err
				}
				if swapped, err = s.Swap(t.Context(), key("counter"), version, append(value, 'x'), hour()); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
	cancel()
	flusher.Wait()
	requireGet(t, s, "counter", strings.Repeat("x", writers*each), writers*each+1)
}

const (
	processes  = 8
	contenders = 8 // in each process
	contested  = 20
)

// TestContend is a process of TestProcessesHaveOneWinner.
func TestContend(t *testing.T) {
	addr, ok := os.LookupEnv("REDISSTORE_ADDR")
	if !ok {
		return
	}
	s := open(t, client(t, addr))
	for i := range contested {
		k := key(fmt.Sprint("contested ", i))
		added := testkit.Winners(t, contenders, func(int) (bool, error) { return s.Add(t.Context(), k, nil, hour()) })
		swapped := testkit.Winners(t, contenders, func(int) (bool, error) { return s.Swap(t.Context(), k, 1, nil, hour()) })
		fmt.Printf("won %d %d %d\n", i, added, swapped)
	}
}

func TestProcessesHaveOneWinner(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	addr := testserver.Redis(t).Addr
	outputs := make([]string, processes)
	testkit.Winners(t, processes, func(i int) (bool, error) {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestContend$", "-test.v")
		cmd.Env = append(os.Environ(), "REDISSTORE_ADDR="+addr)
		output, err := cmd.CombinedOutput()
		outputs[i] = string(output)
		return true, err
	})
	var added, swapped [contested]int
	for _, output := range outputs {
		seen := 0
		for line := range strings.Lines(output) {
			var i, a, s int
			if n, _ := fmt.Sscanf(line, "won %d %d %d", &i, &a, &s); n == 3 {
				added[i] += a
				swapped[i] += s
				seen++
			}
		}
		require.Equal(t, contested, seen, output)
	}
	for i := range contested {
		require.Equal(t, 1, added[i], "of %d calls of Add in %d processes", processes*contenders, processes)
		require.Equal(t, 1, swapped[i], "of %d calls of Swap in %d processes", processes*contenders, processes)
	}
}
