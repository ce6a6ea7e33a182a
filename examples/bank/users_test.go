package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestUsers(t *testing.T) (*users, *time.Time) {
	now := time.Now()
	u, err := newUsers([]user{{"alice", "right"}, {"bob", "right"}}, 10, func() time.Time { return now })
	require.NoError(t, err)
	return u, &now
}

func TestGuessesAreCountedBeforeTheyAreLookedAt(t *testing.T) {
	u, _ := newTestUsers(t)
	const n = 200
	results := make(chan error, n)
	var start sync.WaitGroup
	start.Add(1)
	for i := range n {
		go func() {
			start.Wait()
			results <- u.check(context.Background(), "alice", fmt.Sprint("guess ", i), fmt.Sprint("address ", i))
		}()
	}
	start.Done()
	looked := 0
	for range n {
		if err := <-results; err == errWrongPassword {
			looked++
		} else {
			require.ErrorIs(t, err, errThrottled)
		}
	}
	require.Equal(t, failuresOfName, looked)
}

func TestAnAddressThatTriesManyNames(t *testing.T) {
	u, now := newTestUsers(t)
	for i := range failuresOfAddress {
		require.ErrorIs(t, u.check(context.Background(), fmt.Sprint("user ", i), "x", "one address"), errWrongPassword)
	}
	require.ErrorIs(t, u.check(context.Background(), "alice", "right", "one address"), errThrottled)
	require.NoError(t, u.check(context.Background(), "bob", "right", "another address"))
	*now = now.Add(refill)
	require.NoError(t, u.check(context.Background(), "alice", "right", "one address"))
	require.NoError(t, u.check(context.Background(), "alice", "right", "one address"), "who is right pays nothing")
}

func TestTheTableOfFailuresIsBounded(t *testing.T) {
	u, _ := newTestUsers(t)
	for i := range maxBuckets + 10 {
		u.take(fmt.Sprint("name ", i), failuresOfName)
	}
	require.LessOrEqual(t, len(u.buckets), maxBuckets)
}

func TestNobodyFillsTheTableFromOneAddress(t *testing.T) {
	u, _ := newTestUsers(t)
	for i := range 10 * failuresOfAddress {
		require.Error(t, u.check(context.Background(), fmt.Sprint("made up ", i), "x", "one address"))
	}
	require.Len(t, u.buckets, failuresOfAddress+1)
}

func TestAHashForNobody(t *testing.T) {
	u, _ := newTestUsers(t)
	require.Len(t, u.nobody.hash, 32, "a name that does not exist is compared as well")
	require.ErrorIs(t, u.check(context.Background(), "", "", "a"), errWrongPassword)
	require.NotContains(t, u.hashes, "")
}
