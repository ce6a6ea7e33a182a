package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	requested "github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// about is a UserInfo function that says nothing of interest.
func about(_ context.Context, token *resourceserver.Token, _ requested.Set) (map[string]any, error) {
	return map[string]any{"name": "Alice & <Bob>", "scopes": token.Scopes()}, nil
}

type userInfoFunc = func(context.Context, *resourceserver.Token, requested.Set) (map[string]any, error)

func withUserInfo(f userInfoFunc) worldOption {
	return func(as *authserver.Config, _ *resourceserver.Config) { as.UserInfo = f }
}

func (w *world) userInfoProof(key, method, token string) string {
	return w.proof(key, method, w.as.Metadata().UserInfoEndpoint, dpop.ProofOptions{AccessToken: token})
}

// userInfo sends a request; values of fields are added in order.
func (w *world) userInfo(method, target string, fields ...string) answer {
	r, err := http.NewRequest(method, target, nil)
	require.NoError(w.t, err)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return w.do(r)
}

func TestUserInfo(t *testing.T) {
	for name, w := range map[string]*world{"JWT": newWorld(t, withUserInfo(about)), "opaque": newOpaqueWorld(t, withUserInfo(about))} {
		t.Run(name, func(t *testing.T) {
			endpoint := w.as.Metadata().UserInfoEndpoint
			require.Equal(t, w.asHTTP.URL+"/userinfo", endpoint)
			tokens := w.tokens("client-1", "d")
			raw := tokens.body["access_token"].(string)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := w.userInfo(method, endpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", method, raw), "Accept", "text/html")
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				_, idToken := claims(t, tokens.body["id_token"])
				require.JSONEq(t, string(idToken["sub"]), `"`+got.body["sub"].(string)+`"`, "OpenID Connect Core §5.3.2")
				require.Equal(t, "Alice & <Bob>", got.body["name"])
				require.Equal(t, []any{"accounts", "openid"}, got.body["scopes"])
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.Equal(t, "no-store", got.header.Get("Cache-Control"))
				require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
			}
			// A token for another API: here it is at home.
			other := func(f url.Values) { f.Set("resource", "https://other-api.example") }
			elsewhere := w.send(w.tokenURL(), w.codeForm("client-1", w.code("client-1", other)), w.tokenProof("d")).body["access_token"].(string)
			require.Equal(t, http.StatusOK, w.userInfo("GET", endpoint, "Authorization", "dpop "+elsewhere, "DPoP", w.userInfoProof("d", "GET", elsewhere)).status, "CS-18")

			require.Equal(t, http.StatusOK, w.revoke("client-1", raw).status)
			revoked := w.userInfo("GET", endpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", "GET", raw))
			require.Equal(t, http.StatusUnauthorized, revoked.status, "SP-5.3.4-3")
			require.Equal(t, "invalid_token", revoked.code)
		})
	}
	require.Empty(t, newWorld(t).as.Metadata().UserInfoEndpoint)
	require.Equal(t, http.StatusNotFound, newWorld(t).userInfo("GET", newWorld(t).asHTTP.URL+"/userinfo").status)
}

func TestUserInfoRefused(t *testing.T) {
	var asked atomic.Int32
	w := newWorld(t, withUserInfo(func(context.Context, *resourceserver.Token, requested.Set) (map[string]any, error) {
		asked.Add(1)
		return nil, nil
	}))
	endpoint := w.as.Metadata().UserInfoEndpoint
	tokens := w.tokens("client-1", "d")
	raw := tokens.body["access_token"].(string)
	proof := w.userInfoProof("d", "GET", raw)
	plain := func(f url.Values) { f.Set("scope", "accounts"); f.Del("nonce") }
	scopeless := w.send(w.tokenURL(), w.codeForm("client-1", w.code("client-1", plain)), w.tokenProof("d")).body["access_token"].(string)
	own := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"].(string)
	foreign, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: w.asHTTP.URL, Key: testkit.ECKey(t, "as"), KeyID: "as-1", Now: w.clock.Now})
	require.NoError(t, err)
	made, err := foreign.Issue(accesstoken.Claims{Subject: "alice", ClientID: "client-1", Audience: []string{w.rsHTTP.URL}, Scope: "openid", JKT: w.jkt("d")})
	require.NoError(t, err)
	idToken, refresh := tokens.body["id_token"].(string), tokens.body["refresh_token"].(string)
	with := func(token string) []string {
		return []string{"Authorization", "DPoP " + token, "DPoP", w.userInfoProof("d", "GET", token)}
	}
	for _, tc := range []struct {
		name   string
		target string
		fields []string
		status int
		code   string
	}{
		{"BASE-6750-3.1-2 no token", endpoint, nil, 401, ""},
		{"CS-16 no proof", endpoint, []string{"Authorization", "DPoP " + raw}, 401, "invalid_dpop_proof"},
		{"CS-16 two proofs", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", proof, "DPoP", proof}, 401, "invalid_dpop_proof"},
		{"DPOP-7.2-1 as Bearer", endpoint, []string{"Authorization", "Bearer " + raw, "DPoP", proof}, 401, "invalid_token"},
		{"DPOP-7.1-2 another key", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", w.userInfoProof("attacker", "GET", raw)}, 401, "invalid_token"},
		{"DPOP-4.3-9 a proof for the API", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", w.apiProof("d", raw)}, 401, "invalid_dpop_proof"},
		{"DPOP-4.3-9 a proof for the token endpoint", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", w.proof("d", "GET", w.tokenURL(), dpop.ProofOptions{AccessToken: raw})}, 401, "invalid_dpop_proof"},
		{"DPOP-4.3-8 a proof for POST", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", w.userInfoProof("d", "POST", raw)}, 401, "invalid_dpop_proof"},
		{"DPOP-4.3-12a a proof for another token", endpoint, []string{"Authorization", "DPoP " + raw, "DPoP", w.userInfoProof("d", "GET", own)}, 401, "invalid_dpop_proof"},
		{"SP-5.3.4-2 in the query", endpoint + "?access_token=" + raw, nil, 400, "invalid_request"},
		{"DPOP-7.2-3 two headers", endpoint, []string{"Authorization", "DPoP " + raw, "Authorization", "DPoP " + raw, "DPoP", proof}, 400, "invalid_request"},
		{"SP-5.3.4-4 without openid", endpoint, with(scopeless), 403, "insufficient_scope"},
		{"SP-5.3.4-4 the client's own token", endpoint, with(own), 403, "insufficient_scope"},
		{"AT-4-1 the ID token", endpoint, with(idToken), 401, "invalid_token"},
		{"a refresh token", endpoint, with(refresh), 401, "invalid_token"},
		{"a token that the host has made", endpoint, with(made), 401, "invalid_token"},
		{"SP-5.3.4-3 changed", endpoint, with(raw[:len(raw)-8] + "AAAAAAAA"), 401, "invalid_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.userInfo("GET", tc.target, tc.fields...)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			challenge := got.header.Get("WWW-Authenticate")
			require.True(t, strings.HasPrefix(challenge, "DPoP "), challenge)
			require.Contains(t, challenge, `scope="openid"`)
			require.Contains(t, challenge, `algs="`, "DPOP-7.1-5")
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		})
	}
	for _, method := range []string{http.MethodPut, http.MethodHead, http.MethodOptions} {
		got := w.userInfo(method, endpoint, with(raw)...)
		require.Equal(t, http.StatusMethodNotAllowed, got.status)
		require.Equal(t, "GET, POST", got.header.Get("Allow"))
	}
	form := w.send(endpoint, url.Values{"access_token": {raw}}, w.userInfoProof("d", "POST", raw))
	require.Equal(t, http.StatusUnauthorized, form.status, "SP-5.3.4-1 a token in the body is none")
	require.Zero(t, asked.Load(), "nobody was told anything")

	var passed atomic.Int32
	testkit.Hammer(32, func(int) {
		if w.userInfo("GET", endpoint, "Authorization", "DPoP "+raw, "DPoP", proof).status == http.StatusOK {
			passed.Add(1)
		}
	})
	require.EqualValues(t, 1, passed.Load(), "DPOP-11.1-2 one proof, one request; none was used up before")
	w.clock.Advance(5 * time.Minute)
	require.Equal(t, "invalid_token", w.userInfo("GET", endpoint, with(raw)...).code, "SP-5.3.4-3 expired")
}

type hostClaims struct {
	claims map[string]any
	err    error
}

// The host says what it likes about the user, and about nobody else.
func TestUserInfoOfTheHost(t *testing.T) {
	var say hostClaims
	w := newWorld(t, withUserInfo(func(context.Context, *resourceserver.Token, requested.Set) (map[string]any, error) {
		return say.claims, say.err
	}))
	raw := w.tokens("client-1", "d").body["access_token"].(string)
	ask := func() answer {
		return w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", "GET", raw))
	}
	for _, tc := range []struct {
		name   string
		say    hostClaims
		status int
		code   string
	}{
		{"nothing", hostClaims{}, 200, ""},
		{"the same subject", hostClaims{claims: map[string]any{"sub": "alice", "name": "A"}}, 200, ""},
		{"OpenID Connect Core §5.3.2 another subject", hostClaims{claims: map[string]any{"sub": "bob", "name": "B"}}, 500, "server_error"},
		{"a subject that is no string", hostClaims{claims: map[string]any{"sub": 1, "name": "B"}}, 500, "server_error"},
		{"no subject", hostClaims{claims: map[string]any{"sub": nil, "name": "B"}}, 500, "server_error"},
		{"a subject in other letters", hostClaims{claims: map[string]any{"Sub": "bob", "name": "B"}}, 500, "server_error"},
		{"what is no JSON", hostClaims{claims: map[string]any{"f": func() {}, "name": "B"}}, 500, "server_error"},
		{"what is no number", hostClaims{claims: map[string]any{"f": math.NaN(), "name": "B"}}, 500, "server_error"},
		{"a failure", hostClaims{claims: map[string]any{"name": "B"}, err: errDown}, 500, "server_error"},
		{"a user who is gone", hostClaims{err: fmt.Errorf("%w: user deleted", accesstoken.ErrRevoked)}, 401, "invalid_token"},
		{"an error of the host's own", hostClaims{err: hostError{"consent_gone", 403}}, 403, "consent_gone"},
		{"a store of its own that is down", hostClaims{err: errors.Join(authserver.ErrStore, errDown)}, 503, "server_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			say = tc.say
			before := len(tc.say.claims)
			got := ask()
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			require.Len(t, tc.say.claims, before, "the host's map is its own")
			require.NotContains(t, fmt.Sprint(got.body), "10.1.2.3")
			if tc.status == http.StatusOK {
				require.Equal(t, "alice", got.body["sub"])
				return
			}
			require.NotContains(t, got.body, "name")
		})
	}
}

// What has changed in the registration since the token was issued counts.
func TestUserInfoOfTheRegistration(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(w *world)
		status int
		code   string
	}{
		"a client that is gone":                               {func(w *world) { delete(w.clients, "client-1") }, 401, "invalid_token"},
		"CA-OIDC-5.3.4-1 a client that registered encryption": {func(w *world) { w.clients["client-1"].UserInfoEncryptedResponseAlg = "ECDH-ES" }, 400, "unauthorized_client"},
		"a client that wants it signed by another key":        {func(w *world) { w.clients["client-1"].UserInfoSignedResponseAlg = "PS256" }, 400, "unauthorized_client"},
		"a registry that answers nonsense":                    {func(w *world) { w.clients["client-1"] = w.clients["client-2"] }, 503, "server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withUserInfo(about))
			raw := w.tokens("client-1", "d").body["access_token"].(string)
			tc.change(w)
			got := w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", "GET", raw))
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			require.NotContains(t, got.body, "name")
		})
	}
}

// A client with certificates asks at the alias, one with DPoP at either.
func TestUserInfoByCertificate(t *testing.T) {
	m := newMTLSWorld(t, withUserInfo(about))
	m.enrol("app", "private_key_jwt", true)
	metadata := m.as.Metadata()
	alias := metadata.MTLSEndpointAliases.UserInfoEndpoint
	require.Equal(t, m.aliases.URL+"/userinfo", alias, "MTLS-5-1")
	certificate := testkit.Certify(t, "app", m.ca)
	tokens := m.sendWith(certificate, m.aliases.URL+"/token", m.codeForm("app", m.code("app", nil)))
	raw := tokens.body["access_token"].(string)
	ask := func(http *http.Client, target string, fields ...string) answer {
		old := m.http
		defer func() { m.http = old }()
		m.http = http
		return m.userInfo("GET", target, fields...)
	}
	got := ask(m.with(certificate), alias, "Authorization", "Bearer "+raw)
	require.Equal(t, "alice", got.body["sub"], "%v", got.body)
	require.Equal(t, "invalid_token", ask(m.with(testkit.Certify(t, "attacker", m.ca)), alias, "Authorization", "Bearer "+raw).code, "MTLS-3-3")
	refused := ask(m.with(nil), alias, "Authorization", "Bearer "+raw)
	require.Equal(t, "invalid_token", refused.code, "MTLS-3-3")
	require.Len(t, refused.header.Values("WWW-Authenticate"), 2, "DPOP-7.2-2 both schemes")

	raw = m.tokens("client-1", "d").body["access_token"].(string)
	for _, target := range []string{metadata.UserInfoEndpoint, alias} {
		proof := m.proof("d", "GET", target, dpop.ProofOptions{AccessToken: raw})
		require.Equal(t, http.StatusOK, ask(m.http, target, "Authorization", "DPoP "+raw, "DPoP", proof).status, target)
		require.Equal(t, "invalid_dpop_proof", ask(m.http, alias, "Authorization", "DPoP "+raw, "DPoP", proof).code, "DPOP-11.1-2 one store for both")
		wrong := m.proof("attacker", "GET", target, dpop.ProofOptions{AccessToken: raw})
		require.Equal(t, "invalid_token", ask(m.http, target, "Authorization", "DPoP "+raw, "DPoP", wrong).code, "DPOP-7.1-2")
	}
}

func TestUserInfoNonces(t *testing.T) {
	w := newWorld(t, withUserInfo(about), func(as *authserver.Config, _ *resourceserver.Config) {
		var err error
		as.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: as.Hooks.Now})
		require.NoError(t, err)
	})
	app := w.client("client-1")
	session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	token, err := app.Finish(t.Context(), session, w.browse(session.URL))
	require.NoError(t, err)
	refused := w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+token.AccessToken, "DPoP", w.userInfoProof("client-1 dpop", "GET", token.AccessToken))
	require.Equal(t, http.StatusUnauthorized, refused.status, "DPOP-9-1")
	require.Contains(t, refused.header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`)
	require.Len(t, refused.header.Values("DPoP-Nonce"), 1, "DPOP-8.2-1")
	api, err := app.HTTPClient(app.TokenSource(t.Context(), token))
	require.NoError(t, err)
	response, err := api.Get(w.as.Metadata().UserInfoEndpoint)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, "the client does it by itself")
}

func TestUserInfoConfig(t *testing.T) {
	cfg := goodConfig(t)
	cfg.UserInfo, cfg.Scopes = about, []string{"accounts"}
	_, err := authserver.New(cfg)
	require.ErrorContains(t, err, "UserInfo requires openid")
	as, err := authserver.New(goodConfig(t))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	as.UserInfo().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/userinfo", nil))
	require.Equal(t, http.StatusNotFound, w.Code, "without Config.UserInfo there is no such endpoint")
	cfg = goodConfig(t)
	cfg.UserInfo, cfg.Endpoints.UserInfo = about, "/token"
	_, err = authserver.New(cfg)
	require.Error(t, err, "two endpoints at one path")
	cfg.Endpoints.UserInfo = "/me"
	as, err = authserver.New(cfg)
	require.NoError(t, err)
	require.Equal(t, "https://as.example/me", as.Metadata().UserInfoEndpoint)
	rw := httptest.NewRecorder()
	as.UserInfo().ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/wherever", nil))
	require.Equal(t, http.StatusUnauthorized, rw.Code)
}
