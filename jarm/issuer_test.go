package jarm_test

import (
	"context"
	"crypto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

func TestResponse(t *testing.T) {
	kid, err := jose.Thumbprint(testkit.ECKey(t, "as").Public())
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		params url.Values
		claims obj
	}{
		{"JARM-2.1-1 JARM-2.1-3 success", url.Values{"code": {code}, "state": {state}}, obj{"code": code, "state": state}},
		{
			"MS-5.4.1-1 JARM-2.1-3 an error, with all that belongs to it",
			url.Values{"error": {"access_denied"}, "error_description": {"no & no"}, "error_uri": {"https://as.example.com/e?a=b&c=d"}, "state": {state}},
			obj{"error": "access_denied", "error_description": "no & no", "error_uri": "https://as.example.com/e?a=b&c=d", "state": state},
		},
		{
			"JARM-2.1-4 expires_in is a number, what looks like one is not",
			url.Values{"code": {"123"}, "expires_in": {"3600"}, "state": {"1"}},
			obj{"code": "123", "expires_in": 3600.0, "state": "1"},
		},
		{"JARM-2.1-5 an extension", url.Values{"code": {code}, "session_state": {"x.y"}}, obj{"code": code, "session_state": "x.y"}},
		{"no state, no state claim", url.Values{"code": {code}}, obj{"code": code}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token, err := newIssuer(t, nil).Response(client, tc.params)
			require.NoError(t, err)
			header, claims := testkit.Segments(t, token)
			require.Equal(t, obj{"alg": "ES256", "kid": kid}, header)
			tc.claims["iss"], tc.claims["aud"], tc.claims["exp"] = issuer, client, 1.8e9+300
			require.Equal(t, tc.claims, claims)
			got, err := newVerifier(t, nil).Verify(context.Background(), token)
			require.NoError(t, err)
			require.Equal(t, tc.params, got.Params())
		})
	}
	for alg, key := range map[string]crypto.Signer{
		"ES256": testkit.ECKey(t, "as"), "PS256": testkit.RSAKey(t, "as"), "EdDSA": testkit.Ed25519Key(t, "as"), "Ed25519": testkit.Ed25519Key(t, "as"),
	} {
		t.Run("JARM-2.2-1 JARM-2.2-2 "+alg, func(t *testing.T) {
			i := newIssuer(t, func(c *jarm.IssuerConfig) { c.Key, c.Algorithm, c.KeyID = key, alg, "k" })
			require.Equal(t, alg, i.Algorithm())
			token, err := i.Response(client, url.Values{"code": {code}})
			require.NoError(t, err)
			header, _ := testkit.Segments(t, token)
			require.Equal(t, obj{"alg": alg, "kid": "k"}, header)
			_, err = newVerifier(t, func(c *jarm.VerifierConfig) { c.Algorithms = []string{alg} }).Verify(context.Background(), token)
			require.NoError(t, err)
		})
	}
	t.Run("JARM-2.1-2 ten minutes are the most", func(t *testing.T) {
		token, err := newIssuer(t, func(c *jarm.IssuerConfig) { c.Lifetime = 10 * time.Minute }).Response(client, url.Values{"code": {code}})
		require.NoError(t, err)
		_, claims := testkit.Segments(t, token)
		require.EqualValues(t, 1.8e9+600, claims["exp"])
	})
	t.Run("a state of 1000 characters comes back intact", func(t *testing.T) {
		params := url.Values{"code": {code}, "state": {strings.Repeat("a<\"\\é\u2028&", 200)[:1000]}}
		token, err := newIssuer(t, nil).Response(client, params)
		require.NoError(t, err)
		got, err := newVerifier(t, nil).Verify(context.Background(), token)
		require.NoError(t, err)
		require.NoError(t, got.CheckState(params.Get("state")))
	})
}

func TestResponseRefuses(t *testing.T) {
	for name, params := range map[string]url.Values{
		"JARM-2.1-1 iss among the parameters":        {"code": {code}, "iss": {issuer}},
		"JARM-2.1-1 aud among the parameters":        {"code": {code}, "aud": {client}},
		"JARM-2.1-1 exp among the parameters":        {"code": {code}, "exp": {"1"}},
		"JARM-2.1-1 ISS among the parameters":        {"code": {code}, "ISS": {issuer}},
		"JWT-3.12-1 sub among the parameters":        {"code": {code}, "sub": {"alice"}},
		"JWT-3.12-1 Sub among the parameters":        {"code": {code}, "Sub": {"alice"}},
		"JWT-3.12-1 events among the parameters":     {"code": {code}, "events": {"x"}},
		"a response inside":                          {"code": {code}, "response": {"x"}},
		"two codes":                                  {"code": {code, code}},
		"a parameter without a value":                {"code": {code}, "state": {}},
		"names that differ by case":                  {"code": {code}, "a": {"1"}, "A": {"2"}},
		"code and error together":                    {"code": {code}, "error": {"access_denied"}},
		"neither code nor error":                     {"state": {state}},
		"an empty code":                              {"code": {""}},
		"no parameters":                              nil,
		"a state that is no UTF-8":                   {"code": {code}, "state": {"\xff"}},
		"a name that is no UTF-8":                    {"code": {code}, "\xff": {"x"}},
		"JARM-2.1-4 expires_in is no number":         {"code": {code}, "expires_in": {"soon"}},
		"JARM-2.1-4 expires_in with a leading zero":  {"code": {code}, "expires_in": {"010"}},
		"JARM-2.1-4 expires_in is negative":          {"code": {code}, "expires_in": {"-1"}},
		"an error with a quote":                      {"error": {`a"b`}},
		"an error with a line break":                 {"error": {"a\nb"}},
		"an error_description beyond ASCII":          {"error": {"access_denied"}, "error_description": {"nö"}},
		"an error_uri with a backslash":              {"error": {"access_denied"}, "error_uri": {`https:\\x`}},
		"more than 64 KiB":                           {"code": {code}, "state": {strings.Repeat("x", 64<<10)}},
		"JWT-3.12-1 a token_introspection parameter": {"code": {code}, "token_introspection": {"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := newIssuer(t, nil).Response(client, params)
			require.Error(t, err)
			require.Empty(t, token)
			require.NotContains(t, err.Error(), code)
		})
	}
	for name, id := range map[string]string{"no client": "", "a client that is no UTF-8": "\xff"} {
		t.Run("JARM-2.1-1 "+name, func(t *testing.T) {
			_, err := newIssuer(t, nil).Response(id, url.Values{"code": {code}})
			require.Error(t, err)
		})
	}
	testkit.RejectChanges(t, jarm.NewIssuer, jarm.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "as")}, map[string]func(*jarm.IssuerConfig){
		"JARM-2.1-1 no issuer":                  func(c *jarm.IssuerConfig) { c.Issuer = "" },
		"JARM-2.1-1 an issuer that is no UTF-8": func(c *jarm.IssuerConfig) { c.Issuer = "\xff" },
		"JARM-2.2-1 no key":                     func(c *jarm.IssuerConfig) { c.Key = nil },
		"JARM-2.2-2 RS256":                      func(c *jarm.IssuerConfig) { c.Key, c.Algorithm = testkit.RSAKey(t, "as"), "RS256" },
		"JARM-2.2-1 none":                       func(c *jarm.IssuerConfig) { c.Algorithm = "none" },
		"JARM-2.2-2 a key for another":          func(c *jarm.IssuerConfig) { c.Algorithm = "PS256" },
		"JARM-2.1-2 more than ten minutes":      func(c *jarm.IssuerConfig) { c.Lifetime = 10*time.Minute + 1 },
		"JARM-2.1-2 a lifetime in the past":     func(c *jarm.IssuerConfig) { c.Lifetime = -time.Second },
		"JARM-2.1-2 a lifetime of no seconds":   func(c *jarm.IssuerConfig) { c.Lifetime = time.Millisecond },
	})
}
