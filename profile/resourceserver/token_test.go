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

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func TestTokensRefused(t *testing.T) {
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
		{"BASE-6750-3.1-2 a scheme of others", "/accounts", "", "", 401, "", []string{"Basic dTpw"}},
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
	require.JSONEq(t, `"invalid_token"`, member(t, body, "error"), "DPOP-7.2-1 as Bearer, and no proof: the scheme is what is wrong")
	require.Zero(t, w.served.Load())
	require.Zero(t, w.uses.Load(), "nothing is recorded of what is refused, for want of a scope neither")
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
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "SP-5.3.4-3 nobody knows, so nobody passes")
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
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "a store that is down lets nothing pass")
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

func TestAPINonces(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) {
		var err error
		c.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: c.Now})
		require.NoError(t, err)
	})
	token, key := w.token(), testkit.ECKey(t, "client")
	response, body := w.good("/accounts", token)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "DPOP-9-1")
	require.JSONEq(t, `"use_dpop_nonce"`, member(t, body, "error"))
	require.Contains(t, response.Header.Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`)
	nonce := response.Header.Values("DPoP-Nonce")
	require.Len(t, nonce, 1, "DPOP-8-3")
	require.Zero(t, w.uses.Load())
	with := func(nonce string) func(_, claims map[string]any) {
		return func(_, c map[string]any) { c["nonce"] = nonce }
	}
	response, _ = w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, with(nonce[0])))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Len(t, response.Header.Values("DPoP-Nonce"), 1, "DPOP-8.2-1 on success too")
	response, _ = w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, with("mine")))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestInteractionID(t *testing.T) {
	w := newAPI(t)
	const name, id = "X-Fapi-Interaction-Id", "c770aef3-6784-41F7-8e0e-ff5f97bddb3a"
	for _, tc := range []struct {
		name string
		sent []string
		want []string
	}{
		{"a UUID", []string{id}, []string{id}},
		{"none", nil, nil},
		{"two", []string{id, id}, nil},
		{"something else", []string{"abc"}, nil},
		{"longer", []string{id + "0"}, nil},
		{"another separator", []string{strings.ReplaceAll(id, "-", "_")}, nil},
		{"no hexadecimal", []string{"g" + id[1:]}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var fields []string
			for _, value := range tc.sent {
				fields = append(fields, name, value)
			}
			response, _ := w.good("/accounts", w.token(), fields...)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, tc.want, response.Header.Values(name))
			refused, _ := w.call("/accounts", fields...)
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			require.Equal(t, tc.want, refused.Header.Values(name))
		})
	}
}

func TestChallengeOfAPI(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) {
		c.Realm, c.ResourceMetadata = `accounts" evil="1`, "https://api.example/.well-known/oauth-protected-resource"
	})
	response, _ := w.call("/accounts")
	require.Equal(t, `DPoP realm="accounts? evil=?1", scope="accounts", resource_metadata="https://api.example/.well-known/oauth-protected-resource", `+
		`algs="ES256 PS256 EdDSA Ed25519"`, response.Header.Get("WWW-Authenticate"), "DPOP-7.1-3")
}

// The URL that a proof has to name comes from the configuration alone.
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

// An API whose clock is behind accepts what was issued a moment ago.
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

func TestResourceServerConfig(t *testing.T) {
	good := func() resourceserver.Config {
		return resourceserver.Config{
			Resource: "https://api.example/v1",
			Issuers:  []resourceserver.Issuer{{ID: asIssuer, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }}},
		}
	}
	_, err := resourceserver.New(good())
	require.NoError(t, err)
	for name, change := range map[string]func(*resourceserver.Config){
		"no resource":             func(c *resourceserver.Config) { c.Resource = "" },
		"a relative resource":     func(c *resourceserver.Config) { c.Resource = "/v1" },
		"a fragment":              func(c *resourceserver.Config) { c.Resource += "#x" },
		"SP-5.2.1-1 http":         func(c *resourceserver.Config) { c.Resource = "http://api.example" },
		"SP-5.2.1-1 http BaseURL": func(c *resourceserver.Config) { c.BaseURLs = []string{"http://api.example"} },
		"BaseURL with a query":    func(c *resourceserver.Config) { c.BaseURLs = []string{"https://api.example/?x=1"} },
		"no issuer":               func(c *resourceserver.Config) { c.Issuers[0].ID = "" },
		"an http issuer":          func(c *resourceserver.Config) { c.Issuers[0].ID = "http://as.example" },
		"no keys":                 func(c *resourceserver.Config) { c.Issuers[0].Keys = nil },
	} {
		cfg := good()
		change(&cfg)
		rs, err := resourceserver.New(cfg)
		require.Error(t, err, name)
		require.Nil(t, rs)
	}
	token, ok := resourceserver.TokenFromContext(context.Background())
	require.False(t, ok)
	require.Nil(t, token)
}

// The plain check, without a handler.
func TestVerifyRequest(t *testing.T) {
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
