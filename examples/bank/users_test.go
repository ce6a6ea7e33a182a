package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestUsers(t *testing.T) (*users, *time.Time) {
	now := time.Now()
	u, err := newUsers(t.Context(), newRecords(t, time.Now), []user{{Username: "alice", Password: "right"}, {Username: "bob", Password: "right"}}, 10, func() time.Time { return now })
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
			results <- u.check(context.Background(), "alice", fmt.Sprint("guess ", i), peer{address: fmt.Sprint("address ", i)})
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
		require.ErrorIs(t, u.check(context.Background(), fmt.Sprint("user ", i), "x", peer{address: "one address"}), errWrongPassword)
	}
	require.ErrorIs(t, u.check(context.Background(), "alice", "right", peer{address: "one address"}), errThrottled)
	require.NoError(t, u.check(context.Background(), "bob", "right", peer{address: "another address"}))
	*now = now.Add(refill)
	require.NoError(t, u.check(context.Background(), "alice", "right", peer{address: "one address"}))
	require.NoError(t, u.check(context.Background(), "alice", "right", peer{address: "one address"}), "who is right pays nothing")
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
		require.Error(t, u.check(context.Background(), fmt.Sprint("made up ", i), "x", peer{address: "one address"}))
	}
	require.Len(t, u.buckets, 2*failuresOfAddress+1)
}

func TestAHashForNobody(t *testing.T) {
	u, _ := newTestUsers(t)
	require.Len(t, u.nobody.Hash, 32, "a name that does not exist is compared as well")
	require.ErrorIs(t, u.check(context.Background(), "", "", peer{address: "a"}), errWrongPassword)
	exists, err := u.exists(t.Context(), "")
	require.NoError(t, err)
	require.False(t, exists)
}

func TestStrangersDoNotLockUsersOut(t *testing.T) {
	ctx := context.Background()
	here, there := peer{address: "the user's"}, peer{address: "the stranger's"}
	t.Run("D3: wrong passwords from one address cost only that address", func(t *testing.T) {
		u, now := newTestUsers(t)
		for i := range 1000 {
			err := u.check(ctx, "alice", "x", there)
			require.Equal(t, i < failuresOfPair, err == errWrongPassword, "guess %d", i)
		}
		require.ErrorIs(t, u.check(ctx, "alice", "right", there), errThrottled)
		require.NoError(t, u.check(ctx, "alice", "right", here))
		*now = now.Add(refill)
		require.ErrorIs(t, u.check(ctx, "alice", "x", there), errWrongPassword)
		require.ErrorIs(t, u.check(ctx, "alice", "x", there), errThrottled, "one guess per refill")
	})
	t.Run("D3: a known browser gets through while a thousand addresses guess", func(t *testing.T) {
		u, _ := newTestUsers(t)
		looked := 0
		for i := range 1000 {
			if u.check(ctx, "alice", "x", peer{address: fmt.Sprint(i)}) == errWrongPassword {
				looked++
			}
		}
		require.Equal(t, failuresOfName, looked)
		require.ErrorIs(t, u.check(ctx, "alice", "right", here), errThrottled, "from a browser that is not known")
		for range 100 {
			require.NoError(t, u.check(ctx, "alice", "right", peer{address: "0", browser: "alice's"}))
		}
		require.NoError(t, u.check(ctx, "bob", "right", here))
	})
	t.Run("D3: a known browser guesses no more than an address", func(t *testing.T) {
		u, _ := newTestUsers(t)
		for i := range 100 {
			err := u.check(ctx, "alice", "x", peer{address: fmt.Sprint(i), browser: "stolen"})
			require.Equal(t, i < failuresOfPair, err == errWrongPassword)
		}
		require.NoError(t, u.check(ctx, "alice", "right", here), "and takes nothing from other browsers")
	})
	t.Run("D3: attack: logging in to an account of one's own gains no guesses", func(t *testing.T) {
		u, _ := newTestUsers(t)
		looked := 0
		for range 10 * failuresOfAddress {
			if u.check(ctx, "alice", "x", there) == errWrongPassword {
				looked++
			}
			_ = u.check(ctx, "bob", "right", there)
		}
		require.LessOrEqual(t, looked, failuresOfPair)
	})
}

func TestKnownBrowsers(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	withKeys := func(keys ...string) *sessions {
		return &sessions{now: clock, records: newRecords(t, clock), secrets: func(string) (secrets [][]byte) {
			for _, key := range keys {
				secrets = append(secrets, bytes.Repeat([]byte(key), 32))
			}
			return secrets
		}}
	}
	s, other := withKeys("a"), withKeys("b")
	cookie := func(user, id string) *http.Cookie {
		w := httptest.NewRecorder()
		s.know(w, user, id)
		return w.Result().Cookies()[0]
	}
	with := func(c *http.Cookie) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/login", nil)
		r.AddCookie(c)
		return r
	}
	c := cookie("alice", "")
	id := s.known(with(c), "alice")
	require.NotEmpty(t, id)
	require.Equal(t, id, s.known(with(cookie("alice", id)), "alice"), "D3: a browser keeps its ID")
	require.True(t, c.Secure && c.HttpOnly)
	require.NotContains(t, c.String(), "alice")
	t.Run("D3: attack: the cookie of one user for another", func(t *testing.T) {
		moved := *c
		moved.Name = knownName(bytes.Repeat([]byte("a"), 32), "bob")
		require.Empty(t, s.known(with(&moved), "bob"))
		require.Empty(t, s.known(with(c), "bob"))
	})
	t.Run("a browser stays known after a change of the key", func(t *testing.T) {
		require.Equal(t, id, withKeys("b", "a").known(with(c), "alice"))
	})
	t.Run("D3: attack: changed and invented cookies", func(t *testing.T) {
		require.Empty(t, other.known(with(c), "alice"))
		for _, value := range []string{"", "x", "..", "x" + c.Value, c.Value + "x", strings.Replace(c.Value, ".", ".9", 1)} {
			changed := *c
			changed.Value = value
			require.Empty(t, s.known(with(&changed), "alice"), value)
		}
	})
	t.Run("D3: a mark that is over", func(t *testing.T) {
		now = now.Add(knownLifetime)
		require.Empty(t, s.known(with(c), "alice"))
	})
}
