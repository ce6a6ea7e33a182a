package grants_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestAThousandMergesLoseNothing(t *testing.T) {
	t.Parallel()
	const merges = 1000
	b := newBank(t, nil)
	other := b.process(nil)
	g, _ := b.claimed("create", "", scopes("s"))
	changes, errs := make([]*grants.Change, merges), make([]error, merges)
	for i := range merges {
		changes[i] = b.prepared("merge", g.ID, scopes(fmt.Sprintf("s%d", i)))
	}
	testkit.Hammer(merges, func(i int) {
		m := b.Manager
		if i%10 == 0 {
			m = other
		}
		_, errs[i] = m.Claim(context.Background(), changes[i])
	})
	require.NoError(t, errors.Join(errs...))
	now := b.get(g.ID)
	t.Run("GM-5.2-5 every scope is there, and every change was counted", func(t *testing.T) {
		require.Len(t, now.ScopeValues(), merges+1)
		require.Equal(t, int64(merges+1), now.Version)
	})
	t.Run("the audit trail has each change, each from the state of the one before", func(t *testing.T) {
		seen := b.log.deliveries(t)
		require.Len(t, seen, merges+1)
		for v := int64(2); v <= merges+1; v++ {
			before := seen[v-1].New
			before.History = nil
			require.Equal(t, before, seen[v].Old)
			require.Len(t, seen[v].New.ScopeValues(), int(v))
		}
	})
	t.Run("GM-5.2-6 one authorization's refresh tokens are good", func(t *testing.T) {
		latest := b.log.last(t).AuthorizationID
		b.requireCurrent(g.ID, latest)
		for i := 0; i < merges; i += 10 {
			if id := changes[i].AuthorizationID(); id != latest {
				b.requireEnded(g.ID, id)
			}
		}
	})
	t.Run("more than 1,024 authorizations with live tokens are rejected, and none is forgotten", func(t *testing.T) {
		for i := merges + 1; i <= 1024; i++ {
			_, err := b.Claim(t.Context(), b.prepared("merge", g.ID, scopes("s")))
			if i < 1024 {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, grants.ErrStore)
		}
	})
	t.Run("GM-6.5-3 all of them end with the grant", func(t *testing.T) {
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.Len(t, b.log.last(t).EndedAccess, 1024)
	})
}

// Many goroutines, in one process or in two, claim one change after another and
// then revoke the grant. Each change is made once.
func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		t.Run(fmt.Sprint("processes: ", n), func(t *testing.T) {
			const callers = 64
			b := newBank(t, nil)
			processes := []*grants.Manager{b.Manager, b.process(nil)}[:n]
			id, got, errs := "", make([]grants.Grant, callers), make([]error, callers)
			for i, action := range []string{"create", "merge", "replace"} {
				change := b.prepared(action, id, scopes(action))
				id = change.GrantID()
				testkit.Hammer(callers, func(i int) { got[i], errs[i] = processes[i%n].Claim(context.Background(), change) })
				require.NoError(t, errors.Join(errs...))
				require.Equal(t, int64(i+1), got[0].Version)
				for _, g := range got {
					require.Equal(t, got[0], g)
				}
			}
			testkit.Hammer(callers, func(i int) { errs[i] = processes[i%n].Revoke(context.Background(), fintech, id) })
			lost := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
			for _, err := range lost {
				require.ErrorIs(t, err, grants.ErrNotFound)
			}
			kinds := b.log.kinds()
			if n == 1 {
				require.Len(t, lost, callers-1)
			} else { // both may deliver one event, and finish one revocation
				require.Less(t, len(lost), callers)
				kinds = slices.Compact(kinds)
			}
			require.Equal(t, []string{"created", "merged", "replaced", "revoked"}, kinds)
			require.Equal(t, int64(4), b.get(id).Version)
		})
	}
}

// A revocation races with claims and refreshes. The event of the revocation names
// each authorization that was claimed before it. Later claims fail.
func TestRevocationRacesClaims(t *testing.T) {
	t.Parallel()
	for range 20 {
		const callers = 32
		b := newBank(t, nil)
		g, first := b.claimed("create", "", scopes("s"))
		changes, errs := make([]*grants.Change, callers), make([]error, callers)
		for i := range callers {
			changes[i] = b.prepared([]string{"replace", "merge"}[i%2], g.ID, scopes(fmt.Sprint("s", i)))
		}
		testkit.Hammer(callers+1, func(i int) {
			if i == callers {
				if err := b.Revoke(context.Background(), fintech, g.ID); err != nil {
					t.Error(err)
				}
				return
			}
			_, errs[i] = b.Claim(context.Background(), changes[i])
		})
		ended := map[string]bool{}
		for _, e := range b.log.all() {
			for _, id := range e.EndedAccess {
				ended[id] = true
			}
		}
		require.True(t, ended[first])
		for i, err := range errs {
			_, refresh := b.CheckRefresh(t.Context(), g.ID, changes[i].AuthorizationID())
			require.ErrorIs(t, refresh, grants.ErrInactive)
			if err == nil {
				require.True(t, ended[changes[i].AuthorizationID()], "a successful claim is missing in EndedAccess")
				continue
			}
			require.ErrorIs(t, err, grants.ErrInactive)
		}
		require.Equal(t, "revoked", b.log.last(t).Kind)
	}
}

// A slow listener holds up its own grant and no other, and nobody waits for
// longer than he has patience.
func TestASlowListener(t *testing.T) {
	t.Parallel()
	var slow string
	var once sync.Once
	entered, release := make(chan struct{}), make(chan struct{})
	b := newBank(t, func(c *grants.ManagerConfig) {
		c.Events = func(_ context.Context, e grants.Event) error {
			if e.New.ID == slow {
				once.Do(func() { close(entered) })
				<-release
			}
			return nil
		}
	})
	g, authorization := b.claimed("create", "", scopes("s"))
	change := b.prepared("merge", g.ID, scopes("a"))
	slow = g.ID
	done := make(chan error)
	go func() {
		_, err := b.Claim(context.Background(), change)
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Revoke(ctx, fintech, g.ID), context.Canceled)
	_, err := b.CheckRefresh(t.Context(), g.ID, authorization) // reads do not wait, and the change is in effect
	require.ErrorIs(t, err, grants.ErrInactive)
	other, _ := b.claimed("create", "", scopes("s"))
	require.NoError(t, b.Withdraw(t.Context(), other.ID))
	close(release)
	require.NoError(t, <-done)
}

func TestResultsAreCopies(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	g, _ := b.claimed("create", "", grants.Approval{Subject: alice, Scopes: []grants.Scope{{Scope: "s", Resource: []string{"https://a.example/"}}}})
	first := b.get(g.ID)
	first.Scopes[0].Resource[0], first.History[0].Kind = "x", "x"
	e := b.log.last(t)
	e.New.Scopes[0].Scope = "x"
	again := b.get(g.ID)
	require.Equal(t, g, again)
	require.False(t, slices.Contains(g.ScopeValues(), "x"))
}
