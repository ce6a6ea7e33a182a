package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hook of the host may use the context of a request for another one.
func TestRequestInTheContextOfAnother(t *testing.T) {
	w := newWorld(t)
	target, err := url.Parse(w.authorizationURL("client-1", w.pushForm("client-1")))
	require.NoError(t, err)
	hook := false
	less := *w.clients["client-1"]
	less.Scope = "payments"
	w.clients["client-1"] = &less
	w.onClients = func(ctx context.Context, id string) {
		if hook || id != "client-1" {
			return
		}
		hook = true
		form := strings.NewReader(w.pushForm("client-2").Encode())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.parURL(), form)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		other, err := w.as.PushedRequest(r)
		require.NoError(t, err)
		require.Equal(t, "client-2", other.ClientID())
	}
	a, err := w.as.Authorization(t.Context(), target.Query())
	require.True(t, hook)
	require.ErrorIs(t, err, authserver.ErrScope)
	require.Equal(t, "client-1", a.ClientID())
	require.Same(t, &less, a.Client())
	require.Empty(t, a.Scopes())
}

// A host may use one context for all requests.
func TestConcurrentRequestsInOneContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	scopes := map[string]string{"client-1": "accounts", "client-2": "payments"}
	push := func(id string) *http.Request {
		form := w.pushForm(id)
		form.Set("scope", scopes[id])
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.parURL(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	var all sync.WaitGroup
	for i := range 16 {
		id := []string{"client-1", "client-2"}[i%2]
		request := push(id)
		all.Go(func() {
			pushed, err := w.as.PushedRequest(request)
			if !assert.NoError(t, err) {
				return
			}
			response, err := w.as.Push(ctx, pushed)
			if !assert.NoError(t, err) {
				return
			}
			query := url.Values{"client_id": {id}, "request_uri": {response.RequestURI}}
			var visits sync.WaitGroup
			for range 4 {
				visits.Go(func() {
					a, err := w.as.Authorization(ctx, query)
					if assert.NoError(t, err) {
						assert.Equal(t, id, a.Client().ClientID)
						assert.Equal(t, []string{scopes[id]}, a.Scopes())
						assert.Equal(t, scopes[id], a.Params().Get("scope"))
					}
				})
			}
			visits.Wait()
		})
	}
	all.Wait()
}

// A host often reads registrations from a database. It is asked once for a
// request, after the checks that need no registration.
func TestClientsIsCalledOnce(t *testing.T) {
	w := newWorld(t, demanding(profile.Baseline))
	calls := 0
	w.failClients = func() error {
		calls++
		return nil
	}
	metadata := w.as.Metadata()
	changed := func(form url.Values, name, value string) url.Values {
		form.Set(name, value)
		return form
	}
	assertion := func(form url.Values, value string) url.Values { return changed(form, "client_assertion", value) }
	code := w.code("client-1", nil)
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	for _, tc := range []struct {
		name, target string
		form         url.Values
		status, want int
	}{
		{"a push", w.parURL(), w.pushForm("client-1"), http.StatusCreated, 1},
		{"a push with client_id", w.parURL(), changed(w.pushForm("client-1"), "client_id", "client-1"), http.StatusCreated, 1},
		{"a code", w.tokenURL(), w.codeForm("client-1", code), http.StatusOK, 1},
		{"a refresh token", w.tokenURL(), w.refreshForm("client-1", refresh), http.StatusOK, 1},
		{"client credentials", w.tokenURL(), w.credentialsForm("client-1", "accounts"), http.StatusOK, 1},
		{"a revocation", metadata.RevocationEndpoint, w.authenticated("client-1", url.Values{"token": {"x"}}), http.StatusOK, 1},
		{"an introspection", metadata.IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {"x"}}), http.StatusOK, 1},
		{"an unknown client", w.parURL(), w.pushForm("client-3"), http.StatusUnauthorized, 1},
		{"attack: no client", w.parURL(), url.Values{"state": {strings.Repeat("x", 200<<10)}}, http.StatusUnauthorized, 0},
		{"attack: a client_id without an assertion", w.parURL(), url.Values{"client_id": {"client-1"}}, http.StatusUnauthorized, 0},
		{"attack: a malformed client_id", w.parURL(), changed(w.pushForm("client-1"), "client_id", "client-1\n"), http.StatusUnauthorized, 0},
		{"attack: a long client_id", w.parURL(), changed(w.pushForm("client-1"), "client_id", strings.Repeat("x", 2000)), http.StatusUnauthorized, 0},
		{"attack: a malformed assertion", w.tokenURL(), assertion(w.credentialsForm("client-1", "accounts"), "a.b.c"), http.StatusUnauthorized, 0},
		{"attack: a long assertion", w.tokenURL(), assertion(w.credentialsForm("client-1", "accounts"), w.assertion("client-1")+strings.Repeat("x", 64<<10)), http.StatusUnauthorized, 0},
		{"attack: no grant type", w.tokenURL(), w.authenticated("client-1", url.Values{}), http.StatusBadRequest, 0},
		{"attack: no code", w.tokenURL(), w.authenticated("client-1", url.Values{"grant_type": {"authorization_code"}}), http.StatusBadRequest, 0},
		{"attack: no token", metadata.RevocationEndpoint, w.authenticated("client-1", url.Values{}), http.StatusBadRequest, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var proofs []string
			if tc.target == w.tokenURL() {
				proofs = []string{w.tokenProof("d")}
			}
			calls = 0
			got := w.send(tc.target, tc.form, proofs...)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.want, calls)
		})
	}
}
