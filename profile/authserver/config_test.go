package authserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

func goodConfig(t testing.TB) authserver.Config {
	return authserver.Config{
		Issuer: "https://as.example", Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as"), KeyID: "as-1"}}, Scopes: []string{"openid"}, Resources: []string{"https://api.example"},
		Clients: func(context.Context, string) (*profile.ClientMetadata, error) {
			return nil, clientauth.ErrUnknownClient
		},
	}
}

func introspected(scopes map[string][]string) *authserver.Introspection {
	return &authserver.Introspection{
		ResourceServers: func(context.Context, string) ([]string, error) { return nil, nil }, Scopes: scopes,
	}
}

func TestConfigRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		weak = nil // Go refuses to make one; then nobody has one
	}
	type config = authserver.Config
	for name, change := range map[string]func(*config){
		"no issuer":                                  func(c *config) { c.Issuer = "" },
		"ISS-2-2 an issuer with a query":             func(c *config) { c.Issuer += "?" },
		"an issuer over http":                        func(c *config) { c.Issuer = "http://as.example" },
		"an issuer whose path a proxy would clean":   func(c *config) { c.Issuer += "/a/../b" },
		"an issuer with an empty segment":            func(c *config) { c.Issuer += "/a//b" },
		"INT-9701-5-5 a resource without its scopes": func(c *config) { c.Introspection = introspected(map[string][]string{}) },
		"INT-9701-5-5 scopes of an unknown resource": func(c *config) {
			c.Introspection = introspected(map[string][]string{"https://api.example": nil, "https://api.exmaple": nil})
		},
		"INT-9701-5-5 an unknown scope of a resource": func(c *config) {
			c.Introspection = introspected(map[string][]string{"https://api.example": {"opneid"}})
		},
		"no key":                                  func(c *config) { c.Keys[0].Key = nil },
		"a key that is a nil pointer":             func(c *config) { c.Keys[0].Key = (*ecdsa.PrivateKey)(nil) },
		"a weak RSA key":                          func(c *config) { c.Keys[0].Key = weak },
		"a key on another curve":                  func(c *config) { c.Keys[0].Key = p384 },
		"an algorithm that does not fit":          func(c *config) { c.Keys[0].Algorithm = "PS256" },
		"RS256":                                   func(c *config) { c.Keys[0].Algorithm, c.Keys[0].Key = "RS256", testkit.RSAKey(t, "rsa") },
		"SP-5.4.2-3 a kid that a retired key has": func(c *config) { c.RetiredKeys = []jwks.Key{{Public: testkit.ECKey(t, "o").Public(), KeyID: "as-1"}} },
		"a retired key that is private":           func(c *config) { c.RetiredKeys = []jwks.Key{{Public: testkit.ECKey(t, "o")}} },
		"a store that is a nil pointer":           func(c *config) { c.Store = (*memstore.Store)(nil) },
		"a replay store that is a nil pointer":    func(c *config) { c.Replay = (*expiring.Set)(nil) },
		"UserInfo without openid":                 func(c *config) { c.UserInfo, c.Scopes = about, nil },
		"Claims without openid":                   func(c *config) { c.Claims, c.Scopes = []string{"email"}, nil },
		"an unknown treatment of interaction IDs": func(c *config) { c.InteractionIDs = "Echo" },
		"metadata with a member twice": func(c *config) {
			c.Metadata = func(m *profile.ServerMetadata) {
				m.Other = map[string]json.RawMessage{"issuer": json.RawMessage(`"x"`)}
			}
		},
		"metadata that clients would reject": func(c *config) {
			c.Metadata = func(m *profile.ServerMetadata) { m.RegistrationEndpoint = "http://as.example/register" }
		},
		"a claim without a name":              func(c *config) { c.Claims = []string{""} },
		"no resources":                        func(c *config) { c.Resources = nil },
		"RI-2-1 a resource with a fragment":   func(c *config) { c.Resources = []string{"https://api.example#"} },
		"an empty scope":                      func(c *config) { c.Scopes = []string{""} },
		"a scope with a space":                func(c *config) { c.Scopes = []string{"a b"} },
		"two endpoints at one path":           func(c *config) { c.Endpoints.Token = "/par" },
		"an endpoint at the root":             func(c *config) { c.Endpoints.Token = "/" },
		"an endpoint over the metadata":       func(c *config) { c.Endpoints.Token = "/.well-known/openid-configuration" },
		"an endpoint in braces":               func(c *config) { c.Endpoints.Token = "/{x}" },
		"an endpoint with a space":            func(c *config) { c.Endpoints.Token = "/to ken" },
		"an endpoint with a percent sign":     func(c *config) { c.Endpoints.Token = "/to%2fken" },
		"an endpoint that is not ASCII":       func(c *config) { c.Endpoints.Token = "/tökén" },
		"an endpoint on another host":         func(c *config) { c.Endpoints.Token = "//evil.example/token" },
		"an endpoint without a slash":         func(c *config) { c.Endpoints.Token = "token" },
		"an endpoint with dots":               func(c *config) { c.Endpoints.Token = "/a/../token" },
		"SP-5.3.2.1-11 a code of 61 s":        func(c *config) { c.Lifetimes.Code = 61 * time.Second },
		"a code that is never valid":          func(c *config) { c.Lifetimes.Code = time.Millisecond },
		"a negative code lifetime":            func(c *config) { c.Lifetimes.Code = -1 },
		"CASES F4: assertions for two hours":  func(c *config) { c.Lifetimes.Assertion = 2 * time.Hour },
		"SP-5.3.2.2-12 a request of 600 s":    func(c *config) { c.Lifetimes.Request = 600 * time.Second },
		"an access token for ever":            func(c *config) { c.Lifetimes.AccessToken = math.MaxInt64 },
		"a refresh token for ever":            func(c *config) { c.Lifetimes.RefreshToken = math.MaxInt64 },
		"a refresh token that is never valid": func(c *config) { c.Lifetimes.RefreshToken = time.Millisecond },
		"introspection by unknown clients":    func(c *config) { c.Introspection = new(authserver.Introspection) },
		"an alias over http":                  func(c *config) { c.MutualTLS = &authserver.MutualTLS{BaseURL: "http://as.example"} },
		"a profile that does not exist":       func(c *config) { c.Profile = 200 },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a weak RSA key" && weak == nil {
				return
			}
			cfg := goodConfig(t)
			change(&cfg)
			_, err := authserver.New(cfg)
			require.Error(t, err)
		})
	}
	_, err = authserver.New(goodConfig(t))
	require.NoError(t, err)
}

// Several instances share everything that they keep. The error has each problem and what is wanted.
func TestSeveralInstances(t *testing.T) {
	type config = authserver.Config
	memory := testkit.Must(store.NewMemory(store.MemoryConfig{}))
	shared := struct{ store.Store }{memory} // a type of its own, as of another module
	for name, tc := range map[string]struct {
		change func(*config)
		says   []string // nothing for a good configuration
	}{
		"a store of its own":        {func(c *config) {}, nil},
		"keys of nonces":            {func(c *config) { c.Nonces = nonces(t, make([]byte, 32)) }, nil},
		"a replay store of its own": {func(c *config) { c.Replay = shared }, nil},
		"no store":                  {func(c *config) { c.Store = nil }, []string{"SeveralInstances: missing Store, want a store that all instances share"}},
		"a memory store":            {func(c *config) { c.Store = memory }, []string{"SeveralInstances: Store is in memory, want", "SeveralInstances: Replay is in memory"}},
		"an internal store":         {func(c *config) { c.Store = memstore.New(memstore.Config{}) }, []string{"SeveralInstances: Store is in memory"}},
		"replays in memory":         {func(c *config) { c.Replay = expiring.NewSet(expiring.SetConfig{}) }, []string{"SeveralInstances: Replay is in memory"}},
		"grants in memory":          {func(c *config) { c.Grants = &grants.ManagerConfig{Store: memory} }, []string{"SeveralInstances: Grants.Store is in memory"}},
		"an index in memory":        {func(c *config) { c.Grants = &grants.ManagerConfig{Index: memory} }, []string{"SeveralInstances: Grants.Index is in memory"}},
		"grants":                    {func(c *config) { c.Grants = &grants.ManagerConfig{} }, nil},
		"a random key of nonces":    {func(c *config) { c.Nonces = nonces(t) }, []string{"SeveralInstances: Nonces has a random key, want Keys or KeySource"}},
		"everything": {func(c *config) { c.Store, c.Replay, c.Nonces = nil, memory, nonces(t) }, []string{
			"SeveralInstances: missing Store", "SeveralInstances: Replay is in memory", "SeveralInstances: Nonces has a random key",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig(t)
			cfg.Store = shared
			tc.change(&cfg)
			_, err := authserver.New(cfg)
			require.NoError(t, err, "one instance may have it")
			cfg.SeveralInstances = true
			_, err = authserver.New(cfg)
			if tc.says == nil {
				require.NoError(t, err)
			}
			for _, problem := range tc.says {
				require.ErrorContains(t, err, problem)
			}
		})
	}
}

func nonces(t *testing.T, keys ...[]byte) *dpop.NonceSource {
	n, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: keys})
	require.NoError(t, err)
	return n
}

func TestHandlerLeavesOutWhatIsNotConfigured(t *testing.T) {
	s, err := authserver.New(goodConfig(t))
	require.NoError(t, err)
	for path, status := range map[string]int{"/authorize": http.StatusNotFound, "/userinfo": http.StatusNotFound, "/jwks": http.StatusOK} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, status, w.Code, path)
	}
}

// What a host does with the metadata it got, or with its own configuration, does not change the server's.
func TestMetadataIsACopy(t *testing.T) {
	cfg := goodConfig(t)
	s, err := authserver.New(cfg)
	require.NoError(t, err)
	s.Metadata().ScopesSupported[0] = "changed"
	s.Metadata().ResponseTypesSupported[0] = "token"
	cfg.Scopes[0], cfg.Resources[0] = "changed", "https://changed.example"
	require.Equal(t, []string{"openid"}, s.Metadata().ScopesSupported)
	require.Equal(t, []string{"code"}, s.Metadata().ResponseTypesSupported)
	require.NoError(t, s.Metadata().CheckPublished())
}

// The server's clock is the one it was given, also in the stores that it makes for itself.
func TestDefaultStoresKeepTheServersTime(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
		behind := testkit.NewClock(time.Now().Add(-3 * time.Hour))
		as.Hooks.Now, rs.Hooks.Now = behind.Now, behind.Now
	})
	w.clock.Advance(-3 * time.Hour)
	form, proof := w.credentialsForm("client-1", "accounts"), w.tokenProof("d")
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), form, proof).status)
	require.Equal(t, "invalid_dpop_proof", w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), proof).code, "DPOP-11.1-2")
	require.Equal(t, "invalid_client", w.send(w.tokenURL(), form, w.tokenProof("d")).code, "CA-7523-3-7")
}

// A client whose registration demands more than this server has is refused, not served with less.
func TestRegistrationDemandsMore(t *testing.T) {
	for name, change := range map[string]func(*profile.ClientMetadata){
		"JAR-10.5-1 PAR-2.3-4 signed request objects": func(c *profile.ClientMetadata) { c.RequireSignedRequestObject = true },
		"MS-5.3.3-1 signed responses only":            func(c *profile.ClientMetadata) { c.ResponseModes = []string{"jwt"} },
		"an ID token signed otherwise":                func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "PS256" },
		"an encrypted ID token":                       func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "RSA-OAEP-256" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.authorizationURL("client-1", w.pushForm("client-1"))
			change(w.clients["client-1"])
			got := w.send(w.parURL(), w.pushForm("client-1"))
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Contains(t, []string{"invalid_request", "unauthorized_client"}, got.code)
			callback := w.browse(before)
			require.Empty(t, callback.Get("code"), "PAR-7.4-1 PAR-4-4 the registration counts that is there now")
			require.True(t, callback.Has("error") || callback.Has("response"))
		})
	}
	w := newWorld(t)
	w.clients["client-1"].IDTokenSignedResponseAlg = "ES256"
	w.clients["client-1"].ResponseModes = []string{"query", "jwt"}
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.pushForm("client-1")).status)
}

// BCP-2.1-1: the redirect URI goes back to the browser byte for byte, and the response is appended to it.
func TestResponseURL(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct{ registered, before string }{
		{"https://client.example/cb", "https://client.example/cb?"},
		{"https://client.example", "https://client.example?"},
		{"https://client.example/cb?", "https://client.example/cb?"},
		{"https://client.example/cb?a=1&a=2&", "https://client.example/cb?a=1&a=2&"},
		{"https://client.example/cb?x=%2F+%20;y", "https://client.example/cb?x=%2F+%20;y&"},
		{"https://CLIENT.example/%7Ecb/%2f//x/../y", "https://CLIENT.example/%7Ecb/%2f//x/../y?"},
		{`https://client.example/"<b>'` + "`", `https://client.example/"<b>'` + "`?"},
		{"https://client.example/a[1]|^{}", "https://client.example/a[1]|^{}?"},
		{"HTTPS://client.example:443/cb", "HTTPS://client.example:443/cb?"},
		{"Com.Example.App:/cb", "Com.Example.App:/cb?"},
		{"com.example.app:cb", "com.example.app:cb?"},
		{"com.example.app:///cb", "com.example.app:///cb?"},
		{"http://[::1]:1/cb", "http://[::1]:1/cb?"},
	} {
		t.Run(tc.registered, func(t *testing.T) {
			w.clients["client-1"].RedirectURIs = []string{tc.registered}
			form := w.pushForm("client-1")
			form.Set("redirect_uri", tc.registered)
			state := "a b+&=?#\r\nSet-Cookie: x=1\r\n\r\n<script>é%0d%0a;"
			form.Set("state", state)
			a := w.load("client-1", form)
			answer, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
			require.NoError(t, err)
			response, ok := strings.CutPrefix(answer.URL(), tc.before)
			require.True(t, ok, answer.URL())
			require.NotContains(t, response, "\n")
			values, err := url.ParseQuery(response)
			require.NoError(t, err)
			require.Equal(t, state, values.Get("state"), "SP-5.3.2.2-N4")
			require.Equal(t, w.asHTTP.URL, values.Get("iss"), "ISS-2.3-1")
			require.Len(t, values, 3)
		})
	}
}

// Each endpoint answers at its one path and lies about nothing, whatever host a request names.
func TestEndpointsAtTheirPaths(t *testing.T) {
	for _, path := range []string{"", "/tenant", "/tenant/", "/a%2Fb/%7Bx%7D"} {
		t.Run(path, func(t *testing.T) {
			var front http.Handler
			server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { front.ServeHTTP(rw, r) }))
			defer server.Close()
			cfg := goodConfig(t)
			cfg.Issuer = server.URL + path
			cfg.Interact = func(http.ResponseWriter, *http.Request, *authserver.Authorization) {}
			cfg.UserInfo = about
			s, err := authserver.New(cfg)
			require.NoError(t, err)
			front = s.Handler()
			m := s.Metadata()
			require.Equal(t, server.URL+strings.TrimSuffix(path, "/")+"/token", m.TokenEndpoint)
			oauth, openid, err := profile.WellKnownURLs(cfg.Issuer)
			require.NoError(t, err)
			browser := server.Client()
			browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			status := func(method, target string) (int, http.Header) {
				r, err := http.NewRequest(method, target, nil)
				require.NoError(t, err)
				r.Host = "evil.example"
				response, err := browser.Do(r)
				require.NoError(t, err)
				body, _ := io.ReadAll(response.Body)
				response.Body.Close()
				require.NotContains(t, string(body)+fmt.Sprint(response.Header), "evil.example", "BCP-2.5-1")
				require.Empty(t, response.Header.Get("Access-Control-Allow-Origin"), "BCP-2.6-4")
				return response.StatusCode, response.Header
			}
			for method, endpoints := range map[string]map[string]int{
				http.MethodGet:     {oauth: 200, openid: 200, m.JWKSURI: 200, m.TokenEndpoint: 405, m.PushedAuthorizationRequestEndpoint: 405, m.AuthorizationEndpoint: 400, m.RevocationEndpoint: 405, m.UserInfoEndpoint: 401},
				http.MethodHead:    {oauth: 200, m.JWKSURI: 200, m.TokenEndpoint: 405, m.AuthorizationEndpoint: 405},
				http.MethodOptions: {oauth: 405, m.JWKSURI: 405, m.TokenEndpoint: 405, m.PushedAuthorizationRequestEndpoint: 405, m.AuthorizationEndpoint: 405, m.RevocationEndpoint: 405, m.UserInfoEndpoint: 405},
				http.MethodPost:    {oauth: 405, m.JWKSURI: 405, m.TokenEndpoint: 400, m.PushedAuthorizationRequestEndpoint: 400, m.AuthorizationEndpoint: 400, m.RevocationEndpoint: 400, m.UserInfoEndpoint: 401},
			} {
				for target, want := range endpoints {
					got, header := status(method, target)
					require.Equal(t, want, got, "%s %s", method, target)
					if want == http.StatusMethodNotAllowed {
						require.NotEmpty(t, header.Get("Allow"), "PAR-2.3-5")
					}
				}
			}
			// SP-5.3.2.2-10: a path that is spelt otherwise is not there; above all it is not redirected with its body.
			for _, target := range []string{m.TokenEndpoint + "/", m.TokenEndpoint + "/x", server.URL + "/" + strings.TrimPrefix(m.AuthorizationEndpoint, server.URL),
				strings.Replace(m.AuthorizationEndpoint, "/authorize", "/x/../authorize", 1), server.URL + "/nothing", server.URL + "//evil.example/%2e%2e"} {
				got, _ := status(http.MethodPost, target)
				require.Contains(t, []int{404, 405}, got, "SP-5.3.2.2-10 SP-5.3.2.1-7 %s", target)
			}
		})
	}
}

type hostError struct {
	code   string
	status int
}

func (e hostError) Error() string { return "host: " + e.code }

func (e hostError) OAuthError() (string, string) { return e.code, "é \"quoted\" \\ \r\n<script>" }

func (e hostError) HTTPStatus() int { return e.status }

// An error of the host's own does not bring the server down and is written as RFC 6749 §5.2 wants it.
func TestWriteHostErrors(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{errHost, 500, "server_error"},
		{hostError{"", 400}, 500, "server_error"},
		{hostError{"x", 0}, 500, "x"},
		{hostError{"x", 99}, 500, "x"},
		{hostError{"x", 200}, 500, "x"},
		{hostError{"x", 1000}, 500, "x"},
		{hostError{"a\"b\r\n", 400}, 400, "a?b??"},
		{fmt.Errorf("wrapped: %w", hostError{"consent_too_old", 403}), 403, "consent_too_old"},
	} {
		rw := httptest.NewRecorder()
		require.NotPanics(t, func() { w.as.WriteError(rw, httptest.NewRequest(http.MethodPost, "/token", nil), tc.err) })
		require.Equal(t, tc.status, rw.Code)
		require.Contains(t, rw.Body.String(), `"error":"`+tc.code+`"`)
		require.NotContains(t, rw.Body.String(), "10.1.2.3")
		require.NotContains(t, rw.Body.String(), "script>")
		var body map[string]string
		require.NoError(t, json.Unmarshal(rw.Body.Bytes(), &body))
		require.NotRegexp(t, `[^ -!#-\[\]-~]`, body["error"]+body["error_description"], "PAR-2.3-1 the characters of RFC 6749 §5.2")
		require.Equal(t, "no-store", rw.Header().Get("Cache-Control"))
	}
}

// BASE-6749-5.2-1: the challenge names the scheme that the client used.
func TestAuthorizationHeaderAtTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	for sent, want := range map[string]string{"Basic YTpi": "Basic ", "Bearer x": "Bearer ", "": "", "\"x\r": "Basic "} {
		r := httptest.NewRequest(http.MethodPost, w.tokenURL(), strings.NewReader("grant_type=client_credentials"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if sent != "" {
			r.Header.Set("Authorization", sent)
		}
		rw := httptest.NewRecorder()
		w.as.Handler().ServeHTTP(rw, r)
		require.Equal(t, http.StatusUnauthorized, rw.Code)
		require.True(t, strings.HasPrefix(rw.Header().Get("WWW-Authenticate"), want), "BASE-6749-5.2-1 %q", rw.Header())
	}
}

// What the host's registry says is believed only about the client that was asked for, and its failures are its own.
func TestClientsCallback(t *testing.T) {
	var answer func(id string) (*profile.ClientMetadata, error)
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		inner := as.Clients
		as.Clients = func(ctx context.Context, id string) (*profile.ClientMetadata, error) {
			if answer != nil {
				return answer(id)
			}
			return inner(ctx, id)
		}
	})
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	for name, tc := range map[string]struct {
		answer func(id string) (*profile.ClientMetadata, error)
		status int
		page   int
	}{
		"nothing":        {func(string) (*profile.ClientMetadata, error) { return nil, nil }, 503, 503},
		"a failure":      {func(string) (*profile.ClientMetadata, error) { return nil, errHost }, 503, 503},
		"another client": {func(string) (*profile.ClientMetadata, error) { return w.clients["client-2"], nil }, 503, 503},
		"unknown, wrapped": {func(string) (*profile.ClientMetadata, error) {
			return nil, fmt.Errorf("%w: x", clientauth.ErrUnknownClient)
		}, 401, 400},
		"unknown and more": {func(string) (*profile.ClientMetadata, error) {
			return w.clients["client-1"], clientauth.ErrUnknownClient
		}, 401, 400},
		"no registered key": {func(id string) (*profile.ClientMetadata, error) {
			c := *w.clients[id]
			c.JWKS = nil
			return &c, nil
		}, 401, 303},
		"another method": {func(id string) (*profile.ClientMetadata, error) {
			c := *w.clients[id]
			c.TokenEndpointAuthMethod = "none"
			return &c, nil
		}, 401, 303},
	} {
		t.Run(name, func(t *testing.T) {
			answer = nil
			target = w.authorizationURL("client-1", w.pushForm("client-1"))
			answer = tc.answer
			for _, endpoint := range []string{w.parURL(), w.tokenURL()} {
				form := w.pushForm("client-1")
				form.Set("grant_type", "client_credentials")
				got := w.send(endpoint, form)
				require.Equal(t, tc.status, got.status, "%v", got.body)
				require.NotContains(t, fmt.Sprint(got.body), "10.1.2.3")
			}
			require.Equal(t, tc.page, w.visit(target).StatusCode)
		})
	}
}

// One jwks_uri is fetched once, however many requests need it at the same moment.
func TestRemoteClientKeys(t *testing.T) {
	var fetches atomic.Int32
	set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "client-1").Public(), KeyID: "client-1-key"})
	require.NoError(t, err)
	keys := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		set.ServeHTTP(rw, r)
	}))
	defer keys.Close()
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.JWKSClient = keys.Client()
	})
	w.clients["client-1"].JWKS, w.clients["client-1"].JWKSURI = nil, keys.URL
	forms, proofs := make([]url.Values, 48), make([]string, 48)
	for i := range forms {
		forms[i], proofs[i] = w.credentialsForm("client-1", "accounts"), w.tokenProof("d")
	}
	var served atomic.Int32
	testkit.Hammer(len(forms), func(i int) {
		if w.send(w.tokenURL(), forms[i], proofs[i]).status == http.StatusOK {
			served.Add(1)
		}
	})
	require.Equal(t, int32(len(forms)), served.Load(), "CA-OIDC-9-2")
	require.Equal(t, int32(1), fetches.Load())
}
