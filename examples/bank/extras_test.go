package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUserInfo(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		require.Equal(t, w.issuer+"/userinfo", w.get(w.issuer + "/.well-known/openid-configuration").json()["userinfo_endpoint"])
		for _, p := range w.all() {
			tokens := p.tokens(param("scope", "openid profile accounts"))
			_, claims := unseal(t, tokens["id_token"].(string))
			token := tokens["access_token"].(string)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := p.call(method, "/userinfo", token).do().ok(http.StatusOK)
				require.Equal(t, claims["sub"], got.str("sub"))
				require.Equal(t, "alice", got.str("preferred_username"))
			}
			call := p.call(http.MethodGet, "/userinfo", token)
			call.dpop, call.certificate = nil, nil
			require.Equal(t, http.StatusUnauthorized, call.do().status, "the sender has to be who it was issued to")
			token = p.accessToken(param("scope", "accounts"), param("nonce", ""))
			require.Equal(t, http.StatusForbidden, p.call(http.MethodGet, "/userinfo", token).do().status)
		}
	}
}

func TestOpaqueAccessTokens(t *testing.T) {
	w := newWorld(t, with("access_token", "opaque"))
	for _, p := range w.all() {
		tokens := p.tokens()
		token := tokens["access_token"].(string)
		require.NotContains(t, token, ".")
		p.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
		p.refresh(tokens["refresh_token"].(string)).do().ok(http.StatusOK)
	}
}

func TestRevocation(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		for _, p := range w.all() {
			for _, kind := range []string{"access_token", "refresh_token"} {
				tokens := p.tokens()
				revoke := func(p *party) reply {
					return p.post("/revoke", url.Values{"token": {tokens[kind].(string)}, "token_type_hint": {kind}}).do()
				}
				attacker := w.two
				if p == w.two {
					attacker = w.one
				}
				require.GreaterOrEqual(t, revoke(attacker).status, 400)
				call := p.call(http.MethodGet, "/accounts", tokens["access_token"].(string))
				call.do().ok(http.StatusOK)
				revoke(p).ok(http.StatusOK)
				call.do().ok(http.StatusUnauthorized)
				p.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
				revoke(p).ok(http.StatusOK)
			}
		}
		w.one.post("/revoke", url.Values{"token": {"made-up"}}).do().ok(http.StatusOK)
		anonymous := w.one.post("/revoke", url.Values{"token": {"made-up"}})
		anonymous.client = nil
		require.GreaterOrEqual(t, anonymous.do().status, 400)
	}
}

func TestIntrospection(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		token := w.one.accessToken()
		ask := func(p *party, accept string) reply {
			r := p.post("/introspect", url.Values{"token": {token}})
			r.header.Set("Accept", accept)
			return r.do().ok(http.StatusOK)
		}
		said := ask(w.rs, "application/json").json()
		require.Equal(t, true, said["active"])
		require.Equal(t, "alice", said["sub"])
		require.Equal(t, "one", said["client_id"])
		require.NotEmpty(t, said["cnf"])
		require.Equal(t, object{"active": false}, ask(w.one, "application/json").json(), "MS-6.2-1 an ordinary client is told nothing, not even of its own token")
		signed := ask(w.rs, "application/token-introspection+jwt")
		require.Equal(t, "application/token-introspection+jwt", signed.header.Get("Content-Type"))
		_, claims := unseal(t, string(signed.body))
		require.Equal(t, "rs", claims["aud"])
		require.Equal(t, true, claims["token_introspection"].(object)["active"])
		anonymous := w.rs.post("/introspect", url.Values{"token": {token}})
		anonymous.client = nil
		require.GreaterOrEqual(t, anonymous.do().status, 400)
	}
}

func TestIntrospectionByAnyClientWhereNobodyIsNamed(t *testing.T) {
	others := with("resources", []string{"https://bank.example", "https://other.example"})
	ask := func(w *world, p *party) object {
		token := w.one.accessToken(param("resource", "https://other.example"))
		return p.post("/introspect", url.Values{"token": {token}}).do().ok(http.StatusOK).json()
	}
	open := newWorld(t, with("resource_servers", nil), others)
	for _, p := range []*party{open.one, open.two, open.mixed} {
		require.Equal(t, true, ask(open, p)["active"], p.id)
	}
	require.True(t, open.cfg.tellsAll)
	closed := newWorld(t, with("resource_servers", object{}), others)
	require.False(t, closed.cfg.tellsAll)
	require.Equal(t, object{"active": false}, ask(closed, closed.one), "MS-6.2-1 named is nobody")
}

// signedPush is a pushed request whose parameters are in a request object.
func (p *party) signedPush(changes ...change) *request {
	p.w.t.Helper()
	now := p.w.now().Unix()
	claims := object{"iss": p.id, "client_id": p.id, "aud": p.w.issuer, "nbf": now, "exp": now + 300, "iat": now}
	for name, values := range p.params() {
		claims[name] = values[0]
	}
	object := forge(p.w.t, p.key, object{"alg": p.alg(), "kid": "key-of-" + p.id, "typ": "oauth-authz-req+jwt"}, claims, changes...)
	return p.post("/par", url.Values{"request": {object}, "client_id": {p.id}})
}

func TestSignedRequests(t *testing.T) {
	w := newWorld(t, registration(object{"require_signed_request_object": true}, "two"))
	now := w.now().Unix()
	for _, tc := range []struct {
		name    string
		changes []change
		codes   []string // none: it is accepted
	}{
		{"as it should be", nil, nil},
		{"no typ", []change{header("typ", nil)}, nil},
		{"no iat", []change{claim("iat", nil)}, nil},
		{"nbf 8 s ahead", []change{claim("nbf", now+8)}, nil},
		{"aud is an array with the issuer", []change{claim("aud", []string{"https://other.example", w.issuer})}, nil},
		{"no exp", []change{claim("exp", nil)}, []string{"invalid_request_object"}},
		{"expired", []change{claim("exp", now-60)}, []string{"invalid_request_object"}},
		{"no nbf", []change{claim("nbf", nil)}, []string{"invalid_request_object"}},
		{"good for more than an hour", []change{claim("exp", now+3700)}, []string{"invalid_request_object"}},
		{"from more than an hour ago", []change{claim("nbf", now-3700)}, []string{"invalid_request_object"}},
		{"another aud", []change{claim("aud", "https://other.example")}, []string{"invalid_request_object"}},
		{"no aud", []change{claim("aud", nil)}, []string{"invalid_request_object"}},
		{"another iss", []change{claim("iss", "two")}, []string{"invalid_request_object"}},
		{"another client_id", []change{claim("client_id", "two")}, []string{"invalid_request_object"}},
		{"alg none", []change{header("alg", "none")}, []string{"invalid_request_object"}},
		{"alg RS256", []change{header("alg", "RS256")}, []string{"invalid_request_object"}},
		{"changed after it was signed", []change{header("kid", "key-of-two")}, []string{"invalid_request_object"}},
		{"a request_uri in it", []change{claim("request_uri", "urn:ietf:params:oauth:request_uri:x")}, []string{"invalid_request_object", "invalid_request"}},
		{"no code_challenge", []change{claim("code_challenge", nil)}, []string{"invalid_request"}},
		{"the method plain", []change{claim("code_challenge_method", "plain")}, []string{"invalid_request"}},
		{"another response_type", []change{claim("response_type", "token")}, []string{"unsupported_response_type"}},
		{"no redirect_uri", []change{claim("redirect_uri", nil)}, []string{"invalid_request", "invalid_request_object"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.one.signedPush(tc.changes...).do()
			if tc.codes != nil {
				got.refused(http.StatusBadRequest, tc.codes...)
				return
			}
			reference := got.ok(http.StatusCreated).str("request_uri")
			require.Equal(t, "state-of-one", w.get(w.one.front(reference)).location().Query().Get("state"))
		})
	}
	t.Run("another client's", func(t *testing.T) {
		r := w.one.signedPush()
		r.form.Set("request", w.mixed.signedPush(claim("iss", "one"), claim("client_id", "one")).form.Get("request"))
		r.do().refused(http.StatusBadRequest, "invalid_request_object")
	})
	t.Run("nothing counts that is not signed", func(t *testing.T) {
		got := w.one.signedPush().with("state", "unsigned").with("scope", "payments").do()
		if got.status == http.StatusCreated {
			require.Equal(t, "state-of-one", w.get(w.one.front(got.str("request_uri"))).location().Query().Get("state"))
		}
	})
	t.Run("MS-5.3.1-1 a client that has to sign and does not", func(t *testing.T) {
		w.two.push().do().refused(http.StatusBadRequest, "invalid_request", "invalid_request_object")
		w.two.signedPush().do().ok(http.StatusCreated)
	})
}

func TestSignedResponses(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil), registration(object{"response_modes": []string{"jwt", "query", "form_post.jwt"}}))
	decide := func(button string, changes ...func(*request)) url.Values {
		b := w.newBrowser()
		return b.press(b.logIn(b.open(w.one.front(w.one.pushed(changes...))), "alice", "correct horse"), button, nil).location().Query()
	}
	for _, button := range []string{"approve", "deny"} {
		q := decide(button, param("response_mode", "jwt"))
		for _, name := range []string{"code", "state", "iss", "error"} {
			require.NotContains(t, q, name, "MS-5.4.1-1 all of it is inside")
		}
		head, claims := unseal(t, q.Get("response"))
		require.Equal(t, "ES256", head["alg"])
		require.NotEmpty(t, head["kid"])
		require.Equal(t, w.issuer, claims["iss"])
		require.Equal(t, "one", claims["aud"])
		require.LessOrEqual(t, claims["exp"].(float64), float64(w.now().Unix()+600))
		require.Equal(t, "state-of-one", claims["state"])
		if button == "deny" {
			require.Equal(t, "access_denied", claims["error"])
			continue
		}
		w.one.redeem(claims["code"].(string)).do().ok(http.StatusOK)
	}
	t.Run("errors of the endpoint itself are signed too", func(t *testing.T) {
		to := w.newBrowser().open(w.one.front(w.one.pushed(param("response_mode", "jwt"), param("prompt", "none")))).location()
		_, claims := unseal(t, to.Query().Get("response"))
		require.Equal(t, "login_required", claims["error"])
	})
	t.Run("by a form that posts itself", func(t *testing.T) {
		b := w.newBrowser()
		page := b.press(b.logIn(b.open(w.one.front(w.one.pushed(param("response_mode", "form_post.jwt")))), "alice", "correct horse"), "approve", nil)
		require.Contains(t, page.ok(http.StatusOK).header.Get("Content-Type"), "text/html")
		require.Contains(t, string(page.body), `name="response"`)
	})
}

func TestAdvanced(t *testing.T) {
	w := newWorld(t, with("message_signing", []string{"authorization_request", "authorization_response", "introspection"}),
		registration(object{"response_modes": []string{"jwt"}}))
	m := w.get(w.issuer + "/.well-known/oauth-authorization-server").json()
	require.Equal(t, true, m["require_signed_request_object"])
	require.NotContains(t, m["response_modes_supported"], "query")
	for _, p := range w.all() {
		p.push().do().refused(http.StatusBadRequest, "invalid_request", "invalid_request_object")
		p.signedPush().do().refused(http.StatusBadRequest, "invalid_request") // an unsigned response is asked for
		reference := p.signedPush(claim("response_mode", "jwt")).do().ok(http.StatusCreated).str("request_uri")
		_, claims := unseal(t, w.get(p.front(reference)).location().Query().Get("response"))
		token := p.redeem(claims["code"].(string)).do().ok(http.StatusOK).str("access_token")
		p.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
		answer := w.rs.post("/introspect", url.Values{"token": {token}}).do().ok(http.StatusOK)
		require.True(t, strings.HasPrefix(answer.header.Get("Content-Type"), "application/token-introspection+jwt"))
	}
}

func TestPermissionsAreBoundedButThoseThatNobodyIsAskedFor(t *testing.T) {
	p := permissions{nobody: "robot", records: newRecords(t, time.Now)}
	now := time.Now()
	for user, want := range map[string]int{"alice": 3, "robot": 0} {
		dropped := 0
		for i := range maxApps + 3 {
			over, err := p.add(t.Context(), user, permission{ID: strconv.Itoa(i), Since: now, Until: now.Add(time.Hour)})
			require.NoError(t, err)
			dropped += len(over)
		}
		require.Equal(t, want, dropped, user) // what is dropped is withdrawn, with its tokens
	}
}
