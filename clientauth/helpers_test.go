package clientauth_test

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	issuer   = "https://as.example.com"
	clientID = "client-1"
	jwtType  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

type claims = map[string]any

// server is an authorization server with two clients.
type server struct {
	*clientauth.Verifier
	clock   *testkit.Clock
	replay  *testkit.Recorder
	clients map[string]clientauth.Client
	lookups int
	fetches []string // kid and alg of calls for keys
	keysErr error
}

func newServer(t testing.TB, change ...func(*clientauth.VerifierConfig)) *server {
	t.Helper()
	s := &server{clock: testkit.NewClock(time.Now().Truncate(time.Second)), replay: &testkit.Recorder{}}
	keys := func(public ...crypto.PublicKey) func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
			s.fetches = append(s.fetches, kid+" "+alg)
			return public, s.keysErr
		}
	}
	s.clients = map[string]clientauth.Client{
		clientID: {ID: clientID, Keys: keys(testkit.ECKey(t, "decoy").Public(), testkit.ECKey(t, clientID).Public(),
			testkit.RSAKey(t, clientID).Public(), testkit.Ed25519Key(t, clientID).Public())},
		"client-2": {ID: "client-2", Keys: keys(testkit.ECKey(t, "client-2").Public())},
	}
	cfg := clientauth.VerifierConfig{Issuer: issuer, Replay: s.replay, Now: s.clock.Now,
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			s.lookups++
			if c, ok := s.clients[id]; ok {
				return c, nil
			}
			return clientauth.Client{}, fmt.Errorf("no row: %w", clientauth.ErrUnknownClient)
		}}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	s.Verifier, err = clientauth.NewVerifier(cfg)
	require.NoError(t, err)
	return s
}

// good returns claims that are accepted now.
func (s *server) good(change claims) claims {
	now := s.clock.Now().Unix()
	c := claims{"iss": clientID, "sub": clientID, "aud": issuer, "jti": "one", "iat": now, "exp": now + 60}
	maps.Copy(c, change)
	for name, value := range c {
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

// assertion signs claims with the client's P-256 key.
func (s *server) assertion(t testing.TB, change claims) string {
	return testkit.SignJWS(t, claims{"alg": "ES256", "typ": "client-authentication+jwt", "kid": "k1"}, s.good(change), testkit.ECKey(t, clientID))
}

func form(assertion string, pairs ...string) url.Values {
	f := url.Values{"grant_type": {"authorization_code"}, "client_assertion_type": {jwtType}, "client_assertion": {assertion}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func credentials(assertion string, pairs ...string) clientauth.Credentials {
	return clientauth.Credentials{Form: form(assertion, pairs...)}
}

// requireRefused runs credentials through all entry points: each says no for the same reason, hands out nothing and
// leaves the replay store alone.
func (s *server) requireRefused(t *testing.T, want error, c clientauth.Credentials) error {
	t.Helper()
	var err error
	for name, entry := range map[string]func(context.Context, clientauth.Credentials) (clientauth.Authentication, error){
		"Check": s.Check, "Verify": s.Verify,
	} {
		var a clientauth.Authentication
		a, err = entry(t.Context(), c)
		require.ErrorIs(t, err, want, name)
		require.Zero(t, a, name)
	}
	require.Zero(t, s.replay.Calls, "a refused request must not use up anything")
	require.NotContains(t, err.Error(), "eyJ", "an error text shows a part of the assertion")
	return err
}
