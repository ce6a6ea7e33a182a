package authserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func (w *world) revokeForm(id, token string) url.Values {
	return w.authenticated(id, url.Values{"token": {token}})
}

func (w *world) revoke(id, token string) answer {
	return w.send(w.as.Metadata().RevocationEndpoint, w.revokeForm(id, token))
}

// works reports what is left of the tokens of an authorization.
func (w *world) works(id string, tokens answer) (access, refresh bool) {
	raw := tokens.body["access_token"].(string)
	access = w.callAPI("DPoP", raw, w.apiProof("d", raw)).status == http.StatusOK
	refresh = w.send(w.tokenURL(), w.refreshForm(id, tokens.body["refresh_token"].(string)), w.tokenProof("d")).status == http.StatusOK
	return access, refresh
}

// tokenKinds runs a test with access tokens that are JWTs and with opaque ones.
func tokenKinds(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("JWT", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("opaque", func(t *testing.T) { test(t, newOpaqueWorld(t)) })
}

func TestRevocation(t *testing.T) {
	tokenKinds(t, func(t *testing.T, w *world) {
		require.Equal(t, w.asHTTP.URL+"/revoke", w.as.Metadata().RevocationEndpoint, "REV-2-3")
		other := w.tokens("client-1", "d") // of the same user and client
		for _, member := range []string{"access_token", "refresh_token"} {
			for _, hint := range []string{"", "access_token", "refresh_token", "acme", "saml2_token"} {
				t.Run("REV-2.1-3 REV-2.2-4 "+member+" with the hint "+hint, func(t *testing.T) {
					tokens := w.tokens("client-1", "d")
					access, refresh := w.works("client-1", tokens)
					require.True(t, access && refresh)
					form := w.revokeForm("client-1", tokens.body[member].(string))
					if hint != "" {
						form.Set("token_type_hint", hint)
					}
					got := w.send(w.as.Metadata().RevocationEndpoint, form)
					require.Equal(t, http.StatusOK, got.status, "REV-2.2-1 %v", got.body)
					require.Empty(t, got.body)
					require.Equal(t, "no-store", got.header.Get("Cache-Control"))
					access, refresh = w.works("client-1", tokens)
					require.False(t, access, "SP-5.3.4-3 REV-2-2 REV-2.1-4 REV-2.1-5 all tokens of the authorization")
					require.False(t, refresh, "REV-2-1 REV-2.1-4 REV-2.1-6")
					require.Equal(t, http.StatusOK, w.revoke("client-1", tokens.body[member].(string)).status, "a second time is no error")
				})
			}
		}
		access, refresh := w.works("client-1", other)
		require.True(t, access && refresh, "another authorization stays")
	})
}

// A token that is issued after a refresh, or to the client itself, ends in the same way.
func TestRevocationOfOtherAccessTokens(t *testing.T) {
	tokenKinds(t, func(t *testing.T, w *world) {
		tokens := w.tokens("client-1", "d")
		later := w.send(w.tokenURL(), w.refreshForm("client-1", tokens.body["refresh_token"].(string)), w.tokenProof("d"))
		later.body["refresh_token"] = tokens.body["refresh_token"]
		require.Equal(t, http.StatusOK, w.revoke("client-1", later.body["access_token"].(string)).status)
		for _, of := range []answer{tokens, later} {
			access, refresh := w.works("client-1", of)
			require.False(t, access || refresh)
		}
		own := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"].(string)
		require.Equal(t, http.StatusOK, w.callAPI("DPoP", own, w.apiProof("d", own)).status)
		require.Equal(t, http.StatusOK, w.revoke("client-1", own).status)
		require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", own, w.apiProof("d", own)).status)
	})
}

func TestRevocationRefused(t *testing.T) {
	tokenKinds(t, func(t *testing.T, w *world) {
		tokens := w.tokens("client-1", "d")
		access, refresh := tokens.body["access_token"].(string), tokens.body["refresh_token"].(string)
		endpoint := w.as.Metadata().RevocationEndpoint
		used := w.revokeForm("client-1", "unknown")
		require.Equal(t, http.StatusOK, w.send(endpoint, used).status)
		used.Set("token", refresh)
		with := func(f func(url.Values)) url.Values {
			form := w.revokeForm("client-1", refresh)
			f(form)
			return form
		}
		for _, tc := range []struct {
			name   string
			form   url.Values
			status int
			code   string
		}{
			{"REV-2.1-2 another client's refresh token", w.revokeForm("client-2", refresh), 400, "invalid_grant"},
			{"REV-2.1-2 another client's access token", w.revokeForm("client-2", access), 400, "invalid_grant"},
			{"REV-2.1-2 CS-12 SP-5.3.2.1-6 no client authentication", url.Values{"token": {refresh}, "client_id": {"client-1"}}, 401, "invalid_client"},
			{"CS-12 nobody at all", url.Values{"token": {refresh}}, 401, "invalid_client"},
			{"CS-13 client_id of another client", with(func(f url.Values) { f.Set("client_id", "client-2") }), 401, "invalid_client"},
			{"CA-7523-3-7 an assertion used before", used, 401, "invalid_client"},
			{"REV-2.1-1 no token", with(func(f url.Values) { f.Del("token") }), 400, "invalid_request"},
			{"REV-2.1-1 an empty token", with(func(f url.Values) { f.Set("token", "") }), 400, "invalid_request"},
			{"BASE-6749-3.1-1 two tokens", with(func(f url.Values) { f.Add("token", access) }), 400, "invalid_request"},
			{"two hints", with(func(f url.Values) { f["token_type_hint"] = []string{"access_token", "refresh_token"} }), 400, "invalid_request"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				got := w.send(endpoint, tc.form)
				require.Equal(t, tc.status, got.status, "%v", got.body)
				require.Equal(t, tc.code, got.code)
				require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			})
		}
		require.Equal(t, http.StatusBadRequest, w.send(endpoint+"?token="+refresh, w.authenticated("client-1", url.Values{})).status, "the query does not count")
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodOptions} {
			r, err := http.NewRequest(method, endpoint, nil)
			require.NoError(t, err)
			got := w.do(r)
			require.Equal(t, http.StatusMethodNotAllowed, got.status)
			require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
		}
		stillAccess, stillRefresh := w.works("client-1", tokens)
		require.True(t, stillAccess && stillRefresh, "a refused request has revoked something")
	})
}

// What is no token of ours, or one no more, leaves a client nothing to do.
func TestRevocationOfInvalidTokens(t *testing.T) {
	tokenKinds(t, func(t *testing.T, w *world) {
		tokens := w.tokens("client-1", "d")
		access, refresh := tokens.body["access_token"].(string), tokens.body["refresh_token"].(string)
		expired := w.tokens("client-1", "d").body["access_token"].(string)
		w.clock.Advance(6 * time.Minute)
		for name, token := range map[string]string{
			"REV-2.2-2 unknown": "abc", "as long as a reference": strings.Repeat("A", 43), "dots": "a.b.c", "three dots": "...", "an ID token": tokens.body["id_token"].(string),
			"REV-2.2-2 expired": expired, "an assertion": w.assertion("client-1"), "a code": w.code("client-1", nil), "changed": testkit.MutateJWS(access, 8),
			"longer": refresh + "A", "shorter": refresh[1:], "with a space": " " + refresh, "long": strings.Repeat("x", 100<<10), "not ASCII": "tökén.x.y",
		} {
			t.Run(name, func(t *testing.T) {
				got := w.revoke("client-1", token)
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				require.Empty(t, got.body)
			})
		}
		_, still := w.works("client-1", tokens)
		require.True(t, still)
	})
}

// A token that the host has made with the server's key, which nothing here remembers.
func TestRevocationOfForeignKind(t *testing.T) {
	w := newWorld(t)
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: w.asHTTP.URL, Key: testkit.ECKey(t, "as"), KeyID: "as-1", Now: w.clock.Now})
	require.NoError(t, err)
	raw, err := issuer.Issue(accesstoken.Claims{Subject: "alice", ClientID: "client-1", Audience: []string{w.rsHTTP.URL}, JKT: w.jkt("d")})
	require.NoError(t, err)
	require.Equal(t, "unsupported_token_type", w.revoke("client-1", raw).code, "REV-2.2.1-1")
	require.Equal(t, "invalid_grant", w.revoke("client-2", raw).code, "RFC 7009 §2.1")
}

func TestRevocationFailsClosed(t *testing.T) {
	for name, calls := range map[string][]string{
		"revoking":               {"add revocation"},
		"loading refresh tokens": {"get refresh token", "get unknown"},
		"loading access tokens":  {"get access token"},
		"assertions":             {"add replay"},
	} {
		t.Run(name, func(t *testing.T) {
			var store *spyStore
			w := newOpaqueWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
				store = newSpy(as.Hooks.Now)
				as.Store = store
			})
			tokens := w.tokens("client-1", "d")
			for _, member := range []string{"refresh_token", "access_token"} {
				if name == "loading access tokens" && member == "refresh_token" { // which are not looked for among those
					continue
				}
				store.fail(1, calls...)
				got := w.revoke("client-1", tokens.body[member].(string))
				require.Equal(t, http.StatusServiceUnavailable, got.status, "REV-2.2.1-1 %v", got.body)
				require.Equal(t, "server_error", got.code)
				require.NotEmpty(t, got.header.Get("Retry-After"), "REV-2.2.1-3")
				require.NotContains(t, fmt.Sprint(got.body), "10.1.2.3")
				store.recover()
			}
			access, refresh := w.works("client-1", tokens)
			require.True(t, access && refresh, "nothing half done")
			require.Equal(t, http.StatusOK, w.revoke("client-1", tokens.body["access_token"].(string)).status)
			access, refresh = w.works("client-1", tokens)
			require.False(t, access || refresh)
		})
	}
}

// Nothing is written for who has no right to anything, nor for a token that does not exist but the assertion.
func TestRevocationWritesNothingUnasked(t *testing.T) {
	var writes atomic.Int32
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		spy := newSpy(as.Hooks.Now)
		spy.lost = func(string) error { writes.Add(1); return nil }
		as.Store = spy
	})
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	for _, tc := range []struct {
		form   url.Values
		status int
		writes int32
	}{
		{url.Values{"token": {refresh}}, 401, 0},
		{url.Values{"token": {refresh}, "client_id": {"client-1"}}, 401, 0},
		{w.authenticated("client-1", url.Values{}), 400, 0},
		{w.revokeForm("client-2", refresh), 400, 0},
		{w.revokeForm("client-1", "unknown"), 200, 1},
		{w.revokeForm("client-1", refresh), 200, 2},
	} {
		before := writes.Load()
		require.Equal(t, tc.status, w.send(w.as.Metadata().RevocationEndpoint, tc.form).status)
		require.Equal(t, tc.writes, writes.Load()-before)
	}
}

// A refresh, an introspection and a revocation at the same moment: once the revocation is done, nothing is good any more.
func TestRevocationRacesRefresh(t *testing.T) {
	w := newOpaqueWorld(t)
	asking := w.newIntrospection()
	for range 4 {
		tokens := w.tokens("client-1", "d")
		refresh := tokens.body["refresh_token"].(string)
		const refreshers = 12
		forms, proofs := make([]url.Values, refreshers), make([]string, refreshers)
		for i := range forms {
			forms[i], proofs[i] = w.refreshForm("client-1", refresh), w.tokenProof("d")
		}
		revocations := [2]url.Values{w.revokeForm("client-1", refresh), w.revokeForm("client-1", tokens.body["access_token"].(string))}
		issued := []string{tokens.body["access_token"].(string)}
		var mu sync.Mutex
		testkit.Hammer(refreshers+len(revocations), func(i int) {
			if i >= refreshers {
				if got := w.send(w.as.Metadata().RevocationEndpoint, revocations[i-refreshers]); got.status != http.StatusOK {
					t.Errorf("revocation: %d %v", got.status, got.body)
				}
				return
			}
			got := w.send(w.tokenURL(), forms[i], proofs[i])
			if got.status != http.StatusOK {
				if got.code != "invalid_grant" {
					t.Errorf("refresh: %d %v", got.status, got.body)
				}
				return
			}
			raw := got.body["access_token"].(string)
			_, _ = asking.Introspect(t.Context(), raw)
			mu.Lock()
			defer mu.Unlock()
			issued = append(issued, raw)
		})
		for _, raw := range issued {
			_, err := asking.Introspect(t.Context(), raw)
			require.Error(t, err, "SP-5.3.4-3")
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)
		}
		require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).code)
	}
}

// One assertion, many revocations: one is served.
func TestParallelRevocation(t *testing.T) {
	w := newWorld(t)
	form := w.revokeForm("client-1", w.tokens("client-1", "d").body["refresh_token"].(string))
	var served atomic.Int32
	testkit.Hammer(32, func(int) {
		if w.send(w.as.Metadata().RevocationEndpoint, form).status == http.StatusOK {
			served.Add(1)
		}
	})
	require.EqualValues(t, 1, served.Load(), "CA-7523-3-7")
}

// Mutual TLS at the alias, for a client that has nothing else.
func TestRevocationByCertificate(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "tls_client_auth", true)
	metadata := m.as.Metadata()
	require.Equal(t, m.aliases.URL+"/revoke", metadata.MTLSEndpointAliases.RevocationEndpoint, "MTLS-5-1 SP-5.2.2.1-2")
	require.Equal(t, metadata.TokenEndpointAuthMethodsSupported, metadata.RevocationEndpointAuthMethodsSupported, "MD-2-10")
	require.Equal(t, metadata.TokenEndpointAuthSigningAlgValuesSupported, metadata.RevocationEndpointAuthSigningAlgValuesSupported)
	certificate := testkit.Certify(t, "app", m.ca)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {"app"}}
	raw := m.sendWith(certificate, m.aliases.URL+"/token", form).body["access_token"].(string)
	require.Equal(t, http.StatusOK, m.callWith(certificate, "Bearer", raw).status)

	revoke := url.Values{"token": {raw}, "client_id": {"app"}}
	endpoint := metadata.MTLSEndpointAliases.RevocationEndpoint
	require.Equal(t, "invalid_client", m.sendWith(nil, endpoint, revoke).code, "MTLS-2-3")
	require.Equal(t, "invalid_client", m.sendWith(testkit.Certify(t, "attacker", m.ca), endpoint, revoke).code, "MTLS-2-3")
	require.Equal(t, http.StatusOK, m.callWith(certificate, "Bearer", raw).status)
	require.Equal(t, http.StatusOK, m.sendWith(certificate, endpoint, revoke).status)
	require.Equal(t, http.StatusUnauthorized, m.callWith(certificate, "Bearer", raw).status)
}

// A host with tokens of its own serves the endpoint itself.
func TestRevocationPlumbing(t *testing.T) {
	w := newWorld(t)
	form := w.revokeForm("client-1", "a token of the host's own")
	var ended []string
	endpoint := w.as.ClientEndpoint(func(_ *http.Request, q *authserver.ClientRequest) (http.Handler, error) {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			ended = append(ended, q.ClientID()+" "+q.Param("token"))
		}), nil
	})
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "https://as.example/end", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		endpoint.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Equal(t, []string{"client-1 a token of the host's own"}, ended, "CA-7523-3-7 once")
	require.NoError(t, w.as.Revoke(t.Context(), "client-1", "a token of the host's own"), "REV-2.2-2 unknown")
	w = newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Endpoints.Revocation = "/tokens/end"
	})
	require.Equal(t, w.asHTTP.URL+"/tokens/end", w.as.Metadata().RevocationEndpoint)
	require.Equal(t, http.StatusOK, w.revoke("client-1", "x").status)
}

// A server that starts again with shorter lifetimes still has tokens of before.
// Their revocation lasts as long as they do.
func TestRevocationOutlivesTheToken(t *testing.T) {
	var cfg authserver.Config
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store = memstore.New(memstore.Config{Now: as.Hooks.Now})
		cfg = *as
	})
	tokens := w.tokens("client-1", "d")
	cfg.Lifetimes.RefreshToken = time.Hour
	var err error
	w.as, err = authserver.New(cfg)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.renew(tokens).status)
	form := w.authenticated("client-1", url.Values{"token": {tokens.body["refresh_token"].(string)}})
	require.Equal(t, http.StatusOK, w.send(w.as.Metadata().RevocationEndpoint, form).status)
	require.Equal(t, "invalid_grant", w.renew(tokens).code)
	w.clock.Advance(2 * time.Hour)
	require.Equal(t, "invalid_grant", w.renew(tokens).code, "attack: REV-2.1-4 a token that comes back to life")
}
