package resourceserver_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A rejected proof has no effect on the replay store.
func TestProofsRejected(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	h := func(name string, value any) func(header, claims map[string]any) {
		return func(header, _ map[string]any) {
			if header[name] = value; value == nil {
				delete(header, name)
			}
		}
	}
	c := func(name string, value any) func(header, claims map[string]any) {
		return func(_, payload map[string]any) {
			if payload[name] = value; value == nil {
				delete(payload, name)
			}
		}
	}
	now := w.clock.Now().Unix()
	one := w.forge(token, key)
	for _, tc := range []struct {
		name   string
		proofs []string
		code   string
	}{
		{"CS-16 no proof", nil, "invalid_dpop_proof"},
		{"CS-16 two headers", []string{one, w.forge(token, key)}, "invalid_dpop_proof"},
		{"CS-16 the same one twice", []string{one, one}, "invalid_dpop_proof"},
		{"CS-16 an empty one first", []string{"", one}, "invalid_dpop_proof"},
		{"CS-16 empty", []string{""}, "invalid_dpop_proof"},
		{"CS-16 upper case", []string{strings.ToUpper(one)}, "invalid_dpop_proof"},
		{"CS-16 malformed", []string{"not a JWT"}, "invalid_dpop_proof"},
		{"CS-16 two in one value", []string{one + "," + one}, "invalid_dpop_proof"},
		{"CS-16 the token for a proof", []string{token}, "invalid_dpop_proof"},
		{"CS-16 no typ", []string{w.forge(token, key, h("typ", nil))}, "invalid_dpop_proof"},
		{"CS-16 no alg", []string{w.forge(token, key, h("alg", nil))}, "invalid_dpop_proof"},
		{"CS-16 no jwk", []string{w.forge(token, key, h("jwk", nil))}, "invalid_dpop_proof"},
		{"CS-16 typ of another JWT", []string{w.forge(token, key, h("typ", "JWT"))}, "invalid_dpop_proof"},
		{"CS-16 RS256", []string{w.forge(token, key, h("alg", "RS256"))}, "invalid_dpop_proof"},
		{"CS-16 none", []string{w.forge(token, key, h("alg", "none"))}, "invalid_dpop_proof"},
		{"CS-16 HS256", []string{w.forge(token, key, h("alg", "HS256"))}, "invalid_dpop_proof"},
		{"CS-16 a private key", []string{w.forge(token, key, func(header, _ map[string]any) { header["jwk"].(map[string]any)["d"] = strings.Repeat("A", 43) })}, "invalid_dpop_proof"},
		{"CS-16 bad signature", []string{one[:len(one)-8] + "AAAAAAAA"}, "invalid_dpop_proof"},
		{"CS-16 no jti", []string{w.forge(token, key, c("jti", nil))}, "invalid_dpop_proof"},
		{"CS-16 no htm", []string{w.forge(token, key, c("htm", nil))}, "invalid_dpop_proof"},
		{"CS-16 no htu", []string{w.forge(token, key, c("htu", nil))}, "invalid_dpop_proof"},
		{"CS-16 no iat", []string{w.forge(token, key, c("iat", nil))}, "invalid_dpop_proof"},
		{"CS-16 no ath", []string{w.forge(token, key, c("ath", nil))}, "invalid_dpop_proof"},
		{"CS-16 wrong ath", []string{w.forge(token, key, c("ath", ath("other")))}, "invalid_dpop_proof"},
		{"CS-16 wrong htm", []string{w.forge(token, key, c("htm", "POST"))}, "invalid_dpop_proof"},
		{"CS-16 htm in small letters", []string{w.forge(token, key, c("htm", "get"))}, "invalid_dpop_proof"},
		{"CS-16 wrong path", []string{w.forge(token, key, c("htu", w.http.URL+"/payments"))}, "invalid_dpop_proof"},
		{"CS-16 wrong host", []string{w.forge(token, key, c("htu", "https://other.example/accounts"))}, "invalid_dpop_proof"},
		{"CS-16 path in another case", []string{w.forge(token, key, c("htu", w.http.URL+"/Accounts"))}, "invalid_dpop_proof"},
		{"CS-16 an hour old", []string{w.forge(token, key, c("iat", now-3600))}, "invalid_dpop_proof"},
		{"CS-16 an hour ahead", []string{w.forge(token, key, c("iat", now+3600))}, "invalid_dpop_proof"},
		{"CS-16 AM-5.2 another key", []string{w.forge(token, testkit.ECKey(t, "attacker"))}, "invalid_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fields := []string{"Authorization", "DPoP " + token}
			for _, proof := range tc.proofs {
				fields = append(fields, "DPoP", proof)
			}
			response, body := w.call("/accounts", fields...)
			require.Equal(t, http.StatusUnauthorized, response.StatusCode)
			require.JSONEq(t, `"`+tc.code+`"`, member(t, body, "error"))
			challenges := response.Header.Values("WWW-Authenticate")
			require.Len(t, challenges, 1)
			require.True(t, strings.HasPrefix(challenges[0], `DPoP error="`+tc.code+`", error_description="`), challenges[0])
			require.Contains(t, challenges[0], `scope="accounts"`)
			require.Contains(t, challenges[0], `algs="ES256 PS256 EdDSA Ed25519"`, "DPOP-7.1-5")
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
		})
	}
	require.Zero(t, w.served.Load())
	require.Zero(t, w.uses.Load(), "a rejected proof is not recorded")
	response, _ := w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", one)
	require.Equal(t, http.StatusOK, response.StatusCode, "the proof of rejected requests is still valid")
	require.NotContains(t, w.log.String(), token)
	require.NotContains(t, w.log.String(), one)
}

func TestProofsAccepted(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	host := strings.TrimPrefix(w.http.URL, "https://")
	c := func(name string, value any) func(header, claims map[string]any) {
		return func(_, payload map[string]any) { payload[name] = value }
	}
	now := w.clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		scheme string
		change func(header, claims map[string]any)
	}{
		{"CS-17 htu with a query", "DPoP", c("htu", w.http.URL+"/accounts?page=1")},
		{"CS-17 htu with a fragment", "DPoP", c("htu", w.http.URL+"/accounts#top")},
		{"CS-17 scheme in capitals", "DPoP", c("htu", "HTTPS://"+host+"/accounts")},
		{"CS-17 escaped letter", "DPoP", c("htu", w.http.URL+"/%61ccounts")},
		{"CS-17 unknown claims and headers", "DPoP", func(h, c map[string]any) { h["acme"], c["acme"], c["nonce"] = 1, 1, "n" }},
		{"CS-17 exp and nbf mean nothing", "DPoP", func(_, c map[string]any) { c["exp"], c["nbf"] = now-100, now+100 }},
		{"CS-17 10 seconds ahead", "DPoP", c("iat", now+10)},
		{"CS-17 with a fraction", "DPoP", c("iat", float64(now)-0.5)},
		{"CS-18 dpop", "dpop", c("acme", 1)},
		{"CS-18 DPOP", "DPOP", c("acme", 1)},
		{"CS-18 dPoP", "dPoP", c("acme", 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response, body := w.call("/accounts?page=2", "Authorization", tc.scheme+" "+token, "DPoP", w.forge(token, key, tc.change))
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, "alice", body)
			require.NotEmpty(t, response.Header.Get("Date"))
			require.Empty(t, response.Header.Values("WWW-Authenticate"))
		})
	}
	t.Run("CS-17 host in capitals and the port that is default", func(t *testing.T) {
		w := newAPI(t, func(c *resourceserver.Config) { c.Resource, c.BaseURLs = "https://api.example/v1", nil })
		token := w.token()
		for _, htu := range []string{"https://API.Example/accounts", "https://api.example:443/accounts"} {
			response, _ := w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, c("htu", htu)))
			require.Equal(t, http.StatusOK, response.StatusCode, htu)
		}
	})
}

func TestTokensRejected(t *testing.T) {
	w := newAPI(t)
	key, token := testkit.ECKey(t, "client"), w.token()
	issue := w.token
	expired := issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.Lifetime = time.Second })
	w.clock.Advance(2 * time.Second)
	certificate := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name          string
		path, scheme  string
		token         string
		status        int
		code          string
		authorization []string // in place of scheme and token
	}{
		{"SP-5.3.4-2 in the query too", "/accounts?access_token=x", "DPoP", token, 400, "invalid_request", nil},
		{"SP-5.3.4-2 in the query alone", "/accounts?access_token=" + token, "", "", 400, "invalid_request", []string{}},
		{"SP-5.3.4-2 in the query, escaped", "/accounts?a=1&access%5Ftoken=x", "DPoP", token, 400, "invalid_request", nil},
		{"DPOP-7.2-3 BASE-6750-2-1 two Authorization headers", "/accounts", "", "", 400, "invalid_request", []string{"DPoP " + token, "Bearer " + token}},
		{"an empty Authorization header first", "/accounts", "", "", 400, "invalid_request", []string{"", "DPoP " + token}},
		{"two tokens in one header", "/accounts", "", "", 400, "invalid_request", []string{"DPoP " + token + ", DPoP " + token}},
		{"a scheme and no token", "/accounts", "", "", 400, "invalid_request", []string{"DPoP "}},
		{"BASE-6750-3.1-2 DPOP-7.2-2 no credentials", "/accounts", "", "", 401, "", []string{}},
		{"BASE-6750-3.1-2 another scheme", "/accounts", "", "", 401, "", []string{"Basic dTpw"}},
		{"DPOP-7.2-1 CS-16 a bound token as Bearer", "/accounts", "Bearer", token, 401, "invalid_token", nil},
		{"SP-5.3.4-3 not a token", "/accounts", "DPoP", "abc", 401, "invalid_token", nil},
		{"SP-5.3.4-3 expired", "/accounts", "DPoP", expired, 401, "invalid_token", nil},
		{"SP-5.3.4-3 another signature", "/accounts", "DPoP", token[:len(token)-8] + "AAAAAAAA", 401, "invalid_token", nil},
		{"SP-5.3.4-3 another server's key", "/accounts", "DPoP", issue(func(i *accesstoken.IssuerConfig, _ *accesstoken.Claims) { i.Key = key }), 401, "invalid_token", nil},
		{"SP-5.3.4-3 another issuer", "/accounts", "DPoP", issue(func(i *accesstoken.IssuerConfig, _ *accesstoken.Claims) { i.Issuer = "https://evil.example" }), 401, "invalid_token", nil},
		{"SP-5.3.4-3 for another API", "/accounts", "DPoP", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) {
			c.Audience = []string{"https://other.example"}
		}), 401, "invalid_token", nil},
		{"SP-5.3.4-5 bound to nothing, DPoP", "/accounts", "DPoP", issue(func(i *accesstoken.IssuerConfig, c *accesstoken.Claims) { i.InsecureAllowBearer, c.JKT = true, "" }), 401, "invalid_token", nil},
		{"SP-5.3.4-5 bound to nothing, Bearer", "/accounts", "Bearer", issue(func(i *accesstoken.IssuerConfig, c *accesstoken.Claims) { i.InsecureAllowBearer, c.JKT = true, "" }), 401, "invalid_token", nil},
		{"SP-5.3.4-5 bound to a certificate", "/accounts", "Bearer", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.JKT, c.X5TS256 = "", certificate }), 401, "invalid_token", nil},
		{"SP-5.3.4-5 bound to a certificate, by DPoP", "/accounts", "DPoP", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.JKT, c.X5TS256 = "", certificate }), 401, "invalid_token", nil},
		{"SP-5.3.4-5 bound to both, one shown", "/accounts", "DPoP", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.X5TS256 = certificate }), 401, "invalid_token", nil},
		{"SP-5.3.4-4 BASE-6750-3.1-1 another scope", "/accounts", "DPoP", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.Scope = "accounts2 payments" }), 403, "insufficient_scope", nil},
		{"SP-5.3.4-4 no scope", "/accounts", "DPoP", issue(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) { c.Scope = "" }), 403, "insufficient_scope", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			authorization := tc.authorization
			if authorization == nil {
				authorization = []string{tc.scheme + " " + tc.token}
			}
			fields := []string{"DPoP", w.forge(tc.token, key)}
			for _, value := range authorization {
				fields = append(fields, "Authorization", value)
			}
			response, body := w.call(tc.path, fields...)
			require.Equal(t, tc.status, response.StatusCode, body)
			challenges := response.Header.Values("WWW-Authenticate")
			require.Len(t, challenges, 1)
			require.True(t, strings.HasPrefix(challenges[0], "DPoP "), challenges[0])
			require.Contains(t, challenges[0], `scope="accounts"`)
			if tc.code == "" {
				require.NotContains(t, challenges[0], "error")
				require.Empty(t, body)
				return
			}
			require.Contains(t, challenges[0], `error="`+tc.code+`"`)
			require.JSONEq(t, `"`+tc.code+`"`, member(t, body, "error"))
		})
	}
	response, body := w.call("/accounts", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.JSONEq(t, `"invalid_token"`, member(t, body, "error"), "DPOP-7.2-1 the scheme is checked before the proof")
	require.Zero(t, w.served.Load())
	require.Zero(t, w.uses.Load(), "a rejected proof is not recorded, even if only a scope is missing")
	require.NotContains(t, w.log.String(), token)
	require.NotContains(t, w.log.String(), expired)
}

func TestRevokedTokens(t *testing.T) {
	var answer error
	revoked := false
	w := newAPI(t, func(c *resourceserver.Config) {
		c.Issuers[0].Revoked = func(context.Context, string) (bool, error) { return revoked, answer }
	})
	token := w.token()
	response, _ := w.good("/accounts", token)
	require.Equal(t, http.StatusOK, response.StatusCode)
	before := w.uses.Load()

	answer = errors.New("db: connection refused by 10.1.2.3")
	proof := w.forge(token, testkit.ECKey(t, "client"))
	response, body := w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", proof)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "SP-5.3.4-3 fail closed")
	require.NotContains(t, body, "10.1.2.3")
	require.Empty(t, response.Header.Values("WWW-Authenticate"), "other credentials would not help")
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Equal(t, before, w.uses.Load())

	answer = nil
	response, _ = w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", proof)
	require.Equal(t, http.StatusOK, response.StatusCode, "the proof was not used up")
	revoked = true
	response, body = w.good("/accounts", token)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "SP-5.3.4-3 a token that has passed before")
	require.JSONEq(t, `"invalid_token"`, member(t, body, "error"))
	require.Equal(t, before+1, w.uses.Load())
}

func TestKeysUnavailable(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) {
		c.Issuers[0].Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, errDown }
	})
	response, body := w.good("/accounts", w.token())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotContains(t, body, "10.1.2.3")
	require.Zero(t, w.uses.Load())
}

func TestReplayedProofs(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	proof := w.forge(token, key)
	fields := []string{"Authorization", "DPoP " + token, "DPoP", proof}

	w.down.Store(true)
	response, body := w.call("/accounts", fields...)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "fail closed")
	require.NotContains(t, body, "10.1.2.3")
	require.Zero(t, w.served.Load())
	w.down.Store(false)

	var passed atomic.Int32
	testkit.Hammer(64, func(int) {
		r, err := http.NewRequest(http.MethodGet, w.http.URL+"/accounts", nil)
		if err != nil {
			return
		}
		r.Header.Set("Authorization", fields[1])
		r.Header.Set("DPoP", proof)
		response, err := w.http.Client().Do(r)
		if err != nil {
			return
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			passed.Add(1)
		}
	})
	require.EqualValues(t, 1, passed.Load(), "one proof, one request")
	require.EqualValues(t, 1, w.served.Load())
	response, body = w.call("/accounts", fields...)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.JSONEq(t, `"invalid_dpop_proof"`, member(t, body, "error"))
}

// The URL that a proof must name depends on the configuration, and not on
// headers.
func TestExternalURL(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) { c.BaseURLs = []string{"https://bank.example/open/"} })
	token, key := w.token(), testkit.ECKey(t, "client")
	htu := func(value string) func(_, claims map[string]any) {
		return func(_, c map[string]any) { c["htu"] = value }
	}
	lies := []string{"Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "X-Forwarded-Prefix", "/evil",
		"Forwarded", "host=evil.example", "X-Original-Url", "/evil", "X-Http-Method-Override", "POST"}
	for value, status := range map[string]int{
		"https://bank.example/open/accounts": 200, "https://bank.example/accounts": 401, w.http.URL + "/accounts": 401,
		"https://evil.example/accounts": 401, "https://evil.example/open/accounts": 401, "https://bank.example/evil/accounts": 401,
	} {
		fields := append([]string{"Authorization", "DPoP " + token, "DPoP", w.forge(token, key, htu(value))}, lies...)
		response, _ := w.call("/accounts", fields...)
		require.Equal(t, status, response.StatusCode, value)
	}
}

// An API whose clock is behind accepts a new token.
func TestResourceServerSkew(t *testing.T) {
	for _, tc := range []struct {
		name        string
		skew, ahead time.Duration
		status      int
	}{
		{"B12 30 seconds by default", 0, 30 * time.Second, http.StatusOK},
		{"B12 no more than that", 0, 31 * time.Second, http.StatusUnauthorized},
		{"B12 a larger one", time.Minute, 59 * time.Second, http.StatusOK},
		{"B12 a smaller one", 10 * time.Second, 11 * time.Second, http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newAPI(t, func(c *resourceserver.Config) { c.FutureSkew = tc.skew })
			token := w.token(func(c *accesstoken.IssuerConfig, _ *accesstoken.Claims) {
				c.Now = func() time.Time { return w.clock.Now().Add(tc.ahead) }
			})
			r := httptest.NewRequest(http.MethodGet, w.cfg.Resource+"/accounts", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", w.forge(token, testkit.ECKey(t, "client")))
			recorder := httptest.NewRecorder()
			w.rs.Require("accounts")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(recorder, r)
			require.Equal(t, tc.status, recorder.Code, recorder.Header())
		})
	}
	for _, skew := range []time.Duration{-1, 9 * time.Second, time.Minute + 1} {
		_, err := resourceserver.New(resourceserver.Config{Resource: "https://api.example", FutureSkew: skew,
			Issuers: []resourceserver.Issuer{{ID: asIssuer, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }}}})
		require.ErrorContains(t, err, "FutureSkew", "B12 %v", skew)
	}
}

func TestVerify(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, w.http.URL+"/accounts", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", w.forge(token, key))
		return r
	}
	got, err := w.rs.Verify(request())
	require.NoError(t, err)
	require.Equal(t, "c-1", got.ClientID())
	_, err = w.rs.Verify(request(), "accounts", "payments")
	require.ErrorIs(t, err, accesstoken.ErrInsufficientScope)
	require.EqualValues(t, 1, w.uses.Load())

	rec := httptest.NewRecorder()
	w.rs.WriteError(rec, request(), errors.New("a host's own, with details"))
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.NotContains(t, rec.Body.String(), "details")
}
