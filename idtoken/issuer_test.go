package idtoken_test

import (
	"context"
	"crypto"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func newIssuer(t testing.TB, change func(*idtoken.IssuerConfig)) *idtoken.Issuer {
	t.Helper()
	cfg := idtoken.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "op"), Now: func() time.Time { return t0 }}
	if change != nil {
		change(&cfg)
	}
	i, err := idtoken.NewIssuer(cfg)
	require.NoError(t, err)
	return i
}

func TestIssue(t *testing.T) {
	c := idtoken.Claims{
		Subject: "alice", ClientID: client, Nonce: nonce, AuthTime: t0.Add(-time.Minute), ACR: "gold", AMR: []string{"otp"},
		AccessToken: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", Extra: map[string]any{"name": "A&B"},
	}
	token, err := newIssuer(t, nil).Issue(c)
	require.NoError(t, err)
	header, claims := testkit.Segments(t, token)
	kid, err := jose.Thumbprint(testkit.ECKey(t, "op").Public())
	require.NoError(t, err)
	require.Equal(t, obj{"alg": "ES256", "kid": kid}, header)
	require.Equal(t, obj{
		"iss": issuer, "sub": "alice", "aud": client, "iat": 1.8e9, "exp": 1.8e9 + 300, "nonce": nonce, "auth_time": 1.8e9 - 60,
		"acr": "gold", "amr": []any{"otp"}, "at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "name": "A&B",
	}, claims)

	for alg, key := range map[string]crypto.Signer{"ES256": testkit.ECKey(t, "op"), "EdDSA": testkit.Ed25519Key(t, "op"), "Ed25519": testkit.Ed25519Key(t, "op"), "PS256": testkit.RSAKey(t, "op")} {
		t.Run("SP-5.4.1-1.2 "+alg, func(t *testing.T) {
			token, err := newIssuer(t, func(c *idtoken.IssuerConfig) { c.Key, c.Algorithm, c.KeyID = key, alg, "k" }).Issue(c)
			require.NoError(t, err)
			header, _ := testkit.Segments(t, token)
			require.Equal(t, obj{"alg": alg, "kid": "k"}, header)
			expected := idtoken.Expected{Nonce: nonce, AccessToken: c.AccessToken, MaxAge: time.Minute, ACRValues: []string{"gold"}}
			got, err := newVerifier(t, nil).Verify(context.Background(), token, expected)
			require.NoError(t, err)
			require.Equal(t, "alice", got.Subject())
			expected.AccessToken += "x"
			_, err = newVerifier(t, nil).Verify(context.Background(), token, expected)
			require.ErrorIs(t, err, idtoken.ErrAccessToken)
		})
	}
	t.Run("no nonce, no nonce claim", func(t *testing.T) {
		token, err := newIssuer(t, nil).Issue(idtoken.Claims{Subject: "alice", ClientID: client})
		require.NoError(t, err)
		_, claims := testkit.Segments(t, token)
		require.Len(t, claims, 5)
	})
	t.Run("a nonce of 384 characters comes back intact", func(t *testing.T) {
		c := idtoken.Claims{Subject: "alice", ClientID: client, Nonce: strings.Repeat(`a<"\é`, 77)[:384]}
		token, err := newIssuer(t, nil).Issue(c)
		require.NoError(t, err)
		got, err := newVerifier(t, nil).Verify(context.Background(), token, idtoken.Expected{Nonce: c.Nonce})
		require.NoError(t, err)
		require.Equal(t, c.Nonce, got.Nonce())
	})
	t.Run("several audiences name the authorized party", func(t *testing.T) {
		token, err := newIssuer(t, nil).Issue(idtoken.Claims{Subject: "alice", ClientID: client, OtherAudience: []string{"other"}})
		require.NoError(t, err)
		_, claims := testkit.Segments(t, token)
		require.Equal(t, []any{client, "other"}, claims["aud"])
		require.Equal(t, client, claims["azp"])
	})
}

func TestIssueRefuses(t *testing.T) {
	testkit.RejectChanges(t, newIssuer(t, nil).Issue, idtoken.Claims{Subject: "alice", ClientID: client}, map[string]func(*idtoken.Claims){
		"no subject":                             func(c *idtoken.Claims) { c.Subject = "" },
		"a subject of 256 characters":            func(c *idtoken.Claims) { c.Subject = strings.Repeat("a", 256) },
		"a subject beyond ASCII":                 func(c *idtoken.Claims) { c.Subject = "ä" },
		"no client":                              func(c *idtoken.Claims) { c.ClientID = "" },
		"an empty audience":                      func(c *idtoken.Claims) { c.OtherAudience = []string{""} },
		"JWT-3.7-1 an audience that is no UTF-8": func(c *idtoken.Claims) { c.OtherAudience = []string{"\xff"} },
		"JWT-3.7-1 a class that is no UTF-8":     func(c *idtoken.Claims) { c.ACR = "\xff" },
		"JWT-3.7-1 a method that is no UTF-8":    func(c *idtoken.Claims) { c.AMR = []string{"\xc3", "\xa4"} },
		"a nonce that is no UTF-8":               func(c *idtoken.Claims) { c.Nonce = "\xff" },
		"a time before 1970":                     func(c *idtoken.Claims) { c.AuthTime = time.Unix(-1, 0) },
		"a nonce among the extra claims":         func(c *idtoken.Claims) { c.Extra = map[string]any{"Nonce": "x"} },
		"a cnf among the extra claims":           func(c *idtoken.Claims) { c.Extra = map[string]any{"cnf": obj{}} },
		"extra claims differing by case":         func(c *idtoken.Claims) { c.Extra = map[string]any{"a": 1, "A": 2} },
		"extra claims that are no JSON":          func(c *idtoken.Claims) { c.Extra = map[string]any{"a": func() {}} },
		"more than 64 KiB":                       func(c *idtoken.Claims) { c.Extra = map[string]any{"a": strings.Repeat("x", 64<<10)} },
	})
	testkit.RejectChanges(t, idtoken.NewIssuer, idtoken.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "op")}, map[string]func(*idtoken.IssuerConfig){
		"no issuer":                            func(c *idtoken.IssuerConfig) { c.Issuer = "" },
		"JWT-3.7-1 an issuer that is no UTF-8": func(c *idtoken.IssuerConfig) { c.Issuer = "https://\xff" },
		"no key":                               func(c *idtoken.IssuerConfig) { c.Key = nil },
		"SP-5.4.1-1.2 RS256":                   func(c *idtoken.IssuerConfig) { c.Key, c.Algorithm = testkit.RSAKey(t, "op"), "RS256" },
		"SP-5.4.1-1.3 none":                    func(c *idtoken.IssuerConfig) { c.Algorithm = "none" },
		"a lifetime of two days":               func(c *idtoken.IssuerConfig) { c.Lifetime = 48 * time.Hour },
		"a lifetime in the past":               func(c *idtoken.IssuerConfig) { c.Lifetime = -time.Second },
		"a lifetime of no seconds":             func(c *idtoken.IssuerConfig) { c.Lifetime = time.Millisecond },
	})
}

type vector struct {
	ID       string `json:"id"`
	Spec     string `json:"spec"`
	Token    string `json:"token"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	Now      int64  `json:"now"`
	Want     string `json:"want"`
}

var classes = map[string]error{
	"type": idtoken.ErrType, "algorithm": idtoken.ErrAlgorithm, "claims": idtoken.ErrClaims, "malformed": idtoken.ErrMalformed,
}

// TestOtherKindsOfJWT: what the specifications publish as other kinds of JWT is no ID token.
func TestOtherKindsOfJWT(t *testing.T) {
	for _, v := range testkit.LoadVectors[vector](t, "testdata/published.json") {
		t.Run("JWT-3.12-1 "+v.ID, func(t *testing.T) {
			require.NotNil(t, classes[v.Want])
			requireRefused(t, v.Token, classes[v.Want], idtoken.Expected{}, func(c *idtoken.VerifierConfig) {
				c.Issuer, c.ClientID, c.Now = v.Issuer, v.Audience, func() time.Time { return time.Unix(v.Now, 0) }
			})
		})
	}
}

// Each token that verifies has all required claims.
func FuzzVerifyClaims(f *testing.F) {
	body, err := json.Marshal(set())
	require.NoError(f, err)
	v := newVerifier(f, nil)
	testkit.FuzzClaims(f, jose.SignerOptions{}, testkit.ECKey(f, "op"), func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token, sent)
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.Equal(t, issuer, got.Issuer())
		require.Equal(t, client, got.Audience()[0])
		require.Equal(t, nonce, got.Nonce())
		require.NotEmpty(t, got.Subject())
		require.True(t, got.ExpiresAt().After(t0))
		require.NoError(t, got.Claims(&struct{}{}))
	}, string(body), `{"iss":"https://as.example.com","aud":["fintech"],"azp":"fintech"}`)
}

func FuzzVerifyToken(f *testing.F) {
	v := newVerifier(f, nil)
	testkit.FuzzForgeries(f, sign(f, set()), func(token string) (*idtoken.Token, error) {
		return v.Verify(context.Background(), token, sent)
	})
}

func BenchmarkIssue(b *testing.B) {
	i := newIssuer(b, nil)
	sign, _ := testkit.Bare(b, testkit.ECKey(b, "op"), []byte("x"))
	issue := func() bool {
		_, err := i.Issue(idtoken.Claims{Subject: "alice", ClientID: client, Nonce: nonce})
		return err == nil
	}
	testkit.Benchmark(b, "bare", sign)
	testkit.Benchmark(b, "token", issue)
	b.Run("ratio", func(b *testing.B) {
		testkit.Ratios(b, sign, map[string]testkit.Measured{"token/bare": {Run: issue}})
	})
}

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, func(c *idtoken.VerifierConfig) { c.Keys = testkit.KeySource(testkit.ECKey(b, "op").Public()) })
	token := sign(b, set())
	_, verify := testkit.Bare(b, testkit.ECKey(b, "op"), []byte("x"))
	testkit.Benchmark(b, "bare", verify)
	testkit.Benchmark(b, "token", func() bool { _, err := v.Verify(b.Context(), token, sent); return err == nil })
}
