package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryKindOfClientGetsToItsAccounts(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.all() {
		t.Run(p.id, func(t *testing.T) {
			r := p.redeem(p.code()).do().ok(http.StatusOK)
			require.Contains(t, r.header.Get("Cache-Control"), "no-store")
			tokens := r.json()
			wanted := "DPoP"
			if p.bound {
				wanted = "Bearer"
			}
			require.Equal(t, wanted, tokens["token_type"])
			require.Positive(t, tokens["expires_in"])
			answer := p.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
			require.Equal(t, "alice", answer["owner"])
			require.Len(t, answer["accounts"], 2)
			head, claims := unseal(t, tokens["id_token"].(string))
			require.NotEmpty(t, head["kid"])
			require.Equal(t, "ES256", head["alg"])
			require.Equal(t, w.issuer, claims["iss"])
			require.Equal(t, p.id, claims["aud"])
			require.Equal(t, "alice", claims["sub"])
			require.Equal(t, "nonce-of-"+p.id, claims["nonce"])
			require.Greater(t, claims["exp"], claims["iat"])
			_, access := unseal(t, tokens["access_token"].(string))
			require.Equal(t, w.issuer, access["aud"], "the resource of a client that named none")
			require.Equal(t, answer["owner"], access["sub"])
		})
	}
	t.Run("without openid there is no ID token", func(t *testing.T) {
		require.NotContains(t, w.one.tokens(param("scope", "accounts"), param("nonce", "")), "id_token")
	})
}

func TestResources(t *testing.T) {
	w := newWorld(t, func(cfg object) {
		cfg["resources"] = []string{cfg["issuer"].(string), "https://other.example/api"}
	})
	_, claims := unseal(t, w.one.accessToken(param("resource", "https://other.example/api")))
	require.Equal(t, "https://other.example/api", claims["aud"])
	w.one.call(http.MethodGet, "/accounts", w.one.accessToken(param("resource", "https://other.example/api"))).do().ok(http.StatusUnauthorized)
	code := w.one.code(func(r *request) { r.form["resource"] = []string{w.issuer, "https://other.example/api"} })
	token := w.one.redeem(code).with("resource", w.issuer).do().ok(http.StatusOK).str("access_token")
	w.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
}

func TestRefreshTokens(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.all() {
		t.Run(p.id, func(t *testing.T) {
			tokens := p.tokens()
			refresh := tokens["refresh_token"].(string)
			w.advance(time.Second)
			for _, scope := range []string{"", "accounts", "openid accounts"} { // not rotated: the same one again and again
				w.advance(31 * time.Second)
				r := p.refresh(refresh).with("scope", scope).do().ok(http.StatusOK)
				require.Contains(t, r.header.Get("Cache-Control"), "no-store")
				require.NotEqual(t, tokens["access_token"], r.str("access_token"))
				p.call(http.MethodGet, "/accounts", r.str("access_token")).do().ok(http.StatusOK)
			}
			p.refresh(refresh).with("scope", "payments").do().refused(http.StatusBadRequest, "invalid_scope")
			anonymous := p.refresh(refresh).with("client_id", p.id)
			anonymous.client, anonymous.certificate = nil, nil
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, anonymous.do().status)
		})
	}
	t.Run("are bound to the client and not to its DPoP key", func(t *testing.T) {
		refresh := w.one.tokens()["refresh_token"].(string)
		w.two.refresh(refresh).do().refused(http.StatusBadRequest, "invalid_grant")
		newKey := w.one.refresh(refresh)
		newKey.dpop = newEC(t)
		token := newKey.do().ok(http.StatusOK).str("access_token")
		call := w.one.call(http.MethodGet, "/accounts", token)
		call.dpop = newKey.dpop
		call.do().ok(http.StatusOK)
		w.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusUnauthorized)
		noProof := w.one.refresh(refresh)
		noProof.dpop = nil
		noProof.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
	})
}

func TestClientCredentials(t *testing.T) {
	w := newWorld(t)
	for _, p := range w.all() {
		tokens := p.own().do().ok(http.StatusOK).json()
		require.NotContains(t, tokens, "refresh_token")
		require.NotContains(t, tokens, "id_token")
		_, claims := unseal(t, tokens["access_token"].(string))
		require.Equal(t, p.id, claims["sub"])
		require.NotEmpty(t, claims["cnf"])
		answer := p.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
		require.Empty(t, answer["accounts"])
	}
	t.Run("of a client that has no redirect_uris", func(t *testing.T) {
		w := newWorld(t, registration(object{"redirect_uris": nil, "grant_types": []string{"client_credentials"}}, "two"))
		w.two.own().do().ok(http.StatusOK)
		w.two.push().do().refused(http.StatusBadRequest, "unauthorized_client", "invalid_request")
	})
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.one.own().with("grant_type", "password").do().refused(http.StatusBadRequest, "unsupported_grant_type")
	w.one.own().with("grant_type", "").do().refused(http.StatusBadRequest, "invalid_request")
	w.one.own().with("scope", "accounts admin").do().refused(http.StatusBadRequest, "invalid_scope")
	w.one.redeem("made-up").do().refused(http.StatusBadRequest, "invalid_grant")
	w.one.redeem("").do().refused(http.StatusBadRequest, "invalid_request", "invalid_grant")
	w.one.refresh("made-up").do().refused(http.StatusBadRequest, "invalid_grant")
	w.one.own().with("anything_else", "is ignored").do().ok(http.StatusOK)
}

func TestProofsAtTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	for _, tc := range proofCases(w) {
		t.Run(tc.name, func(t *testing.T) {
			r := w.one.own()
			r.proof = tc.changes
			if tc.good {
				r.do().ok(http.StatusOK)
			} else {
				r.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
			}
		})
	}
	t.Run("no proof is not asked for a nonce", func(t *testing.T) {
		r := w.one.own()
		r.dpop = nil
		r.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
	})
	t.Run("two proofs", func(t *testing.T) {
		r := w.one.own()
		r.dpop = nil
		r.header["Dpop"] = []string{w.proof(w.one.dpop, "POST", r.url), w.proof(w.one.dpop, "POST", r.url)}
		r.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
	})
}

// A proofCase is a valid proof with changes.
type proofCase struct {
	name    string
	changes []change
	good    bool
}

func proofCases(w *world) []proofCase {
	now := w.now().Unix()
	return []proofCase{
		{"as it should be", nil, true},
		{"10 s old", []change{claim("iat", now-10)}, true},
		{"8 s ahead", []change{claim("iat", now+8)}, true},
		{"an hour old", []change{claim("iat", now-3600)}, false},
		{"an hour ahead", []change{claim("iat", now+3600)}, false},
		{"nbf and exp beside", []change{claim("nbf", now-5), claim("exp", now+60)}, true},
		{"its own exp does not prolong it", []change{claim("iat", now-3600), claim("exp", now+3600)}, false},
		{"another method", []change{claim("htm", "PUT")}, false},
		{"another URL", []change{claim("htu", "https://other.example/")}, false},
		{"no jti", []change{claim("jti", nil)}, false},
		{"no iat", []change{claim("iat", nil)}, false},
		{"no htu", []change{claim("htu", nil)}, false},
		{"no htm", []change{claim("htm", nil)}, false},
		{"another typ", []change{header("typ", "JWT")}, false},
		{"alg none", []change{header("alg", "none")}, false},
		{"alg RS256", []change{header("alg", "RS256")}, false},
		{"no key", []change{header("jwk", nil)}, false},
		{"the private key in it", []change{func(h, _ object) { h["jwk"].(object)["d"] = "AA" }}, false},
		{"another key in it", []change{header("jwk", publicJWK(w.t, newEC(w.t).Public()))}, false},
		{"a member that nobody knows", []change{claim("anything", 1), header("other", "x")}, true},
	}
}

func TestNonces(t *testing.T) {
	w := newWorld(t, with("require_dpop_nonce", true))
	nonceOf := func(r reply) string {
		require.Len(t, r.header.Values("DPoP-Nonce"), 1)
		require.Regexp(t, `^[\x21\x23-\x5b\x5d-\x7e]+$`, r.header.Get("DPoP-Nonce"))
		return r.header.Get("DPoP-Nonce")
	}
	r := w.one.own()
	r.assertion = []change{claim("jti", "of both attempts")}
	asked := r.do()
	asked.refused(http.StatusBadRequest, "use_dpop_nonce")
	r.proof = []change{claim("nonce", nonceOf(asked))}
	answer := r.do().ok(http.StatusOK) // with the same assertion: asking for a nonce uses nothing up
	nonceOf(answer)
	call := w.one.call(http.MethodGet, "/accounts", answer.str("access_token"))
	asked = call.do().ok(http.StatusUnauthorized)
	require.Regexp(t, `^DPoP .*error="use_dpop_nonce"`, strings.Join(asked.header.Values("WWW-Authenticate"), "\n"))
	call.proof = []change{claim("nonce", nonceOf(asked))}
	nonceOf(call.do().ok(http.StatusOK))
	t.Run("one that was never given", func(t *testing.T) {
		r.assertion, r.proof = nil, []change{claim("nonce", "made-up")}
		r.do().refused(http.StatusBadRequest, "use_dpop_nonce")
	})
	t.Run("no proof at all is another error", func(t *testing.T) {
		r.dpop = nil
		r.do().refused(http.StatusBadRequest, "invalid_dpop_proof", "invalid_request")
	})
	t.Run("that of the server is none of the API", func(t *testing.T) {
		call.proof = []change{claim("nonce", nonceOf(answer))}
		call.do().ok(http.StatusUnauthorized)
	})
	t.Run("clients with certificates are not asked", func(t *testing.T) { w.tlsOne.own().do().ok(http.StatusOK) })
}

func TestAlgorithmsOfClients(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	keys := object{"keys": []object{publicJWK(t, rsaKey.Public()), publicJWK(t, edKey.Public())}}
	w := newWorld(t, registration(object{"jwks": keys}, "one"))
	for _, tc := range []struct {
		alg  string
		ed   bool
		good bool
	}{{"PS256", false, true}, {"EdDSA", true, true}, {"Ed25519", true, true}, {"RS256", false, false}, {"PS384", false, false}} {
		r := w.one.own()
		r.assertion = []change{header("alg", tc.alg), header("kid", nil)}
		if r.key = rsaKey; tc.ed {
			r.key = edKey
		}
		if tc.good {
			r.do().ok(http.StatusOK)
		} else {
			r.do().refused(http.StatusUnauthorized, "invalid_client")
		}
	}
}
