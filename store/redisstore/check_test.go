package redisstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/redisstore"
)

func TestNewRejectsItsConfig(t *testing.T) {
	t.Parallel()
	plain, clustered := &redis.Options{Addr: "127.0.0.1:1"}, &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}
	single := func(change func(*redis.Options)) redis.UniversalClient {
		o := *plain
		change(&o)
		return redis.NewClient(&o)
	}
	reads := func(change func(*redis.ClusterOptions)) redisstore.Config {
		o := *clustered
		change(&o)
		return redisstore.Config{Client: redis.NewClusterClient(&o)}
	}
	cache := func(o *redis.Options) { o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{} }
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	ok := single(func(*redis.Options) {})
	for name, row := range map[string]struct {
		cfg  redisstore.Config
		want string
	}{
		"no client":              {redisstore.Config{}, "missing Client"},
		"a nil client":           {redisstore.Config{Client: (*redis.Client)(nil)}, "missing Client"},
		"a nil cluster client":   {redisstore.Config{Client: (*redis.ClusterClient)(nil)}, "missing Client"},
		"a ring":                 {redisstore.Config{Client: ring}, "unsupported client *redis.Ring"},
		"reads from replicas":    {reads(func(o *redis.ClusterOptions) { o.ReadOnly = true }), "reads from replicas"},
		"reads by latency":       {reads(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), "reads from replicas"},
		"reads from any node":    {reads(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), "reads from replicas"},
		"a client-side cache":    {redisstore.Config{Client: single(cache)}, "client-side cache"},
		"a hash tag":             {redisstore.Config{Client: ok, Prefix: "{a}"}, "braces"},
		"negative replicas":      {redisstore.Config{Client: ok, Replicas: -1}, "negative Replicas -1"},
		"a negative timeout":     {redisstore.Config{Client: ok, ReplicaTimeout: -1}, "ReplicaTimeout"},
		"less than a timeout":    {redisstore.Config{Client: ok, ReplicaTimeout: time.Microsecond}, "ReplicaTimeout"},
		"a timeout that is late": {redisstore.Config{Client: ok, Replicas: 1, ReplicaTimeout: time.Minute}, "read timeout 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redisstore.New(t.Context(), row.cfg)
			require.ErrorContains(t, err, row.want)
			require.Nil(t, s)
		})
	}
	_, err := redisstore.New(t.Context(), redisstore.Config{Prefix: "{", Replicas: -1})
	for _, want := range []string{"braces", "Replicas", "Client"} {
		require.ErrorContains(t, err, want, "all problems at once")
	}
}

func requireNoStore(t *testing.T, c redis.UniversalClient, want string, change ...func(*redisstore.Config)) {
	t.Helper()
	cfg := redisstore.Config{Client: c, Logger: quiet()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := redisstore.New(t.Context(), cfg)
	require.ErrorContains(t, err, want)
	require.Nil(t, s)
}

func TestNewChecksTheServer(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	admin := client(t, server.Addr)
	do := func(arguments ...any) {
		t.Helper()
		require.NoError(t, admin.Do(t.Context(), arguments...).Err())
	}
	open(t, admin)

	t.Run("eviction", func(t *testing.T) {
		do("CONFIG", "SET", "maxmemory", "50mb")
		open(t, admin)
		for _, policy := range []string{"allkeys-lru", "volatile-ttl", "volatile-random"} {
			do("CONFIG", "SET", "maxmemory-policy", policy)
			requireNoStore(t, admin, "maxmemory-policy "+policy+": set it to noeviction")
		}
		do("CONFIG", "SET", "maxmemory", "0")
		open(t, admin)
	})
	t.Run("permissions", func(t *testing.T) {
		user := func(rules ...any) *redis.Client {
			do(append([]any{"ACL", "SETUSER", "app", "reset", "on", ">secret"}, rules...)...)
			return client(t, server.Addr, func(o *redis.Options) { o.Username, o.Password = "app", "secret" })
		}
		all := []any{"~fapi2:*", "+get", "+set", "+pttl", "+getrange", "+evalsha", "+eval", "+time", "+info",
			"+zadd", "+zrem", "+zrangebylex", "+zrandmember", "+pexpireat"}
		open(t, user(all...))
		requireNoStore(t, user(append(all, "-evalsha")...), "missing permission")
		requireNoStore(t, user(append(all, "-time")...), "missing permission")
		requireNoStore(t, user(append(all, "-set")...), "missing permission")
		requireNoStore(t, user(append(all, "-zadd")...), "missing permission")
		requireNoStore(t, user(append(all, "resetkeys", "~other:*")...), "missing permission")
		open(t, user(append(all, "resetkeys", "~other:*")...), func(cfg *redisstore.Config) { cfg.Prefix = "other:" })

		var log bytes.Buffer
		logs := func(cfg *redisstore.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		open(t, user(append(all, "-info")...), logs)
		require.Contains(t, log.String(), "may not run INFO", "not silent")
		log.Reset()
		open(t, user(all...), logs)
		require.Contains(t, log.String(), "appendonly is off")
		do("CONFIG", "SET", "appendonly", "yes")
		log.Reset()
		open(t, user(all...), logs)
		require.Empty(t, log.String())
	})
	t.Run("passwords", func(t *testing.T) {
		requireNoStore(t, client(t, server.Addr, func(o *redis.Options) { o.Username, o.Password = "app", "wrong" }),
			"wrong or missing password")
		requireNoStore(t, client(t, testserver.Redis(t, "requirepass=secret").Addr), "wrong or missing password")
	})
	t.Run("replicas", func(t *testing.T) {
		requireNoStore(t, admin, "missing confirmation of replicas: 0 of 1", func(cfg *redisstore.Config) {
			cfg.Replicas, cfg.ReplicaTimeout = 1, 50*time.Millisecond
		})
		replica := client(t, server.RedisReplica().Addr)
		requireNoStore(t, replica, "server is a replica")
		open(t, admin, patient)
	})
	t.Run("no server, and no time", func(t *testing.T) {
		requireNoStore(t, client(t, "127.0.0.1:1", func(o *redis.Options) { o.DialerRetries = 1 }), "refused")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := redisstore.New(ended, redisstore.Config{Client: admin, Logger: quiet()})
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestNewChecksTheKindOfServer(t *testing.T) {
	t.Parallel()
	nodes := testserver.RedisCluster(t, 3, 0)
	requireNoStore(t, client(t, nodes[0].Addr), "use redis.NewClusterClient")
	single := testserver.Redis(t)
	unclustered := clusterClient(t, func(o *redis.ClusterOptions) { o.Addrs = []string{single.Addr} })
	requireNoStore(t, unclustered, "use redis.NewClient")
	requireNoStore(t, client(t, testserver.RedisSentinel(t, single, 0).Addr), "use redis.NewFailoverClient")
	clustered := clusterClient(t, func(o *redis.ClusterOptions) { o.Addrs = []string{nodes[0].Addr} })
	open(t, clustered)

	// A master that evicts is found, whichever it is.
	require.NoError(t, client(t, nodes[2].Addr).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	require.NoError(t, client(t, nodes[2].Addr).ConfigSet(t.Context(), "maxmemory", "50mb").Err())
	requireNoStore(t, clustered, "set it to noeviction")
}
