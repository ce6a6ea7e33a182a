package par_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

var errLost = errors.New("db: connection lost after the commit")

// A write whose response is lost took effect, and the store reported an error.
func TestWritesWhoseResponseIsLost(t *testing.T) {
	ctx := t.Context()
	lost := func(t *testing.T, r rig, err error) {
		t.Helper()
		require.ErrorIs(t, err, par.ErrStore)
		require.ErrorIs(t, err, errLost)
		requireWire(t, err, "server_error", 503)
		r.store.lost = nil
	}
	t.Run("the client pushes again", func(t *testing.T) {
		r := newRig(t)
		r.store.lost = errLost
		pushed, err := r.Push(ctx, par.PushRequest{ClientID: "app", Params: honest()})
		lost(t, r, err)
		require.Zero(t, pushed)
		_, err = r.Load(ctx, "app", r.pushed(t))
		require.NoError(t, err)
	})
	t.Run("the browser visits again", func(t *testing.T) {
		r := newRig(t)
		uri := r.pushed(t)
		r.store.lost = errLost
		req, err := r.Load(ctx, "app", uri)
		lost(t, r, err)
		require.Zero(t, req)
		req, err = r.Load(ctx, "app", uri)
		require.NoError(t, err)
		require.NoError(t, r.Server.Consume(ctx, req, "decision"))
	})
	t.Run("the same attempt consumes again", func(t *testing.T) {
		r := newRig(t)
		req, err := r.Load(ctx, "app", r.pushed(t))
		require.NoError(t, err)
		r.store.lost = errLost
		lost(t, r, r.Server.Consume(ctx, req, "decision"))
		require.ErrorIs(t, r.Server.Consume(ctx, req, "another decision"), par.ErrNotFound)
		for range 2 {
			require.NoError(t, r.Server.Consume(ctx, req, "decision"))
		}
		r.clock.Advance(time.Hour)
		require.ErrorIs(t, r.Server.Consume(ctx, req, "decision"), par.ErrExpired)
	})
	t.Run("a failure without an effect costs as little", func(t *testing.T) {
		r := newRig(t)
		req, err := r.Load(ctx, "app", r.pushed(t))
		require.NoError(t, err)
		r.store.fail = errLost
		require.ErrorIs(t, r.Server.Consume(ctx, req, "decision"), par.ErrStore)
		r.store.fail = nil
		require.NoError(t, r.Server.Consume(ctx, req, "decision"))
	})
	t.Run("PAR-7.3-1 one of 64 attempts wins, however often each is repeated", func(t *testing.T) {
		var flaky flakyStore
		flaky.Store = memstore.New(memstore.Config{})
		s, err := par.NewServer(par.ServerConfig{Check: anything, Store: &flaky})
		require.NoError(t, err)
		p, err := s.Push(ctx, par.PushRequest{ClientID: "app", Params: honest()})
		require.NoError(t, err)
		req, err := s.Load(ctx, "app", p.RequestURI)
		require.NoError(t, err)
		flaky.on = true
		var winners, losers atomic.Int32
		testkit.Hammer(64, func(int) {
			attempt := rand.Text()
			for {
				switch err := s.Consume(context.Background(), req, attempt); {
				case err == nil:
					winners.Add(1)
				case errors.Is(err, par.ErrStore):
					continue
				case errors.Is(err, par.ErrNotFound):
					losers.Add(1)
				}
				return
			}
		})
		require.EqualValues(t, 1, winners.Load())
		require.EqualValues(t, 63, losers.Load())
	})
}

// A flakyStore loses the response of every other Swap.
type flakyStore struct {
	par.Store
	on bool
	n  atomic.Int32
}

func (f *flakyStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	swapped, err := f.Store.Swap(ctx, key, version, value, expires)
	if f.on && f.n.Add(1)%2 == 1 {
		return false, errLost
	}
	return swapped, err
}

func TestWritesFollowTheLastCheck(t *testing.T) {
	var r rig
	writes := 0
	r = newRig(t, func(cfg *par.ServerConfig) {
		cfg.Check = func(context.Context, string, url.Values) error {
			require.Equal(t, writes, r.store.saves+r.store.swaps)
			return nil
		}
	})
	uri := r.pushed(t)
	writes = 1
	req, err := r.Load(t.Context(), "app", uri)
	require.NoError(t, err)
	require.Equal(t, 2, r.store.saves+r.store.swaps, "the first visit")
	writes = 2
	_, err = r.Load(t.Context(), "app", uri)
	require.NoError(t, err)
	_, err = r.Resume(t.Context(), "app", uri)
	require.NoError(t, err)
	require.Equal(t, 2, r.store.saves+r.store.swaps, "no other visit writes")
	for _, tc := range []struct {
		req     par.Request
		attempt string
	}{{par.Request{}, "x"}, {req, ""}} {
		require.Error(t, r.Server.Consume(t.Context(), tc.req, tc.attempt))
	}
	require.Equal(t, 2, r.store.saves+r.store.swaps)
	loads := r.store.loads
	require.NoError(t, r.Server.Consume(t.Context(), req, "x"))
	require.Equal(t, loads, r.store.loads, "Consume swaps the row that Load read")
	require.NotContains(t, string(r.store.lastValue), "client", "nothing of a consumed request is kept")
	require.True(t, r.store.lastExpires.Equal(r.clock.Now().Add(2*time.Minute)), "the attempt can be repeated")
}

func TestConcurrentVisits(t *testing.T) {
	for name, evil := range map[string]string{
		"a request that another browser visits meanwhile": "",
		"attack: the store then has another redirect_uri": "https://evil.example/cb",
	} {
		t.Run(name, func(t *testing.T) {
			visits := 0
			var r rig
			var uri string
			r = newRig(t, func(cfg *par.ServerConfig) {
				cfg.Check = func(_ context.Context, _ string, params url.Values) error {
					require.Equal(t, callback, params.Get("redirect_uri"))
					if visits++; visits == 2 {
						_, err := r.Load(t.Context(), "app", uri)
						require.NoError(t, err)
						if evil != "" {
							r.store.tamper = func(row []byte) []byte { return bytes.ReplaceAll(row, []byte(callback), []byte(evil)) }
						}
					}
					return nil
				}
			})
			uri = r.pushed(t)
			req, err := r.Load(t.Context(), "app", uri)
			if evil != "" {
				require.ErrorIs(t, err, par.ErrStore)
				require.Zero(t, req)
				return
			}
			require.NoError(t, err)
			require.Equal(t, callback, req.Get("redirect_uri"))
			require.NoError(t, r.Server.Consume(t.Context(), req, "x"))
		})
	}
}

func TestServersWithOneStore(t *testing.T) {
	shared := memstore.New(memstore.Config{})
	newServer := func(issuer string) *par.Server {
		s, err := par.NewServer(par.ServerConfig{Check: anything, Store: shared, Issuer: issuer})
		require.NoError(t, err)
		return s
	}
	one, two, other := newServer("https://as.example"), newServer("https://as.example"), newServer("https://other.example")
	p, err := one.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
	require.NoError(t, err)
	visit, err := two.Load(t.Context(), "app", p.RequestURI)
	require.NoError(t, err)
	_, err = other.Load(t.Context(), "app", p.RequestURI)
	require.ErrorIs(t, err, par.ErrNotFound, "attack: a request of another issuer")
	page, err := one.Resume(t.Context(), "app", p.RequestURI)
	require.NoError(t, err)
	require.Equal(t, visit.Params(), page.Params())
	require.NoError(t, two.Consume(t.Context(), page, "x"))
	require.ErrorIs(t, one.Consume(t.Context(), visit, "y"), par.ErrNotFound)
}

// Clients of two issuers may have the same identifier.
func TestIssuersShareNoRoom(t *testing.T) {
	shared := memstore.New(memstore.Config{MaxEntries: 20})
	push := func(issuer string) error {
		s, err := par.NewServer(par.ServerConfig{Check: anything, Store: shared, Issuer: issuer})
		require.NoError(t, err)
		_, err = s.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
		return err
	}
	for range 10 {
		require.NoError(t, push("https://other.example"))
	}
	requireWire(t, push("https://other.example"), "temporarily_unavailable", 429)
	require.NoError(t, push("https://as.example"), "attack: D1 a flood at another issuer")
}
