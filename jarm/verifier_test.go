package jarm_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

func TestVerifyRefusesClaims(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
		want   error
	}{
		{"JARM-2.4-2 another issuer", set("iss", "https://evil.example.com"), jarm.ErrIssuer},
		{"JARM-2.4-2 a trailing slash", set("iss", issuer+"/"), jarm.ErrIssuer},
		{"JARM-2.4-2 another case", set("iss", "https://AS.example.com"), jarm.ErrIssuer},
		{"JARM-2.4-0 another server of the same client", set("iss", "https://other-as.example.com"), jarm.ErrIssuer},
		{"JARM-2.4-2 no iss", set("iss", nil), jarm.ErrClaims},
		{"JARM-2.4-2 an empty iss", set("iss", ""), jarm.ErrClaims},
		{"JARM-2.4-2 an iss that is an array", set("iss", []string{issuer}), jarm.ErrClaims},
		{"JARM-2.4-3 another audience", set("aud", "other"), jarm.ErrAudience},
		{"JARM-2.4-3 an array of another", set("aud", []string{"other"}), jarm.ErrAudience},
		{"JARM-2.4-3 a second audience", set("aud", []string{client, "other"}), jarm.ErrAudience},
		{"JARM-2.4-3 itself twice", set("aud", []string{client, client}), jarm.ErrAudience},
		{"JARM-2.4-3 the issuer as audience", set("aud", issuer), jarm.ErrAudience},
		{"JARM-2.4-3 no aud", set("aud", nil), jarm.ErrClaims},
		{"JARM-2.4-3 an empty array", set("aud", []string{}), jarm.ErrClaims},
		{"JARM-2.4-3 an aud that is a number", set("aud", 1), jarm.ErrClaims},
		{"JARM-2.4-3 an array with a number", set("aud", []any{client, 1}), jarm.ErrClaims},
		{"JARM-2.4-4 expired just now", set("exp", now), jarm.ErrExpired},
		{"JARM-2.4-4 expired long ago", set("exp", now-3600), jarm.ErrExpired},
		{"JARM-2.4-4 no exp", set("exp", nil), jarm.ErrClaims},
		{"JARM-2.4-4 an exp that is a string", set("exp", "1800000300"), jarm.ErrClaims},
		{"JARM-2.4-4 an exp beyond all time", set("exp", 1e300), jarm.ErrClaims},
		{"JARM-2.4-4 an exp before 1970", set("exp", -1), jarm.ErrClaims},
		{"not valid yet", set("nbf", now+11), jarm.ErrExpired},
		{"an nbf that is a string", set("nbf", "x"), jarm.ErrClaims},
		{"code and error together", set("error", "access_denied"), jarm.ErrParameters},
		{"neither code nor error", set("code", nil), jarm.ErrParameters},
		{"an empty code", set("code", ""), jarm.ErrParameters},
		{"an empty error", set("code", nil, "error", ""), jarm.ErrParameters},
		{"JARM-2.1-4 a code that is a number", set("code", 1), jarm.ErrParameters},
		{"JARM-2.1-4 a state that is a number", set("state", 1), jarm.ErrParameters},
		{"JARM-2.1-4 a state that is an array", set("state", []string{"s"}), jarm.ErrParameters},
		{"JARM-2.1-4 an error that is an object", set("code", nil, "error", obj{}), jarm.ErrParameters},
		{"a code that is null, and no error", set("code", json.RawMessage("null")), jarm.ErrParameters},
		{"JWT-3.12-1 an ID token", set("sub", "alice", "iat", now, "nonce", "n", "code", nil, "state", nil), jarm.ErrType},
		{"JWT-3.12-1 an ID token with a claim called code", set("sub", "alice", "iat", now, "nonce", "n"), jarm.ErrType},
		{"JWT-3.12-1 a logout token without typ", set("events", obj{"http://schemas.openid.net/event/backchannel-logout": obj{}}), jarm.ErrType},
		{"JWT-3.12-1 an introspection response without typ", set("token_introspection", obj{"active": true}), jarm.ErrType},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, sign(t, tc.claims), tc.want, nil) })
	}
}

func TestVerifyRefusesTokens(t *testing.T) {
	token := sign(t, set())
	body, err := json.Marshal(set())
	require.NoError(t, err)
	payload := string(body)
	_, rest, _ := strings.Cut(token, ".")
	part, sig, _ := strings.Cut(rest, ".")
	forged := strings.Replace(token, part, base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, code[:5], "other", 1))), 1)
	none := jose.SignerOptions{}
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"JARM-2.4-5 other parameters under the signature", forged, jarm.ErrSignature},
		{"JARM-2.4-5 the key of another", testkit.SignPayload(t, payload, none, testkit.ECKey(t, "evil")), jarm.ErrSignature},
		{"JARM-2.4-5 its own key in the header", testkit.SignPayload(t, payload, jose.SignerOptions{EmbedKey: true}, testkit.ECKey(t, "evil")), jarm.ErrSignature},
		{"JARM-2.4-5 no signature", token[:len(token)-len(sig)], jarm.ErrMalformed},
		{"JARM-2.4-5 none", testkit.WithHeader(token, `{"alg":"none"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-5 none in capitals", testkit.WithHeader(token, `{"alg":"NONE"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-5 RS256", testkit.WithHeader(token, `{"alg":"RS256"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-5 HS256", testkit.WithHeader(token, `{"alg":"HS256"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-5 an algorithm that is a number", testkit.WithHeader(token, `{"alg":1}`), jarm.ErrMalformed},
		{"JARM-2.4-5 an algorithm swap", testkit.WithHeader(token, `{"alg":"EdDSA"}`), jarm.ErrSignature},
		{"typ is no string", testkit.WithHeader(token, `{"alg":"ES256","typ":1}`), jarm.ErrMalformed},
		{"an unknown crit", testkit.WithHeader(token, `{"alg":"ES256","crit":["x"],"x":1}`), jarm.ErrMalformed},
		{"b64", testkit.WithHeader(token, `{"alg":"ES256","b64":false}`), jarm.ErrMalformed},
		{"code twice", testkit.SignPayload(t, payload[:len(payload)-1]+`,"code":"x"}`, none, testkit.ECKey(t, "as")), jarm.ErrMalformed},
		{"code twice but for its case", testkit.SignPayload(t, payload[:len(payload)-1]+`,"CODE":"x"}`, none, testkit.ECKey(t, "as")), jarm.ErrMalformed},
		{"iss twice", testkit.SignPayload(t, payload[:len(payload)-1]+`,"iss":"https://evil.example.com"}`, none, testkit.ECKey(t, "as")), jarm.ErrMalformed},
		{"bytes after the claims", testkit.SignPayload(t, payload+"{}", none, testkit.ECKey(t, "as")), jarm.ErrMalformed},
		{"claims that are an array", testkit.SignPayload(t, "["+payload+"]", none, testkit.ECKey(t, "as")), jarm.ErrMalformed},
		{"nothing", "", jarm.ErrMalformed},
		{"a line break", token + "\n", jarm.ErrMalformed},
		{"JSON serialization", `{"payload":"` + part + `","signatures":[]}`, jarm.ErrMalformed},
		{"JARM-2.4-1 encrypted, and no key for that", "a.b.c.d.e", jarm.ErrEncryption},
		{"more than 64 KiB", sign(t, set("pad", strings.Repeat("x", 64<<10))), jarm.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, tc.token, tc.want, nil) })
	}
	for _, typ := range []string{
		"at+jwt", "application/AT+JWT", "dpop+jwt", "oauth-authz-req+jwt", "logout+jwt", "token-introspection+jwt",
		"client-authentication+jwt", "secevent+jwt", "JOSE",
	} {
		t.Run("JWT-3.12-1 typ "+typ, func(t *testing.T) {
			requireRefused(t, testkit.SignPayload(t, payload, jose.SignerOptions{Type: typ}, testkit.ECKey(t, "as")), jarm.ErrType, nil)
		})
	}
	t.Run("JARM-2.4-5 JARM-2.2-2 an algorithm that was not registered", func(t *testing.T) {
		requireRefused(t, token, jarm.ErrAlgorithm, func(c *jarm.VerifierConfig) { c.Algorithms = []string{"PS256"} })
	})
	t.Run("JARM-2.4-5 no keys", func(t *testing.T) {
		requireRefused(t, token, jarm.ErrSignature, func(c *jarm.VerifierConfig) { c.Keys = testkit.KeySource() })
	})
	t.Run("JARM-2.4-5 keys that cannot be fetched", func(t *testing.T) {
		cause := errors.New("no route")
		down := func(c *jarm.VerifierConfig) { c.Keys = testkit.KeyError(cause) }
		requireRefused(t, token, jarm.ErrUnavailable, down)
		requireRefused(t, token, cause, down)
	})
}

func TestVerifyAccepts(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
		change func(*jarm.VerifierConfig)
	}{
		{"MS-5.4.2-2 what was asked for", set(), nil},
		{"JARM-2.4-3 an array of this client alone", set("aud", []string{client}), nil},
		{"JARM-2.4-4 a fractional exp", set("exp", float64(now)+0.5), nil},
		{"JARM-2.4-4 leeway", set("exp", now-299), func(c *jarm.VerifierConfig) { c.Leeway = 5 * time.Minute }},
		{"an nbf 10 s ahead", set("nbf", now+10), nil},
		{"JARM-2.1-6 claims that nobody knows", set("jti", "x", "iat", now, "s_hash", "y", "list", []int{1}, "flag", true, "x", nil), nil},
		{"no state", set("state", nil), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, enter := range entries {
				got, err := enter(newVerifier(t, tc.change), sign(t, tc.claims))
				require.NoError(t, err, name)
				require.Equal(t, code, got.Code())
				require.NoError(t, got.Err())
				require.Equal(t, issuer, got.Issuer())
			}
		})
	}
	t.Run("JARM-2.4-4 beyond leeway", func(t *testing.T) {
		requireRefused(t, sign(t, set("exp", now-300)), jarm.ErrExpired, func(c *jarm.VerifierConfig) { c.Leeway = 5 * time.Minute })
	})
	body, err := json.Marshal(set())
	require.NoError(t, err)
	for _, typ := range []string{"JWT", "jwt", "application/JWT"} {
		t.Run("typ "+typ, func(t *testing.T) {
			_, err := newVerifier(t, nil).Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{Type: typ}, testkit.ECKey(t, "as")))
			require.NoError(t, err)
		})
	}
}

// TestKeys: no key is fetched for what could not be accepted anyway, decoys do not harm, a wrong kid does not help.
func TestKeys(t *testing.T) {
	var fetched atomic.Int32
	v := newVerifier(t, func(c *jarm.VerifierConfig) {
		c.Keys = func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
			fetched.Add(1)
			if kid != "k" || alg != "ES256" {
				return nil, nil
			}
			return []crypto.PublicKey{testkit.RSAKey(t, "as").Public(), testkit.ECKey(t, "decoy").Public(), testkit.ECKey(t, "as").Public()}, nil
		}
	})
	for _, tc := range []struct {
		name   string
		claims obj
		want   error
	}{
		{"JARM-5.1-1 an unexpected issuer", set("iss", "https://evil.example.com"), jarm.ErrIssuer},
		{"JARM-2.4-2 an unexpected issuer of an expired response", set("iss", "https://evil.example.com", "exp", 1, "aud", "x"), jarm.ErrIssuer},
		{"JARM-2.4-3 another audience of an expired response", set("aud", "x", "exp", 1), jarm.ErrAudience},
		{"JARM-2.4-4 an expired response", set("exp", 1), jarm.ErrExpired},
		{"JWT-3.12-1 an ID token", set("sub", "alice"), jarm.ErrType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Not signed by the issuer at all, so that the class of failure also tells the order of the checks.
			body, err := json.Marshal(tc.claims)
			require.NoError(t, err)
			_, err = v.Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "evil")))
			require.ErrorIs(t, err, tc.want)
			require.Zero(t, fetched.Load())
		})
	}
	t.Run("JARM-2.4-6 the parameters come after the signature", func(t *testing.T) {
		body, err := json.Marshal(set("error", "access_denied"))
		require.NoError(t, err)
		_, err = v.Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{KeyID: "k"}, testkit.ECKey(t, "evil")))
		require.ErrorIs(t, err, jarm.ErrSignature)
	})
	_, err := v.Verify(context.Background(), sign(t, set()))
	require.NoError(t, err)
	body, err := json.Marshal(set())
	require.NoError(t, err)
	_, err = v.Verify(context.Background(), testkit.SignPayload(t, string(body), jose.SignerOptions{KeyID: "other"}, testkit.ECKey(t, "as")))
	require.ErrorIs(t, err, jarm.ErrSignature)
}

func TestCallbacks(t *testing.T) {
	good := "response=" + sign(t, set())
	refusal := "response=" + sign(t, set("code", nil, "error", "access_denied"))
	unsigned := "code=" + code + "&state=" + state + "&iss=" + url.QueryEscape(issuer)
	for _, tc := range []struct {
		name, query string
		want        error
	}{
		{"MS-5.4.2-2 an unsigned response", unsigned, jarm.ErrNoResponse},
		{"MS-5.4.2-2 an unsigned error", "error=access_denied&state=" + state, jarm.ErrNoResponse},
		{"an empty response", "response=&" + unsigned, jarm.ErrNoResponse},
		{"two responses", good + "&" + good, jarm.ErrNoResponse},
		{"nothing", "", jarm.ErrNoResponse},
		{"ISS-4-2 another issuer beside the response", good + "&iss=https%3A%2F%2Fevil.example.com", jarm.ErrIssuer},
		{"ISS-4-2 the same issuer beside the response", good + "&iss=" + url.QueryEscape(issuer), nil},
		{"ISS-4-3 no issuer beside the response", good, nil},
		{"JARM-2.4-6 a code beside the response", "code=evil&state=evil&" + good, nil},
		{"JARM-2.4-6 an error beside the response", good + "&error=access_denied&error_description=x", nil},
		{"JARM-2.4-6 a code beside a refusal", "code=evil&state=evil&" + refusal, &oauth2.RetrieveError{ErrorCode: "access_denied"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVerifier(t, nil)
			values, err := url.ParseQuery(tc.query)
			require.NoError(t, err)
			for name, enter := range map[string]func() (*jarm.Response, error){
				"values": func() (*jarm.Response, error) { return v.VerifyValues(context.Background(), values) },
				"GET":    func() (*jarm.Response, error) { return v.VerifyRequest(context.Background(), get(tc.query)) },
				"POST":   func() (*jarm.Response, error) { return v.VerifyRequest(context.Background(), post(tc.query)) },
			} {
				got, err := enter()
				if said := (*oauth2.RetrieveError)(nil); errors.As(tc.want, &said) {
					require.NoError(t, err, name)
					require.Equal(t, tc.want, got.Err(), name)
					require.Empty(t, got.Code(), name)
				} else if tc.want != nil {
					require.ErrorIs(t, err, tc.want, name)
					require.Nil(t, got, name)
				} else {
					require.NoError(t, err, name)
					require.Equal(t, code, got.Code(), name)
					require.NoError(t, got.CheckState(state), name)
					require.NoError(t, got.Err(), name)
				}
			}
		})
	}
	form := post(good)
	form.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	inURL := post("x=y")
	inURL.URL.RawQuery = good
	for name, r := range map[string]*http.Request{
		"PUT":                     httptest.NewRequest(http.MethodPut, callback+"?"+good, nil),
		"HEAD":                    httptest.NewRequest(http.MethodHead, callback+"?"+good, nil),
		"multipart":               form,
		"a POST with a query":     inURL,
		"a query that is no form": get(good + "&x=%zz"),
		"a repeated parameter":    get(good + "&code=a&code=b"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newVerifier(t, nil).VerifyRequest(context.Background(), r)
			require.ErrorIs(t, err, jarm.ErrNoResponse)
			require.Nil(t, got)
		})
	}
}

func TestResponseSaysWhatTheServerSaid(t *testing.T) {
	v := newVerifier(t, nil)
	got, err := v.Verify(context.Background(), sign(t, set("expires_in", 3600, "x", "y", "half", 0.5, "list", []string{"a"}, "flag", true)))
	require.NoError(t, err)
	require.Equal(t, state, got.State())
	require.Equal(t, t0.Add(5*time.Minute), got.ExpiresAt())
	require.Equal(t, "3600", got.Param("expires_in"))
	require.Equal(t, url.Values{"code": {code}, "state": {state}, "expires_in": {"3600"}, "x": {"y"}, "half": {"0.5"}}, got.Params())
	got.Params().Set("code", "evil")
	require.Equal(t, code, got.Code())
	require.Empty(t, got.Param("list"))
	require.Empty(t, got.Param("X"))
	require.Empty(t, got.Param("iss"))

	require.NoError(t, got.CheckState(state))
	require.ErrorIs(t, got.CheckState(state[1:]), jarm.ErrState)
	require.ErrorIs(t, got.CheckState(""), jarm.ErrState)
	without, err := v.Verify(context.Background(), sign(t, set("state", nil)))
	require.NoError(t, err)
	require.ErrorIs(t, without.CheckState(state), jarm.ErrState)
	require.ErrorIs(t, without.CheckState(""), jarm.ErrState)

	empty, err := v.Verify(context.Background(), sign(t, set("state", "")))
	require.NoError(t, err)
	require.ErrorIs(t, empty.CheckState(""), jarm.ErrState)

	refused, err := v.Verify(context.Background(), sign(t, set("code", nil, "error", "access_denied", "error_description", "no", "error_uri", "https://x")))
	require.NoError(t, err)
	require.Empty(t, refused.Code())
	require.Equal(t, &oauth2.RetrieveError{ErrorCode: "access_denied", ErrorDescription: "no", ErrorURI: "https://x"}, refused.Err())
	require.NoError(t, refused.CheckState(state))

	var log strings.Builder
	key := jarm.DecryptionKey{Key: testkit.ECKey(t, "enc"), KeyID: "e"}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "response", got, "key", key)
	for _, text := range []string{fmt.Sprintf("%v %+v %s %#v", got, got, got, got), log.String()} {
		require.Contains(t, text, issuer)
		require.NotContains(t, text, code)
		require.NotContains(t, text, state)
	}
	require.Equal(t, `decryption key "e" decryption key "e"`, fmt.Sprintf("%v %#v", key, key))
}

func TestNewVerifierRefuses(t *testing.T) {
	testkit.RejectChanges(t, jarm.NewVerifier, jarm.VerifierConfig{Issuer: issuer, ClientID: client, Keys: testkit.KeySource()}, map[string]func(*jarm.VerifierConfig){
		"JARM-2.4-0 no issuer":               func(c *jarm.VerifierConfig) { c.Issuer = "" },
		"JARM-2.4-3 no client":               func(c *jarm.VerifierConfig) { c.ClientID = "" },
		"JARM-2.4-5 no keys":                 func(c *jarm.VerifierConfig) { c.Keys = nil },
		"JARM-2.4-4 a large leeway":          func(c *jarm.VerifierConfig) { c.Leeway = 5*time.Minute + 1 },
		"JARM-2.4-4 a negative leeway":       func(c *jarm.VerifierConfig) { c.Leeway = -1 },
		"JARM-2.4-5 RS256":                   func(c *jarm.VerifierConfig) { c.Algorithms = []string{"RS256"} },
		"JARM-2.4-5 none":                    func(c *jarm.VerifierConfig) { c.Algorithms = []string{"ES256", "none"} },
		"JARM-2.4-5 a list of no algorithms": func(c *jarm.VerifierConfig) { c.Algorithms = []string{} },
		"JARM-2.4-1 an empty decryption key": func(c *jarm.VerifierConfig) { c.DecryptionKeys = []jarm.DecryptionKey{{}} },
		"JARM-2.4-1 a key that cannot decrypt": func(c *jarm.VerifierConfig) {
			c.DecryptionKeys = []jarm.DecryptionKey{{Key: testkit.Ed25519Key(t, "as")}}
		},
		"JARM-2.4-1 encryption optional, but none": func(c *jarm.VerifierConfig) { c.AllowUnencrypted = true },
	})
}
