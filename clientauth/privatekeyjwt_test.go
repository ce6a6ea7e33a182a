package clientauth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func newClient(t testing.TB, s *server, change ...func(*clientauth.PrivateKeyJWTConfig)) *clientauth.PrivateKeyJWT {
	t.Helper()
	cfg := clientauth.PrivateKeyJWTConfig{ClientID: clientID, Audience: issuer, Key: testkit.ECKey(t, clientID), KeyID: "k1", Now: s.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	c, err := clientauth.NewPrivateKeyJWT(cfg)
	require.NoError(t, err)
	return c
}

func decode(t testing.TB, segment string) (m map[string]json.RawMessage) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &m))
	return m
}

func TestAssertion(t *testing.T) {
	s := newServer(t)
	assertion, err := newClient(t, s).Assertion()
	require.NoError(t, err)
	parts := strings.Split(assertion, ".")
	require.Len(t, parts, 3)
	header, payload := decode(t, parts[0]), decode(t, parts[1])
	require.Len(t, header, 3)
	require.JSONEq(t, `"client-authentication+jwt"`, string(header["typ"]), "CA-BIS-4-5")
	require.JSONEq(t, `"ES256"`, string(header["alg"]))
	require.JSONEq(t, `"k1"`, string(header["kid"]))
	require.Len(t, payload, 6)
	require.JSONEq(t, `"`+issuer+`"`, string(payload["aud"]), "SP-5.3.3.1-5 CA-BIS-4-1 CA-BIS-4-2 PAR-2-5: the issuer, as a string")
	require.JSONEq(t, `"client-1"`, string(payload["iss"]), "CA-OIDC-9-1")
	require.JSONEq(t, `"client-1"`, string(payload["sub"]), "CA-OIDC-9-1")
	now := s.clock.Now().Unix()
	require.JSONEq(t, fmt.Sprint(now), string(payload["iat"]))
	require.JSONEq(t, fmt.Sprint(now+60), string(payload["exp"]), "CA-OIDC-9-1")
	require.Len(t, string(payload["jti"]), 2+22, "CA-OIDC-9-1: 128 bits")
}

func TestAssertionsDiffer(t *testing.T) {
	c := newClient(t, newServer(t))
	var mu sync.Mutex
	seen := map[string]bool{}
	testkit.Hammer(64, func(int) {
		a, err := c.Assertion()
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen[string(decode(t, strings.Split(a, ".")[1])["jti"])] = true
	})
	require.Len(t, seen, 64, "CA-OIDC-9-1: a jti is used once")
}

func TestAuthenticateSuitsTheVerifier(t *testing.T) {
	for name, change := range map[string]func(*clientauth.PrivateKeyJWTConfig){
		"SP-5.3.3.1-2 ES256": func(*clientauth.PrivateKeyJWTConfig) {},
		"SP-5.3.3.1-2 PS256": func(c *clientauth.PrivateKeyJWTConfig) { c.Key = testkit.RSAKey(t, clientID) },
		"SP-5.3.3.1-2 EdDSA": func(c *clientauth.PrivateKeyJWTConfig) { c.Key = testkit.Ed25519Key(t, clientID) },
		"SP-5.3.3.1-2 Ed25519": func(c *clientauth.PrivateKeyJWTConfig) {
			c.Key, c.Algorithm = testkit.Ed25519Key(t, clientID), "Ed25519"
		},
		"a key that only signs":        func(c *clientauth.PrivateKeyJWTConfig) { c.Key = testkit.RemoteKey{Signer: c.Key} },
		"no kid":                       func(c *clientauth.PrivateKeyJWTConfig) { c.KeyID = "" },
		"the longest lifetime":         func(c *clientauth.PrivateKeyJWTConfig) { c.Lifetime = 10 * time.Minute },
		"a clock that is 10 s fast":    fast(10 * time.Second),
		"a clock that is 59 s slow":    fast(-59 * time.Second),
		"a fast clock and a long life": func(c *clientauth.PrivateKeyJWTConfig) { fast(10 * time.Second)(c); c.Lifetime = 10 * time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			c := newClient(t, s, change)
			f := url.Values{"grant_type": {"client_credentials"}, "client_secret": {"old"}, "client_id": {"other"}}
			for range 2 { // the second time in place of the first
				require.NoError(t, c.Authenticate(t.Context(), f))
				require.Equal(t, []string{clientID}, f["client_id"], "CA-7521-4.2-1")
				require.Equal(t, []string{jwtType}, f["client_assertion_type"], "CA-7523-2.2-1")
				require.Len(t, f["client_assertion"], 1, "CA-7523-2.2-1: exactly one")
				require.NotContains(t, f, "client_secret", "CA-7521-4.2-2")
				require.Equal(t, []string{"client_credentials"}, f["grant_type"])
				a, err := s.Verify(t.Context(), clientauth.Credentials{Form: f})
				require.NoError(t, err, "a retry has a new jti")
				require.Equal(t, clientID, a.ClientID())
			}
		})
	}
}

func fast(d time.Duration) func(*clientauth.PrivateKeyJWTConfig) {
	return func(c *clientauth.PrivateKeyJWTConfig) {
		now := c.Now
		c.Now = func() time.Time { return now().Add(d) }
	}
}

func TestAuthenticateFails(t *testing.T) {
	s := newServer(t)
	cause := errors.New("module out of reach")
	c := newClient(t, s, func(c *clientauth.PrivateKeyJWTConfig) { c.Key = testkit.RemoteKey{Signer: c.Key, Err: cause} })
	f := url.Values{"client_secret": {"s"}}
	require.ErrorIs(t, c.Authenticate(t.Context(), f), cause)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, newClient(t, s).Authenticate(ctx, f), context.Canceled)
	require.Equal(t, url.Values{"client_secret": {"s"}}, f, "the form of a failure is as it was")
	require.Error(t, newClient(t, s).Authenticate(t.Context(), nil))
}

func TestNewPrivateKeyJWTRefuses(t *testing.T) {
	key := testkit.ECKey(t, clientID)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	testkit.Reject(t, clientauth.NewPrivateKeyJWT, map[string]clientauth.PrivateKeyJWTConfig{
		"nothing":                        {},
		"no key":                         {ClientID: "c", Audience: issuer},
		"no client":                      {Audience: issuer, Key: key},
		"a client with a line break":     {ClientID: "c\n", Audience: issuer, Key: key},
		"no audience":                    {ClientID: "c", Key: key},
		"an audience that is no issuer":  {ClientID: "c", Audience: "as", Key: key},
		"SP-5.4.1-1.2 RS256":             {ClientID: "c", Audience: issuer, Key: testkit.RSAKey(t, clientID), Algorithm: "RS256"},
		"JWT-3.1-2 another key's":        {ClientID: "c", Audience: issuer, Key: key, Algorithm: "PS256"},
		"SP-5.4.1-2 RSA of 1024 bits":    {ClientID: "c", Audience: issuer, Key: weak},
		"a lifetime of 11 minutes":       {ClientID: "c", Audience: issuer, Key: key, Lifetime: 11 * time.Minute},
		"a lifetime below the second":    {ClientID: "c", Audience: issuer, Key: key, Lifetime: time.Millisecond},
		"a negative lifetime":            {ClientID: "c", Audience: issuer, Key: key, Lifetime: -time.Minute},
		"CA-BIS-4-2 an endpoint's query": {ClientID: "c", Audience: issuer + "/token?x", Key: key},
	})
}

func TestKeysAreNotPrinted(t *testing.T) {
	key := testkit.ECKey(t, clientID)
	secret, err := key.Bytes()
	require.NoError(t, err)
	cfg := clientauth.PrivateKeyJWTConfig{ClientID: clientID, Audience: issuer, Key: key}
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v %#v", cfg, cfg), slog.AnyValue(cfg).Resolve().String()} {
		require.Contains(t, text, clientID)
		require.NotContains(t, text, key.D.String())
		require.NotContains(t, text, fmt.Sprint(secret))
	}
}

func TestClaimsOfAssertions(t *testing.T) {
	s := newServer(t)
	claims, failure := map[string]any{"authorization_details": map[string]any{"type": "x"}}, error(nil)
	c := newClient(t, s, func(c *clientauth.PrivateKeyJWTConfig) {
		c.Claims = func(context.Context) (map[string]any, error) { return claims, failure }
	})
	form := url.Values{}
	require.NoError(t, c.Authenticate(t.Context(), form))
	payload := decode(t, strings.Split(form.Get("client_assertion"), ".")[1])
	require.JSONEq(t, `{"type":"x"}`, string(payload["authorization_details"]))
	require.Len(t, payload, 7)
	for _, name := range []string{"iss", "sub", "aud", "jti", "iat", "exp", "nbf", "Aud"} {
		claims = map[string]any{name: "x"}
		require.ErrorContains(t, c.Authenticate(t.Context(), url.Values{}), "reserved name", name)
	}
	claims = map[string]any{"x": func() {}}
	require.Error(t, c.Authenticate(t.Context(), url.Values{}))
	failure = errors.New("no claims")
	form = url.Values{}
	require.ErrorIs(t, c.Authenticate(t.Context(), form), failure)
	require.Empty(t, form)
}
