package introspection_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

func FuzzIntrospectJWT(f *testing.F) {
	var body string
	c := wired(f, func(r *http.Request) (*http.Response, error) { return reply(mediaJWT, body)(r) }, nil)
	testkit.FuzzForgeries(f, honest(f), func(forged string) (*introspection.Token, error) {
		body = forged
		return c.Introspect(context.Background(), opaque)
	})
}

// FuzzIntrospectMembers: whatever the server says, only what has all that is required gets through, signed or not.
func FuzzIntrospectMembers(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"active":true,"aud":"https://api.example.com","exp":1800000300,"cnf":{"jkt":"` + jkt + `"}}`))
	f.Add([]byte(`{"active":true,"aud":["https://api.example.com"],"nbf":1,"cnf":{"x5t#S256":"` + x5t + `"},"authorization_details":[{}]}`))
	f.Fuzz(func(t *testing.T, members []byte) {
		plain := wired(t, reply("application/json", string(members)), func(c *introspection.ClientConfig) { c.Unsigned = true })
		got, err := plain.Introspect(context.Background(), opaque)
		require.Equal(t, err != nil, got == nil)
		if json.Valid(members) { // what else could be in another document
			signed, signedErr := wired(t, reply(mediaJWT, signedMembers(t, string(members))), nil).Introspect(context.Background(), opaque)
			require.Equal(t, err == nil, signedErr == nil)
			require.Equal(t, signedErr != nil, signed == nil)
		}
		if err != nil {
			return
		}
		require.Equal(t, "true", string(got.Claim("active")))
		require.Equal(t, issuer, got.Issuer())
		require.Contains(t, got.Audience(), api)
		require.NotEmpty(t, got.JKT()+got.X5TS256())
		require.True(t, got.ExpiresAt().IsZero() || got.ExpiresAt().After(t0))
	})
}

// FuzzAnswer: what a Responder says a Client reads, and it reads the same.
func FuzzAnswer(f *testing.F) {
	f.Add("alice", "fintech", "accounts", "id-1", "urn:strong", int64(300), `[{"type":"a"}]`, true)
	f.Add("", "", "", "", "", int64(-1), ``, false)
	f.Add("\xff", "<&>", "a b", "\u2028", "\x00", int64(1)<<40, `null`, true)
	s := newResponder(f, nil)
	f.Fuzz(func(t *testing.T, subject, client, scope, id, acr string, life int64, details string, jwt bool) {
		resp := introspection.Response{
			Active: true, Audience: []string{api}, Expires: t0.Add(time.Duration(life) * time.Second), JKT: jkt,
			Subject: subject, ClientID: client, Scope: scope, ID: id, ACR: acr,
		}
		if details != "" {
			resp.AuthorizationDetails = json.RawMessage(details)
		}
		mediaType, body, err := s.Answer(caller, jwt, resp)
		if err != nil {
			require.Nil(t, body)
			return
		}
		got, err := wired(t, reply(mediaType, string(body)), func(c *introspection.ClientConfig) { c.Unsigned = !jwt }).Introspect(context.Background(), opaque)
		if resp.Expires.Unix() <= t0.Unix() {
			require.ErrorIs(t, err, introspection.ErrInactive)
			return
		}
		require.NoError(t, err)
		require.Equal(t, []string{subject, client, id, acr}, []string{got.Subject(), got.ClientID(), got.ID(), got.ACR()})
		require.Equal(t, resp.Expires.Unix(), got.ExpiresAt().Unix())
		if details != "" {
			require.JSONEq(t, details, string(got.AuthorizationDetails()))
		}
		for _, value := range got.Scopes() {
			require.NoError(t, got.CheckScope(value))
		}
	})
}

// FuzzParseRequest: what is accepted has a token, and one alone.
func FuzzParseRequest(f *testing.F) {
	f.Add("token=a&token_type_hint=b", mediaJWT)
	f.Add("token=a&token=b", "*/*;q=0.1,,;")
	f.Fuzz(func(t *testing.T, form, accept string) {
		req, err := introspection.ParseRequest(question(form, accept))
		if err != nil {
			require.Zero(t, req)
			return
		}
		require.NotEmpty(t, req.Token)
		require.Equal(t, []string{req.Token}, req.Form["token"])
	})
}

// The benchmarks leave the network out.
func BenchmarkIntrospect(b *testing.B) {
	_, body, err := newResponder(b, nil).Answer(caller, false, active())
	require.NoError(b, err)
	signed, unsigned := reply(mediaJWT, honest(b)), reply("application/json", string(body))
	_, verify := testkit.Bare(b, testkit.ECKey(b, "as"), []byte("x"))
	testkit.Benchmark(b, "bare", verify)
	for _, bc := range []struct {
		name   string
		wire   wire
		change func(*introspection.ClientConfig)
	}{
		{"signed", signed, func(*introspection.ClientConfig) {}},
		{"unsigned", unsigned, func(cfg *introspection.ClientConfig) { cfg.Unsigned = true }},
		{"cached", signed, func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute }},
	} {
		c := wired(b, bc.wire, func(cfg *introspection.ClientConfig) {
			cfg.Keys = testkit.KeySource(testkit.ECKey(b, "as").Public())
			bc.change(cfg)
		})
		testkit.Benchmark(b, bc.name, func() bool { _, err := c.Introspect(b.Context(), opaque); return err == nil })
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := newResponder(b, nil)
	sign, _ := testkit.Bare(b, testkit.ECKey(b, "as"), []byte("x"))
	testkit.Benchmark(b, "bare", sign)
	testkit.Benchmark(b, "signed", func() bool { _, _, err := s.Answer(caller, true, active()); return err == nil })
}
