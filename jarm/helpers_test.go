package jarm_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

const (
	issuer   = "https://as.example.com"
	client   = "fintech"
	state    = "S8NJ7uqk5fY4EjNvP_G_FtyJu6pUsvH9jsYni9dMAJw"
	code     = "PyyFaux2o7Q0YfXBU32jhw.5FXSQpvr8akv9CeRDSd0QA"
	callback = "https://client.example.com/cb"
)

var t0 = time.Unix(1_800_000_000, 0)

type obj = map[string]any

func keySource(keys ...crypto.PublicKey) func(context.Context, string, string) ([]crypto.PublicKey, error) {
	return func(context.Context, string, string) ([]crypto.PublicKey, error) { return keys, nil }
}

func newIssuer(t testing.TB, change func(*jarm.IssuerConfig)) *jarm.Issuer {
	t.Helper()
	cfg := jarm.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "as"), Now: func() time.Time { return t0 }}
	if change != nil {
		change(&cfg)
	}
	i, err := jarm.NewIssuer(cfg)
	require.NoError(t, err)
	return i
}

func newVerifier(t testing.TB, change func(*jarm.VerifierConfig)) *jarm.Verifier {
	t.Helper()
	cfg := jarm.VerifierConfig{
		Issuer: issuer, ClientID: client, Now: func() time.Time { return t0 },
		Keys: keySource(testkit.ECKey(t, "as").Public(), testkit.Ed25519Key(t, "as").Public(), testkit.RSAKey(t, "as").Public()),
	}
	if change != nil {
		change(&cfg)
	}
	v, err := jarm.NewVerifier(cfg)
	require.NoError(t, err)
	return v
}

// set returns good claims with changes; nil removes.
func set(changes ...any) obj {
	c := obj{"iss": issuer, "aud": client, "exp": t0.Unix() + 300, "code": code, "state": state}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(c, changes[i].(string))
		} else {
			c[changes[i].(string)] = changes[i+1]
		}
	}
	return c
}

func signRaw(t testing.TB, payload string, o jose.SignerOptions, key crypto.Signer) string {
	t.Helper()
	s, err := jose.NewSigner(key, o)
	require.NoError(t, err)
	token, err := s.Sign([]byte(payload))
	require.NoError(t, err)
	return token
}

func sign(t testing.TB, claims obj) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return signRaw(t, string(payload), jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "as"))
}

// header puts another header before what a token has signed.
func header(token, h string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + rest
}

func segments(t testing.TB, token string) (header, claims obj) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, to := range []*obj{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, to))
	}
	return header, claims
}

// get and post are callbacks with a query, or with a form.
func get(query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, callback, nil)
	r.URL.RawQuery = query
	return r
}

func post(form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, callback, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// entries are all the ways in which a response reaches a verifier.
var entries = map[string]func(*jarm.Verifier, string) (*jarm.Response, error){
	"Verify": func(v *jarm.Verifier, token string) (*jarm.Response, error) {
		return v.Verify(context.Background(), token)
	},
	"VerifyValues": func(v *jarm.Verifier, token string) (*jarm.Response, error) {
		return v.VerifyValues(context.Background(), url.Values{"response": {token}})
	},
	"query": func(v *jarm.Verifier, token string) (*jarm.Response, error) {
		return v.VerifyRequest(context.Background(), get("response="+url.QueryEscape(token)))
	},
	"form": func(v *jarm.Verifier, token string) (*jarm.Response, error) {
		return v.VerifyRequest(context.Background(), post("response="+url.QueryEscape(token)))
	},
}

// requireRefused expects one class of failure, whichever way the response comes, and nothing of it returned.
func requireRefused(t *testing.T, token string, want error, change func(*jarm.VerifierConfig)) {
	t.Helper()
	v := newVerifier(t, change)
	for name, enter := range entries {
		got, err := enter(v, token)
		if token == "" && name != "Verify" {
			require.ErrorIs(t, err, jarm.ErrNoResponse, name)
		} else {
			require.ErrorIs(t, err, want, name)
		}
		require.Nil(t, got, name)
		if token != "" {
			require.NotContains(t, err.Error(), token)
		}
		require.NotContains(t, err.Error(), code)
		require.NotContains(t, err.Error(), state)
	}
}
