package jarm_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

// FuzzMutatedResponse: one character of a good response changed, and it never verifies, signed or encrypted.
func FuzzMutatedResponse(f *testing.F) {
	signed := sign(f, set())
	tokens := []string{signed, encrypt(f, signed, toEC(f))}
	verifiers := []*jarm.Verifier{newVerifier(f, nil), newVerifier(f, decrypting(f))}
	for i, token := range tokens {
		_, err := verifiers[i].Verify(context.Background(), token)
		require.NoError(f, err)
		for k := range 16 {
			f.Add(k*len(token)/16, i == 1)
		}
	}
	f.Fuzz(func(t *testing.T, i int, encrypted bool) {
		which := 0
		if encrypted {
			which = 1
		}
		got, err := verifiers[which].Verify(context.Background(), testkit.MutateJWS(tokens[which], i))
		require.Error(t, err)
		require.Nil(t, got)
	})
}

// FuzzRoundTrip: what a server says is what a client reads, or the server refuses to say it.
func FuzzRoundTrip(f *testing.F) {
	f.Add(code, state, "", "", "session_state", "x")
	f.Add("", "", "access_denied", "no", "expires_in", "3600")
	f.Add("c", `<"&'\`, "", "", "a", "\u2028")
	f.Add("c", "", "", "", "Code", "d")
	f.Add("c", "", "", "", "iss", "d")
	i, v := newIssuer(f, nil), newVerifier(f, nil)
	f.Fuzz(func(t *testing.T, code, state, failure, description, name, value string) {
		params := url.Values{}
		for n, text := range map[string]string{"code": code, "state": state, "error": failure, "error_description": description} {
			if text != "" {
				params.Set(n, text)
			}
		}
		params.Set(name, value)
		token, err := i.Response(client, params)
		if err != nil {
			require.Empty(t, token)
			return
		}
		got, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		require.Equal(t, params, got.Params())
		require.Equal(t, params.Get("error") != "", got.Err() != nil)
	})
}

// Each response that verifies has all required claims.
func FuzzVerifyClaims(f *testing.F) {
	body, err := json.Marshal(set())
	require.NoError(f, err)
	v := newVerifier(f, nil)
	testkit.FuzzClaims(f, jose.SignerOptions{}, testkit.ECKey(f, "as"), func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.Equal(t, issuer, got.Issuer())
		require.True(t, got.ExpiresAt().After(t0))
		require.NotEqual(t, got.Code() == "", got.Err() == nil)
	}, string(body), `{"iss":"https://as.example.com","aud":["fintech"],"exp":1800000001,"error":"x","n":-1.5e3,"o":{}}`)
}

// FuzzRedirectURL: the response can be read back, and nothing but it has been added.
func FuzzRedirectURL(f *testing.F) {
	for _, uri := range []string{callback, callback + "?a=b", callback + "?", "com.example.app:/cb", "https://c.example/?response=x", "javascript:x.y"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := jarm.RedirectURL(uri, jwt)
		if err != nil {
			require.Empty(t, got)
			return
		}
		require.True(t, strings.HasPrefix(got, uri))
		before, err := url.Parse(uri)
		require.NoError(t, err)
		after, err := url.Parse(got)
		require.NoError(t, err)
		require.Equal(t, before.Host, after.Host)
		require.Equal(t, before.Path, after.Path)
		want := before.Query()
		want.Set("response", jwt)
		require.Equal(t, want, after.Query())
	})
}
