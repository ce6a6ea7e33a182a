package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/redisstore"
)

func failoverClient(t testing.TB, sentinel string) *redis.Client {
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: testserver.SentinelName, SentinelAddrs: []string{sentinel}, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// detach ends the replication of a primary, as a slow network does.
func detach(t testing.TB, primary *testserver.Server) {
	c := client(t, primary.Addr)
	require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "-psync", "-sync").Err())
	require.NoError(t, c.ClientKillByFilter(t.Context(), "TYPE", "replica").Err())
}

// patient waits for a replica even on a loaded machine.
func patient(cfg *redisstore.Config) { cfg.Replicas, cfg.ReplicaTimeout = 1, 2*time.Second }

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	primary := testserver.Redis(t)
	primary.RedisReplica()
	sentinel := testserver.RedisSentinel(t, primary, 1)
	failover(t, failoverClient(t, sentinel.Addr), primary, func(name string) string { return name })
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	nodes := testserver.RedisCluster(t, 3, 1)
	c := clusterClient(t, func(o *redis.ClusterOptions) { o.Addrs = []string{nodes[1].Addr} })
	failover(t, c, nodes[0], func(name string) string { // a name whose key is on the first master
		for i := 0; ; i++ {
			other := fmt.Sprint(name, " ", i)
			master, err := c.MasterForKey(t.Context(), "fapi2:"+key(other))
			require.NoError(t, err)
			if master.Options().Addr == nodes[0].Addr {
				return other
			}
		}
	})
}

// failover ends a primary after its replica has fallen behind. Writes that the
// replica has not received are lost. No write that it has confirmed is lost.
func failover(t *testing.T, c redis.UniversalClient, primary *testserver.Server, name func(string) string) {
	s, confirmed := open(t, c), open(t, c, patient)
	code, unconfirmed, late, after := name("code"), name("unconfirmed"), name("late"), name("after")
	requireAdd(t, confirmed, code, "issued", true)
	swapped, err := confirmed.Swap(t.Context(), key(code), 1, []byte("used"), hour())
	require.NoError(t, err)
	require.True(t, swapped)

	// Writers add proofs until the replica falls behind.
	const writers, proofs = 4, 200
	var names, acknowledged [writers][]string
	for i := range writers {
		for j := range proofs {
			names[i] = append(names[i], name(fmt.Sprint("proof ", i, " ", j)))
		}
	}
	testkit.Winners(t, writers, func(i int) (bool, error) {
		for j, name := range names[i] {
			if i == 0 && j == proofs/2 {
				detach(t, primary)
			}
			added, err := confirmed.Add(t.Context(), key(name), nil, hour())
			if err != nil {
				return false, nil //nolint:nilerr // the proof is rejected
			}
			if added {
				acknowledged[i] = append(acknowledged[i], name)
			}
		}
		return true, nil
	})
	requireAdd(t, s, unconfirmed, "", true)
	added, err := confirmed.Add(t.Context(), key(late), nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, added)
	swapped, err = confirmed.Swap(t.Context(), key(code), 2, []byte("late"), hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, swapped)

	primary.Kill()
	require.Eventually(t, func() bool {
		_, err := s.Add(t.Context(), key(after), nil, hour())
		return err == nil
	}, 40*time.Second, 50*time.Millisecond, "the replica was not promoted")

	requireGet(t, s, code, "used", 2)
	require.GreaterOrEqual(t, len(acknowledged[0]), proofs/2)
	for _, names := range acknowledged {
		for _, name := range names {
			requireAdd(t, s, name, "", false)
		}
	}
	requireAdd(t, s, unconfirmed, "", true) // the loss that the package comment admits
	_, err = confirmed.Add(t.Context(), key(after), nil, hour())
	require.NoError(t, err, "false needs no confirmation")
	_, err = confirmed.Swap(t.Context(), key(after), 1, nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas, "the new primary has no replica")
}
