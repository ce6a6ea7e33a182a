package grants_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
)

// Every operation makes all its checks before its first write. claimFails and
// prepare check the same for rejected claims and approvals.
func TestRejectionsWriteNothing(t *testing.T) {
	t.Parallel()
	b, g, authorization := granted(t)
	change := b.prepared("merge", g.ID, scopes("a"))
	b.clock.Advance(5 * time.Minute)
	for name, call := range map[string]func() error{
		"GM-5.4-1 a request for another client's grant": func() error {
			_, err := b.Check(t.Context(), "other", params("merge", g.ID))
			return err
		},
		"a plan of an expired change":            func() error { _, err := b.Plan(t.Context(), change); return err },
		"GM-5.6.1-2 a claim that is too late":    func() error { _, err := b.Claim(t.Context(), change); return err },
		"GM-10-1 a query of another client":      func() error { _, err := b.Query(t.Context(), "other", g.ID); return err },
		"GM-10-1 a revocation by another client": func() error { return b.Revoke(t.Context(), "other", g.ID) },
		"an expiry that has not come":            func() error { return b.Expire(t.Context(), g.ID) },
		"a refresh of another authorization":     func() error { _, err := b.CheckRefresh(t.Context(), g.ID, b.id()); return err },
		"an update whose edit fails": func() error {
			_, err := b.Update(t.Context(), g.ID, func(*grants.Grant) error { return errDown })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, b.writesNothing(call)) })
	}
	b.requireCurrent(g.ID, authorization)
}

// A write fails before it takes effect, or, ambiguously, afterwards. The same
// call succeeds when it is repeated and changes the grant once. Its event is
// repeated only if the delivery could not be recorded.
func TestWritesThatFail(t *testing.T) {
	t.Parallel()
	type call func() (grants.Grant, error)
	change := func(action string) func(b *bank, id string) call {
		return func(b *bank, id string) call {
			if action == "create" {
				id = ""
			}
			c := b.prepared(action, id, scopes("a"))
			return func() (grants.Grant, error) { return b.Claim(context.Background(), c) }
		}
	}
	for _, tc := range []struct {
		kind    string
		version int64
		prepare func(b *bank, id string) call
	}{
		{"created", 1, change("create")},
		{"merged", 2, change("merge")},
		{"replaced", 2, change("replace")},
		{"revoked", 2, func(b *bank, id string) call {
			return func() (grants.Grant, error) {
				return grants.Grant{ID: id, Version: 2}, b.Revoke(context.Background(), fintech, id)
			}
		}},
		{"expired", 2, func(b *bank, id string) call {
			b.clock.Advance(year)
			return func() (grants.Grant, error) {
				return grants.Grant{ID: id, Version: 2}, b.Expire(context.Background(), id)
			}
		}},
	} {
		for i, name := range []string{"change, before", "delivery, before", "change, after", "delivery, after"} {
			t.Run(tc.kind+": write of the "+name, func(t *testing.T) {
				ofChange, after := i%2 == 0, i >= 2
				b, live, _ := granted(t)
				try := tc.prepare(b, live.ID)
				before, writes := len(b.log.all()), 0
				fail := func(verb string) error {
					if verb != "Get" {
						if writes++; writes == 1+i%2 {
							return errStoreDown
						}
					}
					return nil
				}
				if b.store.set(fail, nil); after {
					b.store.set(nil, fail)
				}
				g, err := try()
				if ofChange {
					require.ErrorIs(t, err, grants.ErrStore)
					require.ErrorIs(t, err, errStoreDown)
					require.Empty(t, b.log.all()[before:])
					if !after {
						require.Equal(t, int64(1), b.get(live.ID).Version)
					}
					g, err = try()
				}
				require.NoError(t, err)
				require.Equal(t, tc.version, g.Version)
				require.NoError(t, b.Deliver(t.Context(), g.ID))
				events := b.log.all()[before:]
				require.Equal(t, tc.kind, events[0].Kind)
				require.Equal(t, tc.version, events[0].New.Version)
				if ofChange || after {
					require.Len(t, events, 1)
				} else {
					require.Equal(t, []grants.Event{events[0], events[0]}, events)
				}
			})
		}
	}
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	t.Run("reads", func(t *testing.T) {
		b, g, authorization := granted(t)
		b.store.set(failGet, nil)
		_, err := b.CheckRefresh(t.Context(), g.ID, authorization)
		require.ErrorIs(t, err, grants.ErrStore)
		require.NotErrorIs(t, err, grants.ErrInactive)
		_, err = b.Query(t.Context(), fintech, g.ID)
		require.ErrorIs(t, err, grants.ErrStore)
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrStore)
	})
	t.Run("a malformed record", func(t *testing.T) {
		for _, value := range []string{``, `null`, `{"grant":{"id":"x"}}`, `[]`} {
			b := newBank(t, func(c *grants.ManagerConfig) { c.Store = fixed{c.Store, value} })
			_, err := b.Get(t.Context(), strings.Repeat("A", 43))
			require.ErrorIs(t, err, grants.ErrStore)
		}
	})
	t.Run("a cancelled request", func(t *testing.T) {
		b, g, _ := granted(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := b.Revoke(ctx, fintech, g.ID)
		require.ErrorIs(t, err, grants.ErrStore)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a full memory store", func(t *testing.T) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.Store = memstore.New(memstore.Config{MaxEntries: 1, Now: c.Now}) })
		b.claimed("create", "", scopes("accounts"))
		b.claimFails(b.prepared("create", "", scopes("accounts")), grants.ErrStore)
	})
	t.Run("a store that is always ahead", func(t *testing.T) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.Store = ahead{c.Store} })
		g, _ := b.claimed("create", "", scopes("accounts"))
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrStore)
	})
}

// fixed is a store whose every value is the same.
type fixed struct {
	grants.Store
	value string
}

func (f fixed) Get(context.Context, string) ([]byte, int64, error) { return []byte(f.value), 1, nil }

// ahead is a store in which another process is always first.
type ahead struct{ grants.Store }

func (ahead) Swap(context.Context, string, int64, []byte, time.Time) (bool, error) { return false, nil }

// One client that collects grants keeps no other client from having some, and
// always loses the grants that are taken from it.
func TestOneClientFillsTheMemoryStore(t *testing.T) {
	b := newBank(t, func(c *grants.ManagerConfig) {
		c.Store = memstore.New(memstore.Config{MaxEntries: 1000, MaxBytes: 4 << 20, Now: c.Now})
	})
	var first, last string
	kept := 0
	for {
		require.Less(t, kept, 1000, "D1: bounded in bytes")
		g, err := b.Claim(t.Context(), b.prepared("create", "", bulky()))
		if err != nil {
			require.ErrorIs(t, err, grants.ErrTooMany, "D1")
			require.ErrorIs(t, err, grants.ErrStore, "D1")
			tells(t, err, "temporarily_unavailable", http.StatusTooManyRequests)
			break
		}
		if first == "" {
			first = g.ID
		}
		last = g.ID
		kept++
	}
	require.Greater(t, kept, 3)
	t.Run("D1: another client goes on", func(t *testing.T) {
		change, err := b.prepare("client-2", "create", "", scopes("accounts"))
		require.NoError(t, err)
		b.claim(change)
	})
	t.Run("attack: D1 a full share keeps no grant alive", func(t *testing.T) {
		require.NoError(t, b.Withdraw(t.Context(), last))
		require.NoError(t, b.Revoke(t.Context(), fintech, first))
		b.requireHidden(fintech, first)
	})
}
