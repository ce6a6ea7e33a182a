package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPushedRequestIsAnsweredAsItShouldBe(t *testing.T) {
	w := newWorld(t, with("request_uri_seconds", 120))
	for _, p := range w.all() {
		r := p.push().do().ok(http.StatusCreated)
		require.Equal(t, 120.0, r.json()["expires_in"])
		reference := r.str("request_uri")
		require.True(t, strings.HasPrefix(reference, "urn:ietf:params:oauth:request_uri:"))
		require.GreaterOrEqual(t, len(reference)-strings.LastIndexByte(reference, ':')-1, 22, "128 bits of chance")
		require.NotEqual(t, reference, p.pushed())
	}
}

func TestPushedRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name   string
		change func(r *request)
		codes  []string
	}{
		{"PAR-2.1-5 a request_uri in the form", param("request_uri", "urn:ietf:params:oauth:request_uri:other"), []string{"invalid_request"}},
		{"PKCE-4.4.1-1 no code_challenge", param("code_challenge", ""), []string{"invalid_request"}},
		{"SP-5.3.2.2-5 the method plain", param("code_challenge_method", "plain"), []string{"invalid_request"}},
		{"no method, which means plain", param("code_challenge_method", ""), []string{"invalid_request"}},
		{"a challenge of 42 characters", param("code_challenge", challenge[1:]), []string{"invalid_request"}},
		{"a challenge of 129 characters", param("code_challenge", strings.Repeat("a", 129)), []string{"invalid_request"}},
		{"SP-5.3.2.2-1 response_type token", param("response_type", "token"), []string{"unsupported_response_type"}},
		{"response_type code id_token", param("response_type", "code id_token"), []string{"unsupported_response_type"}},
		{"SP-5.3.2.2-6 no redirect_uri", param("redirect_uri", ""), []string{"invalid_request"}},
		{"a redirect_uri that is not registered", param("redirect_uri", "https://evil.example/callback"), []string{"invalid_request"}},
		{"a redirect_uri whose query differs", param("redirect_uri", "https://app.example/callback?dummy1=lorem"), []string{"invalid_request"}},
		{"response_mode fragment", param("response_mode", "fragment"), []string{"invalid_request", "unsupported_response_mode"}},
		{"a scope that the client does not have", param("scope", "openid admin"), []string{"invalid_scope"}},
		{"a resource that nobody knows", param("resource", "https://other.example"), []string{"invalid_target"}},
		{"a malformed dpop_jkt", param("dpop_jkt", "short"), []string{"invalid_request", "invalid_dpop_proof"}},
		{"another client's client_id beside the assertion", param("client_id", "two"), []string{"invalid_request", "invalid_client"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.one.push()
			tc.change(r)
			got := r.do()
			if got.status == http.StatusUnauthorized {
				got.refused(http.StatusUnauthorized, "invalid_client")
				return
			}
			got.refused(http.StatusBadRequest, tc.codes...)
		})
	}
}

func TestOnlyPostsArePushed(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		r := w.one.push()
		r.method = method
		require.Equal(t, http.StatusMethodNotAllowed, r.do().status, method)
	}
	r := w.one.push()
	r.header.Set("Content-Type", "multipart/form-data; boundary=x")
	require.GreaterOrEqual(t, r.do().status, 400)
	r = w.one.push()
	r.form.Add("state", "a second one")
	r.do().refused(http.StatusBadRequest, "invalid_request")
	r = w.one.push()
	r.form.Set("not_a_parameter", "of anything") // BASE-6749-3.1-1
	r.do().ok(http.StatusCreated)
}

func TestWhatIsPushedComesBackIntact(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("0123456789-abcdefghijklmnopqrstuvwxyz.ABCDEFGHIJKLMNOPQRSTUVWXYZ_~", 16)
	for _, p := range []*party{w.one, w.tlsOne} {
		for _, tc := range []struct{ state, nonce string }{
			{long[:128], long[:64]}, {long[:1000], long[:384]}, {"with spaces, ümlauts & = ? #", "n"}, {"", ""},
		} {
			callback := p.callback(param("state", tc.state), param("nonce", tc.nonce))
			require.Equal(t, tc.state, callback.Get("state"))
			require.Equal(t, tc.state != "", callback.Has("state"), "state that was not sent does not come back")
			tokens := p.redeem(callback.Get("code")).do().ok(http.StatusOK).json()
			_, claims := unseal(t, tokens["id_token"].(string))
			if tc.nonce == "" {
				require.NotContains(t, claims, "nonce")
			} else {
				require.Equal(t, tc.nonce, claims["nonce"])
			}
		}
	}
}

func TestTheQueryOfARedirectURISurvives(t *testing.T) {
	w := newWorld(t)
	to := w.get(w.one.front(w.one.pushed())).location()
	require.True(t, strings.HasPrefix(to.String(), redirectURI+"&"), to)
	require.Equal(t, "lorem", to.Query().Get("dummy1"))
	require.Equal(t, "ipsum", to.Query().Get("dummy2"))
	for name, values := range to.Query() {
		require.Len(t, values, 1, name)
	}
	w.one.redirect = "https://app.example/other"
	to = w.get(w.one.front(w.one.pushed())).location()
	require.Equal(t, "/other", to.Path)
}

func TestTheOrderOfScopesMeansNothing(t *testing.T) {
	w := newWorld(t)
	for _, scope := range []string{"openid accounts payments", "payments openid accounts", "accounts payments openid"} {
		granted := w.one.tokens(param("scope", scope))["scope"].(string)
		require.ElementsMatch(t, strings.Fields(scope), strings.Fields(granted))
	}
}

func TestClientsThatDoNotAuthenticate(t *testing.T) {
	w := newWorld(t)
	for _, make := range []func(p *party) *request{(*party).push, (*party).own, func(p *party) *request { return p.refresh("none") }} {
		for _, p := range w.all() {
			r := make(p)
			r.client, r.certificate = nil, nil
			r.form.Set("client_id", p.id)
			got := r.do()
			if got.status == http.StatusUnauthorized {
				got.refused(http.StatusUnauthorized, "invalid_client")
			} else {
				got.refused(http.StatusBadRequest, "invalid_client", "invalid_request")
			}
		}
	}
}

func TestClientAssertions(t *testing.T) {
	w := newWorld(t)
	now := func() int64 { return w.now().Unix() }
	for _, tc := range []struct {
		name    string
		changes []change
		good    bool
	}{
		{"as it should be", nil, true},
		{"iat and nbf 8 s ahead", []change{claim("iat", now()+8), claim("nbf", now()+8)}, true},
		{"no iat, no nbf", []change{claim("iat", nil), claim("nbf", nil)}, true},
		{"iat 61 s ahead", []change{claim("iat", now()+61)}, false},
		{"nbf 61 s ahead", []change{claim("nbf", now()+61)}, false},
		{"expired", []change{claim("exp", now()-5)}, false},
		{"no exp", []change{claim("exp", nil)}, false},
		{"good for a day", []change{claim("exp", now()+86400)}, false},
		{"SP-5.3.2.1-8 aud is an array", []change{claim("aud", []string{w.issuer})}, false},
		{"aud is the token endpoint", []change{claim("aud", w.issuer+"/token")}, false},
		{"aud is the endpoint for pushed requests", []change{claim("aud", w.issuer+"/par")}, false},
		{"aud with a slash", []change{claim("aud", w.issuer+"/")}, false},
		{"no aud", []change{claim("aud", nil)}, false},
		{"no sub", []change{claim("sub", nil)}, false},
		{"another sub", []change{claim("sub", "two")}, false},
		{"no iss", []change{claim("iss", nil)}, false},
		{"another iss", []change{claim("iss", "two")}, false},
		{"no jti", []change{claim("jti", nil)}, false},
		{"alg none", []change{header("alg", "none")}, false},
		{"alg RS256", []change{header("alg", "RS256")}, false},
		{"alg HS256", []change{header("alg", "HS256")}, false},
		{"a private key in the header", []change{header("jwk", object{"kty": "EC", "d": "AA"})}, true}, // not looked at
		{"a crit that nobody knows", []change{header("crit", []string{"exp"})}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, make := range []func(*party) *request{(*party).push, (*party).own} {
				r := make(w.one)
				r.assertion = tc.changes
				got := r.do()
				if tc.good {
					require.Less(t, got.status, 300, "%s", got.body)
				} else if got.status == http.StatusBadRequest {
					got.refused(http.StatusBadRequest, "invalid_client")
				} else {
					got.refused(http.StatusUnauthorized, "invalid_client")
				}
			}
		})
	}
	t.Run("signed by another client's key", func(t *testing.T) {
		r := w.one.push()
		r.key = w.two.key
		r.do().refused(http.StatusUnauthorized, "invalid_client")
	})
	t.Run("used a second time", func(t *testing.T) {
		r := w.one.push()
		r.assertion = []change{claim("jti", "the same")}
		r.do().ok(http.StatusCreated)
		r.do().refused(http.StatusUnauthorized, "invalid_client")
	})
	t.Run("without client_id in the form, and with it", func(t *testing.T) {
		w.one.push().do().ok(http.StatusCreated)
		w.one.push().with("client_id", "one").do().ok(http.StatusCreated)
	})
}

func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	for _, make := range []func(*party) *request{(*party).push, (*party).own} {
		r := make(w.tlsOne)
		r.certificate = w.tlsTwo.certificate
		r.do().refused(http.StatusUnauthorized, "invalid_client")
		r = make(w.tlsOne)
		r.certificate = nil
		r.do().refused(http.StatusUnauthorized, "invalid_client")
	}
	t.Run("a client with assertions shows its certificate where tokens are bound, and there alone", func(t *testing.T) {
		r := w.mixed.push()
		r.certificate = nil
		reference := r.do().ok(http.StatusCreated).str("request_uri")
		code := w.get(w.mixed.front(reference)).location().Query().Get("code")
		without := w.mixed.redeem(code)
		without.certificate = nil
		require.GreaterOrEqual(t, without.do().status, 400)
		w.mixed.redeem(code).do().ok(http.StatusOK)
	})
}

func TestCertificatesThatClientsSignThemselves(t *testing.T) {
	key := newEC(t)
	own := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "own"}, DNSNames: []string{"tls-two.example"}, IsCA: true}, nil, key)
	w := newWorld(t, registration(object{
		"token_endpoint_auth_method": "self_signed_tls_client_auth", "tls_client_auth_san_dns": nil, "jwks": object{"keys": []object{publicJWK(t, key.Public())}},
	}, "tls-one"))
	for _, p := range []*party{w.tlsOne, w.mixed} { // as openssl req -x509 makes them: CA:TRUE
		p.certificate = own
		call := p.call(http.MethodGet, "/accounts", p.accessToken())
		call.do().ok(http.StatusOK)
		call.certificate = w.tlsTwo.certificate
		call.do().ok(http.StatusUnauthorized)
	}
	w.tlsTwo.certificate = own // with the name that is registered for it
	w.tlsTwo.push().do().refused(http.StatusUnauthorized, "invalid_client")
	another := w.tlsOne.push()
	another.certificate = certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "own"}, IsCA: true}, nil, newEC(t))
	another.do().refused(http.StatusUnauthorized, "invalid_client")
}

func TestACodeIsBoundToADPoPKey(t *testing.T) {
	w := newWorld(t)
	jkt := thumbprint(t, w.one.dpop)
	withProof := func(r *request) { r.dpop = w.one.dpop }
	for _, tc := range []struct {
		name   string
		change func(r *request)
	}{
		{"by dpop_jkt alone", param("dpop_jkt", jkt)},
		{"by a proof alone", withProof},
		{"by both", func(r *request) { withProof(r); r.with("dpop_jkt", jkt) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code := w.one.code(tc.change)
			wrong := w.one.redeem(code)
			wrong.dpop = newEC(t)
			wrong.do().refused(http.StatusBadRequest, "invalid_grant", "invalid_dpop_proof")
			w.one.redeem(code).do().ok(http.StatusOK)
		})
	}
	t.Run("a proof by another key than dpop_jkt names is refused at once", func(t *testing.T) {
		r := w.one.push().with("dpop_jkt", thumbprint(t, newEC(t)))
		r.dpop = w.one.dpop
		r.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
	})
	t.Run("without either any key will do", func(t *testing.T) {
		r := w.one.redeem(w.one.code())
		r.dpop = newEC(t)
		r.do().ok(http.StatusOK)
	})
}

func TestARequestURIExpires(t *testing.T) {
	w := newWorld(t, with("request_uri_seconds", 5))
	reference := w.one.pushed()
	w.advance(6 * time.Second)
	page := w.get(w.one.front(reference))
	require.GreaterOrEqual(t, page.status, 400)
	require.Contains(t, page.header.Get("Content-Type"), "text/html")
	require.Contains(t, string(page.body), "invalid_request_uri")
}
