package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

func ownRefreshTokens(as *authserver.Config, rs *resourceserver.Config) {
	demanding(0)(as, rs)
	as.Introspection.RefreshTokens = true
}

// A client introspects its own refresh tokens, and nothing else.
func TestIntrospectRefreshTokens(t *testing.T) {
	w := newWorld(t, ownRefreshTokens)
	endpoint := w.as.Metadata().IntrospectionEndpoint
	ask := func(id, token string) map[string]any {
		got := w.send(endpoint, w.authenticated(id, url.Values{"token": {token}}))
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		return got.body
	}
	inactive := map[string]any{"active": false}
	w.approving(members{"cdr_arrangement_id": json.RawMessage(`"arrangement-1"`)})
	tokens := w.tokens("client-1", "d")
	refresh, access := tokens.body["refresh_token"].(string), tokens.body["access_token"].(string)
	require.Equal(t, map[string]any{
		"active": true, "scope": "accounts openid", "cdr_arrangement_id": "arrangement-1",
		"exp": float64(w.clock.Now().Add(90 * 24 * time.Hour).Unix()),
	}, ask("client-1", refresh))
	for range 2 { // nothing is consumed
		require.Equal(t, true, ask("client-1", refresh)["active"])
	}
	for name, got := range map[string]map[string]any{
		"attack: the refresh token of another client": ask("client-2", refresh),
		"attack: an access token of its own":          ask("client-1", access),
		"a token that does not exist":                 ask("client-1", strings.Repeat("A", 43)),
		"no token at all":                             ask("client-1", "x"),
	} {
		require.Equal(t, inactive, got, name)
	}
	require.Equal(t, true, ask("client-2", access)["active"], "resource servers introspect as before")

	form := w.authenticated("client-1", url.Values{"token": {refresh}})
	w.send(endpoint, form)
	require.Equal(t, "invalid_client", w.send(endpoint, form).code, "the assertion is used up")
	require.Equal(t, "invalid_client", w.send(endpoint, url.Values{"token": {refresh}, "client_id": {"client-1"}}).code, "INT-7662-2.1-1")

	t.Run("for a client that is registered for signed responses", func(t *testing.T) {
		w.clients["client-1"].IntrospectionSignedResponseAlg = "ES256"
		form := w.authenticated("client-1", url.Values{"token": {refresh}})
		response, err := w.http.PostForm(endpoint, form)
		require.NoError(t, err)
		require.Equal(t, mediaTypeIntrospection, response.Header.Get("Content-Type"), "INT-9701-6-1")
		response.Body.Close()
		w.clients["client-1"].IntrospectionSignedResponseAlg = ""
	})
	t.Run("the shape says nothing about the reason", func(t *testing.T) {
		gone := w.tokens("client-1", "d").body["refresh_token"].(string)
		require.Equal(t, http.StatusOK, w.revoke("client-1", gone).status)
		require.Equal(t, inactive, ask("client-1", gone), "revoked")
		registered := *w.clients["client-1"]
		w.clients["client-1"].GrantTypes = []string{"authorization_code"}
		require.Equal(t, inactive, ask("client-1", refresh), "a client that may not use it any more")
		*w.clients["client-1"] = registered
		w.clients["client-1"].Scope = "openid"
		require.Equal(t, "openid", ask("client-1", refresh)["scope"], "BCP-2.3-1 the scope of a refresh now")
		*w.clients["client-1"] = registered
		w.clock.Advance(90 * 24 * time.Hour)
		require.Equal(t, inactive, ask("client-1", refresh), "expired")
	})
}

// By default no client learns anything about a refresh token.
func TestRefreshTokensAreNotIntrospected(t *testing.T) {
	w := newWorld(t, demanding(0))
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-1", url.Values{"token": {refresh}}))
	require.Equal(t, map[string]any{"active": false}, got.body)
}

// A server without resource servers, whose clients introspect refresh tokens.
func TestIntrospectRefreshTokensAlone(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Introspection = &authserver.Introspection{RefreshTokens: true}
	})
	ends := w.clock.Now().Add(time.Hour)
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), Expires: ends})
	}
	tokens := w.tokens("client-1", "d")
	ask := func(token any) map[string]any {
		return w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-1", url.Values{"token": {token.(string)}})).body
	}
	require.Equal(t, map[string]any{"active": true, "scope": "accounts openid", "exp": float64(ends.Unix())}, ask(tokens.body["refresh_token"]))
	require.Equal(t, map[string]any{"active": false}, ask(tokens.body["access_token"]))

	_, err := authserver.New(authserver.Config{
		Issuer: "https://as.example", Clients: nil, Keys: nil, Resources: []string{"https://api.example"}, Introspection: &authserver.Introspection{},
	})
	require.ErrorContains(t, err, "missing Introspection.ResourceServers")
}

// A refresh token of a managed grant ends with the grant.
func TestIntrospectManagedRefreshTokens(t *testing.T) {
	w := newWorld(t, ownRefreshTokens, func(as *authserver.Config, _ *resourceserver.Config) { as.Grants = new(grants.ManagerConfig) })
	w.clients["client-1"].Scope += " grant_management_revoke"
	tokens, id := w.create()
	refresh := tokens.body["refresh_token"].(string)
	require.Equal(t, true, w.seen("client-1", refresh).body["active"])
	require.Equal(t, http.StatusNoContent, w.end(id).status)
	require.Equal(t, map[string]any{"active": false}, w.seen("client-1", refresh).body)
}

// A store that fails does not end a token for its client.
func TestIntrospectRefreshTokensWithoutStore(t *testing.T) {
	var spy *spyStore
	w := newWorld(t, ownRefreshTokens, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	for _, call := range []string{"get refresh token", "get unknown"} { // the second one is the revocation
		spy.before = func(now string) error {
			if now == call {
				return errDown
			}
			return nil
		}
		got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-1", url.Values{"token": {refresh}}))
		require.Equal(t, http.StatusServiceUnavailable, got.status, call)
		require.Equal(t, map[string]any{"error": "server_error", "error_description": "try again later"}, got.body)
	}
}
