package idtoken_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	issuer = "https://as.example.com"
	client = "fintech"
	nonce  = "n-0S6_WzA2Mj"
)

var t0 = time.Unix(1_800_000_000, 0)

type obj = map[string]any

func newVerifier(t testing.TB, change func(*idtoken.VerifierConfig)) *idtoken.Verifier {
	t.Helper()
	cfg := idtoken.VerifierConfig{
		Issuer: issuer, ClientID: client, Now: func() time.Time { return t0 },
		Keys: testkit.KeySource(testkit.ECKey(t, "op").Public(), testkit.Ed25519Key(t, "op").Public(), testkit.RSAKey(t, "op").Public()),
	}
	if change != nil {
		change(&cfg)
	}
	v, err := idtoken.NewVerifier(cfg)
	require.NoError(t, err)
	return v
}

// set returns good claims with changes; nil removes.
func set(changes ...any) obj {
	return testkit.Change(obj{"iss": issuer, "sub": "alice", "aud": client, "iat": t0.Unix(), "exp": t0.Unix() + 300, "nonce": nonce}, changes...)
}

func sign(t testing.TB, claims obj) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return testkit.SignPayload(t, string(payload), jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "op"))
}

var sent = idtoken.Expected{Nonce: nonce}

func requireRefused(t *testing.T, token string, want error, expected idtoken.Expected, change func(*idtoken.VerifierConfig)) {
	t.Helper()
	got, err := newVerifier(t, change).Verify(context.Background(), token, expected)
	require.ErrorIs(t, err, want)
	require.Nil(t, got)
	require.NotContains(t, err.Error(), nonce)
	parts := strings.Split(err.Error(), ": ")
	for i, part := range parts {
		require.NotContains(t, parts[:i], part, "a reason is given once: %s", err)
	}
	if len(token) > 40 {
		require.NotContains(t, err.Error(), token[len(token)-20:])
	}
}

func TestVerifyRefusesClaims(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
		want   error
	}{
		{"CS-20 no iss", set("iss", nil), idtoken.ErrClaims},
		{"CS-20 another issuer", set("iss", "https://evil.example.com"), idtoken.ErrIssuer},
		{"CS-20 a trailing slash", set("iss", issuer+"/"), idtoken.ErrIssuer},
		{"CASES C13: CS-20 no aud", set("aud", nil), idtoken.ErrClaims},
		{"CS-20 another client", set("aud", "other"), idtoken.ErrAudience},
		{"CS-20 a list without us", set("aud", []string{"other"}), idtoken.ErrAudience},
		{"CASES C13: CS-20 JWT-3.9-1 an empty list", set("aud", []string{}), idtoken.ErrClaims},
		{"CS-20 an audience that is not trusted", set("aud", []string{client, "other"}, "azp", client), idtoken.ErrAudience},
		{"CS-20 an aud that is a number", set("aud", 7), idtoken.ErrClaims},
		{"CS-20 no exp", set("exp", nil), idtoken.ErrClaims},
		{"CS-20 expired", set("exp", now), idtoken.ErrExpired},
		{"CS-20 exp as a string", set("exp", fmt.Sprint(now+300)), idtoken.ErrClaims},
		{"CS-20 no iat", set("iat", nil), idtoken.ErrClaims},
		{"CS-20 iat 11 s ahead", set("iat", now+11), idtoken.ErrIssuedAt},
		{"CS-20 iat more than an hour ago", set("iat", now-3601), idtoken.ErrIssuedAt},
		{"CS-20 no nonce", set("nonce", nil), idtoken.ErrNonce},
		{"CS-20 another nonce", set("nonce", nonce+"x"), idtoken.ErrNonce},
		{"CS-20 an empty nonce", set("nonce", ""), idtoken.ErrClaims},
		{"CS-20 a nonce that is a number", set("nonce", 1), idtoken.ErrClaims},
		{"JWT-3.8-1 no sub", set("sub", nil), idtoken.ErrClaims},
		{"JWT-3.8-1 an empty sub", set("sub", ""), idtoken.ErrClaims},
		{"JWT-3.8-1 a sub that is a number", set("sub", 1), idtoken.ErrClaims},
		{"JWT-3.8-1 a sub of 256 characters", set("sub", strings.Repeat("a", 256)), idtoken.ErrClaims},
		{"JWT-3.8-1 a sub beyond ASCII", set("sub", "älice"), idtoken.ErrClaims},
		{"azp is another client", set("azp", "other"), idtoken.ErrAuthorizedParty},
		{"azp is empty", set("azp", ""), idtoken.ErrClaims},
		{"JWT-3.12-1 a logout token", set("events", obj{"http://schemas.openid.net/event/backchannel-logout": obj{}}), idtoken.ErrType},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, sign(t, tc.claims), tc.want, sent, nil) })
	}
}

func TestVerifyRefusesTokens(t *testing.T) {
	token := sign(t, set())
	body, err := json.Marshal(set())
	require.NoError(t, err)
	payload := string(body)
	_, rest, _ := strings.Cut(token, ".")
	part, sig, _ := strings.Cut(rest, ".")
	forged := strings.Replace(token, part, base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, "alice", "mallo", 1))), 1)
	none := jose.SignerOptions{}
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"MS-5.6.2-1 other claims under the signature", forged, idtoken.ErrSignature},
		{"MS-5.6.2-1 the key of another", testkit.SignPayload(t, payload, none, testkit.ECKey(t, "evil")), idtoken.ErrSignature},
		{"MS-5.6.2-1 its own key in the header", testkit.SignPayload(t, payload, jose.SignerOptions{EmbedKey: true}, testkit.ECKey(t, "evil")), idtoken.ErrSignature},
		{"MS-5.6.2-1 no signature", token[:len(token)-len(sig)], idtoken.ErrMalformed},
		{"CS-20 SP-5.4.1-1.3 none", testkit.WithHeader(token, `{"alg":"none"}`), idtoken.ErrAlgorithm},
		{"CASES C13: CS-20 none without signature", testkit.WithHeader(token, `{"alg":"none"}`)[:len(testkit.WithHeader(token, `{"alg":"none"}`))-len(sig)], idtoken.ErrAlgorithm},
		{"CS-20 SP-5.4.1-1.2 RS256", testkit.WithHeader(token, `{"alg":"RS256"}`), idtoken.ErrAlgorithm},
		{"CS-20 HS256", testkit.WithHeader(token, `{"alg":"HS256"}`), idtoken.ErrAlgorithm},
		{"JWT-3.1-2 an algorithm swap", testkit.WithHeader(token, `{"alg":"EdDSA"}`), idtoken.ErrSignature},
		{"JWT-3.12-1 an access token", testkit.SignPayload(t, payload, jose.SignerOptions{Type: "at+jwt"}, testkit.ECKey(t, "op")), idtoken.ErrType},
		{"JWT-3.12-1 an access token by its full type", testkit.SignPayload(t, payload, jose.SignerOptions{Type: "application/AT+JWT"}, testkit.ECKey(t, "op")), idtoken.ErrType},
		{"JWT-3.12-1 an introspection response", testkit.SignPayload(t, payload, jose.SignerOptions{Type: "token-introspection+jwt"}, testkit.ECKey(t, "op")), idtoken.ErrType},
		{"JWT-3.12-1 a logout token by its type", testkit.SignPayload(t, payload, jose.SignerOptions{Type: "logout+jwt"}, testkit.ECKey(t, "op")), idtoken.ErrType},
		{"JWT-3.12-1 a JARM response", testkit.SignPayload(t, `{"iss":"`+issuer+`","aud":"`+client+`","exp":1800000300,"code":"x"}`, none, testkit.ECKey(t, "op")), idtoken.ErrClaims},
		{"typ is no string", testkit.WithHeader(token, `{"alg":"ES256","typ":1}`), idtoken.ErrMalformed},
		{"an unknown crit", testkit.WithHeader(token, `{"alg":"ES256","crit":["x"],"x":1}`), idtoken.ErrMalformed},
		{"CASES F1: nonce twice, differently", testkit.SignPayload(t, payload[:len(payload)-1]+`,"nonce":"x"}`, none, testkit.ECKey(t, "op")), idtoken.ErrMalformed},
		{"CASES F1: iss twice, differently", testkit.SignPayload(t, payload[:len(payload)-1]+`,"iss":"https://evil.example"}`, none, testkit.ECKey(t, "op")), idtoken.ErrMalformed},
		{"nonce twice", testkit.SignPayload(t, payload[:len(payload)-1]+`,"NONCE":"x"}`, none, testkit.ECKey(t, "op")), idtoken.ErrMalformed},
		{"bytes after the claims", testkit.SignPayload(t, payload+"{}", none, testkit.ECKey(t, "op")), idtoken.ErrMalformed},
		{"nothing", "", idtoken.ErrMalformed},
		{"a line break", token + "\n", idtoken.ErrMalformed},
		{"a JWE for a client without a key", "a.b.c.d.e", idtoken.ErrEncryption},
		{"more than 64 KiB", sign(t, set("pad", strings.Repeat("x", 64<<10))), idtoken.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, tc.token, tc.want, sent, nil) })
	}
	t.Run("CS-20 JWT-3.1-1 an algorithm that was not registered", func(t *testing.T) {
		requireRefused(t, token, idtoken.ErrAlgorithm, sent, func(c *idtoken.VerifierConfig) { c.Algorithms = []string{"PS256"} })
	})
	t.Run("MS-5.6.2-1 no keys", func(t *testing.T) {
		requireRefused(t, token, idtoken.ErrSignature, sent, func(c *idtoken.VerifierConfig) { c.Keys = testkit.KeySource() })
	})
	t.Run("MS-5.6.2-1 keys that cannot be fetched", func(t *testing.T) {
		cause := errors.New("no route")
		down := func(c *idtoken.VerifierConfig) { c.Keys = testkit.KeyError(cause) }
		requireRefused(t, token, idtoken.ErrUnavailable, sent, down)
		requireRefused(t, token, cause, sent, down)
	})
}

func TestVerifyComparesWithTheRequest(t *testing.T) {
	now := t0.Unix()
	const accessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
	trusting := func(c *idtoken.VerifierConfig) { c.TrustedAudiences = []string{"other"} }
	for _, tc := range []struct {
		name     string
		claims   obj
		expected idtoken.Expected
		change   func(*idtoken.VerifierConfig)
		want     error
	}{
		{"what was asked for", set(), sent, nil, nil},
		{"CS-20 an array of one audience", set("aud", []string{client}), sent, nil, nil},
		{"azp is this client", set("azp", client), sent, nil, nil},
		{"a trusted audience", set("aud", []string{"other", client}, "azp", client), sent, trusting, nil},
		{"a trusted audience without azp", set("aud", []string{"other", client}), sent, trusting, idtoken.ErrAuthorizedParty},
		{"a trusted audience as azp", set("aud", []string{"other", client}, "azp", "other"), sent, trusting, idtoken.ErrAuthorizedParty},
		{"a trusted audience alone", set("aud", "other"), sent, trusting, idtoken.ErrAudience},
		{"no nonce when none was sent", set("nonce", nil), idtoken.Expected{}, nil, nil},
		{"CS-20 a nonce when none was sent", set(), idtoken.Expected{}, nil, idtoken.ErrNonce},
		{"a sub of 255 characters", set("sub", strings.Repeat("a", 255)), sent, nil, nil},
		{"an empty acr", set("acr", ""), sent, nil, nil},
		{"iat 10 s ahead", set("iat", now+10), sent, nil, nil},
		{"iat an hour ago", set("iat", now-3600), sent, nil, nil},
		{"leeway", set("exp", now-299, "iat", now-600), sent, func(c *idtoken.VerifierConfig) { c.Leeway = 5 * time.Minute }, nil},
		{"beyond leeway", set("exp", now-300, "iat", now-600), sent, func(c *idtoken.VerifierConfig) { c.Leeway = 5 * time.Minute }, idtoken.ErrExpired},
		{"max_age kept", set("auth_time", now-60), idtoken.Expected{Nonce: nonce, MaxAge: time.Minute}, nil, nil},
		{"max_age exceeded", set("auth_time", now-71), idtoken.Expected{Nonce: nonce, MaxAge: time.Minute}, nil, idtoken.ErrAuthentication},
		{"max_age without auth_time", set(), idtoken.Expected{Nonce: nonce, MaxAge: time.Minute}, nil, idtoken.ErrAuthentication},
		{"acr met", set("acr", "b"), idtoken.Expected{Nonce: nonce, ACRValues: []string{"a", "b"}}, nil, nil},
		{"acr not met", set("acr", "c"), idtoken.Expected{Nonce: nonce, ACRValues: []string{"a", "b"}}, nil, idtoken.ErrAuthentication},
		{"acr missing", set(), idtoken.Expected{Nonce: nonce, ACRValues: []string{"a", ""}}, nil, idtoken.ErrAuthentication},
		{"the same user", set(), idtoken.Expected{Nonce: nonce, Subject: "alice"}, nil, nil},
		{"another user", set(), idtoken.Expected{Nonce: nonce, Subject: "bob"}, nil, idtoken.ErrSubject},
		{"at_hash fits", set("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), idtoken.Expected{Nonce: nonce, AccessToken: accessToken}, nil, nil},
		{"at_hash of another token", set("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), idtoken.Expected{Nonce: nonce, AccessToken: accessToken + "x"}, nil, idtoken.ErrAccessToken},
		{"at_hash is no string", set("at_hash", 1), idtoken.Expected{Nonce: nonce, AccessToken: accessToken}, nil, idtoken.ErrClaims},
		{"no at_hash", set(), idtoken.Expected{Nonce: nonce, AccessToken: accessToken}, nil, nil},
		{"refreshed, without nonce", set("nonce", nil), idtoken.Expected{Nonce: nonce, Subject: "alice", Refreshed: true}, nil, nil},
		{"refreshed, with nonce", set(), idtoken.Expected{Nonce: nonce, Subject: "alice", Refreshed: true}, nil, nil},
		{"refreshed, with another nonce", set("nonce", "x"), idtoken.Expected{Nonce: nonce, Subject: "alice", Refreshed: true}, nil, idtoken.ErrNonce},
		{"refreshed, for another user", set(), idtoken.Expected{Nonce: nonce, Subject: "bob", Refreshed: true}, nil, idtoken.ErrSubject},
		{"refreshed, for nobody in particular", set(), idtoken.Expected{Nonce: nonce, Refreshed: true}, nil, idtoken.ErrSubject},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token := sign(t, tc.claims)
			if tc.want != nil {
				requireRefused(t, token, tc.want, tc.expected, tc.change)
				return
			}
			got, err := newVerifier(t, tc.change).Verify(context.Background(), token, tc.expected)
			require.NoError(t, err)
			require.Equal(t, tc.claims["sub"], got.Subject())
		})
	}
	for _, typ := range []string{"JWT", "jwt", "application/JWT"} {
		t.Run("typ "+typ, func(t *testing.T) {
			body, err := json.Marshal(set())
			require.NoError(t, err)
			_, err = newVerifier(t, nil).Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{Type: typ}, testkit.ECKey(t, "op")), sent)
			require.NoError(t, err)
		})
	}
}

// TestKeys: the wrong kid does not help, decoys do not harm, and no key is fetched for a token that is not ours.
func TestRepeatedClaims(t *testing.T) {
	payload, err := json.Marshal(set())
	require.NoError(t, err)
	for _, name := range []string{"iss", "aud", "exp", "nonce"} {
		t.Run("CASES F1: one claim: "+name+" twice with the same value", func(t *testing.T) {
			value, err := json.Marshal(set()[name])
			require.NoError(t, err)
			token := testkit.SignPayload(t, string(payload[:len(payload)-1])+`,"`+name+`":`+string(value)+`}`,
				jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "op"))
			_, err = newVerifier(t, nil).Verify(t.Context(), token, sent)
			require.NoError(t, err)
		})
	}
}

func TestKeys(t *testing.T) {
	var fetched atomic.Int32
	v := newVerifier(t, func(c *idtoken.VerifierConfig) {
		c.Keys = func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
			fetched.Add(1)
			if kid != "k" || alg != "ES256" {
				return nil, nil
			}
			return []crypto.PublicKey{testkit.RSAKey(t, "op").Public(), testkit.ECKey(t, "decoy").Public(), testkit.ECKey(t, "op").Public()}, nil
		}
	})
	_, err := v.Verify(context.Background(), sign(t, set("iss", "https://evil.example.com")), sent)
	require.ErrorIs(t, err, idtoken.ErrIssuer)
	_, err = v.Verify(context.Background(), sign(t, set("nonce", "x")), sent)
	require.ErrorIs(t, err, idtoken.ErrNonce)
	require.Zero(t, fetched.Load())
	_, err = v.Verify(context.Background(), sign(t, set()), sent)
	require.NoError(t, err)
	body, err := json.Marshal(set())
	require.NoError(t, err)
	_, err = v.Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{KeyID: "other"}, testkit.ECKey(t, "op")), sent)
	require.ErrorIs(t, err, idtoken.ErrSignature)
}

func TestTokenSaysWhatWasIssued(t *testing.T) {
	got, err := newVerifier(t, nil).Verify(context.Background(), sign(t, set(
		"acr", "gold", "amr", []string{"pwd", "otp"}, "auth_time", t0.Unix()-60, "name", "Alice", "address", obj{"country": "NO"})), sent)
	require.NoError(t, err)
	require.Equal(t, issuer, got.Issuer())
	require.Equal(t, []string{client}, got.Audience())
	require.Equal(t, nonce, got.Nonce())
	require.Equal(t, t0, got.IssuedAt())
	require.Equal(t, t0.Add(5*time.Minute), got.ExpiresAt())
	require.Equal(t, t0.Add(-time.Minute), got.AuthTime())
	require.Equal(t, "gold", got.ACR())
	require.Equal(t, []string{"pwd", "otp"}, got.AMR())
	require.JSONEq(t, `"Alice"`, string(got.Claim("name")))
	require.Nil(t, got.Claim("NAME"))
	got.Audience()[0], got.AMR()[0], got.Claim("name")[1] = "x", "x", 'x'
	require.Equal(t, []string{client}, got.Audience())
	require.Equal(t, []string{"pwd", "otp"}, got.AMR())
	require.JSONEq(t, `"Alice"`, string(got.Claim("name")))

	var claims struct {
		Name    string `json:"name"`
		Address struct {
			Country string `json:"country"`
		} `json:"address"`
		Other string `json:"Name"`
	}
	require.NoError(t, got.Claims(&claims))
	require.Equal(t, "Alice", claims.Name)
	require.Equal(t, "NO", claims.Address.Country)
	require.Empty(t, claims.Other)
	var wrong struct {
		Name int `json:"name"`
	}
	require.ErrorIs(t, got.Claims(&wrong), idtoken.ErrClaims)

	var log strings.Builder
	expected := idtoken.Expected{Nonce: nonce, AccessToken: "secret", Subject: "alice"}
	given := idtoken.Claims{Subject: "alice", ClientID: client, Nonce: nonce, AccessToken: "secret"}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", got, "expected", expected, "claims", given)
	for _, text := range []string{fmt.Sprintf("%v %+v %s", got, expected, given), log.String()} {
		require.NotContains(t, text, "alice")
		require.NotContains(t, text, nonce)
		require.NotContains(t, text, "secret")
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	testkit.RejectChanges(t, idtoken.NewVerifier, idtoken.VerifierConfig{Issuer: issuer, ClientID: client, Keys: testkit.KeySource()}, map[string]func(*idtoken.VerifierConfig){
		"CS-20 no issuer":                   func(c *idtoken.VerifierConfig) { c.Issuer = "" },
		"CS-20 no client":                   func(c *idtoken.VerifierConfig) { c.ClientID = "" },
		"MS-5.6.2-1 no keys":                func(c *idtoken.VerifierConfig) { c.Keys = nil },
		"a large leeway":                    func(c *idtoken.VerifierConfig) { c.Leeway = 5*time.Minute + 1 },
		"a negative leeway":                 func(c *idtoken.VerifierConfig) { c.Leeway = -1 },
		"CS-20 SP-5.4.1-1.2 RS256":          func(c *idtoken.VerifierConfig) { c.Algorithms = []string{"RS256"} },
		"JWT-3.1-1 a list of no algorithms": func(c *idtoken.VerifierConfig) { c.Algorithms = []string{} },
	})
}
