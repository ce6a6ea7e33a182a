package profile

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
)

// Limits of SP-5.3.2.1-11 and SP-5.3.2.2-12, and the defaults.
const (
	maxCodeLifetime            = 60 * time.Second
	defaultAccessTokenLifetime = 5 * time.Minute
	defaultRefreshLifetime     = 90 * 24 * time.Hour

	// A redeemed code is remembered for this long, so that a late replay still revokes what was issued for it.
	codeMemory = 10 * time.Minute
)

// Endpoints are the paths of an authorization server's endpoints, each starting with a slash and standing behind the
// issuer's own path. An empty one has the default given here.
type Endpoints struct {
	PushedAuthorizationRequest string // /par
	Authorization              string // /authorize
	Token                      string // /token
	JWKS                       string // /jwks
}

// An AuthorizationServerConfig configures [NewAuthorizationServer].
type AuthorizationServerConfig struct {
	// Profile is what the server demands of every client. The zero value is Baseline.
	Profile Profile
	// Issuer is the issuer identifier: an https URL without query and fragment. Required. All endpoint URLs are made from
	// it and never from what a request says about its own host.
	Issuer    string
	Endpoints Endpoints

	// Clients returns the registration of a client, or [ErrUnknownClient]. It must have passed [ClientMetadata.Validate].
	// Required; called several times for one request and concurrently.
	Clients func(ctx context.Context, clientID string) (*ClientMetadata, error)
	// JWKSClient fetches the jwks_uri of clients. nil fetches from public addresses only, since a jwks_uri comes from whoever
	// registers clients; a client given here is not restricted in that way.
	JWKSClient *http.Client

	// Key signs access tokens and ID tokens. Required; a key in a KMS or HSM will do.
	Key crypto.Signer
	// KeyID names the key in the JWK Set; empty: its RFC 7638 thumbprint.
	KeyID string
	// Algorithm is PS256, ES256, EdDSA or Ed25519; empty: what fits the key.
	Algorithm string
	// RetiredKeys stay in the JWK Set after a key change, for tokens that they signed.
	RetiredKeys []jwks.Key

	// Scopes are the scopes that exist here. With "openid" among them the server issues ID tokens.
	Scopes []string
	// Resources are the resource servers that tokens may be meant for, absolute URIs (RFC 8707). At least one is required;
	// the first is the audience of a token whose client named none.
	Resources []string

	// Interact is called by [AuthorizationServer.Handler] at the authorization endpoint with a valid request: show login and
	// consent, then call Approve or Deny and send the browser to the URL they return with status 303. Required for Handler.
	//
	// A reload comes here again, as does the form that the page posts to this same URL. To continue on another URL keep
	// [Authorization.RequestURI] with [Authorization.ClientID] in the browser's session, and call
	// [AuthorizationServer.Authorization] again with them.
	Interact func(w http.ResponseWriter, r *http.Request, a *Authorization)
	// ErrorPage shows an error that must not be redirected to the client. nil shows a plain page that names the cause.
	ErrorPage func(w http.ResponseWriter, r *http.Request, err error)

	RequestLifetime      time.Duration // of a request_uri: 5 s to 599 s, default 90 s
	CodeLifetime         time.Duration // at most 60 s, the default
	AccessTokenLifetime  time.Duration // default 5 minutes
	RefreshTokenLifetime time.Duration // default 90 days; only clients with the grant type refresh_token get one

	// Stores; nil: in memory, for a server of one process.
	Requests      par.Store
	Codes         CodeStore
	RefreshTokens RefreshStore
	Revocations   RevocationStore
	Assertions    clientauth.ReplayStore
	Proofs        dpop.ReplayStore
	// Nonces makes the server ask for DPoP nonces (RFC 9449 §8); nil: it does not.
	Nonces *dpop.NonceSource

	Logger *slog.Logger     // nil: silent
	Now    func() time.Time // nil: time.Now
}

// An AuthorizationServer serves pushed authorization requests, the authorization endpoint and the token endpoint under the
// FAPI 2.0 Security Profile. It is safe for concurrent use.
type AuthorizationServer struct {
	cfg      AuthorizationServerConfig
	metadata *ServerMetadata
	keys     *jwks.Set

	clients     *clientauth.Verifier
	pushProofs  *dpop.Verifier
	tokenProofs *dpop.Verifier
	requests    *par.Server
	tokens      *accesstoken.Issuer
	idTokens    *idtoken.Issuer
	remoteKeys  *remoteKeys
}

// NewAuthorizationServer checks and copies cfg. The error lists everything that is wrong with it.
func NewAuthorizationServer(cfg AuthorizationServerConfig) (*AuthorizationServer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &AuthorizationServer{cfg: cfg, remoteKeys: newRemoteKeys(cfg.JWKSClient, cfg.Now)}
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	s.tokens, err = accesstoken.NewIssuer(accesstoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: cfg.Key, KeyID: cfg.KeyID, Algorithm: cfg.Algorithm, Lifetime: cfg.AccessTokenLifetime, Now: cfg.Now,
	})
	keep(err)
	s.idTokens, err = idtoken.NewIssuer(idtoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: cfg.Key, KeyID: cfg.KeyID, Algorithm: cfg.Algorithm, Now: cfg.Now,
	})
	keep(err)
	s.keys, err = jwks.NewSet(append([]jwks.Key{{Public: cfg.Key.Public(), KeyID: cfg.KeyID, Algorithm: cfg.Algorithm, Use: "sig"}}, cfg.RetiredKeys...)...)
	keep(err)
	s.clients, err = clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: cfg.Issuer, Lookup: s.lookup, Replay: cfg.Assertions, Now: cfg.Now,
	})
	keep(err)
	s.requests, err = par.NewServer(par.ServerConfig{
		Check: s.checkRequest, Store: cfg.Requests, Lifetime: cfg.RequestLifetime, Now: cfg.Now,
	})
	keep(err)
	s.pushProofs, err = s.proofVerifier(cfg.Endpoints.PushedAuthorizationRequest)
	keep(err)
	s.tokenProofs, err = s.proofVerifier(cfg.Endpoints.Token)
	keep(err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("profile: authorization server: %w", err)
	}
	s.metadata = s.makeMetadata()
	if err := s.metadata.CheckPublished(); err != nil { // a server never says of itself what its clients would refuse
		return nil, fmt.Errorf("profile: authorization server: %w", err)
	}
	return s, nil
}

func (cfg *AuthorizationServerConfig) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("profile: authorization server: "+format, args...))
	}
	if cfg.Profile != Baseline {
		bad("unknown profile %d", cfg.Profile)
	}
	if err := CheckIssuer(cfg.Issuer); err != nil {
		errs = append(errs, err)
	}
	if cfg.Clients == nil {
		bad("Clients is required")
	}
	if cfg.Key == nil {
		bad("Key is required")
	} else if err := cfg.checkKey(); err != nil {
		errs = append(errs, err)
	}
	for _, path := range []string{cfg.Endpoints.PushedAuthorizationRequest, cfg.Endpoints.Authorization, cfg.Endpoints.Token, cfg.Endpoints.JWKS} {
		if u, err := url.Parse(path); path != "" && (err != nil || u.Path != path || path[0] != '/' || strings.ContainsAny(path, "{}")) {
			bad("endpoint %q is no plain path", path)
		}
	}
	if len(cfg.Resources) == 0 {
		bad("Resources needs at least one resource server")
	}
	for _, resource := range cfg.Resources {
		if !validResource(resource) {
			bad("resource %q is no absolute URI without fragment", resource)
		}
	}
	for _, scope := range cfg.Scopes {
		if !validScope(scope) {
			bad("scope %q has characters outside RFC 6749 §3.3", scope)
		}
	}
	if cfg.CodeLifetime < 0 || cfg.CodeLifetime > maxCodeLifetime { // SP-5.3.2.1-11
		bad("CodeLifetime %v is not at most %v", cfg.CodeLifetime, maxCodeLifetime)
	}
	if cfg.AccessTokenLifetime < 0 || cfg.RefreshTokenLifetime < 0 {
		bad("a token lifetime is negative")
	}
	return errors.Join(errs...)
}

// checkKey also fills in what the key itself tells.
func (cfg *AuthorizationServerConfig) checkKey() (err error) {
	if cfg.Algorithm == "" {
		if cfg.Algorithm, err = jose.AlgorithmFor(cfg.Key.Public()); err != nil {
			return fmt.Errorf("profile: authorization server: Key: %w", err)
		}
	}
	if !jose.Allowed(cfg.Algorithm) || !jose.KeyFits(cfg.Key.Public(), cfg.Algorithm) {
		return fmt.Errorf("profile: authorization server: Key cannot be used with Algorithm %q", cfg.Algorithm)
	}
	if cfg.KeyID == "" {
		cfg.KeyID, err = jose.Thumbprint(cfg.Key.Public())
	}
	return err
}

func (cfg *AuthorizationServerConfig) setDefaults() {
	or := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	or(&cfg.Endpoints.PushedAuthorizationRequest, "/par")
	or(&cfg.Endpoints.Authorization, "/authorize")
	or(&cfg.Endpoints.Token, "/token")
	or(&cfg.Endpoints.JWKS, "/jwks")
	orDuration := func(to *time.Duration, value time.Duration) {
		if *to == 0 {
			*to = value
		}
	}
	orDuration(&cfg.CodeLifetime, maxCodeLifetime)
	orDuration(&cfg.AccessTokenLifetime, defaultAccessTokenLifetime)
	orDuration(&cfg.RefreshTokenLifetime, defaultRefreshLifetime)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	memory := NewMemoryStore(0, cfg.Now)
	if cfg.Codes == nil {
		cfg.Codes = memory
	}
	if cfg.RefreshTokens == nil {
		cfg.RefreshTokens = memory
	}
	if cfg.Revocations == nil {
		cfg.Revocations = memory
	}
	if cfg.Proofs == nil { // one store for both endpoints: a proof replayed at the other one fails by its htu anyway
		cfg.Proofs = dpop.NewMemoryReplayStore(0)
	}
	if cfg.Assertions == nil {
		cfg.Assertions = clientauth.NewMemoryReplayStore(0)
	}
	cfg.Scopes, cfg.Resources = slices.Clone(cfg.Scopes), slices.Clone(cfg.Resources)
	if cfg.ErrorPage == nil {
		cfg.ErrorPage = plainErrorPage
	}
}

// endpoint is the external URL of a path. BCP-2.5-1: never from the request's Host.
func (s *AuthorizationServer) endpoint(path string) string {
	return strings.TrimSuffix(s.cfg.Issuer, "/") + path
}

func (s *AuthorizationServer) proofVerifier(path string) (*dpop.Verifier, error) {
	external, err := url.Parse(s.endpoint(path))
	if err != nil {
		return nil, err
	}
	return dpop.NewVerifier(dpop.VerifierConfig{
		URL:    func(*http.Request) (*url.URL, error) { return external, nil },
		Replay: s.cfg.Proofs, Nonces: s.cfg.Nonces, Now: s.cfg.Now,
	})
}

// Metadata returns a copy of what the server publishes.
func (s *AuthorizationServer) Metadata() *ServerMetadata {
	m := *s.metadata
	return &m
}

func (s *AuthorizationServer) makeMetadata() *ServerMetadata {
	e := s.cfg.Endpoints
	m := &ServerMetadata{
		Issuer:                             s.cfg.Issuer,
		AuthorizationEndpoint:              s.endpoint(e.Authorization),
		TokenEndpoint:                      s.endpoint(e.Token),
		JWKSURI:                            s.endpoint(e.JWKS),
		PushedAuthorizationRequestEndpoint: s.endpoint(e.PushedAuthorizationRequest),
		RequirePushedAuthorizationRequests: true, // PAR-5-1
		ResponseTypesSupported:             []string{"code"},
		ResponseModesSupported:             []string{"query"},
		GrantTypesSupported:                []string{"authorization_code", "refresh_token", "client_credentials"},
		CodeChallengeMethodsSupported:      []string{pkce.MethodS256}, // BCP-2.1.1-5
		ScopesSupported:                    slices.Clone(s.cfg.Scopes),
		TokenEndpointAuthMethodsSupported:  []string{clientauth.MethodPrivateKeyJWT},

		TokenEndpointAuthSigningAlgValuesSupported: s.clients.Algorithms(),
		DPoPSigningAlgValuesSupported:              s.tokenProofs.Algorithms(), // DPOP-5.1-1
		AuthorizationResponseIssParameterSupported: true,                       // ISS-2.3-2
		ProtectedResources:                         slices.Clone(s.cfg.Resources),
	}
	if slices.Contains(s.cfg.Scopes, "openid") {
		m.SubjectTypesSupported = []string{"public"}
		m.IDTokenSigningAlgValuesSupported = []string{s.cfg.Algorithm}
	}
	return m
}
