package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/redisstore"
)

func requireList(t testing.TB, s *redisstore.Store, set string, want ...string) {
	t.Helper()
	got, err := s.List(t.Context(), key(set), "", store.MaxList)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func requirePut(t testing.TB, s *redisstore.Store, set string, members ...string) {
	t.Helper()
	for _, member := range members {
		require.NoError(t, s.Put(t.Context(), key(set), member, hour()))
	}
}

// The client does not repeat a change of a set whose response is lost, because
// another process may have made the opposite change since.
func TestIndexIsChangedOnce(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t, "appendonly=yes")
	p := newProxy(t, server.Addr)
	direct, s := open(t, client(t, server.Addr)), open(t, client(t, p.addr))
	ctx, set := t.Context(), key("once")
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	p.set(nil, once(func() { check(direct.Delete(ctx, set, "a")) }))
	require.Error(t, s.Put(ctx, set, "a", hour()))
	requireList(t, s, "once")
	requirePut(t, direct, "once", "a")
	p.set(nil, once(func() { check(direct.Put(ctx, set, "a", hour())) }))
	require.Error(t, s.Delete(ctx, set, "a"))
	requireList(t, s, "once", "a")
	p.set(once(func() {}), nil)
	require.Error(t, s.Put(ctx, set, "b", hour()))
	requireList(t, s, "once", "a")
	requirePut(t, s, "once", "b")
	p.set(nil, once(func() {}))
	requireList(t, s, "once", "a", "b")
	require.NoError(t, client(t, server.Addr).ScriptFlush(ctx).Err())
	require.NoError(t, s.Delete(ctx, set, "a"), "an unknown script has not run")
	requireList(t, s, "once", "b")

	p.set(nil, always)
	require.Error(t, s.Put(ctx, set, "c", hour()))
	require.Error(t, s.Delete(ctx, set, "b"))
	members, err := s.List(ctx, set, "", 9)
	require.Error(t, err)
	require.Empty(t, members)
	p.set(nil, nil)
	requirePut(t, s, "once", "c") // the caller may repeat its calls
	require.NoError(t, s.Delete(ctx, set, "b"))
	requireList(t, s, "once", "c")

	server.Kill()
	require.Error(t, direct.Put(ctx, set, "d", hour()))
	server.Start()
	requireList(t, direct, "once", "c")
}

func TestIndexRejects(t *testing.T) {
	t.Parallel()
	c := client(t, testserver.Redis(t).Addr)
	clock := time.Duration(0)
	s := open(t, c, func(cfg *redisstore.Config) { cfg.Now = func() time.Time { return time.Now().Add(clock) } })
	right, ctx, set := open(t, c), t.Context(), key("a")
	for _, member := range []string{"", "a b", "a!", "ä", strings.Repeat("a", store.MaxMember+1)} {
		require.Error(t, s.Put(ctx, set, member, hour()))
		require.Error(t, s.Delete(ctx, set, member))
		if member != "" {
			_, err := s.List(ctx, set, member, 9)
			require.Error(t, err)
		}
	}
	for _, limit := range []int{-1, 0, store.MaxList + 1} {
		_, err := s.List(ctx, set, "", limit)
		require.Error(t, err)
	}
	requirePut(t, s, "a", "a")
	clock = -time.Hour
	require.ErrorIs(t, s.Put(ctx, set, "b", time.Now().Add(-time.Minute)), store.ErrInvalid)
	require.ErrorIs(t, s.Put(ctx, set, "a", time.Now().Add(-time.Minute)), store.ErrInvalid)
	requireList(t, right, "a", "a")
	clock = -2 * time.Second
	require.ErrorIs(t, s.Put(ctx, set, "a", hour()), redisstore.ErrClock)
	clock = 2 * time.Hour
	require.ErrorIs(t, s.Put(ctx, set, "c", hour()), store.ErrInvalid)
	requireList(t, right, "a", "a")

	require.NoError(t, c.HSet(ctx, "fapi2:set:"+key("hash"), "a", "b").Err())
	require.ErrorContains(t, s.Delete(ctx, key("hash"), "a"), "WRONGTYPE")
	_, err := s.List(ctx, key("hash"), "", 9)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "1").Err())
	require.ErrorContains(t, right.Put(ctx, set, "b", hour()), "OOM")
	requireList(t, right, "a", "a")
	require.NoError(t, right.Delete(ctx, set, "a"), "it makes room")
	require.NoError(t, right.Delete(ctx, set, "a"))
}

// A set takes no room after its members have expired, whether it is read or
// not.
func TestIndexMakesRoom(t *testing.T) {
	t.Parallel()
	c := client(t, testserver.Redis(t).Addr)
	s := open(t, c)
	soon := time.Now().Add(500 * time.Millisecond)
	for _, set := range []string{"read", "written", "left"} {
		for i := range 30 {
			require.NoError(t, s.Put(t.Context(), key(set), fmt.Sprintf("m%02d", i), soon))
		}
	}
	size := func(set string) int64 { return c.ZCard(t.Context(), "fapi2:set:"+key(set)).Val() }
	requirePut(t, s, "read", "z")
	requirePut(t, s, "written", "z")
	require.EqualValues(t, 31, size("read"))
	require.Eventually(t, func() bool { return size("left") == 0 }, 10*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 31, size("read"), "they have expired and are still stored")
	requireList(t, s, "read", "z")
	require.EqualValues(t, 1, size("read"))
	for size("written") > 1 {
		requirePut(t, s, "written", "z")
	}
	requireList(t, s, "written", "z")
}

// Each success is confirmed, even if there was nothing to change: the earlier
// change was perhaps not.
func TestIndexWithReplicas(t *testing.T) {
	t.Parallel()
	primary := testserver.Redis(t)
	primary.RedisReplica()
	c := client(t, primary.Addr)
	s, unconfirmed := open(t, c, patient), open(t, c)
	requirePut(t, s, "a", "a", "a")
	require.NoError(t, s.Delete(t.Context(), key("a"), "b"))
	detach(t, primary)
	expires := hour()
	for range 2 {
		require.ErrorIs(t, s.Put(t.Context(), key("a"), "b", expires), redisstore.ErrReplicas)
	}
	for range 2 {
		require.ErrorIs(t, s.Delete(t.Context(), key("a"), "b"), redisstore.ErrReplicas)
	}
	requireList(t, unconfirmed, "a", "a")
}

// TestChangeSet is a process of TestProcessesShareASet.
func TestChangeSet(t *testing.T) {
	addr, ok := os.LookupEnv("REDISSTORE_SET_ADDR")
	if !ok {
		return
	}
	s, name := open(t, client(t, addr)), os.Getenv("REDISSTORE_MEMBER")
	for i := range 50 {
		member := fmt.Sprintf("%s-%02d", name, i)
		requirePut(t, s, "shared", member)
		members, err := s.List(t.Context(), key("shared"), "", store.MaxList)
		require.NoError(t, err)
		require.Contains(t, members, member)
		require.NoError(t, s.Put(t.Context(), key("shared"), "common", time.Now().Add(time.Duration(i+1)*time.Minute)))
		if i%2 == 0 {
			require.NoError(t, s.Delete(t.Context(), key("shared"), member))
		}
	}
}

func TestProcessesShareASet(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	addr := testserver.Redis(t).Addr
	testkit.Winners(t, processes, func(i int) (bool, error) {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestChangeSet$", "-test.v")
		cmd.Env = append(os.Environ(), "REDISSTORE_SET_ADDR="+addr, fmt.Sprint("REDISSTORE_MEMBER=m", i))
		output, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, output)
		}
		return true, err
	})
	var want []string
	for i := range processes {
		for j := 1; j < 50; j += 2 {
			want = append(want, fmt.Sprintf("m%d-%02d", i, j))
		}
	}
	slices.Sort(want)
	requireList(t, open(t, client(t, addr)), "shared", append([]string{"common"}, want...)...)
}

// A process is killed at an arbitrary place. The next one finds each member
// whose Put has returned, and at most one other.
func TestIndexAfterAKill(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t, "appendonly=yes")
	s := open(t, client(t, server.Addr))
	for round := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		returned, set := 0, fmt.Sprint("killed ", round)
		for i := 0; ctx.Err() == nil; i++ {
			if i == 20+round {
				go server.Kill()
			}
			if err := s.Put(ctx, key(set), fmt.Sprintf("m%06d", i), hour()); err != nil {
				cancel()
			} else {
				returned++
			}
		}
		cancel()
		require.Eventually(t, func() bool { return client(t, server.Addr).Ping(t.Context()).Err() != nil }, 10*time.Second, time.Millisecond)
		server.Start()
		members, err := s.List(t.Context(), key(set), "", store.MaxList)
		require.NoError(t, err)
		require.Contains(t, []int{returned, returned + 1}, len(members))
		require.Equal(t, fmt.Sprintf("m%06d", returned-1), members[returned-1])
	}
}
