package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheAPIAnswers(t *testing.T) {
	w := newWorld(t)
	const id = "93bac548-d2de-4546-b106-880a5018460d"
	for _, p := range w.all() {
		token := p.accessToken()
		call := p.call(http.MethodGet, "/accounts", token)
		for _, accept := range []string{"", "application/json", "application/json; charset=utf-8", "text/html, */*;q=0.1"} {
			if call.header.Set("X-Fapi-Interaction-Id", id); accept != "" {
				call.header.Set("Accept", accept)
			}
			got := call.do().ok(http.StatusOK)
			require.Equal(t, "alice", got.str("owner"))
			require.Equal(t, id, got.header.Get("X-Fapi-Interaction-Id"))
			_, err := http.ParseTime(got.header.Get("Date"))
			require.NoError(t, err)
		}
		call.scheme = strings.ToUpper(call.scheme)
		call.do().ok(http.StatusOK)
		call.scheme = strings.ToLower(call.scheme)
		call.do().ok(http.StatusOK)
	}
	require.Contains(t, w.log.String(), `"interaction_id":"`+id+`"`)
}

func TestProofsAtTheAPI(t *testing.T) {
	w := newWorld(t)
	token := w.one.accessToken()
	for _, tc := range append(proofCases(w), []proofCase{
		{"no ath", []change{claim("ath", nil)}, false},
		{"that of another token", []change{claim("ath", hash("another"))}, false},
		{"with query and fragment in its URL", []change{claim("htu", w.issuer+"/accounts?a=b#c")}, true},
		{"with scheme and host in capitals", []change{claim("htu", strings.ToUpper(w.issuer)+"/accounts")}, true},
		{"with the path in capitals", []change{claim("htu", w.issuer+"/ACCOUNTS")}, false},
		{"with a slash at the end", []change{claim("htu", w.issuer+"/accounts/")}, false},
		{"for where certificates are asked for", []change{claim("htu", w.mtls+"/accounts")}, false},
	}...) {
		t.Run(tc.name, func(t *testing.T) {
			call := w.one.call(http.MethodGet, "/accounts", token)
			call.proof = tc.changes
			got := call.do()
			if tc.good {
				got.ok(http.StatusOK)
				return
			}
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, got.status)
			require.Regexp(t, `error="(invalid_dpop_proof|invalid_token)"`, got.header.Get("WWW-Authenticate"))
		})
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	token, bound := w.one.accessToken(), w.tlsOne.accessToken()
	call := func() *request { return w.one.call(http.MethodGet, "/accounts", token) }
	tlsCall := func() *request { return w.tlsOne.call(http.MethodGet, "/accounts", bound) }
	for _, tc := range []struct {
		name string
		call *request
	}{
		{"without a token", &request{p: w.one, method: "GET", url: w.issuer + "/accounts"}},
		{"with the token in the query", &request{p: w.one, method: "GET", url: w.issuer + "/accounts?access_token=" + token, dpop: w.one.dpop}},
		{"bound by DPoP, sent as Bearer", changed(call(), func(r *request) { r.scheme = "Bearer" })},
		{"bound by DPoP, sent as Bearer without a proof", changed(call(), func(r *request) { r.scheme, r.dpop = "Bearer", nil })},
		{"DPoP without a proof", changed(call(), func(r *request) { r.dpop = nil })},
		{"a proof by another key", changed(call(), func(r *request) { r.dpop = newEC(t) })},
		{"a forged token", changed(call(), func(r *request) { r.token = forged(t, token, w) })},
		{"a token that is none", changed(call(), func(r *request) { r.token = "made-up" })},
		{"bound to a certificate, sent without one", changed(tlsCall(), func(r *request) { r.certificate = nil })},
		{"bound to a certificate, sent with another", changed(tlsCall(), func(r *request) { r.certificate = w.tlsTwo.certificate })},
		{"bound to a certificate, sent where none is asked for", changed(tlsCall(), func(r *request) { r.url = w.issuer + "/accounts" })},
		{"bound to a certificate, sent as DPoP", changed(tlsCall(), func(r *request) { r.scheme, r.dpop = "DPoP", w.one.dpop })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.call.do()
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, got.status, "%s", got.body)
			require.NotEmpty(t, got.header.Get("WWW-Authenticate"))
			require.NotContains(t, string(got.body), "XX00")
		})
	}
	t.Run("two proofs, and an empty one first", func(t *testing.T) {
		for _, proofs := range [][]string{
			{w.proof(w.one.dpop, "GET", w.issuer+"/accounts", claim("ath", hash(token))), w.proof(w.one.dpop, "GET", w.issuer+"/accounts", claim("ath", hash(token)))},
			{"", w.proof(w.one.dpop, "GET", w.issuer+"/accounts", claim("ath", hash(token)))},
		} {
			r := changed(call(), func(r *request) { r.dpop = nil })
			r.header["Dpop"] = proofs
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, r.do().status)
		}
	})
	t.Run("a proof a second time", func(t *testing.T) {
		r := changed(call(), func(r *request) { r.proof = []change{claim("jti", "the same")} })
		r.do().ok(http.StatusOK)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, r.do().status)
	})
	t.Run("a scope that is missing", func(t *testing.T) {
		got := w.one.call(http.MethodGet, "/accounts", w.one.accessToken(param("scope", "openid"))).do().ok(http.StatusForbidden)
		require.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
		require.Contains(t, got.header.Get("WWW-Authenticate"), `scope="accounts"`)
	})
	t.Run("a token that is over", func(t *testing.T) {
		w.advance(10 * time.Minute)
		require.Equal(t, http.StatusUnauthorized, call().do().status)
	})
}

func changed(r *request, change func(r *request)) *request {
	change(r)
	return r
}

// forged is a token that the client has signed with its own key.
func forged(t *testing.T, token string, w *world) string {
	h, c := unseal(t, token)
	return forge(t, w.one.key, h, c)
}
