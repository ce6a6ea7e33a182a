package jar_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"strings"
	"sync"
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

// recorder is a replay store that tells how often it was asked.
type recorder struct {
	mu   sync.Mutex
	used map[string]time.Time
	uses int
	err  error
}

func (r *recorder) Add(_ context.Context, key string, _ []byte, expires time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses++
	if r.err != nil {
		return true, r.err // a store that is wrong about errors must not matter
	}
	if _, ok := r.used[key]; ok {
		return false, nil
	}
	if r.used == nil {
		r.used = map[string]time.Time{}
	}
	r.used[key] = expires
	return true, nil
}

// server is an authorization server, and the client that has authenticated there.
type server struct {
	*jar.Verifier
	clock   *testkit.Clock
	replay  *recorder
	client  jar.Client
	fetches []string // kid and alg of calls for keys
	keysErr error
}

func newServer(t testing.TB, change ...func(*jar.VerifierConfig)) *server {
	t.Helper()
	s := &server{clock: testkit.NewClock(time.Unix(1_800_000_000, 0)), replay: &recorder{}}
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
	return sign(t, goodHeader, s.good(change), testkit.ECKey(t, clientID))
}

func encode(t testing.TB, v any) string {
	raw, ok := v.(string) // JSON as it is
	if !ok {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		raw = string(b)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(raw))
}

type pkcs1 struct{ *rsa.PrivateKey }

// sign makes a compact JWS of any header and payload; a string stands for itself. The key decides how it is signed.
func sign(t testing.TB, header, payload, key any) string {
	signed := encode(t, header) + "." + encode(t, payload)
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, k, digest[:])
		sig, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), signErr
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(signed))
	case *rsa.PrivateKey: // PS256
		sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss)
	case pkcs1:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k.PrivateKey, crypto.SHA256, digest[:])
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(signed))
		sig = mac.Sum(nil)
	default:
		err = errors.New("unknown kind of key")
	}
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
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
	require.Zero(t, s.replay.uses, "a refused request must not use up anything")
}

// requireAnswer: JAR-7-1, faults of the object are invalid_request_object, those around it invalid_request.
func requireAnswer(t *testing.T, want, err error) {
	t.Helper()
	code, description, status := wire(t, err)
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
	require.Empty(t, strings.Trim(description, "abcdefghijklmnopqrstuvwxyzJWTA_,60 "), "characters beyond RFC 6749 §5.2")
}

// wire returns what the peer is told.
func wire(t testing.TB, err error) (code, description string, status int) {
	t.Helper()
	var w interface {
		OAuthError() (code, description string)
		HTTPStatus() int
	}
	require.ErrorAs(t, err, &w)
	code, description = w.OAuthError()
	return code, description, w.HTTPStatus()
}
