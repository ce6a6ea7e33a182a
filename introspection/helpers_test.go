package introspection_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

const (
	issuer   = "https://as.example.com"
	rs       = "https://rs.example.com"  // by which it authenticates
	api      = "https://api.example.com" // by which tokens name it
	opaque   = "2YotnFZFEjr1zCsicMWpAA"
	jkt      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	x5t      = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
	typ      = "token-introspection+jwt"
	mediaJWT = "application/token-introspection+jwt"
	formType = "application/x-www-form-urlencoded"
)

var (
	t0     = time.Unix(1_800_000_000, 0)
	caller = introspection.ResourceServer{ID: rs, Audience: []string{api}}
)

// sentinels by the class that vectors name.
var sentinels = map[string]error{
	"inactive": introspection.ErrInactive, "unsigned": introspection.ErrUnprotected, "malformed": introspection.ErrMalformed,
	"algorithm": introspection.ErrAlgorithm, "type": introspection.ErrType, "issuer": introspection.ErrIssuer,
	"audience": introspection.ErrAudience, "stale": introspection.ErrStale, "signature": introspection.ErrSignature,
	"claims": introspection.ErrClaims, "expired": introspection.ErrExpired, "not yet": introspection.ErrNotYetValid,
	"resource": introspection.ErrResource, "confirmation": introspection.ErrConfirmation, "unavailable": introspection.ErrUnavailable,
}

func newResponder(t testing.TB, change func(*introspection.ResponderConfig)) *introspection.Responder {
	t.Helper()
	cfg := introspection.ResponderConfig{Issuer: issuer, Key: testkit.ECKey(t, "as"), Now: func() time.Time { return t0 }}
	if change != nil {
		change(&cfg)
	}
	s, err := introspection.NewResponder(cfg)
	require.NoError(t, err)
	return s
}

func active() introspection.Response {
	return introspection.Response{
		Active: true, Audience: []string{api}, Expires: t0.Add(5 * time.Minute), JKT: jkt, Subject: "alice", ClientID: "fintech",
		Scope: "accounts payments", ID: "id-1",
	}
}

func signedMembers(t testing.TB, members string) string {
	return testkit.SignPayload(t, fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"token_introspection":%s}`, issuer, rs, t0.Unix(), members),
		jose.SignerOptions{Type: typ}, testkit.ECKey(t, "as"))
}

func clientConfig(t testing.TB) introspection.ClientConfig {
	return introspection.ClientConfig{
		Endpoint: "https://as.example.com/introspect", Issuer: issuer, ClientID: rs, Audience: []string{api},
		Keys: testkit.KeySource(testkit.ECKey(t, "as").Public(), testkit.Ed25519Key(t, "as").Public(), testkit.RSAKey(t, "as").Public()),
		Authenticate: func(_ context.Context, form url.Values) error {
			form.Set("client_assertion", "an-assertion")
			return nil
		},
		Now: func() time.Time { return t0 },
	}
}

// newClient asks a TLS server.
func newClient(t testing.TB, h http.HandlerFunc, change func(*introspection.ClientConfig)) *introspection.Client {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	cfg := clientConfig(t)
	cfg.Endpoint, cfg.HTTPClient = srv.URL+"/introspect", srv.Client()
	if change != nil {
		change(&cfg)
	}
	c, err := introspection.NewClient(cfg)
	require.NoError(t, err)
	return c
}

// wire answers without a network.
type wire func(*http.Request) (*http.Response, error)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(mediaType, body string) wire {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {mediaType}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
}

// wired asks f.
func wired(t testing.TB, f wire, change func(*introspection.ClientConfig)) *introspection.Client {
	t.Helper()
	cfg := clientConfig(t)
	cfg.HTTPClient = &http.Client{Transport: f}
	if change != nil {
		change(&cfg)
	}
	c, err := introspection.NewClient(cfg)
	require.NoError(t, err)
	return c
}

func answer(mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, body)
	}
}

// requireRefused asks twice: a refused token is not remembered.
func requireRefused(t *testing.T, c *introspection.Client, want error) error {
	t.Helper()
	require.NotNil(t, want)
	var last error
	for range 2 {
		got, err := c.Introspect(t.Context(), opaque)
		require.ErrorIs(t, err, want)
		require.Nil(t, got)
		requireWire(t, err, want)
		require.NotContains(t, err.Error(), opaque)
		require.NotContains(t, err.Error(), "an-assertion")
		last = err
	}
	return last
}

func requireWire(t *testing.T, err, want error) {
	t.Helper()
	code, description, status := testkit.Wire(t, err)
	if want == introspection.ErrUnavailable {
		require.Equal(t, "server_error", code)
		require.Empty(t, description)
		require.Equal(t, http.StatusServiceUnavailable, status)
		return
	}
	require.Equal(t, "invalid_token", code)
	require.Equal(t, "the access token is not valid", description)
	require.Equal(t, http.StatusUnauthorized, status)
}

func oldTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
