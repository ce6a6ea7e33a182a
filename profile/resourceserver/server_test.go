package resourceserver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// An apiWorld is an API behind a TLS socket and the key of the server that it trusts.
type apiWorld struct {
	t      testing.TB
	clock  *testkit.Clock
	http   *httptest.Server
	cfg    resourceserver.Config
	rs     *resourceserver.Server
	uses   atomic.Int32 // of the replay store
	replay dpop.ReplayStore
	down   atomic.Bool // replay store
	log    bytes.Buffer
	served atomic.Int32
}

const (
	asIssuer  = "https://as.example"
	apiScheme = "DPoP"
)

func (w *apiWorld) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	w.uses.Add(1)
	if w.down.Load() {
		return false, errDown
	}
	return w.replay.Add(ctx, key, value, expires)
}

func newAPI(t testing.TB, change ...func(*resourceserver.Config)) *apiWorld {
	w := &apiWorld{t: t, clock: testkit.NewClock(time.Now()), replay: expiring.NewSet(expiring.SetConfig{})}
	w.http = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.rs.Require("accounts")(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.served.Add(1)
			token, _ := resourceserver.TokenFromContext(r.Context())
			fmt.Fprint(rw, token.Subject())
		})).ServeHTTP(rw, r)
	}))
	t.Cleanup(w.http.Close)
	set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "as").Public(), KeyID: "as-1"})
	require.NoError(t, err)
	w.cfg = resourceserver.Config{
		Resource: w.http.URL, Issuers: []resourceserver.Issuer{{ID: asIssuer, Keys: set.Keys}}, Now: w.clock.Now, Proofs: w,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.rs, err = resourceserver.New(w.cfg)
	require.NoError(t, err)
	return w
}

// token issues an access token, bound to the key called "client".
func (w *apiWorld) token(change ...func(*accesstoken.IssuerConfig, *accesstoken.Claims)) string {
	thumbprint, err := jose.Thumbprint(testkit.ECKey(w.t, "client").Public())
	require.NoError(w.t, err)
	cfg := accesstoken.IssuerConfig{Issuer: asIssuer, Key: testkit.ECKey(w.t, "as"), KeyID: "as-1", Now: w.clock.Now}
	c := accesstoken.Claims{Subject: "alice", ClientID: "c-1", Audience: []string{w.cfg.Resource}, Scope: "accounts", JKT: thumbprint}
	for _, f := range change {
		f(&cfg, &c)
	}
	issuer, err := accesstoken.NewIssuer(cfg)
	require.NoError(w.t, err)
	token, err := issuer.Issue(c)
	require.NoError(w.t, err)
	return token
}

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// forge makes a proof whose header and claims are a good one's with changes, signed by key in ES256 whatever they say.
func (w *apiWorld) forge(token string, key *ecdsa.PrivateKey, change ...func(header, claims map[string]any)) string {
	public, err := (&jose.Key{Public: key.Public()}).MarshalJSON()
	require.NoError(w.t, err)
	var jwk map[string]any
	require.NoError(w.t, json.Unmarshal(public, &jwk))
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
	payload := map[string]any{
		"jti": jose.RandomString(16), "htm": "GET", "htu": w.http.URL + "/accounts", "iat": w.clock.Now().Unix(), "ath": ath(token),
	}
	for _, f := range change {
		f(header, payload)
	}
	h, err := json.Marshal(header)
	require.NoError(w.t, err)
	b, err := json.Marshal(payload)
	require.NoError(w.t, err)
	input := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(b)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	require.NoError(w.t, err)
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// call sends a request. Values of fields are added in order.
func (w *apiWorld) call(path string, fields ...string) (*http.Response, string) {
	r, err := http.NewRequest(http.MethodGet, w.http.URL+path, nil)
	require.NoError(w.t, err)
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
			continue
		}
		r.Header.Add(fields[i], fields[i+1])
	}
	response, err := w.http.Client().Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response, string(body)
}

func (w *apiWorld) good(path, token string, fields ...string) (*http.Response, string) {
	return w.call(path, append([]string{"Authorization", "DPoP " + token, "DPoP", w.forge(token, testkit.ECKey(w.t, "client"))}, fields...)...)
}

// Every proof that is not right is refused, and nothing is remembered of it.
func TestProofsRefused(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	h := func(name string, value any) func(header, claims map[string]any) {
		return func(header, _ map[string]any) {
			if header[name] = value; value == nil {
				delete(header, name)
			}
		}
	}
	c := func(name string, value any) func(header, claims map[string]any) {
		return func(_, payload map[string]any) {
			if payload[name] = value; value == nil {
				delete(payload, name)
			}
		}
	}
	now := w.clock.Now().Unix()
	one := w.forge(token, key)
	for _, tc := range []struct {
		name   string
		proofs []string
		code   string
	}{
		{"CS-16 no proof", nil, "invalid_dpop_proof"},
		{"CS-16 two headers", []string{one, w.forge(token, key)}, "invalid_dpop_proof"},
		{"CS-16 the same one twice", []string{one, one}, "invalid_dpop_proof"},
		{"CS-16 an empty one first", []string{"", one}, "invalid_dpop_proof"},
		{"CS-16 empty", []string{""}, "invalid_dpop_proof"},
		{"CS-16 upper case", []string{strings.ToUpper(one)}, "invalid_dpop_proof"},
		{"CS-16 malformed", []string{"not a JWT"}, "invalid_dpop_proof"},
		{"CS-16 two in one value", []string{one + "," + one}, "invalid_dpop_proof"},
		{"CS-16 the token for a proof", []string{token}, "invalid_dpop_proof"},
		{"CS-16 no typ", []string{w.forge(token, key, h("typ", nil))}, "invalid_dpop_proof"},
		{"CS-16 no alg", []string{w.forge(token, key, h("alg", nil))}, "invalid_dpop_proof"},
		{"CS-16 no jwk", []string{w.forge(token, key, h("jwk", nil))}, "invalid_dpop_proof"},
		{"CS-16 typ of another JWT", []string{w.forge(token, key, h("typ", "JWT"))}, "invalid_dpop_proof"},
		{"CS-16 RS256", []string{w.forge(token, key, h("alg", "RS256"))}, "invalid_dpop_proof"},
		{"CS-16 none", []string{w.forge(token, key, h("alg", "none"))}, "invalid_dpop_proof"},
		{"CS-16 HS256", []string{w.forge(token, key, h("alg", "HS256"))}, "invalid_dpop_proof"},
		{"CS-16 a private key", []string{w.forge(token, key, func(header, _ map[string]any) { header["jwk"].(map[string]any)["d"] = strings.Repeat("A", 43) })}, "invalid_dpop_proof"},
		{"CS-16 bad signature", []string{one[:len(one)-8] + "AAAAAAAA"}, "invalid_dpop_proof"},
		{"CS-16 no jti", []string{w.forge(token, key, c("jti", nil))}, "invalid_dpop_proof"},
		{"CS-16 no htm", []string{w.forge(token, key, c("htm", nil))}, "invalid_dpop_proof"},
		{"CS-16 no htu", []string{w.forge(token, key, c("htu", nil))}, "invalid_dpop_proof"},
		{"CS-16 no iat", []string{w.forge(token, key, c("iat", nil))}, "invalid_dpop_proof"},
		{"CS-16 no ath", []string{w.forge(token, key, c("ath", nil))}, "invalid_dpop_proof"},
		{"CS-16 wrong ath", []string{w.forge(token, key, c("ath", ath("other")))}, "invalid_dpop_proof"},
		{"CS-16 wrong htm", []string{w.forge(token, key, c("htm", "POST"))}, "invalid_dpop_proof"},
		{"CS-16 htm in small letters", []string{w.forge(token, key, c("htm", "get"))}, "invalid_dpop_proof"},
		{"CS-16 wrong path", []string{w.forge(token, key, c("htu", w.http.URL+"/payments"))}, "invalid_dpop_proof"},
		{"CS-16 wrong host", []string{w.forge(token, key, c("htu", "https://other.example/accounts"))}, "invalid_dpop_proof"},
		{"CS-16 path in another case", []string{w.forge(token, key, c("htu", w.http.URL+"/Accounts"))}, "invalid_dpop_proof"},
		{"CS-16 an hour old", []string{w.forge(token, key, c("iat", now-3600))}, "invalid_dpop_proof"},
		{"CS-16 an hour ahead", []string{w.forge(token, key, c("iat", now+3600))}, "invalid_dpop_proof"},
		{"CS-16 AM-5.2 another key", []string{w.forge(token, testkit.ECKey(t, "thief"))}, "invalid_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fields := []string{"Authorization", "DPoP " + token}
			for _, proof := range tc.proofs {
				fields = append(fields, "DPoP", proof)
			}
			response, body := w.call("/accounts", fields...)
			require.Equal(t, http.StatusUnauthorized, response.StatusCode)
			require.JSONEq(t, `"`+tc.code+`"`, member(t, body, "error"))
			challenges := response.Header.Values("WWW-Authenticate")
			require.Len(t, challenges, 1)
			require.True(t, strings.HasPrefix(challenges[0], `DPoP error="`+tc.code+`", error_description="`), challenges[0])
			require.Contains(t, challenges[0], `scope="accounts"`)
			require.Contains(t, challenges[0], `algs="ES256 PS256 EdDSA Ed25519"`, "DPOP-7.1-5")
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
		})
	}
	require.Zero(t, w.served.Load())
	require.Zero(t, w.uses.Load(), "nothing is recorded of what is refused")
	response, _ := w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", one)
	require.Equal(t, http.StatusOK, response.StatusCode, "the proof that stood in bad requests is still good")
	require.NotContains(t, w.log.String(), token)
	require.NotContains(t, w.log.String(), one)
}

func member(t testing.TB, body, name string) string {
	var o map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &o), body)
	return string(o[name])
}

func TestProofsAccepted(t *testing.T) {
	w := newAPI(t)
	token, key := w.token(), testkit.ECKey(t, "client")
	host := strings.TrimPrefix(w.http.URL, "https://")
	c := func(name string, value any) func(header, claims map[string]any) {
		return func(_, payload map[string]any) { payload[name] = value }
	}
	now := w.clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		scheme string
		change func(header, claims map[string]any)
	}{
		{"CS-17 htu with a query", apiScheme, c("htu", w.http.URL+"/accounts?page=1")},
		{"CS-17 htu with a fragment", apiScheme, c("htu", w.http.URL+"/accounts#top")},
		{"CS-17 scheme in capitals", apiScheme, c("htu", "HTTPS://"+host+"/accounts")},
		{"CS-17 escaped letter", apiScheme, c("htu", w.http.URL+"/%61ccounts")},
		{"CS-17 unknown claims and headers", apiScheme, func(h, c map[string]any) { h["acme"], c["acme"], c["nonce"] = 1, 1, "n" }},
		{"CS-17 exp and nbf mean nothing", apiScheme, func(_, c map[string]any) { c["exp"], c["nbf"] = now-100, now+100 }},
		{"CS-17 10 seconds ahead", apiScheme, c("iat", now+10)},
		{"CS-17 with a fraction", apiScheme, c("iat", float64(now)-0.5)},
		{"CS-18 dpop", "dpop", c("acme", 1)},
		{"CS-18 DPOP", "DPOP", c("acme", 1)},
		{"CS-18 dPoP", "dPoP", c("acme", 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response, body := w.call("/accounts?page=2", "Authorization", tc.scheme+" "+token, "DPoP", w.forge(token, key, tc.change))
			require.Equal(t, http.StatusOK, response.StatusCode, body)
			require.Equal(t, "alice", body)
			require.NotEmpty(t, response.Header.Get("Date"))
			require.Empty(t, response.Header.Values("WWW-Authenticate"))
		})
	}
	t.Run("CS-17 host in capitals and the port that is default", func(t *testing.T) {
		w := newAPI(t, func(c *resourceserver.Config) { c.Resource, c.BaseURLs = "https://api.example/v1", nil })
		token := w.token()
		for _, htu := range []string{"https://API.Example/accounts", "https://api.example:443/accounts"} {
			response, _ := w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, c("htu", htu)))
			require.Equal(t, http.StatusOK, response.StatusCode, htu)
		}
	})
}
