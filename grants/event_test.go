package grants_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestAnEventIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	g, _ := b.claimed("create", "", scopes("a"))
	var heard []grants.Event
	broken := errDown
	m := b.process(func(c *grants.ManagerConfig) {
		c.Events = func(_ context.Context, e grants.Event) error {
			heard = append(heard, e)
			return broken
		}
	})
	_, err := m.Claim(t.Context(), b.prepared("merge", g.ID, scopes("b")))
	require.ErrorIs(t, err, grants.ErrEvent)
	require.ErrorIs(t, m.Withdraw(t.Context(), g.ID), grants.ErrEvent)
	broken = nil
	require.NoError(t, m.Deliver(t.Context(), g.ID))
	require.Len(t, heard, 4)
	require.Equal(t, heard[0], heard[1], "with a revocation behind it")
	require.Equal(t, heard[0], heard[2])
	require.Len(t, heard[2].New.History, 2)
	require.Len(t, heard[3].New.History, 3)
}

// unreliable fails now and then, before or after it has done what it is for.
type unreliable struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (u *unreliable) fails(chance float64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.random.Float64() < chance
}

// Two processes change one grant, and neither their store nor their listeners
// can be relied on. In the end each change has been told, in order, and each
// authorization ended once.
func TestNothingIsReliable(t *testing.T) {
	t.Parallel()
	for round := range uint64(20) {
		const callers = 24
		b, u := newBank(t, nil), &unreliable{random: rand.New(rand.NewPCG(round, 0))}
		g, _ := b.claimed("create", "", scopes("s"))
		log := new(eventLog)
		unreliable := func(c *grants.ManagerConfig) {
			c.Events = func(ctx context.Context, e grants.Event) error {
				if u.fails(0.2) {
					return errDown
				}
				_ = log.take(ctx, e)
				if u.fails(0.1) {
					return errDown
				}
				return nil
			}
		}
		processes := []*grants.Manager{b.process(unreliable), b.process(unreliable)}
		changes, claimed := make([]*grants.Change, callers), make([]bool, callers)
		for i := range changes {
			changes[i] = b.prepared([]string{"replace", "merge", "merge"}[i%3], g.ID, scopes(fmt.Sprint("s", i)))
		}
		reset := func(string) error {
			if u.fails(0.1) {
				return errStoreDown
			}
			return nil
		}
		b.store.set(reset, reset)
		testkit.Hammer(callers+1, func(i int) {
			var err error
			for range 100 {
				if i == callers {
					err = processes[0].Revoke(context.Background(), fintech, g.ID)
				} else {
					_, err = processes[i%2].Claim(context.Background(), changes[i])
					claimed[i] = err == nil
				}
				if err == nil || errors.Is(err, grants.ErrInactive) || errors.Is(err, grants.ErrNotFound) {
					return
				}
			}
			t.Error("a hundred failures in a row:", err)
		})
		b.store.set(nil, nil)
		for err := errDown; err != nil; {
			err = processes[0].Deliver(t.Context(), g.ID)
		}
		now := b.get(g.ID)
		require.Equal(t, "revoked", now.Status)
		requireComplete(t, log.all(), now.Version, changes, claimed)
	}
}

func requireComplete(t *testing.T, events []grants.Event, version int64, changes []*grants.Change, claimed []bool) {
	t.Helper()
	first, ended := map[int64]grants.Event{}, map[string]int{}
	made := map[string]bool{}
	for _, e := range events {
		if before, ok := first[e.New.Version]; ok {
			require.Equal(t, before, e)
			continue
		}
		require.Equal(t, int64(len(first)+2), e.New.Version, "the first deliveries are in order")
		first[e.New.Version] = e
		for _, id := range e.EndedAccess {
			ended[id]++
		}
		made[e.AuthorizationID] = true
	}
	require.Len(t, first, int(version-1))
	for i, c := range changes {
		id := c.AuthorizationID()
		require.True(t, made[id] || !claimed[i], "a claim that nobody heard of")
		if made[id] {
			require.Equal(t, 1, ended[id], "GM-6.5-3 the access tokens of each authorization end once")
		}
	}
}
