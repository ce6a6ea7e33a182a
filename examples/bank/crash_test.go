package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/store"
)

// A dying store is that of a process which dies after some operations. All
// further operations change nothing and fail.
type dying struct {
	store.Store
	index store.Index
	left  int
	// late means that the last operation takes effect, and the process dies
	// before it has the response.
	late bool
}

var errDead = errors.New("the process has died")

func (d *dying) dies() (before, after error) {
	if d.left--; d.left >= 0 {
		return nil, nil
	}
	if d.left == -1 && d.late {
		return nil, errDead
	}
	return errDead, nil
}

func (d *dying) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	before, after := d.dies()
	if before != nil {
		return false, before
	}
	added, err := d.Store.Add(ctx, key, value, expires)
	return added && after == nil, errors.Join(err, after)
}

func (d *dying) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if before, _ := d.dies(); before != nil {
		return nil, 0, before
	}
	return d.Store.Get(ctx, key)
}

func (d *dying) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (bool, error) {
	before, after := d.dies()
	if before != nil {
		return false, before
	}
	swapped, err := d.Store.Swap(ctx, key, version, value, expires)
	return swapped && after == nil, errors.Join(err, after)
}

func (d *dying) Put(ctx context.Context, set, member string, expires time.Time) error {
	before, after := d.dies()
	if before != nil {
		return before
	}
	return errors.Join(d.index.Put(ctx, set, member, expires), after)
}

func (d *dying) Delete(ctx context.Context, set, member string) error {
	before, after := d.dies()
	if before != nil {
		return before
	}
	return errors.Join(d.index.Delete(ctx, set, member), after)
}

func (d *dying) List(ctx context.Context, set, after string, limit int) ([]string, error) {
	if before, _ := d.dies(); before != nil {
		return nil, before
	}
	return d.index.List(ctx, set, after, limit)
}

// A crash test has a bank that dies and one that goes on, with one database.
type crash struct {
	*testing.T
	*world
	dying *dying
	first *bank // dies
}

// at calls f for each step at which a process can die, until f does not die.
func (c crash) at(f func(step string, n int)) {
	for n := 0; ; n++ {
		for _, late := range []bool{false, true} {
			c.dying.left, c.dying.late = n, late
			f(fmt.Sprintf("after %d operations, late %v", n, late), 2*n+map[bool]int{true: 1}[late])
		}
		if c.dying.left > 0 {
			require.Greater(c, n, 3, "it has several steps")
			return
		}
	}
}

// change returns the change of a new grant.
func (c crash) change(user string) *grants.Change {
	manager := c.bank.server.Grants()
	request, err := manager.Check(c.Context(), c.one.id, url.Values{"grant_management_action": {"create"}})
	require.NoError(c, err)
	change, err := manager.Prepare(c.Context(), request, grants.Approval{
		AuthorizationID: newID(), Subject: user, Scopes: []grants.Scope{{Scope: "accounts"}},
	})
	require.NoError(c, err)
	return change
}

// listed returns the grants of a user after a sweep of the bank that goes on.
func (c crash) listed(user string) map[string]bool {
	c.advance(15 * time.Second)
	c.bank.deliver(c.Context())
	all, err := c.bank.permissionsOf(c.Context(), user)
	require.NoError(c, err)
	ids := make(map[string]bool)
	for _, one := range all {
		ids[one.ID] = true
		if one.managed {
			g, err := c.bank.server.Grants().Get(c.Context(), one.ID)
			require.NoError(c, err)
			require.Equal(c, "active", g.Status)
		}
	}
	require.Len(c, ids, len(all), "each once")
	return ids
}

// newID returns an ID of the form of the server.
func newID() string { return hash(rand.Text())[:22] }

func TestPermissionsAreExactAfterACrashAtAnyStep(t *testing.T) {
	var users []object
	for i := range 60 {
		users = append(users, object{"username": fmt.Sprint("user", i), "password": "correct horse"})
	}
	w := newWorld(t, with("auto_approve", nil), with("users", users), with("store", "sqlite:"+t.TempDir()+"/data/bank.db"))
	kept, err := openStores(t.Context(), w.cfg.stores, w.bank.surroundings)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.close()) })
	c := crash{T: t, world: w, dying: &dying{Store: kept.main.Store, index: kept.index(), left: 1 << 30}}
	kept.main.Store = c.dying
	c.first, err = newBank(t.Context(), w.cfg, kept, w.bank.surroundings)
	require.NoError(t, err)

	t.Run("a grant is created", func(t *testing.T) {
		c.at(func(step string, n int) {
			user := fmt.Sprint("creates ", n)
			before, change := c.listed(user), c.change(user)
			_, _ = c.first.server.Grants().Claim(t.Context(), change)
			after := c.listed(user)
			again, err := c.bank.server.Grants().Claim(t.Context(), change) // the client repeats its request
			require.NoError(t, err, step)
			exists := len(after) > len(before)
			require.Equal(t, exists, after[again.ID], step)
			after = c.listed(user)
			require.Len(t, after, len(before)+1, step)
			require.True(t, after[again.ID], step)
		})
	})
	t.Run("a user ends a grant", func(t *testing.T) {
		c.at(func(step string, n int) {
			user := fmt.Sprint("ends ", n)
			g, err := c.bank.server.Grants().Claim(t.Context(), c.change(user))
			require.NoError(t, err)
			_ = c.first.end(t.Context(), user, ofGrant(g))
			after := c.listed(user)
			g, err = c.bank.server.Grants().Get(t.Context(), g.ID)
			require.NoError(t, err)
			require.Equal(t, g.Status == "active", after[g.ID], step)
			require.NoError(t, c.bank.end(t.Context(), user, ofGrant(g)))
			require.Empty(t, c.listed(user), step)
		})
	})
	t.Run("the operator deletes a user", func(t *testing.T) {
		c.at(func(step string, n int) {
			user := fmt.Sprint("user", n)
			late := c.change(user)
			for range 2 {
				_, err := c.bank.server.Grants().Claim(t.Context(), c.change(user))
				require.NoError(t, err)
			}
			_, err := c.bank.permissions.add(t.Context(), user, permission{ID: newID(), Since: w.now(), Until: w.now().Add(time.Hour)})
			require.NoError(t, err)
			require.Len(t, c.listed(user), 3)
			_ = c.first.forget(t.Context(), user)
			c.listed(user)
			require.NoError(t, c.bank.forget(t.Context(), user), step) // the operator repeats it
			require.Empty(t, c.listed(user), step)
			_, err = c.bank.server.Grants().Claim(t.Context(), late) // a code that was not yet redeemed
			require.ErrorIs(t, err, grants.ErrEvent, step)
			require.Eventually(t, func() bool { // the bank ends the grant in the background
				c.advance(15 * time.Second)
				c.bank.deliver(t.Context())
				all, err := c.bank.permissionsOf(t.Context(), user)
				return err == nil && len(all) == 0
			}, 10*time.Second, time.Millisecond, step)
		})
	})
}
