package message_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/message"
	"github.com/stretchr/testify/require"
)

const (
	sender   = "https://fintech.example.com"
	receiver = "https://api.bank.example.com/consents"
)

var clock = testkit.NewClock(time.Unix(1_800_000_000, 0))

func newSigner(t testing.TB, change ...func(*message.SignerConfig)) *message.Signer {
	cfg := message.SignerConfig{Issuer: sender, Key: testkit.ECKey(t, "sender"), KeyID: "k1", Now: clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	s, err := message.NewSigner(cfg)
	require.NoError(t, err)
	return s
}

func newVerifier(t testing.TB, change ...func(*message.VerifierConfig)) *message.Verifier {
	cfg := message.VerifierConfig{
		Issuer: sender, Audience: []string{receiver}, Now: clock.Now,
		Keys: testkit.KeySource(testkit.ECKey(t, "sender").Public()),
	}
	for _, f := range change {
		f(&cfg)
	}
	v, err := message.NewVerifier(cfg)
	require.NoError(t, err)
	return v
}

func claims(changes ...any) map[string]any {
	now := clock.Now().Unix()
	return testkit.Change(map[string]any{
		"iss": sender, "aud": receiver, "iat": now, "exp": now + 300, "jti": "m-1", "amount": "12.34",
	}, changes...)
}

func TestRoundTrip(t *testing.T) {
	type body struct {
		Data struct {
			ConsentID string `json:"consentId"`
		} `json:"data"`
	}
	var sent, got body
	sent.Data.ConsentID = "urn:bank:1"
	for name, key := range map[string]crypto.Signer{
		"ES256": testkit.ECKey(t, "sender"), "PS256": testkit.RSAKey(t, "sender"), "EdDSA": testkit.Ed25519Key(t, "sender"),
	} {
		t.Run(name, func(t *testing.T) {
			signer := newSigner(t, func(c *message.SignerConfig) { c.Key = key })
			token, err := signer.Sign(receiver, sent)
			require.NoError(t, err)
			v := newVerifier(t, func(c *message.VerifierConfig) {
				c.Keys = func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
					require.Equal(t, "k1", kid)
					require.Equal(t, name, alg)
					return []crypto.PublicKey{key.Public()}, nil
				}
			})
			body, err := message.ReadBody(http.Header{"Content-Type": {"application/jwt; charset=utf-8"}}, strings.NewReader(token+"\r\n"))
			require.NoError(t, err)
			m, err := v.Verify(t.Context(), body)
			require.NoError(t, err)
			require.NoError(t, m.Decode(&got))
			require.Equal(t, sent, got)
			require.JSONEq(t, `{"consentId":"urn:bank:1"}`, string(m.Claim("data")))
			require.Equal(t, sender, m.Issuer())
			require.Equal(t, clock.Now().UTC(), m.IssuedAt().UTC())
			require.Equal(t, token, m.Token())
			require.NotContains(t, fmt.Sprint(m, m.LogValue()), "urn:bank:1")
			again, err := signer.Sign(receiver, sent)
			require.NoError(t, err)
			other, err := v.Verify(t.Context(), again)
			require.NoError(t, err)
			require.NotEqual(t, m.ID(), other.ID())
		})
	}
	token, err := newSigner(t).Sign(receiver, nil)
	require.NoError(t, err)
	m, err := newVerifier(t).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Nil(t, m.Claim("data"))
	require.ErrorIs(t, m.Decode(&struct {
		Aud int `json:"aud"`
	}{}), message.ErrClaims)
}

func TestSignerRejects(t *testing.T) {
	testkit.RejectChanges(t, message.NewSigner, message.SignerConfig{Issuer: sender, Key: testkit.ECKey(t, "sender")},
		map[string]func(*message.SignerConfig){
			"no Issuer": func(c *message.SignerConfig) { c.Issuer = "" },
			"no Key":    func(c *message.SignerConfig) { c.Key = nil },
			"algorithm": func(c *message.SignerConfig) { c.Algorithm = "RS256" },
			"Lifetime":  func(c *message.SignerConfig) { c.Lifetime = 25 * time.Hour },
		})
	for name, body := range map[string]any{
		"an array": []int{1}, "a string": "x", "iss": map[string]any{"iss": "x"}, "Exp": map[string]any{"Exp": 1},
		"nbf": map[string]any{"nbf": 1}, "a client assertion": map[string]any{"sub": sender}, "not JSON": func() {}, "a name twice": map[string]any{"a": 1, "A": 2},
		"too long": map[string]any{"a": strings.Repeat("a", 1<<20)},
	} {
		_, err := newSigner(t).Sign(receiver, body)
		require.Error(t, err, name)
	}
	_, err := newSigner(t).Sign("", nil)
	require.Error(t, err)
}

func TestVerifierRejects(t *testing.T) {
	testkit.RejectChanges(t, message.NewVerifier, message.VerifierConfig{
		Issuer: sender, Audience: []string{receiver}, Keys: testkit.KeySource(),
	}, map[string]func(*message.VerifierConfig){
		"no Issuer":      func(c *message.VerifierConfig) { c.Issuer = "" },
		"no Audience":    func(c *message.VerifierConfig) { c.Audience = nil },
		"empty Audience": func(c *message.VerifierConfig) { c.Audience = []string{""} },
		"no Keys":        func(c *message.VerifierConfig) { c.Keys = nil },
		"MaxAge":         func(c *message.VerifierConfig) { c.MaxAge = 25 * time.Hour },
		"algorithm":      func(c *message.VerifierConfig) { c.Algorithms = []string{"RS256"} },
	})
	header := map[string]any{"alg": "ES256", "kid": "k1", "typ": "JWT"}
	now := clock.Now().Unix()
	for name, row := range map[string]struct {
		header, claims any
		want           error
	}{
		"a good message":               {header, claims(), nil},
		"several audiences":            {header, claims("aud", []string{"https://other", receiver}), nil},
		"no typ":                       {map[string]any{"alg": "ES256"}, claims(), nil},
		"exp within the skew":          {header, claims("exp", now-30), nil},
		"iat within the skew":          {header, claims("iat", now+30), nil},
		"expired":                      {header, claims("exp", now-31), message.ErrExpired},
		"not valid yet":                {header, claims("nbf", now+31), message.ErrExpired},
		"from the future":              {header, claims("iat", now+31, "exp", now+400), message.ErrIssuedAt},
		"too old, with a long exp":     {header, claims("iat", now-331, "exp", now+3600), message.ErrIssuedAt},
		"no exp":                       {header, claims("exp", nil), message.ErrClaims},
		"no iat":                       {header, claims("iat", nil), message.ErrClaims},
		"no jti":                       {header, claims("jti", nil), message.ErrClaims},
		"an empty jti":                 {header, claims("jti", ""), message.ErrClaims},
		"a long jti":                   {header, claims("jti", strings.Repeat("a", 257)), message.ErrClaims},
		"no aud":                       {header, claims("aud", nil), message.ErrClaims},
		"no iss":                       {header, claims("iss", nil), message.ErrClaims},
		"another issuer":               {header, claims("iss", sender+"/"), message.ErrIssuer},
		"another audience":             {header, claims("aud", receiver+"/"), message.ErrAudience},
		"a request object":             {map[string]any{"alg": "ES256", "typ": "oauth-authz-req+jwt"}, claims(), message.ErrType},
		"an access token":              {map[string]any{"alg": "ES256", "typ": "at+jwt"}, claims(), message.ErrType},
		"a client assertion":           {header, claims("sub", sender, "amount", nil), message.ErrType},
		"a body with a sub":            {header, claims("sub", sender), nil},
		"no signature":                 {map[string]any{"alg": "none"}, claims(), message.ErrAlgorithm},
		"an array":                     {header, `[]`, message.ErrMalformed},
		"a name twice":                 {header, `{"iss":"a","iss":"a"}`, message.ErrMalformed},
		"RFC 7797: unencoded payload":  {map[string]any{"alg": "ES256", "b64": false, "crit": []string{"b64"}}, claims(), message.ErrMalformed},
		"attack: a key in the message": {map[string]any{"alg": "ES256", "jwk": map[string]any{"kty": "EC"}}, claims("iss", "x"), message.ErrIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			store := &testkit.Recorder{}
			v := newVerifier(t, func(c *message.VerifierConfig) { c.Replay = store })
			m, err := v.Verify(t.Context(), testkit.SignJWS(t, row.header, row.claims, testkit.ECKey(t, "sender")))
			require.ErrorIs(t, err, row.want)
			require.Equal(t, row.want == nil, m != nil)
			require.Equal(t, row.want == nil, store.Calls == 1, "a rejected message uses no jti")
		})
	}
	good := testkit.SignJWS(t, header, claims(), testkit.ECKey(t, "sender"))
	_, err := newVerifier(t, func(c *message.VerifierConfig) { c.Keys = testkit.KeySource(testkit.ECKey(t, "x").Public()) }).Verify(t.Context(), good)
	require.ErrorIs(t, err, message.ErrSignature)
	lost := errors.New("lost")
	_, err = newVerifier(t, func(c *message.VerifierConfig) { c.Keys = testkit.KeyError(lost) }).Verify(t.Context(), good)
	require.ErrorIs(t, err, message.ErrUnavailable)
	require.ErrorIs(t, err, lost)
	_, err = newVerifier(t, func(c *message.VerifierConfig) { c.Type = "consent+jwt" }).Verify(t.Context(), good)
	require.ErrorIs(t, err, message.ErrType)
	assertion := testkit.SignJWS(t, header, claims("sub", sender, "amount", nil), testkit.ECKey(t, "sender"))
	_, err = newVerifier(t, func(c *message.VerifierConfig) { c.Type = "JWT" }).Verify(t.Context(), assertion)
	require.ErrorIs(t, err, message.ErrType, "a client assertion")
	_, err = newVerifier(t, func(c *message.VerifierConfig) { c.Algorithms = []string{"PS256"} }).Verify(t.Context(), good)
	require.ErrorIs(t, err, message.ErrAlgorithm)

	open := newVerifier(t, func(c *message.VerifierConfig) { c.AllowNoExpiry = true })
	_, err = open.Verify(t.Context(), testkit.SignJWS(t, header, claims("exp", nil), testkit.ECKey(t, "sender")))
	require.NoError(t, err)
	_, err = open.Verify(t.Context(), testkit.SignJWS(t, header, `{"iss":"a","exp":null}`, testkit.ECKey(t, "sender")))
	require.ErrorIs(t, err, message.ErrClaims, "null is not absent")
	_, err = open.Verify(t.Context(), testkit.SignJWS(t, header, claims("exp", nil, "iat", now-331), testkit.ECKey(t, "sender")))
	require.ErrorIs(t, err, message.ErrIssuedAt)
}

func TestReplays(t *testing.T) {
	store := &testkit.Recorder{}
	v := newVerifier(t, func(c *message.VerifierConfig) { c.Replay = store })
	token, err := newSigner(t).Sign(receiver, nil)
	require.NoError(t, err)
	var all sync.WaitGroup
	outcomes := make(chan error, 32)
	for range 32 {
		all.Go(func() {
			_, err := v.Verify(context.Background(), token)
			outcomes <- err
		})
	}
	all.Wait()
	close(outcomes)
	winners := 0
	for err := range outcomes {
		if err == nil {
			winners++
			continue
		}
		require.ErrorIs(t, err, message.ErrReplayed)
	}
	require.Equal(t, 1, winners, "exactly one winner")
	for _, expires := range store.Used {
		require.Equal(t, clock.Now().Add(331*time.Second).UTC(), expires.UTC(), "until the message is too old anyway")
	}
	store.Err = errors.New("down")
	token, err = newSigner(t).Sign(receiver, nil)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, message.ErrReplayStore)
	require.ErrorIs(t, err, store.Err)
}

func TestMessagesWithoutID(t *testing.T) {
	store := &testkit.Recorder{}
	v := newVerifier(t, func(c *message.VerifierConfig) { c.Replay, c.AllowNoID = store, true })
	sign := func(header map[string]any, changes ...any) string {
		return testkit.SignJWS(t, header, claims(append(changes, "jti", nil)...), testkit.ECKey(t, "sender"))
	}
	token := sign(map[string]any{"alg": "ES256"})
	m, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Empty(t, m.ID())
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, message.ErrReplayed)
	_, err = v.Verify(t.Context(), sign(map[string]any{"alg": "ES256"}))
	require.ErrorIs(t, err, message.ErrReplayed, "attack: the same text with another signature")
	_, err = v.Verify(t.Context(), sign(map[string]any{"alg": "ES256"}, "amount", "1.00"))
	require.NoError(t, err)
	_, err = newVerifier(t).Verify(t.Context(), token)
	require.ErrorIs(t, err, message.ErrClaims)
	for _, id := range []any{"", 1, json.RawMessage("null")} {
		_, err := v.Verify(t.Context(), testkit.SignJWS(t, map[string]any{"alg": "ES256"}, claims("jti", id), testkit.ECKey(t, "sender")))
		require.ErrorIs(t, err, message.ErrClaims, "%v", id)
	}
}

func TestReadBody(t *testing.T) {
	for _, mediaType := range []string{"", "application/json", "text/plain", "application/jwt, application/json", "application/jwt;a"} {
		_, err := message.ReadBody(http.Header{"Content-Type": {mediaType}}, strings.NewReader("a.b.c"))
		require.ErrorIs(t, err, message.ErrMediaType, mediaType)
	}
	_, err := message.ReadBody(http.Header{"Content-Type": {message.MediaType, "text/plain"}}, strings.NewReader("a.b.c"))
	require.ErrorIs(t, err, message.ErrMediaType, "two header fields")
	h := http.Header{"Content-Type": {message.MediaType}}
	_, err = message.ReadBody(h, strings.NewReader(strings.Repeat("a", 1<<20+1)))
	require.ErrorIs(t, err, message.ErrMalformed)
	_, err = message.ReadBody(h, broken{})
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func FuzzMessage(f *testing.F) {
	token, err := newSigner(f).Sign(receiver, map[string]any{"a": 1})
	require.NoError(f, err)
	v := newVerifier(f)
	testkit.FuzzForgeries(f, token, func(forged string) (*message.Message, error) {
		return v.Verify(context.Background(), forged)
	})
}

func FuzzClaims(f *testing.F) {
	v := newVerifier(f)
	testkit.FuzzClaims(f, jose.SignerOptions{}, testkit.ECKey(f, "sender"), func(t *testing.T, token string) {
		m, err := v.Verify(context.Background(), token)
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.Equal(t, sender, m.Issuer())
		require.NotEmpty(t, m.ID())
	}, fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":1800000000,"exp":1800000300,"jti":"1"}`, sender, receiver))
}
