package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestStoresThatAreNone(t *testing.T) {
	lookup := func(context.Context, string) (clientauth.Client, error) { return clientauth.Client{}, nil }
	_, err := clientauth.NewVerifier(clientauth.VerifierConfig{Issuer: issuer, Lookup: lookup, Replay: (*testkit.Recorder)(nil)})
	require.Error(t, err)
}

func TestKeysThatAreNone(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"nil *ecdsa.PrivateKey": (*ecdsa.PrivateKey)(nil), "nil *rsa.PrivateKey": (*rsa.PrivateKey)(nil), "nil ed25519": ed25519.PrivateKey(nil),
		"empty ecdsa": &ecdsa.PrivateKey{}, "empty rsa": &rsa.PrivateKey{}, "short ed25519": make(ed25519.PrivateKey, 3),
	} {
		_, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "c", Audience: issuer, Key: key})
		require.Error(t, err, name)
	}
	s := newServer(t)
	s.registered(func(c *clientauth.Client) {
		c.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{nil, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, (*rsa.PublicKey)(nil), &rsa.PublicKey{},
				ed25519.PublicKey(nil), ed25519.PublicKey("short"), ecdsa.PublicKey{}, testkit.ECKey(t, clientID).Public()}, nil
		}
	})
	for _, alg := range []string{"ES256", "PS256", "EdDSA", "Ed25519"} {
		_, err := s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": alg}, s.good(nil), testkit.ECKey(t, clientID))))
		require.Equal(t, alg == "ES256", err == nil, "%s: %v", alg, err)
	}
}

// The edges of each limit, to the nanosecond where JSON allows it.
func TestClockEdges(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   time.Duration // the verifier's clock from the second in which the assertion was made
		set  func(now int64) claims
		want error
	}{
		{"CA-7523-3-4 the last nanosecond before exp", 60*time.Second - 1, func(int64) claims { return nil }, nil},
		{"CA-7523-3-4 at exp", 60 * time.Second, func(int64) claims { return nil }, clientauth.ErrExpired},
		{"CA-7523-3-4 exp with a fraction, before it", 60*time.Second + 400*time.Millisecond, func(n int64) claims { return claims{"exp": float64(n) + 60.5} }, nil},
		{"CA-7523-3-4 exp with a fraction, at it", 60*time.Second + 500*time.Millisecond, func(n int64) claims { return claims{"exp": float64(n) + 60.5} }, clientauth.ErrExpired},
		{"SP-5.3.2.1-13a iat 10 s ahead", 0, func(n int64) claims { return claims{"iat": n + 10} }, nil},
		{"iat a nanosecond more ahead", -1, func(n int64) claims { return claims{"iat": n + 10} }, clientauth.ErrNotYetValid},
		{"nbf alone, a long time ago", 0, func(n int64) claims { return claims{"iat": nil, "nbf": n - 86400} }, nil},
		{"neither iat nor nbf", 0, func(int64) claims { return claims{"iat": nil} }, nil},
		{"CA-7521-5.2-1 exp an hour and 10 s ahead, by a fast clock", 0, func(n int64) claims { return claims{"iat": n + 10, "exp": n + 3610} }, nil},
		{"CA-7523-3-6 exp an hour and 1 s after iat", 0, func(n int64) claims { return claims{"exp": n + 3601} }, clientauth.ErrExpired},
		{"exp as an exponent", 0, func(int64) claims { return claims{"exp": -1e-9} }, clientauth.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			c := credentials(s.assertion(t, tc.set(s.clock.Now().Unix())))
			s.clock.Advance(tc.at)
			_, err := s.Verify(t.Context(), c)
			require.ErrorIs(t, err, tc.want)
		})
	}
}

// An explicit type leaves nothing to guess: whatever other claims there are mean nothing here.
func TestTypeDecidesBeforeClaims(t *testing.T) {
	for _, extra := range []claims{{"response_type": "code"}, {"htm": "POST"}} {
		s := newServer(t)
		_, err := s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": "ES256", "typ": "client-authentication+jwt"}, s.good(extra), testkit.ECKey(t, clientID))))
		require.NoError(t, err, "CA-BIS-4-5 %v", extra)
		for _, typ := range []any{"JWT", ""} {
			_, err = s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": "ES256", "typ": typ}, s.good(extra), testkit.ECKey(t, clientID))))
			require.ErrorIs(t, err, clientauth.ErrMalformed, "JWT-3.12-1 %v", extra)
		}
	}
}

// What a caller changes after a call changes nothing.
func TestNothingIsShared(t *testing.T) {
	algorithms := []string{"ES256"}
	s := newServer(t, func(c *clientauth.VerifierConfig) { c.Algorithms = algorithms })
	algorithms[0] = "PS256"
	s.Algorithms()[0] = "PS256"
	c := credentials(s.assertion(t, nil))
	before := c.Form.Encode()
	a, err := s.Check(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, before, c.Form.Encode(), "credentials are only read")
	c.Form.Set("client_assertion", "x")
	require.NoError(t, s.Commit(t.Context(), a))
	require.ErrorIs(t, s.Commit(t.Context(), a), clientauth.ErrReplayed)
}
