package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

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

// A failover loses writes that the replica has not received. No write that the
// replica has confirmed is lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := testserver.Redis(t)
	primary.RedisReplica()
	c := failoverClient(t, testserver.RedisSentinel(t, primary, 1).Addr)
	s := open(t, c)
	confirmed := open(t, c, func(cfg *redisstore.Config) {
		cfg.Replicas, cfg.ReplicaTimeout = 1, 100*time.Millisecond
	})
	requireAdd(t, confirmed, "code", "issued", true)
	swapped, err := confirmed.Swap(t.Context(), key("code"), 1, []byte("used"), hour())
	require.NoError(t, err)
	require.True(t, swapped)

	// Writers add proofs while the replica falls behind.
	const writers, proofs = 4, 100
	var acknowledged [writers][]string
	half := make(chan struct{})
	go func() {
		<-half
		detach(t, primary)
	}()
	race(t, writers, func(i int) (bool, error) {
		for j := range proofs {
			if i == 0 && j == proofs/2 {
				close(half)
			}
			name := fmt.Sprint("proof ", i, " ", j)
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
	requireAdd(t, s, "unconfirmed", "", true)
	added, err := confirmed.Add(t.Context(), key("late"), nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, added)
	swapped, err = confirmed.Swap(t.Context(), key("code"), 2, []byte("late"), hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, swapped)

	primary.Kill()
	require.Eventually(t, func() bool {
		_, err := s.Add(t.Context(), key("after"), nil, hour())
		return err == nil
	}, time.Minute, 50*time.Millisecond, "the replica was not promoted")

	requireGet(t, s, "code", "used", 2)
	for _, names := range acknowledged {
		require.NotEmpty(t, names)
		for _, name := range names {
			requireAdd(t, s, name, "", false)
		}
	}
	requireAdd(t, s, "unconfirmed", "", true) // the loss that the package comment admits
	_, err = confirmed.Add(t.Context(), key("alone"), nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas, "the new primary has no replica")
}
