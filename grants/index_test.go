package grants_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

// A database has the store and the index of several processes. It remembers the
// names of the sets.
type database struct {
	*memstore.Store
	*memstore.Index
	mu   sync.Mutex
	sets []string // in the order of their first members
}

func (d *database) Put(ctx context.Context, set, member string, expires time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.sets, set) {
		d.sets = append(d.sets, set)
	}
	return d.Index.Put(ctx, set, member, expires)
}

// members returns the members of all sets.
func (d *database) members(t testing.TB) (all []string) {
	for _, set := range d.sets {
		members, err := d.List(context.Background(), set, "", 1000)
		require.NoError(t, err)
		all = append(all, members...)
	}
	return all
}

// A line is the connection of one process to a database. It calls hook before
// each operation and, with done, after it. An error of hook fails the
// operation.
type line struct {
	*database
	hook func(verb string, done bool) error
}

func (l *line) call(ctx context.Context, verb string, do func() error) error {
	if l.hook == nil {
		return do()
	}
	if err := errors.Join(ctx.Err(), l.hook(verb, false)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return l.hook(verb, true)
}

func (l *line) Add(ctx context.Context, key string, value []byte, expires time.Time) (ok bool, err error) {
	err = l.call(ctx, "Add", func() error { ok, err = l.database.Add(ctx, key, value, expires); return err })
	return ok && err == nil, err
}

func (l *line) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (ok bool, err error) {
	err = l.call(ctx, "Swap", func() error { ok, err = l.database.Swap(ctx, key, version, value, expires); return err })
	return ok && err == nil, err
}

func (l *line) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	err = l.call(ctx, "Get", func() error { value, version, err = l.database.Get(ctx, key); return err })
	return value, version, err
}

func (l *line) Put(ctx context.Context, set, member string, expires time.Time) error {
	return l.call(ctx, "Put", func() error { return l.database.Put(ctx, set, member, expires) })
}

func (l *line) Delete(ctx context.Context, set, member string) error {
	return l.call(ctx, "Delete", func() error { return l.database.Delete(ctx, set, member) })
}

func (l *line) List(ctx context.Context, set, after string, limit int) (members []string, err error) {
	err = l.call(ctx, "List", func() error { members, err = l.database.List(ctx, set, after, limit); return err })
	return members, err
}

// cluster is a bank whose processes share a database with an index.
type cluster struct {
	*bank
	line  *line // of the first process
	ended *endedAccess
}

// endedAccess is a host's EndAccess.
type endedAccess struct {
	mu   sync.Mutex
	ids  map[string]bool
	fail error
}

func (e *endedAccess) end(_ context.Context, ids []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	for _, id := range ids {
		e.ids[id] = true
	}
	return nil
}

func newCluster(t testing.TB, change func(*grants.ManagerConfig)) *cluster {
	t.Helper()
	b := &bank{t: t, clock: testkit.NewClock(t0), log: new(eventLog), store: new(faulty)}
	bounds := memstore.Config{Now: b.clock.Now}
	c := &cluster{bank: b, ended: &endedAccess{ids: make(map[string]bool)}}
	c.line = &line{database: &database{Store: memstore.New(bounds), Index: memstore.NewIndex(bounds)}}
	b.Manager = c.instance(c.line, change)
	return c
}

// instance returns the manager of a process with its line, or with a new one.
func (c *cluster) instance(l *line, change func(*grants.ManagerConfig)) *grants.Manager {
	c.t.Helper()
	if l == nil {
		l = &line{database: c.line.database}
	}
	return c.process(func(cfg *grants.ManagerConfig) {
		cfg.Store, cfg.EndAccess = l, c.ended.end
		if change != nil {
			change(cfg)
		}
	})
}

// list returns the IDs of all pages of a user's grants.
func list(t testing.TB, m *grants.Manager, subject string, limit int) (ids []string) {
	t.Helper()
	for after := ""; ; {
		page, next, err := m.List(context.Background(), subject, after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, g := range page {
			require.Equal(t, subject, g.Subject)
			ids = append(ids, g.ID)
		}
		if next == "" {
			return ids
		}
		after = next
	}
}

func TestGrantsOfAUser(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	var want []string
	for range 7 {
		g, _ := c.claimed("create", "", scopes("accounts"))
		want = append([]string{g.ID}, want...)
		c.clock.Advance(time.Minute)
	}
	bobs := scopes("accounts")
	bobs.Subject = "bob"
	bob, _ := c.claimed("create", "", bobs)

	for limit := 1; limit <= 9; limit++ {
		require.Equal(t, want, list(t, c.Manager, alice, limit), "the newest first, in pages of %d", limit)
	}
	require.Equal(t, []string{bob.ID}, list(t, c.instance(nil, nil), "bob", 5), "attack: only the user's own")
	require.Empty(t, list(t, c.Manager, "carol", 5))

	t.Run("ended grants are listed with their status", func(t *testing.T) {
		require.NoError(t, c.Withdraw(t.Context(), want[0]))
		page, _, err := c.List(t.Context(), alice, "", 2)
		require.NoError(t, err)
		require.Equal(t, []string{"revoked", "active"}, []string{page[0].Status, page[1].Status})
		require.Equal(t, c.get(want[1]), page[1])
	})
	t.Run("attack: a cursor of another user shows nothing of it", func(t *testing.T) {
		_, next, err := c.List(t.Context(), "bob", "", 1)
		require.NoError(t, err)
		page, _, err := c.List(t.Context(), alice, next, 9)
		require.NoError(t, err)
		for _, g := range page {
			require.Equal(t, alice, g.Subject)
		}
	})
	t.Run("attack: malformed cursors and limits", func(t *testing.T) {
		_, next, err := c.List(t.Context(), alice, "", 1)
		require.NoError(t, err)
		long := strings.Repeat("a", 1<<20)
		for _, after := range []string{"x", want[0], next + "0", next[1:], "zz" + next[2:], long, " "} {
			_, _, err := c.List(t.Context(), alice, after, 1)
			require.ErrorIs(t, err, grants.ErrRequest, "%.60q", after)
		}
		for _, limit := range []int{-1, 0, 1001} {
			_, _, err := c.List(t.Context(), alice, "", limit)
			require.ErrorIs(t, err, grants.ErrRequest)
			_, err = c.DeliverPending(t.Context(), limit)
			require.ErrorIs(t, err, grants.ErrRequest)
		}
	})
	t.Run("attack: the index names no user", func(t *testing.T) {
		c.line.hook = nil
		spy := &spyIndex{Index: c.line.database.Index}
		m := c.instance(nil, func(cfg *grants.ManagerConfig) { cfg.Index = spy })
		_, err := m.Claim(t.Context(), c.prepared("create", "", scopes("accounts")))
		require.NoError(t, err)
		require.NotEmpty(t, spy.text)
		for _, secret := range []string{alice, fintech, issuer} {
			require.NotContains(t, spy.text, secret)
		}
	})
	t.Run("attack: an entry with the grant of another user is not shown", func(t *testing.T) {
		user := c.line.sets[0] // a grant is listed before its event
		for _, member := range c.line.members(t) {
			if strings.HasSuffix(member, bob.ID) {
				require.NoError(t, c.line.database.Put(t.Context(), user, member, c.clock.Now().Add(time.Hour)))
			}
		}
		require.Equal(t, c.line.sets[0], user)
		require.NotContains(t, list(t, c.Manager, alice, 100), bob.ID)
	})
	t.Run("two issuers with one user share a database", func(t *testing.T) {
		m := c.instance(nil, func(cfg *grants.ManagerConfig) { cfg.Issuer = "https://other.example.com" })
		require.Empty(t, list(t, m, alice, 5))
		_, err := m.DeliverPending(t.Context(), 5)
		require.NoError(t, err)
	})
}

// A spyIndex keeps all arguments of Put.
type spyIndex struct {
	grants.Index
	text string
}

func (s *spyIndex) Put(ctx context.Context, set, member string, expires time.Time) error {
	s.text += set + " " + member + "\n"
	return s.Index.Put(ctx, set, member, expires)
}

func TestManagersWithoutIndex(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil) // its store hides an index
	g, _ := b.claimed("create", "", scopes("accounts"))
	_, _, err := b.List(t.Context(), alice, "", 1)
	require.ErrorIs(t, err, grants.ErrStore)
	_, err = b.DeliverPending(t.Context(), 1)
	require.ErrorIs(t, err, grants.ErrStore)

	_, err = grants.NewManager(grants.ManagerConfig{Issuer: issuer, Index: (*memstore.Index)(nil)})
	require.ErrorContains(t, err, "Index is a nil")

	t.Run("the memory of a process has an index", func(t *testing.T) {
		m := b.process(func(c *grants.ManagerConfig) { c.Store = nil })
		require.Empty(t, list(t, m, alice, 5))
	})
	t.Run("grants from before the index are listed from their next change on", func(t *testing.T) {
		index := memstore.NewIndex(memstore.Config{Now: b.clock.Now})
		m := b.process(func(c *grants.ManagerConfig) { c.Index = index })
		require.Empty(t, list(t, m, alice, 5))
		b.clock.Advance(time.Hour)
		_, err := m.Claim(t.Context(), b.prepared("merge", g.ID, scopes("a")))
		require.NoError(t, err)
		require.Equal(t, []string{g.ID}, list(t, m, alice, 5))
		_, err = b.Claim(t.Context(), b.prepared("merge", g.ID, scopes("b"))) // by an old process
		require.NoError(t, err)
		require.Equal(t, []string{g.ID}, list(t, m, alice, 5))
	})
}

// An entry of the index lives as long as its grant, and does not stay longer
// than a few days.
func TestEntriesEndWithTheirGrants(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	g, _ := c.claimed("create", "", until("accounts", c.clock.Now().Add(time.Hour)))
	c.clock.Advance(30 * time.Minute)
	c.claimed("replace", g.ID, until("accounts", c.clock.Now().Add(300*24*time.Hour)))
	for range 11 {
		c.clock.Advance(30*24*time.Hour - time.Hour)
		require.Equal(t, []string{g.ID}, list(t, c.Manager, alice, 5))
	}
	c.requireUnknownAfter(g.ID, 24*time.Hour)
	require.Empty(t, list(t, c.Manager, alice, 5))

	t.Run("a revoked grant is listed for the time of its retention", func(t *testing.T) {
		g, _ := c.claimed("create", "", scopes("accounts"))
		require.NoError(t, c.Withdraw(t.Context(), g.ID))
		c.clock.Advance(29 * 24 * time.Hour)
		require.Equal(t, []string{g.ID}, list(t, c.Manager, alice, 5))
		c.requireUnknownAfter(g.ID, 2*24*time.Hour)
		require.Empty(t, list(t, c.Manager, alice, 5))
	})
	t.Run("a late event of an expiry makes both live longer", func(t *testing.T) {
		g, _ := c.claimed("create", "", until("accounts", c.clock.Now().Add(time.Hour)))
		c.clock.Advance(25 * 24 * time.Hour)
		require.NoError(t, c.Expire(t.Context(), g.ID))
		c.clock.Advance(29 * 24 * time.Hour)
		require.Equal(t, []string{g.ID}, list(t, c.Manager, alice, 5))
	})
}

func (c *cluster) requireUnknownAfter(id string, d time.Duration) {
	c.t.Helper()
	c.clock.Advance(d)
	c.requireUnknown(id)
}

// play makes changes of two grants until one of them fails, and returns the
// grants that may exist.
func play(c *cluster) (ids []string) {
	ctx := context.Background()
	for range 2 {
		change := c.prepared("create", "", scopes("accounts"))
		ids = append(ids, change.GrantID())
		if _, err := c.Claim(ctx, change); err != nil {
			return ids
		}
		c.clock.Advance(time.Second)
	}
	later := until("payments", c.clock.Now().Add(350*24*time.Hour))
	for _, action := range []string{"merge", "replace"} {
		change, err := c.prepare(fintech, action, ids[0], later)
		if err == nil {
			_, err = c.Claim(ctx, change)
		}
		if err != nil {
			return ids
		}
	}
	if _, err := c.Update(ctx, ids[1], func(g *grants.Grant) error { g.Claims = nil; return nil }); err != nil {
		return ids
	}
	if c.Revoke(ctx, fintech, ids[0]) != nil || c.Withdraw(ctx, ids[1]) != nil {
		return ids
	}
	return ids
}

// requireExact requires that the list of a user has exactly the grants that
// exist, and that each change has had its event after a sweep.
func (c *cluster) requireExact(m *grants.Manager, ids []string) {
	c.t.Helper()
	var want []string
	for _, id := range ids {
		if _, err := m.Get(context.Background(), id); err == nil {
			want = append(want, id)
		}
	}
	require.ElementsMatch(c.t, want, list(c.t, m, alice, 2))
}

func (c *cluster) requireDelivered(m *grants.Manager, ids []string) {
	c.t.Helper()
	for after := true; after; {
		n, err := m.DeliverPending(context.Background(), 2)
		require.NoError(c.t, err)
		after = n > 0
	}
	_, err := m.DeliverPending(context.Background(), 1000)
	require.NoError(c.t, err)
	first := map[string]int64{}
	for _, e := range c.log.all() {
		require.LessOrEqual(c.t, e.New.Version, first[e.New.ID]+1, "the first deliveries are in order")
		first[e.New.ID] = max(first[e.New.ID], e.New.Version)
		for _, id := range e.EndedAccess {
			require.True(c.t, c.ended.ids[id])
		}
	}
	for _, id := range ids {
		g, err := m.Get(context.Background(), id)
		if err == nil {
			require.Equal(c.t, g.Version, first[id], "each change has an event")
		}
	}
}

var errCrashed = errors.New("the process has ended")

// A process ends before or after each of its operations. Another one lists
// exactly the grants that exist and delivers each event.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, when := range []bool{false, true} {
		ended := 0
		for n := 0; ended >= n; n++ {
			t.Run(fmt.Sprintf("at operation %d, done: %v", n, when), func(t *testing.T) {
				c := newCluster(t, nil)
				made, crashed := 0, false
				c.line.hook = func(_ string, done bool) error {
					if done == when {
						made++
						crashed = crashed || made > n
					}
					if crashed {
						return errCrashed
					}
					return nil
				}
				ids := play(c)
				if crashed {
					ended = n + 1
				}
				other := c.instance(nil, nil)
				c.requireExact(other, ids)
				c.clock.Advance(time.Minute)
				c.requireDelivered(other, ids)
				c.requireExact(other, ids)

				c.clock.Advance(25 * time.Hour)
				c.requireExact(other, ids)
				c.requireDelivered(other, ids)
				grants := 0
				for _, id := range ids {
					if _, err := other.Get(t.Context(), id); err == nil {
						grants++
					}
				}
				require.Len(t, c.line.members(t), grants, "entries that name nothing were removed")
			})
		}
		require.Greater(t, ended, 40, "the number of operations")
	}
}

// Other processes list and sweep before and after each operation of a process.
// They remove nothing that it needs.
func TestListersDuringEachOperation(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, time.Minute, 23 * time.Hour} {
		for crash, crashed := 0, true; crashed; crash++ {
			crashed = false
			c := newCluster(t, nil)
			other := c.instance(nil, func(cfg *grants.ManagerConfig) {
				cfg.Now = func() time.Time { return c.clock.Now().Add(ahead) }
			})
			n := 0
			c.line.hook = func(string, bool) error {
				_, _, err := other.List(context.Background(), alice, "", 10)
				require.NoError(t, err)
				_, err = other.DeliverPending(context.Background(), 10)
				require.NoError(t, err)
				if n++; n > crash {
					crashed = true
					return errCrashed
				}
				return nil
			}
			ids := play(c)
			c.requireExact(other, ids)
			c.clock.Advance(time.Minute)
			c.requireDelivered(other, ids)
			c.requireExact(other, ids)
		}
	}
}

// The process stops for a day between its two writes. Another one removes the
// entry, and the operation begins again.
func TestAProcessThatStops(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	g, _ := c.claimed("create", "", scopes("accounts"))
	other, stopped := c.instance(nil, nil), false
	c.log.setFail(errDown)
	c.line.hook = func(verb string, done bool) error {
		if verb == "Put" && done && !stopped {
			stopped = true
			c.clock.Advance(25 * time.Hour)
			require.Equal(t, []string{g.ID}, list(t, other, alice, 5))
			_, err := other.DeliverPending(t.Context(), 10)
			require.NoError(t, err)
		}
		return nil
	}
	require.NoError(t, c.Withdraw(t.Context(), g.ID))
	require.True(t, stopped)
	c.log.setFail(nil)
	c.clock.Advance(time.Minute)
	c.requireDelivered(other, []string{g.ID})

	stopped = false
	change := c.prepared("create", "", scopes("accounts"))
	c.line.hook = func(verb string, done bool) error {
		if verb == "Put" && done && !stopped {
			stopped = true
			c.clock.Advance(25 * time.Hour)
			require.Equal(t, []string{g.ID}, list(t, other, alice, 5))
		}
		return nil
	}
	_, err := c.Claim(t.Context(), change)
	require.ErrorIs(t, err, grants.ErrInactive, "the time to claim is over")
	c.requireUnknown(change.GrantID())
}

// A process changes a grant after another one has delivered an event, and before
// that one has removed its entry.
func TestTwoChangesInOneSecond(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	g, _ := c.claimed("create", "", scopes("accounts"))
	other := c.instance(nil, func(cfg *grants.ManagerConfig) {
		cfg.Events = func(context.Context, grants.Event) error { return errDown }
	})
	c.line.hook = func(verb string, done bool) error {
		if verb == "Delete" && !done {
			require.NoError(t, other.Withdraw(t.Context(), g.ID))
		}
		return nil
	}
	_, err := c.Update(t.Context(), g.ID, func(*grants.Grant) error { return nil })
	require.NoError(t, err)
	c.line.hook = nil
	c.clock.Advance(time.Minute)
	c.requireDelivered(c.Manager, []string{g.ID})
	require.Equal(t, []string{"created", "updated", "revoked"}, c.log.kinds())
}

// A claim that fails after its first write is repeated a second later.
func TestARepeatedClaimIsListedOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	change := c.prepared("create", "", scopes("accounts"))
	c.line.hook = func(verb string, _ bool) error {
		if verb == "Add" {
			return errStoreDown
		}
		return nil
	}
	_, err := c.Claim(t.Context(), change)
	require.ErrorIs(t, err, grants.ErrStore)
	require.Empty(t, list(t, c.instance(nil, nil), alice, 5))
	c.line.hook = nil
	c.clock.Advance(time.Second)
	g := c.claim(change)
	require.Equal(t, []string{g.ID}, list(t, c.Manager, alice, 5))
	c.clock.Advance(25 * time.Hour)
	require.Equal(t, []string{g.ID}, list(t, c.Manager, alice, 5))
	_, err = c.DeliverPending(t.Context(), 5)
	require.NoError(t, err)
	require.Len(t, c.line.members(t), 1)
}

// Three processes change, list and sweep at random. They crash, their listener
// fails and time passes. At each moment the lists have exactly the grants that
// exist, and in the end each event was delivered.
func TestIndexModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		c := newCluster(t, nil)
		start := func() *grants.Manager {
			left := random.IntN(60)
			return c.instance(&line{database: c.line.database, hook: func(string, bool) error {
				if left--; left < 0 {
					return errCrashed
				}
				return nil
			}}, nil)
		}
		judge := c.instance(nil, nil)
		ids, ctx := []string{}, context.Background()
		for range 60 {
			m := start()
			c.log.setFail(nil)
			if random.IntN(3) == 0 {
				c.log.setFail(errDown)
			}
			action := []string{"create", "create", "merge", "replace", "revoke", "expire", "deliver"}[random.IntN(7)]
			id := ""
			if len(ids) > 0 {
				id = ids[random.IntN(len(ids))]
			}
			switch action {
			case "create", "merge", "replace":
				if action == "create" {
					id = ""
				}
				end := c.clock.Now().Add(time.Duration(1+random.IntN(300)) * time.Hour)
				change, err := c.prepare(fintech, action, id, until(fmt.Sprint("s", random.IntN(9)), end))
				if err == nil {
					ids = append(ids, change.GrantID())
					m.Claim(ctx, change) //nolint:errcheck // may crash
				}
			case "revoke":
				m.Withdraw(ctx, id) //nolint:errcheck // may crash
			case "expire":
				m.Expire(ctx, id) //nolint:errcheck // may crash
			case "deliver":
				m.DeliverPending(ctx, 1+random.IntN(5)) //nolint:errcheck // may crash
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
			c.clock.Advance(time.Duration(random.IntN(20)) * time.Minute)
			if random.IntN(10) == 0 {
				c.clock.Advance(time.Duration(random.IntN(60)) * time.Hour)
			}
			c.requireExact(judge, ids)
		}
		c.log.setFail(nil)
		c.clock.Advance(time.Minute)
		c.requireDelivered(judge, ids)
		c.requireExact(judge, ids)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	failing := func(t *testing.T, n int) (*cluster, []string) {
		c := newCluster(t, nil)
		var ids []string
		for range n {
			g, _ := c.claimed("create", "", scopes("accounts"))
			ids = append(ids, g.ID)
		}
		c.log.setFail(errDown)
		for _, id := range ids {
			require.NoError(t, c.Revoke(t.Context(), fintech, id))
			c.clock.Advance(time.Second)
		}
		return c, ids
	}
	t.Run("an event that is being delivered is not swept", func(t *testing.T) {
		c, _ := failing(t, 1)
		c.log.setFail(nil)
		n, err := c.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, n)
		c.clock.Advance(10 * time.Second)
		n, err = c.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = c.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, n)
	})
	t.Run("an event of a process whose clock was wrong is swept", func(t *testing.T) {
		c, ids := failing(t, 1)
		c.log.setFail(nil)
		c.clock.Advance(-24 * time.Hour)
		n, err := c.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		c.requireDelivered(c.Manager, ids)
	})
	t.Run("events that fail do not hold up others", func(t *testing.T) {
		c, ids := failing(t, 9)
		c.clock.Advance(time.Minute)
		delivered := map[string]bool{}
		other := c.instance(nil, func(cfg *grants.ManagerConfig) {
			cfg.Events = func(_ context.Context, e grants.Event) error {
				if slices.Contains(ids[:5], e.New.ID) {
					return fmt.Errorf("%w: %w", errDown, grants.ErrStore) // of a listener that changes other grants
				}
				delivered[e.New.ID] = true
				return nil
			}
		})
		total := 0
		for range 5 {
			n, err := other.DeliverPending(t.Context(), 2)
			total += n
			if err != nil {
				require.ErrorIs(t, err, grants.ErrEvent)
				require.ErrorIs(t, err, errDown)
			}
		}
		require.Equal(t, 4, total)
		require.Len(t, delivered, 4)
		_, err := other.DeliverPending(t.Context(), 100)
		require.ErrorContains(t, err, "5 of 5 events failed")
	})
	t.Run("a malformed record does not hold up others", func(t *testing.T) {
		c, ids := failing(t, 2)
		c.log.setFail(nil)
		c.clock.Advance(time.Minute)
		reads := 0
		other := c.instance(&line{database: c.line.database, hook: func(verb string, done bool) error {
			if verb == "Get" && !done {
				if reads++; reads == 1 {
					return errStoreDown
				}
			}
			return nil
		}}, nil)
		_, err := other.DeliverPending(t.Context(), 2)
		require.ErrorIs(t, err, grants.ErrStore)
		n, err := other.DeliverPending(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = other.DeliverPending(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Len(t, c.log.all(), 2+len(ids))
	})
	t.Run("it stops when its context ends", func(t *testing.T) {
		c, _ := failing(t, 3)
		c.clock.Advance(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		other := c.instance(nil, func(cfg *grants.ManagerConfig) {
			cfg.Events = func(context.Context, grants.Event) error { cancel(); return nil }
		})
		n, err := other.DeliverPending(ctx, 10)
		require.Equal(t, 1, n)
		require.ErrorIs(t, err, context.Canceled)
		n, err = other.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 2, n)
	})
	t.Run("many processes sweep at the same time", func(t *testing.T) {
		c, ids := failing(t, 20)
		c.log.setFail(nil)
		c.clock.Advance(time.Minute)
		errs := make([]error, 8)
		testkit.Hammer(len(errs), func(i int) {
			_, errs[i] = c.instance(nil, nil).DeliverPending(context.Background(), 100)
		})
		require.NoError(t, errors.Join(errs...))
		c.requireDelivered(c.Manager, ids)
	})
}

func TestEndAccess(t *testing.T) {
	t.Parallel()
	t.Run("GM-6.5-3 a revocation ends access tokens although the listener fails forever", func(t *testing.T) {
		c := newCluster(t, nil)
		g, one := c.claimed("create", "", scopes("accounts"))
		merge := c.prepared("merge", g.ID, scopes("a"))
		c.log.setFail(errDown)
		c.claimFails(merge, grants.ErrEvent)
		for range 2 { // the event is pending, so the grant is still there to be revoked
			require.NoError(t, c.Revoke(t.Context(), fintech, g.ID))
		}
		require.True(t, c.ended.ids[one])
		require.True(t, c.ended.ids[merge.AuthorizationID()])
		c.requireEnded(g.ID, merge.AuthorizationID())
		c.requireHidden(fintech, g.ID)
		require.Equal(t, []string{"created"}, c.log.kinds())

		c.clock.Advance(time.Minute)
		c.log.setFail(nil)
		n, err := c.instance(nil, nil).DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, []string{"created", "merged", "revoked"}, c.log.kinds())
		require.ErrorIs(t, c.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound)
	})
	t.Run("without an index the revocation is to be repeated, and access tokens have ended", func(t *testing.T) {
		c := newCluster(t, nil)
		m := c.bank.process(func(cfg *grants.ManagerConfig) {
			cfg.Store, cfg.EndAccess = c.line.database.Store, c.ended.end
		})
		g, one := c.claimed("create", "", scopes("accounts"))
		c.log.setFail(errDown)
		require.ErrorIs(t, m.Revoke(t.Context(), fintech, g.ID), grants.ErrEvent)
		require.True(t, c.ended.ids[one])
		c.log.setFail(nil)
		require.NoError(t, m.Revoke(t.Context(), fintech, g.ID))
	})
	t.Run("if it fails, the operation fails and can be repeated", func(t *testing.T) {
		c := newCluster(t, nil)
		g, one := c.claimed("create", "", scopes("accounts"))
		c.ended.fail = fmt.Errorf("the store of tokens: %w", grants.ErrNotFound)
		err := c.Revoke(t.Context(), fintech, g.ID)
		require.ErrorIs(t, err, grants.ErrEvent)
		require.NotErrorIs(t, err, grants.ErrNotFound)
		require.Equal(t, []string{"created"}, c.log.kinds(), "Events hears of it afterwards")
		c.ended.fail = nil
		require.NoError(t, c.Revoke(t.Context(), fintech, g.ID))
		require.True(t, c.ended.ids[one])
	})
	t.Run("it needs no Events", func(t *testing.T) {
		c := newCluster(t, func(cfg *grants.ManagerConfig) { cfg.Events = nil })
		g, one := c.claimed("create", "", scopes("accounts"))
		c.ended.fail = errDown
		require.ErrorIs(t, c.Withdraw(t.Context(), g.ID), grants.ErrEvent)
		c.ended.fail = nil
		c.clock.Advance(time.Minute)
		n, err := c.DeliverPending(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.True(t, c.ended.ids[one])
	})
	t.Run("without Events, changes that end no access tokens write no event", func(t *testing.T) {
		c := newCluster(t, func(cfg *grants.ManagerConfig) { cfg.Events = nil })
		var verbs []string
		c.line.hook = func(verb string, done bool) error {
			if verb != "Get" && done {
				verbs = append(verbs, verb)
			}
			return nil
		}
		g, _ := c.claimed("create", "", scopes("accounts"))
		require.Equal(t, []string{"Put", "Add"}, verbs)
		c.claimed("merge", g.ID, scopes("a"))
		require.Equal(t, []string{"Put", "Add", "Swap"}, verbs)
		require.NoError(t, c.Withdraw(t.Context(), g.ID))
		require.Equal(t, []string{"Put", "Swap", "Swap", "Delete"}, verbs[3:])
	})
	t.Run("a listener that hangs does not hold up a revocation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release, hanging := make(chan struct{}), false
			c := newCluster(t, func(cfg *grants.ManagerConfig) {
				heard := cfg.Events
				cfg.Events = func(ctx context.Context, e grants.Event) error {
					if hanging && e.Kind == "merged" {
						<-release // and ignores the end of ctx
					}
					return heard(ctx, e)
				}
			})
			g, one := c.claimed("create", "", scopes("accounts"))
			merge := c.prepared("merge", g.ID, scopes("a"))
			hanging = true
			done := make(chan error)
			go func() {
				_, err := c.Claim(context.Background(), merge)
				done <- err
			}()
			synctest.Wait()
			require.NoError(t, c.Revoke(t.Context(), fintech, g.ID))
			require.True(t, c.ended.ids[one])
			require.True(t, c.ended.ids[merge.AuthorizationID()])
			c.requireHidden(fintech, g.ID)
			close(release)
			require.NoError(t, <-done)
			c.clock.Advance(time.Minute)
			_, err := c.DeliverPending(t.Context(), 10)
			require.NoError(t, err)
			require.Equal(t, []string{"created", "merged", "merged", "revoked"}, c.log.kinds())
		})
	})
}

// A revocation succeeds even if a client has filled the index in memory.
func TestAFullIndex(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	index := memstore.NewIndex(memstore.Config{MaxEntries: 20, Now: c.clock.Now})
	c.Manager = c.instance(nil, func(cfg *grants.ManagerConfig) { cfg.Index = index })
	var ids []string
	for {
		g, err := c.Claim(t.Context(), c.prepared("create", "", scopes("accounts")))
		if err != nil {
			require.ErrorIs(t, err, grants.ErrTooMany)
			break
		}
		ids = append(ids, g.ID)
	}
	require.Greater(t, len(ids), 5)
	change, err := c.prepare("client-2", "create", "", scopes("accounts"))
	require.NoError(t, err)
	c.claim(change)
	c.log.setFail(errDown)
	for _, id := range ids {
		require.NoError(t, c.Withdraw(t.Context(), id), "attack: D1 a full share keeps no grant alive")
	}
}
