package profile_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
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
			as.AccessTokens = authserver.NewMemoryStore(6, as.Now)
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
	t.Run("D1: large values are bounded in bytes", func(t *testing.T) {
		store, large := authserver.NewMemoryStore(100, nil), make([]byte, 100<<10)
		later := time.Now().Add(time.Hour)
		flood := expiring.WithOwner(t.Context(), "client-1")
		var err error
		kept := 0
		for ; err == nil; kept++ {
			err = store.Save(flood, strings.Repeat("k", kept+1), large, later)
		}
		require.ErrorIs(t, err, authserver.ErrTooMany)
		require.Less(t, kept*len(large), 3<<20)
		require.NoError(t, store.Save(expiring.WithOwner(t.Context(), "client-2"), "k2", large, later))
	})
}

func TestOneClientFillsAReplayStore(t *testing.T) {
	for name, fill := range map[string]func(as *authserver.Config){
		"assertions": func(as *authserver.Config) {
			as.Assertions = expiring.NewSet(expiring.SetConfig{MaxEntries: 40})
		},
		"proofs": func(as *authserver.Config) {
			as.Proofs = expiring.NewSet(expiring.SetConfig{MaxEntries: 40})
		},
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
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Proofs = proofs })
	push, token := w.pushForm("client-1"), w.credentialsForm("client-1", "accounts")
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), push).status)
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), token, w.tokenProof("d")).status)
	held := proofs.Len()
	for range 30 {
		require.Equal(t, "invalid_client", w.send(w.parURL(), push, w.proof("thief", http.MethodPost, w.parURL(), dpop.ProofOptions{})).code, "attack: D1 pushes")
		require.Equal(t, "invalid_client", w.send(w.tokenURL(), token, w.tokenProof("thief")).code, "attack: D1 token requests")
	}
	require.Equal(t, held, proofs.Len())
	require.Equal(t, http.StatusOK, w.tokens("client-1", "d").status)
}

// Revocations that one client asks for keep none of another client out, and none
// of a user.
func TestOneClientFillsTheRevocations(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Revocations = authserver.NewMemoryStore(8, as.Now)
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

// fullCodes is a store in which a client has used up its share.
type fullCodes struct{ authserver.CodeStore }

func (fullCodes) Save(context.Context, string, []byte, time.Time) error { return authserver.ErrTooMany }

func TestAConsentOutlivesAFullShare(t *testing.T) {
	codes := &switched{fullCodes{}}
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Codes = codes })
	a := w.load("client-1", w.pushForm("client-1"))
	_, err := w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()})
	require.ErrorIs(t, err, authserver.ErrTooMany)
	recorder := httptest.NewRecorder()
	w.as.WriteAuthorizationError(recorder, httptest.NewRequest(http.MethodGet, w.asHTTP.URL+"/authorize", nil), a, err)
	require.Equal(t, http.StatusTooManyRequests, recorder.Code, "D1: a page, and no response that ends the request")
	codes.CodeStore = authserver.NewMemoryStore(0, w.clock.Now)
	_, err = w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()})
	require.NoError(t, err, "D1: the same consent succeeds when there is room again")
}

// switched is a store that a test can replace.
type switched struct{ authserver.CodeStore }
