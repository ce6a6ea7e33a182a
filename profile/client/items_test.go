package client_test

import (
	"context"
	"crypto"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

// These tests check items of the client certification that no other test checks.
// spec/certification.tsv maps the modules of the conformance suite to tests.

// try makes a client, or returns the error.
func (p *peer) try(change ...func(*client.Config)) (*client.Client, error) {
	cfg := p.config()
	for _, f := range change {
		f(&cfg)
	}
	return client.New(context.Background(), cfg)
}

func (p *peer) begin(c *client.Client, scopes ...string) *client.Session {
	session, err := c.Begin(context.Background(), client.Request{Scopes: scopes})
	require.NoError(p.t, err)
	return session
}

// last returns the latest request at a path.
func (p *peer) last(path string) recorded {
	sent := p.messages(path)
	require.NotEmpty(p.t, sent)
	return sent[len(sent)-1]
}

func (p *peer) says(name string, value any) {
	before := p.metadata
	p.metadata = func(m map[string]any) {
		if before != nil {
			before(m)
		}
		m[name] = value
	}
}

func TestClientItemsOfTheRequest(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	session := p.begin(app, "openid", "accounts")
	pushed, target := p.last("/par"), testkit.Must(url.Parse(session.URL))
	_, err := app.Finish(ctx, session, url.Values{"iss": {p.as.URL}, "state": {session.State}, "code": {"code-1"}})
	require.Error(t, err, "no ID token")
	redeemed := p.last("/token")
	for _, item := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"client item 1: SP-5.3.3.1-9 SP-5.3.3.1-11 all is discovered from the issuer, which is compared as it is", func(t *testing.T) {
			require.Len(t, p.messages("/.well-known/oauth-authorization-server"), 1)
			for _, other := range []string{p.as.URL + "/", strings.ToUpper(p.as.URL), "https://evil.example"} {
				p := newPeer(t)
				p.says("issuer", other)
				_, err := p.try()
				require.ErrorIs(t, err, profile.ErrIssuerMismatch)
			}
		}},
		{"client item 2: SP-5.3.3.1-9 the path of an issuer goes behind the well-known part", func(t *testing.T) {
			oauth, openid, err := profile.WellKnownURLs("https://as.example/tenant/1")
			require.NoError(t, err)
			require.Equal(t, "https://as.example/.well-known/oauth-authorization-server/tenant/1", oauth)
			require.Equal(t, "https://as.example/tenant/1/.well-known/openid-configuration", openid)
		}},
		{"client item 4: SP-5.3.3.2-2 everything is pushed", func(t *testing.T) {
			require.Len(t, p.messages("/par"), 1)
			require.Empty(t, p.messages("/authorize"))
		}},
		{"client item 5: SP-5.3.3.2-6 client_id and request_uri alone go through the browser", func(t *testing.T) {
			require.Equal(t, []string{"client_id", "request_uri"}, parameters(target.Query()))
		}},
		{"client item 6: SP-5.3.3.2-3 SP-5.3.3.2-4 PKCE with S256, new each time", func(t *testing.T) {
			require.Equal(t, "S256", pushed.form.Get("code_challenge_method"))
			require.Len(t, pushed.form.Get("code_challenge"), 43)
			require.Equal(t, session.CodeVerifier, redeemed.form.Get("code_verifier"))
			p.begin(app, "accounts")
			require.NotEqual(t, pushed.form.Get("code_challenge"), p.last("/par").form.Get("code_challenge"))
		}},
		{"client item 7: AM-5.4b SP-5.3.3.2-7 state is random, and so is nonce when there is an ID token", func(t *testing.T) {
			require.Len(t, pushed.form.Get("state"), 43)
			require.Len(t, pushed.form.Get("nonce"), 43)
			p.begin(app, "accounts")
			again := p.last("/par")
			require.NotEqual(t, pushed.form.Get("state"), again.form.Get("state"))
			require.False(t, again.form.Has("nonce"))
		}},
		{"client item 8: SP-5.3.3.1-5 assertions for the issuer, each once and for a short time", func(t *testing.T) {
			used := map[any]bool{}
			for _, m := range []recorded{pushed, redeemed} {
				claims, header := jwtClaims(t, m.form.Get("client_assertion")), jwtHeader(t, m.form.Get("client_assertion"))
				require.Equal(t, p.as.URL, claims["aud"], "a string")
				require.Equal(t, []any{"c-1", "c-1"}, []any{claims["iss"], claims["sub"]})
				require.Equal(t, "ES256", header["alg"])
				require.LessOrEqual(t, claims["exp"].(float64)-claims["iat"].(float64), 60.0)
				require.False(t, used[claims["jti"]])
				used[claims["jti"]] = true
			}
		}},
		{"client item 19: SP-5.3.3.1-1 DPOP-4.2-4 proofs at PAR and token, each of its own", func(t *testing.T) {
			require.NotEmpty(t, pushed.proof["jti"])
			require.NotEmpty(t, redeemed.proof["jti"])
			require.NotEqual(t, pushed.proof["jti"], redeemed.proof["jti"])
			require.Equal(t, []any{"POST", p.as.URL + "/token"}, []any{redeemed.proof["htm"], redeemed.proof["htu"]})
		}},
		{"client item 27: RAR-2-1 RAR-11.4-1 RAR-12-1 authorization_details with their types, pushed", func(t *testing.T) {
			_, err := app.Begin(ctx, client.Request{AuthorizationDetails: json.RawMessage(`[{"type":"account_information"}]`)})
			require.NoError(t, err)
			require.JSONEq(t, `[{"type":"account_information"}]`, p.last("/par").form.Get("authorization_details"))
		}},
		{"client item 28: no claims, and openid only if asked for", func(t *testing.T) {
			p.begin(app, "accounts")
			require.Equal(t, "accounts", p.last("/par").form.Get("scope"))
			require.False(t, p.last("/par").form.Has("claims"))
		}},
		{"client item 29: SP-5.3.3.2-1 the redirect URI as registered, in both requests", func(t *testing.T) {
			require.Equal(t, "https://client.example/cb", pushed.form.Get("redirect_uri"))
			require.Equal(t, "https://client.example/cb", redeemed.form.Get("redirect_uri"))
		}},
	} {
		t.Run(item.name, item.test)
	}
}

func TestClientItemsOfSigning(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.says("response_modes_supported", []string{"query", "jwt"})
	p.keys = []jwks.Key{
		{Public: testkit.ECKey(t, "decoy").Public(), KeyID: "k0"}, {Public: testkit.RSAKey(t, "peer").Public(), KeyID: "r1"},
		{Public: testkit.ECKey(t, "peer").Public(), KeyID: "k1"},
	}
	app, err := p.try(func(c *client.Config) { c.Profile = profile.SignedRequests | profile.SignedResponses })
	require.NoError(t, err)
	session := p.begin(app, "accounts")

	t.Run("client item 10: MS-5.3.2-2 MS-5.3.2-3 MS-5.3.2-4 JAR-5-2 request objects with iss, aud, nbf, exp, client_id and typ", func(t *testing.T) {
		object := p.last("/par").form.Get("request")
		claims, now := jwtClaims(t, object), float64(p.clock.Now().Unix())
		require.Equal(t, []any{"c-1", "c-1", p.as.URL}, []any{claims["iss"], claims["client_id"], claims["aud"]})
		require.LessOrEqual(t, claims["nbf"].(float64), now)
		require.Greater(t, claims["exp"].(float64), now)
		require.LessOrEqual(t, claims["exp"].(float64), claims["nbf"].(float64)+3600)
		require.Equal(t, "oauth-authz-req+jwt", jwtHeader(t, object)["typ"])
		require.Equal(t, []string{"client_assertion", "client_assertion_type", "client_id", "request"}, parameters(p.last("/par").form))
	})

	good := func() map[string]any {
		return map[string]any{"iss": p.as.URL, "aud": "c-1", "exp": p.clock.Now().Add(time.Minute).Unix(), "code": "code-1", "state": session.State}
	}
	es := map[string]any{"alg": "ES256", "kid": "k1"}
	response := func(header map[string]any, key crypto.Signer, change func(map[string]any)) url.Values {
		claims := good()
		change(claims)
		return url.Values{"response": {jws(t, header, claims, key)}}
	}
	set := func(name string, value any) url.Values {
		return response(es, testkit.ECKey(t, "peer"), func(m map[string]any) {
			if m[name] = value; value == nil {
				delete(m, name)
			}
		})
	}
	same := func(map[string]any) {}
	for name, tc := range map[string]struct {
		callback url.Values
		want     error
	}{
		"client item 13: JARM-2.4-5 a signature of another key":       {response(es, testkit.ECKey(t, "attacker"), same), jarm.ErrSignature},
		"client item 13: JARM-2.4-5 the kid of another key":           {response(map[string]any{"alg": "ES256", "kid": "k0"}, testkit.ECKey(t, "peer"), same), jarm.ErrSignature},
		"client item 13: JARM-2.4-5 RS256":                            {response(map[string]any{"alg": "RS256", "kid": "r1"}, testkit.RSAKey(t, "peer"), same), jarm.ErrAlgorithm},
		"client item 13: JARM-2.4-5 none":                             {url.Values{"response": {"eyJhbGciOiJub25lIn0.e30."}}, jarm.ErrAlgorithm},
		"client item 13: JARM-2.4-2 another iss":                      {set("iss", "https://evil.example"), jarm.ErrIssuer},
		"client item 13: JARM-2.4-2 no iss":                           {set("iss", nil), jarm.ErrClaims},
		"client item 13: JARM-2.4-3 another aud":                      {set("aud", "c-2"), jarm.ErrAudience},
		"client item 13: JARM-2.4-3 no aud":                           {set("aud", nil), jarm.ErrClaims},
		"client item 13: JARM-2.4-4 an exp that has passed":           {set("exp", p.clock.Now().Add(-time.Minute).Unix()), jarm.ErrExpired},
		"client item 13: JARM-2.4-4 no exp":                           {set("exp", nil), jarm.ErrClaims},
		"client item 13: AM-5.4b another state":                       {set("state", "other"), jarm.ErrState},
		"client item 13: AM-5.4b no state":                            {set("state", nil), jarm.ErrState},
		"client item 13: MS-5.4.2-2 a plain response, good otherwise": {callback(session), jarm.ErrNoResponse},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(p.messages("/token"))
			_, err := app.Finish(ctx, session, tc.callback)
			require.ErrorIs(t, err, client.ErrAuthorizationResponse)
			require.ErrorIs(t, err, tc.want)
			require.Len(t, p.messages("/token"), before, "client item 14: no token request after a bad response")
		})
	}
	t.Run("client item 13: JARM-2.4-6 a good one, by its kid among decoys", func(t *testing.T) {
		_, err := app.Finish(ctx, session, set("x", 1))
		require.NoError(t, err)
	})
}

func TestClientItemsOfTheResponse(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	t.Run("client item 16: CS-19 expires_in need not be there", func(t *testing.T) {
		session := p.begin(app, "accounts")
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `{"access_token":"at","token_type":"DPoP"}`)
		}
		token, err := app.Finish(ctx, session, callback(session))
		require.NoError(t, err)
		require.True(t, token.Expiry.IsZero())
		again, err := app.TokenSource(ctx, token).Token()
		require.NoError(t, err)
		require.Equal(t, token, again)
	})
	t.Run("client item 26: SP-5.3.3.1-6 refresh tokens, old and new", func(t *testing.T) {
		p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, freshToken) }
		token, err := app.Refresh(ctx, "rt-1", client.Request{})
		require.NoError(t, err)
		require.Equal(t, "rt-1", token.RefreshToken)
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, strings.Replace(freshToken, "{", `{"refresh_token":"rt-2",`, 1))
		}
		token, err = app.Refresh(ctx, "rt-1", client.Request{})
		require.NoError(t, err)
		require.Equal(t, "rt-2", token.RefreshToken)
	})
}

func TestClientItemsOfTheIDToken(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	t.Run("client item 18: CS-20 after a bad one there is nothing to call an API with", func(t *testing.T) {
		session := p.begin(app, "openid")
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, map[string]any{"access_token": "at", "token_type": "DPoP", "refresh_token": "rt", "id_token": "e30.e30.AA"})
		}
		token, err := app.Finish(ctx, session, callback(session))
		require.ErrorIs(t, err, client.ErrTokenResponse)
		require.Nil(t, token)
		_, err = testkit.Must(app.HTTPClient(app.TokenSource(ctx, token))).Get(p.api.URL + "/accounts")
		require.Error(t, err)
		require.Empty(t, p.messages("/accounts"))
	})
}

func TestClientItemsOfTheAPI(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	session := p.begin(app, "accounts")
	token, err := app.Finish(ctx, session, callback(session))
	require.NoError(t, err)
	api, err := app.HTTPClient(app.TokenSource(ctx, token))
	require.NoError(t, err)
	get := func() {
		response, err := api.Get(p.api.URL + "/accounts")
		require.NoError(t, err)
		response.Body.Close()
	}
	t.Run("client item 21: DPOP-8-1 a server that wants no nonces", func(t *testing.T) {
		require.Empty(t, p.last("/par").proof["nonce"])
	})
	t.Run("client item 30: exactly one request to the API", func(t *testing.T) {
		get()
		require.Len(t, p.messages("/accounts"), 1)
	})
	t.Run("client item 19: DPOP-7-1 a proof for the API, with ath", func(t *testing.T) {
		m := p.last("/accounts")
		require.NotEmpty(t, m.proof["ath"])
		require.Equal(t, []any{"GET", p.api.URL + "/accounts"}, []any{m.proof["htm"], m.proof["htu"]})
	})
	t.Run("client item 20: SP-5.3.3.1-8 DPOP-8.2-1 nonces, learnt from every response and kept apart", func(t *testing.T) {
		p.respond = nonces(401, "rs-1", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("DPoP-Nonce", "rs-2") })
		get()
		require.Len(t, p.messages("/accounts"), 3)
		require.Equal(t, "rs-1", p.last("/accounts").proof["nonce"])
		p.respond = nil
		get()
		require.Equal(t, "rs-2", p.last("/accounts").proof["nonce"], "the one of the 200")
		p.token = nonces(400, "as-1", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, freshToken) })
		_, err := app.Refresh(ctx, "rt", client.Request{})
		require.NoError(t, err)
		sent := p.messages("/token")
		require.Empty(t, sent[len(sent)-2].proof["nonce"], "DPOP-9-2 the API's are not the server's")
		require.Equal(t, "as-1", p.last("/token").proof["nonce"])
	})
	t.Run("client item 23: SP-5.3.3.1-3 no x-fapi-interaction-id of ours, and the host's as it is", func(t *testing.T) {
		require.Empty(t, p.last("/accounts").header.Get("X-Fapi-Interaction-Id"))
		r := testkit.Must(http.NewRequest(http.MethodGet, p.api.URL+"/accounts", nil))
		r.Header.Set("x-fapi-interaction-id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a")
		response, err := api.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, "c770aef3-6784-41f7-8e0e-ff5f97bddb3a", p.last("/accounts").header.Get("X-Fapi-Interaction-Id"))
	})
}

func jwtHeader(t testing.TB, jwt string) map[string]any {
	return jwtClaims(t, "."+strings.SplitN(jwt, ".", 2)[0]+".")
}

func parameters(values url.Values) []string { return slices.Sorted(maps.Keys(values)) }
