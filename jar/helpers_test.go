package jar_test

import (
	"context"
	"crypto"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

const (
	issuer   = "https://as.example.com"
	clientID = "client-1"
)

type obj = map[string]any

// server is an authorization server, and the client that has authenticated there.
type server struct {
	*jar.Verifier
	clock   *testkit.Clock
	replay  *testkit.Recorder
	client  jar.Client
	fetches []string // kid and alg of calls for keys
	keysErr error
}

func newServer(t testing.TB, change ...func(*jar.VerifierConfig)) *server {
	t.Helper()
	s := &server{clock: testkit.NewClock(time.Unix(1_800_000_000, 0)), replay: &testkit.Recorder{}}
	public := []crypto.PublicKey{testkit.ECKey(t, "decoy").Public(), testkit.RSAKey(t, clientID).Public(),
		testkit.Ed25519Key(t, clientID).Public(), testkit.ECKey(t, clientID).Public()}
	s.client = jar.Client{ID: clientID, Keys: func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
		s.fetches = append(s.fetches, kid+" "+alg)
		if s.keysErr != nil || kid != "" && kid != "k1" {
			return nil, s.keysErr
		}
		return public, nil
	}}
	cfg := jar.VerifierConfig{Issuer: issuer, Replay: s.replay, Now: s.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	s.Verifier, err = jar.NewVerifier(cfg)
	require.NoError(t, err)
	return s
}

func newSigner(t testing.TB, s *server, change ...func(*jar.SignerConfig)) *jar.Signer {
	t.Helper()
	cfg := jar.SignerConfig{ClientID: clientID, Audience: issuer, Key: testkit.ECKey(t, clientID), KeyID: "k1", Now: s.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	signer, err := jar.NewSigner(cfg)
	require.NoError(t, err)
	return signer
}

// good returns claims that are accepted now; nil removes one.
func (s *server) good(change obj) obj {
	now := s.clock.Now().Unix()
	c := obj{
		"iss": clientID, "aud": issuer, "client_id": clientID, "nbf": now, "iat": now, "exp": now + 300, "jti": "one",
		"response_type": "code", "redirect_uri": "https://client.example.com/cb", "code_challenge_method": "S256",
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
	return c
}

var goodHeader = obj{"alg": "ES256", "typ": "oauth-authz-req+jwt", "kid": "k1"}

// object signs claims with the client's P-256 key.
func (s *server) object(t testing.TB, change obj) string {
	return testkit.SignJWS(t, goodHeader, s.good(change), testkit.ECKey(t, clientID))
}

// form is what a client pushes that authenticates with an assertion.
func form(object string, pairs ...string) url.Values {
	f := url.Values{"request": {object}, "client_id": {clientID}, "client_assertion": {"…"}, "client_assertion_type": {"urn:…"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

type entry = func(context.Context, jar.Client, url.Values) (jar.Request, error)

// entries are all ways to have a form verified.
func (s *server) entries() map[string]entry {
	return map[string]entry{"Check": s.Check, "Verify": s.Verify}
}

// requireRefused runs a form through all entry points: each says no for the same reason and with that answer, hands out
// nothing and leaves the replay store alone.
func (s *server) requireRefused(t *testing.T, want error, f url.Values) {
	t.Helper()
	for name, verify := range s.entries() {
		r, err := verify(t.Context(), s.client, f)
		require.ErrorIs(t, err, want, name)
		require.Zero(t, r, name)
		requireAnswer(t, want, err)
		require.NotContains(t, err.Error(), "eyJ", "an error text shows a part of the object")
	}
	require.Zero(t, s.replay.Calls, "a refused request must not use up anything")
}

// requireAnswer: JAR-7-1, faults of the object are invalid_request_object, those around it invalid_request.
func requireAnswer(t *testing.T, want, err error) {
	t.Helper()
	code, description, status := testkit.Wire(t, err)
	switch want {
	case jar.ErrUnsigned, jar.ErrForm:
		require.Equal(t, "invalid_request", code)
	case jar.ErrUnavailable:
		require.Equal(t, "server_error", code)
		require.Equal(t, 503, status)
		return
	default:
		require.Equal(t, "invalid_request_object", code, "JAR-7-1 the fault is in the object")
	}
	require.Equal(t, 400, status)
	require.NotEmpty(t, description)
	require.Empty(t, strings.Trim(description, "abcdefghijklmnopqrstuvwxyzJWTA_,0123456789 "), "characters beyond RFC 6749 §5.2")
}
