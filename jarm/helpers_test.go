package jarm_test

import (
	"context"
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
		Keys: testkit.KeySource(testkit.ECKey(t, "as").Public(), testkit.Ed25519Key(t, "as").Public(), testkit.RSAKey(t, "as").Public()),
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
	return testkit.Change(obj{"iss": issuer, "aud": client, "exp": t0.Unix() + 300, "code": code, "state": state}, changes...)
}

func sign(t testing.TB, claims obj) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return testkit.SignPayload(t, string(payload), jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "as"))
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
