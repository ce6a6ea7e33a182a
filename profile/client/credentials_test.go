package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// credentials is a token endpoint for client credentials. Each token is bound
// to the key of the proof. It names the scope.
func (w *storedWorld) credentials() {
	w.token = func(rw http.ResponseWriter, r *http.Request) {
		w.family.mu.Lock()
		defer w.family.mu.Unlock()
		w.count++
		if w.fails != nil {
			w.fails(rw, r)
			return
		}
		w.jwk = proofJWK(w.peer.t, r.Header)
		w.access = fmt.Sprintf("%s-%d", r.Form.Get("scope"), w.count)
		reply(rw, 200, map[string]any{"access_token": w.access, "token_type": "DPoP", "expires_in": 300})
	}
}

func TestClientCredentialsSource(t *testing.T) {
	request := client.Request{Scopes: []string{"machine"}}
	for name, replicas := range map[string]func(*storedWorld) []*client.Client{
		"in one process": func(w *storedWorld) []*client.Client { return []*client.Client{w.peer.client()} },
		"of two processes that share it": func(w *storedWorld) []*client.Client {
			return []*client.Client{w.replica(), w.replica()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStoredWorld(t, false)
			w.credentials()
			var sources []oauth2.TokenSource
			apps := replicas(w)
			for _, app := range apps {
				sources = append(sources, app.ClientCredentialsSource(request))
			}
			call := func() {
				testkit.Hammer(32, func(i int) {
					status, err := w.get(apps[i%len(apps)], sources[i%len(apps)])
					assert.NoError(t, err)
					assert.Equal(t, 200, status)
				})
			}
			for i := range 3 {
				call()
				require.Equal(t, i+1, w.refreshes(), "one request for each expiry")
				w.clock.Advance(291 * time.Second)
			}
			call()
			w.access = "revoked"
			call()
			require.Equal(t, 5, w.refreshes(), "one request for a rejected token")
			w.respond = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
				rw.WriteHeader(http.StatusUnauthorized)
			}
			for range 3 {
				status, err := w.get(apps[0], sources[0])
				require.NoError(t, err)
				require.Equal(t, 401, status)
			}
			require.LessOrEqual(t, w.refreshes(), 6, "an API that rejects every token")

			w.respond = w.serveAPI
			w.clock.Advance(time.Hour)
			before := w.refreshes()
			w.fails = func(rw http.ResponseWriter, _ *http.Request) { reply(rw, 503, `{"error":"temporarily_unavailable"}`) }
			for range 3 {
				for i := range apps {
					_, err := sources[i].Token()
					require.ErrorContains(t, err, "temporarily_unavailable")
				}
			}
			require.Equal(t, before+1, w.refreshes(), "a pause after a failure")
			w.fails = nil
			w.clock.Advance(time.Second)
			call()
			request.Scopes[0] = "other"
			w.clock.Advance(time.Hour)
			token, err := sources[0].Token()
			require.NoError(t, err)
			require.Contains(t, token.AccessToken, "machine", "the source has its own copy of the request")
			request.Scopes[0] = "machine"
		})
	}
	t.Run("each request has its own token", func(t *testing.T) {
		w := newStoredWorld(t, false)
		w.credentials()
		app := w.replica()
		testkit.Hammer(16, func(i int) {
			scope := fmt.Sprintf("scope%d", i%4)
			token, err := app.ClientCredentialsSource(client.Request{Scopes: []string{scope}}).Token()
			if assert.NoError(t, err) {
				assert.Contains(t, token.AccessToken, scope+"-")
			}
		})
		require.Equal(t, 4, w.refreshes())
		_, err := app.StoredToken("scope=scope1").Token()
		require.ErrorIs(t, err, client.ErrReauthorize, "no user has the name of a request")
		_, err = app.ClientCredentialsSource(client.Request{Scopes: []string{"a b"}}).Token()
		require.ErrorContains(t, err, "malformed scope")
	})
	t.Run("no request while the store fails", func(t *testing.T) {
		w := newStoredWorld(t, false)
		w.credentials()
		w.store.set(func(string) error { return errors.New("down") })
		_, err := w.replica().ClientCredentialsSource(request).Token()
		require.ErrorIs(t, err, client.ErrStore)
		require.Zero(t, w.refreshes())
	})
	t.Run("an entry that cannot be read is not replaced", func(t *testing.T) {
		w := newStoredWorld(t, false)
		w.credentials()
		_, err := w.replica().ClientCredentialsSource(request).Token()
		require.NoError(t, err)
		key, before, _ := w.store.entry(t)
		w.store.overwrite(t, key, append([]byte("x"), before...))
		_, err = w.replica().ClientCredentialsSource(request).Token()
		require.ErrorIs(t, err, client.ErrStoredToken)
		require.Equal(t, 1, w.refreshes())
		source := w.replica().ClientCredentialsSource(request)
		require.NoError(t, source.(*client.StoredToken).Delete(context.Background()))
		_, err = source.Token()
		require.NoError(t, err)
	})
}

// The grant management endpoint and the introspection endpoint accept a token
// of the source.
func TestUsesOfAClientCredentialsSource(t *testing.T) {
	w, ctx := newStoredWorld(t, false), context.Background()
	w.credentials()
	w.says("grant_management_endpoint", w.api.URL+"/grants")
	w.says("grant_management_actions_supported", []string{"query", "revoke"})
	var mu sync.Mutex
	var seen []string
	w.respond = func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		if r.URL.Path == "/introspect" {
			reply(rw, 200, `{"active":false}`)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	}
	app := w.replica()
	source := app.ClientCredentialsSource(client.Request{Scopes: []string{"machine"}})
	management, err := app.Grants(source)
	require.NoError(t, err)
	require.NoError(t, management.Revoke(ctx, "g-1"))
	api, err := app.HTTPClient(source)
	require.NoError(t, err)
	tokens, err := introspection.NewClient(introspection.ClientConfig{
		Endpoint: w.api.URL + "/introspect", HTTPClient: api, Issuer: w.as.URL, ClientID: "c-1", Unsigned: true,
	})
	require.NoError(t, err)
	_, err = tokens.Introspect(ctx, "another-token")
	require.ErrorIs(t, err, introspection.ErrInactive)
	require.Equal(t, []string{"/grants/g-1 DPoP machine-1", "/introspect DPoP machine-1"}, seen)
}
