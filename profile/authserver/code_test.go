package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// newSpyWorld is a world with opaque access tokens whose server has one
// spyStore.
func newSpyWorld(t testing.TB) (*world, *spyStore) {
	var spy *spyStore
	w := newRichWorld(t, opaque, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	return w, spy
}

// A Swap of the code took effect and returned an error. The tokens of that
// attempt were never sent, so the code must not count as used.
func TestRedemptionWhoseResponseIsLost(t *testing.T) {
	requireReplay := func(t *testing.T, w *world, code string, tokens answer) {
		t.Helper()
		w.requireAlive(true, true, tokens, "")
		require.Equal(t, "invalid_grant", w.spend(code).code, "SP-5.3.2.2-9 a replay")
		w.requireAlive(false, false, tokens, "SP-5.3.2.2-9")
	}
	t.Run("the same request succeeds if the store is back", func(t *testing.T) {
		w, spy := newSpyWorld(t)
		code := w.code("client-1", nil)
		spy.lost = onceOn(&spy.lost, "swap code", errLost)
		got := w.spend(code)
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		requireReplay(t, w, code, got)
	})
	t.Run("a retry succeeds if the client went away", func(t *testing.T) {
		w, spy := newSpyWorld(t)
		code := w.code("client-1", nil)
		ctx, cancel := context.WithCancel(t.Context())
		spy.lost = func(call string) error {
			if call == "swap code" && ctx.Err() == nil {
				cancel()
				return context.Canceled
			}
			return nil
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, w.tokenURL(), strings.NewReader(w.codeForm("client-1", code).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", w.tokenProof("d"))
		recorder := httptest.NewRecorder()
		w.as.Handler().ServeHTTP(recorder, r)
		require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
		got := w.spend(code)
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		requireReplay(t, w, code, got)
	})
	t.Run("a retry succeeds if the swap had no effect", func(t *testing.T) {
		w, spy := newSpyWorld(t)
		code := w.code("client-1", nil)
		spy.fail(1, "swap code")
		require.Equal(t, http.StatusServiceUnavailable, w.spend(code).status)
		spy.recover()
		got := w.spend(code)
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		requireReplay(t, w, code, got)
	})
	t.Run("a store that stays away leaves the code used", func(t *testing.T) {
		w, spy := newSpyWorld(t)
		code := w.code("client-1", nil)
		spy.lost = func(call string) error {
			if call == "swap code" {
				spy.fail(1, "get code", "swap code")
				return errLost
			}
			return nil
		}
		require.Equal(t, http.StatusServiceUnavailable, w.spend(code).status)
		spy.lost = nil
		spy.recover()
		require.Equal(t, "invalid_grant", w.spend(code).code, "SP-5.3.2.2-9 fail closed")
	})
	t.Run("SP-5.3.2.2-9 at most one of 64 wins if every other response is lost", func(t *testing.T) {
		w, spy := newSpyWorld(t)
		var n, winners atomic.Int32
		spy.lost = func(call string) error {
			if call == "swap code" && n.Add(1)%2 == 1 {
				return errLost
			}
			return nil
		}
		code := w.code("client-1", nil)
		forms, proofs := make([]url.Values, 64), make([]string, 64)
		for i := range forms {
			forms[i], proofs[i] = w.codeForm("client-1", code), w.tokenProof("d")
		}
		testkit.Hammer(len(forms), func(i int) {
			if w.send(w.tokenURL(), forms[i], proofs[i]).status == http.StatusOK {
				winners.Add(1)
			}
		})
		require.LessOrEqual(t, winners.Load(), int32(1))
		require.Equal(t, "invalid_grant", w.spend(code).code)
	})
}

// onceOn returns a function that fails one call of a name.
func onceOn(field *func(string) error, name string, err error) func(string) error {
	return func(call string) error {
		if call != name {
			return nil
		}
		*field = nil
		return err
	}
}

// A replay ends the authorization, and no token is made for it.
func TestNoTokenIsMadeForAReplay(t *testing.T) {
	w, spy := newSpyWorld(t)
	code := w.code("client-1", nil)
	require.Equal(t, http.StatusOK, w.spend(code).status)
	var writes []string
	spy.lost = func(call string) error { writes = append(writes, call); return nil }
	require.Equal(t, "invalid_grant", w.spend(code, "scope", "unknown").code, "SP-5.3.2.2-9 whatever it requests")
	require.Equal(t, []string{"add replay", "add replay", "add revocation"}, writes)
	writes = nil
	require.Equal(t, "invalid_grant", w.spend(code).code)
	require.Empty(t, writes, "it has ended")
}

// No rejected request writes anything, except that a replay is recorded.
func TestTokenRequestsWriteAfterTheLastCheck(t *testing.T) {
	w, spy := newSpyWorld(t)
	code, tokens := w.code("client-1", nil), w.redeem()
	refresh := tokens.body["refresh_token"].(string)
	change := func(form url.Values, fields ...string) url.Values { with(fields...)(form); return form }
	for name, form := range map[string]url.Values{
		"another client":           w.codeForm("client-2", code),
		"another redirect_uri":     change(w.codeForm("client-1", code), "redirect_uri", "https://client.example/other"),
		"another verifier":         change(w.codeForm("client-1", code), "code_verifier", strings.Repeat("a", 43)),
		"an unknown code":          w.codeForm("client-1", "unknown"),
		"a scope too many":         change(w.codeForm("client-1", code), "scope", "admin"),
		"an unknown resource":      change(w.codeForm("client-1", code), "resource", "https://unknown.example"),
		"no client":                change(w.codeForm("client-1", code), "client_assertion", "x.y.z"),
		"another client's refresh": w.refreshForm("client-2", refresh),
		"an unknown refresh token": w.refreshForm("client-1", "unknown"),
		"a scope beyond it":        change(w.refreshForm("client-1", refresh), "scope", "admin"),
	} {
		t.Run(name, func(t *testing.T) {
			var writes []string
			spy.lost = func(call string) error { writes = append(writes, call); return nil }
			got := w.send(w.tokenURL(), form, w.tokenProof("d"))
			require.GreaterOrEqual(t, got.status, 400)
			require.Empty(t, writes)
		})
	}
	spy.lost = nil
	require.Equal(t, http.StatusOK, w.spend(code).status)
}

// One Authorization is approved once, also after a failure whose effect is
// unknown.
func TestApprovalsAfterALostConsumption(t *testing.T) {
	w, spy := newSpyWorld(t)
	a := w.load("client-1", w.pushForm("client-1"))
	spy.lost = onceOn(&spy.lost, "swap request", errLost)
	_, err := w.agree(a, nil)
	require.ErrorIs(t, err, errLost)
	require.ErrorIs(t, err, par.ErrStore)
	var winners, losers atomic.Int32
	testkit.Hammer(64, func(int) {
		switch _, err := w.agree(a, nil); {
		case err == nil:
			winners.Add(1)
		case errors.Is(err, par.ErrNotFound):
			losers.Add(1)
		}
	})
	require.EqualValues(t, 1, winners.Load(), "PAR-7.3-1")
	require.EqualValues(t, 63, losers.Load())
}

func TestRevocationWhoseResponseIsLost(t *testing.T) {
	w, spy := newSpyWorld(t)
	tokens := w.redeem()
	spy.lost = onceOn(&spy.lost, "add revocation", errLost)
	refresh := tokens.body["refresh_token"].(string)
	got := w.revoke("client-1", refresh)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, http.StatusOK, w.revoke("client-1", refresh).status)
	w.requireAlive(false, false, tokens, "REV-2.1-4")
}

// Two servers, and a third one after a restart, share nothing but the store.
func TestServersWithOneStore(t *testing.T) {
	for _, kind := range [][]worldOption{nil, {opaque}} {
		shared := memstore.New(memstore.Config{})
		var cfg *authserver.Config
		w := newRichWorld(t, append(slices.Clone(kind), func(as *authserver.Config, rs *resourceserver.Config) {
			as.Store, cfg = shared, as
			rs.Issuers[0].Revoked = resourceserver.RevokedIn(as.Issuer, shared)
		})...)
		var mu sync.Mutex
		turn := 0
		next := func() { // another server for each step
			mu.Lock()
			defer mu.Unlock()
			as, err := authserver.New(*cfg)
			require.NoError(t, err)
			turn++
			w.as = as
		}
		pushed := w.authorizationURL("client-1", w.pushForm("client-1"))
		next()
		w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
			next()
			a, err := w.as.Resume(t.Context(), a.ClientID(), a.RequestURI())
			require.NoError(t, err)
			return w.agree(a, nil)
		}
		code := w.browse(pushed).Get("code")
		require.NotEmpty(t, code)
		next()
		require.Equal(t, http.StatusBadRequest, w.visit(pushed).StatusCode, "CS-7")
		tokens := w.spend(code)
		require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
		next()
		w.requireAlive(true, true, tokens, "")
		managed, id := w.create("authorization_details", readOnly)
		next()
		require.Equal(t, http.StatusOK, w.query(id).status)
		next()
		require.Equal(t, "invalid_grant", w.spend(code).code, "SP-5.3.2.2-9")
		next()
		w.requireAlive(false, false, tokens, "SP-5.3.2.2-9")
		require.Equal(t, http.StatusOK, w.revoke("client-1", managed.body["refresh_token"].(string)).status)
		next()
		w.requireAlive(false, false, managed, "REV-2.1-4")
		require.Greater(t, turn, 7)
	}
}
