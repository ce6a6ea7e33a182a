package profiletest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
)

// ServerConfig configures [NewServer]. The zero value is valid. All functions
// may be called concurrently.
type ServerConfig struct {
	// Scopes exist at the authorization server. The default is "openid",
	// "accounts" and "payments".
	Scopes []string
	// Types are the authorization details of both servers. If nil, there are
	// none.
	Types *rar.Registry
	// API serves the requests that have a valid token, whatever its scopes. It
	// reads the token with [resourceserver.TokenFromContext]. If nil, the
	// response is the subject of the token.
	API http.Handler
	// Decide is the user. If it returns an error, the user denies, and the
	// client receives access_denied. If nil, the user is "alice" and grants
	// everything that the client requests.
	Decide func(a *authserver.Authorization) (authserver.Approval, error)
	// Change changes the configuration of the authorization server, for example
	// its Profile, or the Resources with which it issues tokens for an API of
	// the test. If nil, nothing is changed.
	Change func(cfg *authserver.Config)
	// Now is the clock of both servers and of the clients. If nil, time.Now is
	// used.
	Now func() time.Time
}

// A Server is an authorization server and an API, each on a TLS socket of the
// loopback interface until the test ends. The embedded [Issuer] makes tokens of
// the authorization server without a login. A Server is safe for concurrent
// use.
type Server struct {
	*Issuer
	// AuthServer is the authorization server, for example for
	// [authserver.Server.Withdraw].
	AuthServer *authserver.Server
	// Resource is the URL of the API, and its resource identifier.
	Resource string
	// HTTPClient trusts the certificates of all servers of package httptest.
	HTTPClient *http.Client

	cfg     ServerConfig
	profile profile.Profile
	mu      sync.Mutex
	made    int // clients of ClientConfig
	clients map[string]*profile.ClientMetadata
}

// NewServer starts an authorization server and an API.
func NewServer(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.Scopes == nil {
		cfg.Scopes = []string{"openid", "accounts", "payments"}
	}
	if cfg.API == nil {
		cfg.API = http.HandlerFunc(writeSubject)
	}
	if cfg.Decide == nil {
		cfg.Decide = approve
	}
	s := &Server{cfg: cfg, clients: map[string]*profile.ClientMetadata{}}
	as, api := http.NewServeMux(), http.NewServeMux()
	asHTTP, apiHTTP := httptest.NewTLSServer(as), httptest.NewTLSServer(api)
	t.Cleanup(asHTTP.Close)
	t.Cleanup(apiHTTP.Close)
	s.Resource, s.HTTPClient = apiHTTP.URL, asHTTP.Client()
	s.Issuer = NewIssuer(t, IssuerConfig{ID: asHTTP.URL, Types: cfg.Types, Now: cfg.Now})

	settings := authserver.Config{
		Issuer: asHTTP.URL, Keys: []profile.SigningKey{{Key: s.key}}, Scopes: cfg.Scopes,
		Resources: []string{apiHTTP.URL}, Clients: s.Registration, Interact: s.interact,
		AuthorizationDetails: cfg.Types, Hooks: authserver.Hooks{Now: cfg.Now},
	}
	if cfg.Change != nil {
		cfg.Change(&settings)
	}
	s.profile = settings.Profile
	var err error
	s.AuthServer, err = authserver.New(settings)
	fatal(t, "NewServer", err)
	as.Handle("/", s.AuthServer.Handler())
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: apiHTTP.URL, AuthorizationDetails: cfg.Types, Hooks: resourceserver.Hooks{Now: cfg.Now},
		Issuers: []resourceserver.Issuer{
			{ID: asHTTP.URL, Keys: s.AuthServer.Keys().Keys, Revoked: s.AuthServer.Revoked},
		},
	})
	fatal(t, "NewServer", err)
	api.Handle("/", guard.Require()(cfg.API))
	return s
}

// ClientConfig registers a client with a new key and all scopes, and returns
// its configuration, with the Profile of the server. The client can log users
// in, refresh tokens and act for itself. A client without redirect URI can only
// act for itself.
func (s *Server) ClientConfig(t testing.TB, redirectURI string) client.Config {
	t.Helper()
	key := newKey(t)
	set, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "1"})
	fatal(t, "ClientConfig", err)
	s.mu.Lock()
	s.made++
	id := fmt.Sprintf("%s-%d", testClient, s.made)
	s.mu.Unlock()
	metadata := &profile.ClientMetadata{
		ClientID: id, GrantTypes: []string{"client_credentials"}, Scope: strings.Join(s.cfg.Scopes, " "), JWKS: set,
		TokenEndpointAuthMethod: clientauth.MethodPrivateKeyJWT, DPoPBoundAccessTokens: true,
	}
	if redirectURI != "" {
		metadata.RedirectURIs = []string{redirectURI}
		metadata.GrantTypes = append(metadata.GrantTypes, "authorization_code", "refresh_token")
	}
	if s.cfg.Types != nil {
		metadata.AuthorizationDetailsTypes = s.cfg.Types.Types()
	}
	s.Register(t, metadata)
	return client.Config{
		Issuer: s.ID(), ClientID: id, RedirectURI: redirectURI, Key: key, KeyID: "1",
		Profile:    s.profile &^ profile.SignedIntrospection,
		HTTPClient: s.HTTPClient, Hooks: client.Hooks{Now: s.cfg.Now},
	}
}

// Register adds or replaces the registration of a client.
func (s *Server) Register(t testing.TB, metadata *profile.ClientMetadata) {
	t.Helper()
	fatal(t, "Register", metadata.Validate())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[metadata.ClientID] = metadata
}

// Browse opens an authorization URL as a browser does, lets the user decide,
// and returns the redirect URI with the authorization response. Its query is
// the callback for [client.Client.Finish].
func (s *Server) Browse(t testing.TB, target string) *url.URL {
	t.Helper()
	browser := s.Browser(t)
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Get(target)
	fatal(t, "Browse", err)
	defer response.Body.Close()
	location, err := response.Location()
	if err != nil {
		page, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		t.Fatalf("profiletest: Browse: status %d without redirect: %s", response.StatusCode, page)
	}
	return location
}

// Browser returns a new browser with an empty cookie jar, for tests of web
// applications. It follows the redirects from an application to the
// authorization server and back. The application must have a certificate of
// package httptest.
func (s *Server) Browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	fatal(t, "Browser", err)
	return &http.Client{Transport: s.HTTPClient.Transport, Jar: jar}
}

// Registration returns the registration of a client. It fits the field Clients
// of an authserver.Config, for a test of another authorization server.
func (s *Server) Registration(_ context.Context, id string) (*profile.ClientMetadata, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if metadata, ok := s.clients[id]; ok {
		return metadata, nil
	}
	return nil, clientauth.ErrUnknownClient
}

// interact decides in place of login and consent.
func (s *Server) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	approval, err := s.cfg.Decide(a)
	var response *authserver.AuthorizationResponse
	if err == nil {
		response, err = s.AuthServer.Approve(r.Context(), a, approval)
	} else {
		response, err = s.AuthServer.Deny(r.Context(), a, "access_denied", "")
	}
	if err != nil {
		s.AuthServer.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// approve grants everything.
func approve(a *authserver.Authorization) (authserver.Approval, error) {
	return authserver.Approval{Subject: testUser, Scopes: a.Scopes(), Details: a.Details()}, nil
}

func writeSubject(w http.ResponseWriter, r *http.Request) {
	if token, ok := resourceserver.TokenFromContext(r.Context()); ok {
		io.WriteString(w, token.Subject())
	}
}
