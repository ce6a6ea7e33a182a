package resourceserver_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

// An apiWorld is an API on a TLS socket that accepts the tokens of one issuer. It
// is the replay store of its guard.
type apiWorld struct {
	t      testing.TB
	clock  *testkit.Clock
	http   *httptest.Server
	cfg    resourceserver.Config
	rs     *resourceserver.Server
	replay dpop.ReplayStore
	uses   atomic.Int32 // of the replay store
	down   atomic.Bool  // the replay store fails
	log    bytes.Buffer
	served atomic.Int32 // requests that passed
}

const asIssuer = "https://as.example"

func (w *apiWorld) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	w.uses.Add(1)
	if w.down.Load() {
		return false, errDown
	}
	return w.replay.Add(ctx, key, value, expires)
}

// newAPI opens the socket of an API, whose guard requires the scope accounts.
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
		Resource: w.http.URL, Issuers: []resourceserver.Issuer{{ID: asIssuer, Keys: set.Keys}},
		Hooks: resourceserver.Hooks{Now: w.clock.Now, Logger: slog.New(slog.NewTextHandler(&w.log, nil))}, Replay: w,
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.rs, err = resourceserver.New(w.cfg)
	require.NoError(t, err)
	return w
}

// token issues an access token that is bound to the key "client".
func (w *apiWorld) token(change ...func(*accesstoken.IssuerConfig, *accesstoken.Claims)) string {
	cfg := accesstoken.IssuerConfig{Issuer: asIssuer, Key: testkit.ECKey(w.t, "as"), KeyID: "as-1", Now: w.clock.Now}
	c := accesstoken.Claims{
		Subject: "alice", ClientID: "c-1", Audience: []string{w.cfg.Resource}, Scope: "accounts", JKT: boundTo(w.t, "client"),
	}
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

// forge returns a good proof with changes to its header and claims. The key signs
// it after the changes.
func (w *apiWorld) forge(token string, key *ecdsa.PrivateKey, change ...func(header, claims map[string]any)) string {
	public, err := (&jose.Key{Public: key.Public()}).MarshalJSON()
	require.NoError(w.t, err)
	var jwk map[string]any
	require.NoError(w.t, json.Unmarshal(public, &jwk))
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
	payload := map[string]any{
		"jti": jose.RandomString(16), "iat": w.clock.Now().Unix(),
		"htm": "GET", "htu": w.http.URL + "/accounts", "ath": ath(token),
	}
	for _, f := range change {
		f(header, payload)
	}
	h, err := json.Marshal(header)
	require.NoError(w.t, err)
	b, err := json.Marshal(payload)
	require.NoError(w.t, err)
	return sign(w.t, string(h), string(b), key)
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

// good sends a request with a token and a new proof of its key.
func (w *apiWorld) good(path, token string, fields ...string) (*http.Response, string) {
	proof := w.forge(token, testkit.ECKey(w.t, "client"))
	return w.call(path, append([]string{"Authorization", "DPoP " + token, "DPoP", proof}, fields...)...)
}

var errDown = errors.New("db: connection refused by 10.1.2.3")

func member(t testing.TB, body, name string) string {
	var o map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &o), body)
	return string(o[name])
}

const apiURL = "https://api.example"

// A federation has authorization servers with the IDs https://a.example to
// https://d.example. It records which of them the guard calls.
type federation struct {
	t      testing.TB
	calls  []string
	claims resourceserver.Claims // of every token at Tokens
	err    error                 // of Tokens
	reply  string                // of the introspection endpoint
}

func idOf(name string) string { return "https://" + name + ".example" }

func boundTo(t testing.TB, key string) string {
	thumbprint, err := jose.Thumbprint(testkit.ECKey(t, key).Public())
	require.NoError(t, err)
	return thumbprint
}

func newFederation(t testing.TB) *federation {
	jkt := boundTo(t, "client")
	return &federation{
		t: t,
		claims: resourceserver.Claims{
			Subject: "alice", ClientID: "c-1", ID: "t-1", Audience: []string{apiURL}, Scopes: []string{"accounts"},
			Confirmation: tokenbinding.Confirmation{JKT: jkt}, ExpiresAt: time.Now().Add(time.Minute),
		},
		reply: fmt.Sprintf(`{"active":true,"sub":"alice","client_id":"c-1","aud":%q,"scope":"accounts","cnf":{"jkt":%q}}`, apiURL, jkt),
	}
}

// keys returns an issuer with JWT access tokens.
func (f *federation) keys(name string) resourceserver.Issuer {
	return resourceserver.Issuer{ID: idOf(name), Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
		f.calls = append(f.calls, name)
		return []crypto.PublicKey{testkit.ECKey(f.t, name).Public()}, nil
	}}
}

// introspected returns an issuer with an introspection endpoint.
func (f *federation) introspected(name string, change ...func(*introspection.ClientConfig)) resourceserver.Issuer {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.calls = append(f.calls, name)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, f.reply)
	}))
	f.t.Cleanup(server.Close)
	cfg := introspection.ClientConfig{
		Endpoint: server.URL, HTTPClient: server.Client(), Issuer: idOf(name), ClientID: "api", Unsigned: true,
	}
	for _, option := range change {
		option(&cfg)
	}
	client, err := introspection.NewClient(cfg)
	require.NoError(f.t, err)
	return resourceserver.Issuer{ID: idOf(name), Introspection: client}
}

// host returns an issuer whose tokens the host looks up.
func (f *federation) host(name string) resourceserver.Issuer {
	return resourceserver.Issuer{ID: idOf(name), Tokens: func(context.Context, string) (resourceserver.Claims, error) {
		f.calls = append(f.calls, name)
		return f.claims, f.err
	}}
}

// issuers returns the named issuers: a and b have Keys, c has Introspection, d
// has Tokens.
func (f *federation) issuers(names string) (issuers []resourceserver.Issuer) {
	for _, name := range strings.Fields(names) {
		switch name {
		case "c":
			issuers = append(issuers, f.introspected(name))
		case "d":
			issuers = append(issuers, f.host(name))
		default:
			issuers = append(issuers, f.keys(name))
		}
	}
	return issuers
}

func (f *federation) guard(names string) *resourceserver.Server {
	return newGuard(f.t, func(c *resourceserver.Config) { c.Issuers = f.issuers(names) })
}

func newGuard(t testing.TB, change ...func(*resourceserver.Config)) *resourceserver.Server {
	cfg := resourceserver.Config{Resource: apiURL}
	for _, option := range change {
		option(&cfg)
	}
	guard, err := resourceserver.New(cfg)
	require.NoError(t, err)
	return guard
}

// issue returns a good access token of an issuer, signed by the key of signer.
func issue(t testing.TB, name, signer string, change ...func(*accesstoken.Claims)) string {
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: idOf(name), Key: testkit.ECKey(t, signer), KeyID: "k"})
	require.NoError(t, err)
	claims := accesstoken.Claims{
		Subject: "alice", ClientID: "c-1", Audience: []string{apiURL}, Scope: "accounts", JKT: boundTo(t, "client"),
	}
	for _, option := range change {
		option(&claims)
	}
	token, err := issuer.Issue(claims)
	require.NoError(t, err)
	return token
}

// forge signs a header and claims, both JSON, with the key of an issuer.
func forge(t testing.TB, header, claims, signer string) string {
	return sign(t, header, claims, testkit.ECKey(t, signer))
}

// sign makes an ES256 signature, even if the header has another algorithm.
func sign(t testing.TB, header, claims string, key *ecdsa.PrivateKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	require.NoError(t, err)
	return input + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// request returns a request with a token and a new proof of the client's key.
func request(t testing.TB, token string) *http.Request {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client")})
	require.NoError(t, err)
	proof, err := prover.Proof(http.MethodGet, apiURL+"/accounts", dpop.ProofOptions{AccessToken: token})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, apiURL+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

const typed = `{"typ":"at+jwt","alg":"ES256","kid":"k"}`

// claimsWith returns the claims of a good token with another spelling of iss.
func claimsWith(t testing.TB, iss string) string {
	now := time.Now().Unix()
	if iss != "" {
		iss += ","
	}
	return fmt.Sprintf(`{%s"sub":"alice","client_id":"c-1","jti":"t-1","aud":%q,"scope":"accounts","iat":%d,"exp":%d,"cnf":{"jkt":%q}}`,
		iss, apiURL, now, now+60, boundTo(t, "client"))
}
