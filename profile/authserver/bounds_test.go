package authserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// unread is a body that fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestOverlongBodyIsNotRead(t *testing.T) {
	w := newWorld(t, demanding(profile.Baseline))
	metadata := w.as.Metadata()
	for _, target := range []string{
		w.parURL(), w.tokenURL(), metadata.RevocationEndpoint, metadata.IntrospectionEndpoint,
	} {
		r := httptest.NewRequest(http.MethodPost, target, unread{t})
		r.ContentLength = 256<<10 + 1
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		recorder := httptest.NewRecorder()
		w.as.Handler().ServeHTTP(recorder, r)
		require.Equal(t, http.StatusRequestEntityTooLarge, recorder.Code, "attack: %s", target)
	}
}

func TestOneClientFloodsPushes(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("x", 100<<10)
	before, refused := heapInUse(), answer{}
	for n := 0; refused.status == 0; n++ {
		require.Less(t, n, 1000, "D1: bounded")
		form := w.pushForm("client-1")
		form.Set("acme", large)
		if got := w.send(w.parURL(), form); got.status != http.StatusCreated {
			refused = got
		}
	}
	t.Run("D1: the flood gets 429 with Retry-After", func(t *testing.T) {
		require.Equal(t, http.StatusTooManyRequests, refused.status)
		require.Equal(t, "temporarily_unavailable", refused.code)
		require.NotEmpty(t, refused.header.Get("Retry-After"))
	})
	t.Run("D1: memory is bounded", func(t *testing.T) {
		require.Less(t, heapInUse()-before, int64(128<<20))
	})
	t.Run("D1: another client goes through the whole flow", func(t *testing.T) {
		require.Equal(t, http.StatusOK, w.tokens("client-2", "e").status)
	})
	t.Run("D1: the flood is over with its expires_in", func(t *testing.T) {
		w.clock.Advance(90 * time.Second)
		require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.pushForm("client-1")).status)
	})
}

func TestOneClientFillsAStore(t *testing.T) {
	t.Run("D1: opaque access tokens", func(t *testing.T) {
		w := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
			demanding(profile.Baseline)(as, rs)
			as.OpaqueAccessTokens = true
			as.Store = bounded(as, "access token", 6)
		})
		first := w.tokens("client-1", "d")
		require.Equal(t, http.StatusOK, first.status)
		refresh := func() answer {
			return w.send(w.tokenURL(), w.refreshForm("client-1", first.body["refresh_token"].(string)), w.tokenProof("d"))
		}
		for range 2 {
			require.Equal(t, http.StatusOK, refresh().status)
		}
		got := refresh()
		require.Equal(t, http.StatusTooManyRequests, got.status)
		require.NotEmpty(t, got.header.Get("Retry-After"))
		require.Equal(t, http.StatusOK, w.tokens("client-2", "e").status)
		w.clock.Advance(time.Hour)
		require.Equal(t, http.StatusOK, refresh().status, "expired tokens make room")
	})
}

func TestOneClientFillsAReplayStore(t *testing.T) {
	for name, fill := range map[string]func(as *authserver.Config){
		"memory": func(as *authserver.Config) { as.Replay = expiring.NewSet(expiring.SetConfig{MaxEntries: 40}) },
		"store":  func(as *authserver.Config) { as.Store = bounded(as, "replay", 40) },
	} {
		t.Run("D1: "+name, func(t *testing.T) {
			w := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
				demanding(profile.Baseline)(as, rs)
				fill(as)
			})
			first := w.tokens("client-1", "d")
			require.Equal(t, http.StatusOK, first.status)
			var refused answer
			for n := 0; refused.status == 0; n++ {
				require.Less(t, n, 20)
				if got := w.send(w.tokenURL(), w.refreshForm("client-1", first.body["refresh_token"].(string)), w.tokenProof("d")); got.status != http.StatusOK {
					refused = got
				}
			}
			require.Equal(t, http.StatusServiceUnavailable, refused.status)
			require.NotEmpty(t, refused.header.Get("Retry-After"))
			require.Equal(t, http.StatusOK, w.tokens("client-2", "e").status, "another client goes through the whole flow")
		})
	}
}

// A stolen assertion that has been used authenticates nobody. What comes with it
// must not count against the client.
func TestReplayedAssertionsFillNothing(t *testing.T) {
	proofs := expiring.NewSet(expiring.SetConfig{MaxEntries: 40})
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Replay = proofs })
	push, token := w.pushForm("client-1"), w.credentialsForm("client-1", "accounts")
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), push).status)
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), token, w.tokenProof("d")).status)
	held := proofs.Len()
	for range 30 {
		require.Equal(t, "invalid_client", w.send(w.parURL(), push, w.proof("attacker", http.MethodPost, w.parURL(), dpop.ProofOptions{})).code, "attack: D1 pushes")
		require.Equal(t, "invalid_client", w.send(w.tokenURL(), token, w.tokenProof("attacker")).code, "attack: D1 token requests")
	}
	require.Equal(t, held, proofs.Len())
	require.Equal(t, http.StatusOK, w.tokens("client-1", "d").status)
}

// Revocations that one client asks for keep none of another client out, and none
// of a user.
func TestOneClientFillsTheRevocations(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store = bounded(as, "revocation", 8)
	})
	revoke := func(id, token string) answer {
		return w.send(w.as.Metadata().RevocationEndpoint, w.authenticated(id, url.Values{"token": {token}}))
	}
	for range 4 {
		require.Equal(t, http.StatusOK, revoke("client-1", w.own("client-1", "accounts")).status)
	}
	got := revoke("client-1", w.own("client-1", "accounts"))
	require.Equal(t, http.StatusTooManyRequests, got.status, "attack: D1 %v", got.body)
	require.Equal(t, "temporarily_unavailable", got.code)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, revoke("client-2", w.own("client-2", "accounts")).status, "D1: another client")
	code := w.code("client-1", nil)
	require.Equal(t, http.StatusOK, w.spend(code).status)
	require.Equal(t, "invalid_grant", w.spend(code).code)
	require.Equal(t, "invalid_grant", w.spend(code).code)
	response, err := w.as.Approve(t.Context(), w.load("client-1", w.pushForm("client-1")), authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.NoError(t, err)
	require.NoError(t, w.as.Withdraw(t.Context(), response.AuthorizationID()), "D1: the user's withdrawal does not count for the client")
	w.clock.Advance(16 * time.Minute)
	require.Equal(t, http.StatusOK, revoke("client-1", w.own("client-1", "accounts")).status, "D1: revocations of a client's own tokens go with these")
}

// bounded returns a store for a few entries of one kind.
func bounded(as *authserver.Config, kind string, entries int) *spyStore {
	spy := newSpy(as.Hooks.Now)
	spy.by = map[string]store.Store{kind: memstore.New(memstore.Config{MaxEntries: entries, Now: as.Hooks.Now})}
	return spy
}

func TestAConsentOutlivesAFullShare(t *testing.T) {
	var spy *spyStore
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	spy.before = func(call string) error {
		if call == "add code" {
			return memstore.ErrShare
		}
		return nil
	}
	a := w.load("client-1", w.pushForm("client-1"))
	_, err := w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()})
	require.ErrorIs(t, err, authserver.ErrStore)
	recorder := httptest.NewRecorder()
	w.as.WriteAuthorizationError(recorder, httptest.NewRequest(http.MethodGet, w.asHTTP.URL+"/authorize", nil), a, err)
	require.Equal(t, http.StatusTooManyRequests, recorder.Code, "D1: a page, and no response that ends the request")
	spy.recover()
	_, err = w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()})
	require.NoError(t, err, "D1: the same consent succeeds when there is room again")
}
