package grants_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestEventsThatFail(t *testing.T) {
	t.Parallel()
	t.Run("a revocation is in effect, and its repetition delivers the event", func(t *testing.T) {
		b, g, authorization := granted(t)
		b.log.setFail(errDown)
		for range 2 {
			err := b.Revoke(t.Context(), fintech, g.ID)
			require.ErrorIs(t, err, grants.ErrEvent)
			require.ErrorIs(t, err, errDown)
			tells(t, err, "server_error", 503)
		}
		b.requireEnded(g.ID, authorization)
		b.requireHidden(fintech, g.ID)
		require.ErrorIs(t, b.Revoke(t.Context(), "other", g.ID), grants.ErrNotFound)
		b.log.setFail(nil)
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.Equal(t, []string{"created", "revoked"}, b.log.kinds())
		require.Equal(t, []string{authorization}, b.log.last(t).EndedAccess)
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound)
	})
	t.Run("a claim can be repeated, and is made once", func(t *testing.T) {
		b := newBank(t, nil)
		b.log.setFail(errDown)
		change := b.prepared("create", "", scopes("accounts"))
		for range 3 {
			b.claimFails(change, grants.ErrEvent)
		}
		b.log.setFail(nil)
		g := b.claim(change)
		require.Equal(t, int64(1), g.Version)
		require.Equal(t, []string{"created"}, b.log.kinds())
	})
	t.Run("a change waits for the event of the change before", func(t *testing.T) {
		b, g, _ := granted(t)
		merge, replace := b.prepared("merge", g.ID, scopes("a")), b.prepared("replace", g.ID, scopes("b"))
		b.log.setFail(errDown)
		b.claimFails(merge, grants.ErrEvent)
		b.claimFails(replace, grants.ErrEvent)
		_, err := b.Update(t.Context(), g.ID, func(*grants.Grant) error { return nil })
		require.ErrorIs(t, err, grants.ErrEvent)
		now := b.get(g.ID)
		require.Equal(t, []string{"a", "accounts"}, now.ScopeValues())
		b.log.setFail(nil)
		b.claim(replace)
		require.Equal(t, []string{"created", "merged", "replaced"}, b.log.kinds())
	})
	t.Run("a revocation does not wait, and both events come in order with their own states", func(t *testing.T) {
		b, g, one := granted(t)
		merge := b.prepared("merge", g.ID, scopes("a"))
		b.log.setFail(errDown)
		b.claimFails(merge, grants.ErrEvent)
		require.ErrorIs(t, b.Withdraw(t.Context(), g.ID), grants.ErrEvent)
		b.requireEnded(g.ID, merge.AuthorizationID())
		b.log.setFail(nil)
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		require.Equal(t, []string{"created", "merged", "revoked"}, b.log.kinds())
		events := b.log.all()
		for i, e := range events[1:] {
			before := events[i].New
			before.History, e.Old.History = nil, nil
			require.Equal(t, before, e.Old)
			require.Equal(t, events[i].New.Version+1, e.New.Version)
		}
		require.Equal(t, []string{"active", "revoked"}, []string{events[1].New.Status, events[2].New.Status})
		require.Equal(t, []string{one, merge.AuthorizationID()}, events[2].EndedAccess)
	})
	t.Run("a host can repeat a delivery by itself", func(t *testing.T) {
		b, g, _ := granted(t)
		b.log.setFail(errDown)
		require.ErrorIs(t, b.Withdraw(t.Context(), g.ID), grants.ErrEvent)
		require.ErrorIs(t, b.Deliver(t.Context(), g.ID), grants.ErrEvent)
		b.log.setFail(nil)
		for range 2 {
			require.NoError(t, b.Deliver(t.Context(), g.ID))
		}
		require.Equal(t, []string{"created", "revoked"}, b.log.kinds())
		require.ErrorIs(t, b.Deliver(t.Context(), strings.Repeat("A", 43)), grants.ErrNotFound)
	})
	t.Run("a client that disconnects after a revocation does not stop its event", func(t *testing.T) {
		ctx, hangUp := context.WithCancel(t.Context())
		var seen error
		b := newBank(t, func(c *grants.ManagerConfig) {
			c.Events = func(ctx context.Context, e grants.Event) error {
				if e.Kind == "revoked" {
					hangUp()
					seen = ctx.Err()
				}
				return nil
			}
		})
		g, _ := b.claimed("create", "", scopes("accounts"))
		require.NoError(t, b.Revoke(ctx, fintech, g.ID))
		require.NoError(t, seen)
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound) // delivered, and noted
	})
	t.Run("attack: an error about another grant does not end this one", func(t *testing.T) {
		for _, other := range []error{grants.ErrNotFound, grants.ErrInactive} {
			b := newBank(t, nil)
			b.log.setFail(fmt.Errorf("another grant: %w", other))
			change := b.prepared("create", "", scopes("accounts"))
			err := b.claimFails(change, grants.ErrEvent)
			require.NotErrorIs(t, err, grants.ErrInactive)
			require.ErrorContains(t, err, "another grant")
			err = b.Withdraw(t.Context(), change.GrantID())
			require.ErrorIs(t, err, grants.ErrEvent)
			require.NotErrorIs(t, err, grants.ErrNotFound)
			b.log.setFail(nil)
			require.NoError(t, b.Withdraw(t.Context(), change.GrantID()))
			require.Equal(t, []string{"created", "revoked"}, b.log.kinds())
		}
	})
	t.Run("without Events nothing is pending", func(t *testing.T) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.Events = nil })
		g, _ := b.claimed("create", "", scopes("accounts"))
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound)
	})
	t.Run("events can change other grants", func(t *testing.T) {
		var b *bank
		var second string
		b = newBank(t, func(c *grants.ManagerConfig) {
			c.Events = func(ctx context.Context, e grants.Event) error {
				if e.Kind == "revoked" && e.New.ID != second {
					return b.Withdraw(ctx, second)
				}
				return nil
			}
		})
		g, _ := b.claimed("create", "", scopes("accounts"))
		other, _ := b.claimed("create", "", scopes("accounts"))
		second = other.ID
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		b.requireHidden(fintech, second)
	})
}

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

// Two processes change one grant, and their store and their Events fail at
// random. Each change is delivered in the end, in order, and each authorization
// ends once.
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
		first, ended, made := log.deliveries(t), map[string]int{}, map[string]bool{}
		require.Len(t, first, int(now.Version-1))
		for _, e := range first {
			made[e.AuthorizationID] = true
			for _, id := range e.EndedAccess {
				ended[id]++
			}
		}
		for i, c := range changes {
			id := c.AuthorizationID()
			require.True(t, made[id] || !claimed[i], "a claim without an event")
			if made[id] {
				require.Equal(t, 1, ended[id], "GM-6.5-3 the access tokens of each authorization end once")
			}
		}
	}
}
