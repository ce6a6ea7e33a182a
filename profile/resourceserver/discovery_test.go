package resourceserver_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A discovered is an authorization server with metadata and a JWK Set.
type discovered struct {
	*httptest.Server
	mu       sync.Mutex
	down     bool
	issuer   string // in the metadata
	set      string // path of the JWK Set
	requests map[string]int
}

func newDiscovered(t *testing.T) *discovered {
	d := &discovered{set: "/keys", requests: make(map[string]int)}
	keys := make(map[string]*jwks.Set)
	for path, key := range map[string]string{"/keys": "as", "/moved": "as-moved"} {
		set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, key).Public(), KeyID: "as-1"})
		require.NoError(t, err)
		keys[path] = set
	}
	d.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.requests[r.URL.Path]++
		switch {
		case d.down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case keys[r.URL.Path] != nil:
			keys[r.URL.Path].ServeHTTP(w, r)
		case r.URL.Path == "/.well-known/oauth-authorization-server":
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]any{
				"issuer": d.issuer, "jwks_uri": d.URL + d.set, "authorization_endpoint": d.URL + "/authorize",
				"token_endpoint": d.URL + "/token", "pushed_authorization_request_endpoint": d.URL + "/par",
				"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
				"authorization_response_iss_parameter_supported": true,
				"token_endpoint_auth_methods_supported":          []string{"private_key_jwt"},
			})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(d.Close)
	d.issuer = d.URL
	return d
}

func (d *discovered) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *discovered) count(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests[path]
}

// A lines receives the lines of a log.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// next waits for a line with a text.
func (l lines) next(t *testing.T, text string) {
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-t.Context().Done():
			t.Fatal("no such line: " + text)
		}
	}
}

func TestDiscoveredKeys(t *testing.T) {
	const metadata = "/.well-known/oauth-authorization-server"
	as := newDiscovered(t)
	as.down = true
	failures := make(lines, 100)
	w := newAPI(t, func(cfg *resourceserver.Config) {
		cfg.Hooks.Logger = slog.New(slog.NewTextHandler(failures, nil))
		cfg.Issuers = []resourceserver.Issuer{{ID: as.URL, HTTPClient: as.Client()}}
	})
	issued := func(key string) string {
		return w.token(func(cfg *accesstoken.IssuerConfig, _ *accesstoken.Claims) {
			cfg.Issuer, cfg.Key = as.URL, testkit.ECKey(t, key)
		})
	}
	status := func(token string) int {
		response, _ := w.good("/accounts", token)
		return response.StatusCode
	}
	require.Zero(t, as.count(metadata), "New fetches nothing")

	require.Equal(t, 503, status(issued("as")), "the server is down")
	failures.next(t, "authorization server metadata not available")
	as.change(func() { as.down = false })
	w.clock.Advance(2 * time.Second)
	require.Eventually(t, func() bool { return status(issued("as")) == 200 }, 10*time.Second, 10*time.Millisecond)
	for range 5 {
		require.Equal(t, 200, status(issued("as")))
	}
	require.Equal(t, 1, as.count("/keys"))
	fetched := as.count(metadata)

	require.Equal(t, 401, status(issued("attacker")), "attack: another key with the same kid")
	require.Equal(t, 401, status(w.token(func(cfg *accesstoken.IssuerConfig, _ *accesstoken.Claims) {
		cfg.Issuer = "https://evil.example"
	})), "attack: a token cannot choose its issuer")
	require.Equal(t, fetched, as.count(metadata))

	as.change(func() { as.set = "/gone" })
	w.clock.Advance(time.Hour)
	require.Equal(t, 200, status(issued("as")), "the old keys serve while the new URL does not respond")
	failures.next(t, "keys unavailable")

	as.change(func() { as.set = "/moved" })
	w.clock.Advance(time.Hour)
	require.Equal(t, 200, status(issued("as-moved")), "the JWK Set has moved")
	require.Equal(t, 401, status(issued("as")))

	as.change(func() { as.issuer = "https://other.example" })
	w.clock.Advance(2 * time.Hour)
	require.Equal(t, 200, status(issued("as-moved")), "metadata of another issuer change nothing")
	failures.next(t, "metadata of another issuer")
}
