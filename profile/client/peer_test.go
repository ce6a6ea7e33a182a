package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

// A peer is an authorization server and an API at another origin. A test defines
// their responses. They record the requests.
type peer struct {
	t     testing.TB
	clock *testkit.Clock
	as    *httptest.Server
	api   *httptest.Server
	http  *http.Client
	// These fields change the responses of a good server. A handler receives a
	// recorded request with its form parsed.
	metadata             func(map[string]any)
	keys                 []jwks.Key
	push, token, respond http.HandlerFunc

	mu   sync.Mutex
	seen map[string][]recorded
}

// A recorded is a request that a peer received.
type recorded struct {
	form   url.Values
	header http.Header
	proof  map[string]any // claims
	length int64
}

// jwtClaims reads a JWT without verification.
func jwtClaims(t testing.TB, jwt string) (out map[string]any) {
	parts := strings.Split(jwt, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

func newPeer(t testing.TB) *peer {
	p := &peer{t: t, clock: testkit.NewClock(time.Now()), seen: map[string][]recorded{}}
	p.as = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.as.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients that do not trust it
	p.as.StartTLS()
	t.Cleanup(p.as.Close)
	p.api = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.note(r)
		if p.respond != nil {
			p.respond(w, r)
		}
	}))
	t.Cleanup(p.api.Close)
	p.http = p.as.Client()
	p.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(p.api.Certificate())
	return p
}

func (p *peer) note(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	m := recorded{form: form, header: r.Header, length: int64(len(body))}
	if proof := r.Header.Get("DPoP"); proof != "" {
		m.proof = jwtClaims(p.t, proof)
	}
	r.Form = form
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[r.URL.Path] = append(p.seen[r.URL.Path], m)
}

func (p *peer) messages(path string) []recorded {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]recorded(nil), p.seen[path]...)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := v.(string); ok {
		io.WriteString(w, text)
		return
	}
	json.NewEncoder(w).Encode(v)
}

func (p *peer) serve(w http.ResponseWriter, r *http.Request) {
	p.note(r)
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		m := map[string]any{
			"issuer": p.as.URL, "authorization_endpoint": p.as.URL + "/authorize", "token_endpoint": p.as.URL + "/token",
			"pushed_authorization_request_endpoint": p.as.URL + "/par", "jwks_uri": p.as.URL + "/jwks",
			"response_types_supported": []string{"code"}, "authorization_response_iss_parameter_supported": true,
			"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
			"dpop_signing_alg_values_supported":     []string{"ES256", "PS256", "EdDSA"},
		}
		if p.metadata != nil {
			p.metadata(m)
		}
		reply(w, http.StatusOK, m)
	case "/jwks":
		keys := p.keys
		if keys == nil {
			keys = []jwks.Key{{Public: testkit.ECKey(p.t, "peer").Public(), KeyID: "k1"}}
		}
		set, err := jwks.NewSet(keys...)
		if err != nil {
			panic(err)
		}
		set.ServeHTTP(w, r)
	case "/par":
		if p.push != nil {
			p.push(w, r)
			return
		}
		reply(w, http.StatusCreated, `{"request_uri":"urn:ietf:params:oauth:request_uri:x-1","expires_in":60}`)
	case "/token":
		if p.token != nil {
			p.token(w, r)
			return
		}
		reply(w, http.StatusOK, map[string]any{"access_token": "at-1", "token_type": "DPoP", "expires_in": 300})
	default:
		http.NotFound(w, r)
	}
}

func (p *peer) config() client.Config {
	return client.Config{
		Issuer: p.as.URL, ClientID: "c-1", RedirectURI: "https://client.example/cb", Key: testkit.ECKey(p.t, "c-1"), KeyID: "c-1-key",
		HTTPClient: p.http, Hooks: client.Hooks{Now: p.clock.Now},
	}
}

func (p *peer) client() *client.Client {
	c, err := client.New(context.Background(), p.config())
	require.NoError(p.t, err)
	return c
}

// callback returns a valid callback of a session.
func callback(s *client.Session) url.Values {
	return url.Values{"iss": {s.Issuer}, "state": {s.State}, "code": {"code-1"}}
}
