package authserver

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/tokenbinding"
)

// Endpoints are the paths of an authorization server's endpoints, each starting
// with a slash and standing behind the issuer's own path. An empty one has the
// default given here.
type Endpoints struct {
	PushedAuthorizationRequest string // /par
	Authorization              string // /authorize
	Token                      string // /token
	Introspection              string // /introspect, if there are ResourceServers
	Revocation                 string // /revoke
	UserInfo                   string // /userinfo, if there is a UserInfo function
	Grants                     string // /grants, below which each grant has its URL, if there are Grants
	JWKS                       string // /jwks
}

// An Config configures [New].
type Config struct {
	// Profile is what the server demands of every client. The zero value is
	// Baseline.
	Profile profile.Profile
	// Issuer is the issuer identifier: an https URL without query and fragment.
	// Required. All endpoint URLs are made from it and never from what a
	// request says about its own host.
	Issuer    string
	Endpoints Endpoints

	// Clients returns the registration of a client, or [ErrUnknownClient]. It
	// must have passed [ClientMetadata.Validate]. Required; called several
	// times for one request and concurrently.
	Clients func(ctx context.Context, clientID string) (*profile.ClientMetadata, error)
	// JWKSClient fetches the jwks_uri of clients. nil fetches from public
	// addresses only, since a jwks_uri comes from whoever registers clients; a
	// client given here is not restricted in that way, see [jwks.PublicClient]
	// for one that is.
	JWKSClient *http.Client

	// Key signs access tokens, and all else that is signed, for clients that
	// are registered for no other algorithm. Required; a key in a KMS or HSM
	// will do.
	Key crypto.Signer
	// KeyID names the key in the JWK Set; empty: its RFC 7638 thumbprint.
	KeyID string
	// Algorithm is PS256, ES256, EdDSA or Ed25519; empty: what fits the key.
	Algorithm string
	// MoreKeys sign for clients that are registered for their algorithm
	// (id_token_signed_response_alg and the like): one for each algorithm
	// beside that of Key. A client that is registered for an algorithm without
	// a key is refused.
	MoreKeys []SigningKey
	// RetiredKeys stay in the JWK Set after a key change, for tokens that they
	// signed.
	RetiredKeys []jwks.Key

	// Certificates finds the certificate that a client has presented, and turns
	// mutual TLS on: to authenticate clients (RFC 8705 §2) and to bind tokens
	// (§3). nil: off. new(tokenbinding.CertificateSource) believes the TLS
	// connection, whose server has to ask for a certificate, by ClientAuth:
	// tls.RequestClientCert.
	Certificates *tokenbinding.CertificateSource
	// ClientCAs are the trust anchors for clients with tls_client_auth. nil:
	// whoever ends TLS has verified their chains, a server with
	// tls.VerifyClientCertIfGiven or a proxy, see [clientauth.VerifierConfig].
	ClientCAs *x509.CertPool
	// MTLSBaseURL is where the endpoints are that ask for a certificate, if
	// they are not those of the issuer: an https URL that the paths of
	// Endpoints are added to. It is published as mtls_endpoint_aliases (§5),
	// and the same Handler serves it.
	MTLSBaseURL string

	// Scopes are the scopes that exist here. With "openid" among them the
	// server issues ID tokens.
	Scopes []string
	// Resources are the resource servers that tokens may be meant for, absolute
	// URIs (RFC 8707). At least one is required; the first is the audience of a
	// token whose client named none.
	Resources []string

	// ResourceServers returns the resources of which an authenticated client is
	// the server: what it may ask about at the introspection endpoint (RFC
	// 7662), which exists only with this function. None: it is an ordinary
	// client and is told nothing (MS-6.2-1). Called concurrently.
	ResourceServers func(ctx context.Context, clientID string) (resources []string, err error)

	// ResourceScopes are, for each of Resources, the scopes that mean something
	// there: a resource server is told of no others at the introspection
	// endpoint. Each of Resources needs an entry, an empty one for none. nil:
	// it is told all that the token has, which is what a token of this server
	// itself says to who holds it.
	ResourceScopes map[string][]string

	// AuthorizationDetails are the types of authorization details (RFC 9396)
	// that the server supports and publishes as
	// authorization_details_types_supported. A client can request the types
	// that it is registered for. If nil, the server rejects requests with
	// authorization details.
	//
	// A detail may name some of Resources by its locations or its type. Then
	// only tokens for these resource servers contain it. The client can request
	// such a token even if its authorization request named other resources (RFC
	// 9396 §3.2). The token has no scopes there unless the client named the
	// resource.
	//
	// A request for details that do not fit into an access token is rejected at
	// the push. A JWT has room for about 10 KiB, and an opaque one for more
	// than 40 KiB. Logger receives a warning for each JWT longer than 8 KiB,
	// because common proxies accept no longer header field.
	AuthorizationDetails *rar.Registry
	// ClientDetails decides which details a client may have that acts for
	// nobody, by the client credentials grant: those requested, or less, or an
	// error. nil: none, since no user has agreed. Called concurrently.
	ClientDetails func(ctx context.Context, clientID string, requested rar.Details) (granted rar.Details, err error)

	// Grants turns on grant management (Grant Management for OAuth 2.0). The
	// server makes a [grants.Manager] from it; see [Server.Grants]. Leave
	// Issuer, AccessTokenLifetime and Now empty, because the server sets them.
	// If MergeDetails is nil, the server uses the rule of AuthorizationDetails.
	// Clients can be registered for the scopes grant_management_query and
	// grant_management_revoke. Events receives a change after the server has
	// ended the affected access tokens. If nil, grant management is off.
	//
	// The grant management endpoint is a resource server with its own
	// identifier. The identifier is its URL, which the metadata contains as
	// grant_management_endpoint and in protected_resources. The endpoint
	// rejects tokens for other audiences (RFC 9068 §4). If a request for one of
	// the two scopes names no resource, the endpoint is in the audience of the
	// token. The default resource server is in it too if the client requests
	// other scopes. A request that names resources must name the endpoint to
	// use the two scopes.
	Grants *grants.ManagerConfig
	// GrantIDInTokens writes the member grant_id into access tokens and
	// introspection responses. The value is the ID of the managed grant, or the
	// [AuthorizationResponse.AuthorizationID] without grant management. All
	// tokens of one consent carry the same value, including refreshed and
	// narrowed tokens. An API can therefore record with [Token.GrantID] that a
	// permission was used. A merge or a replacement within one managed grant
	// does not create a second permission; a client that needs one creates
	// another grant. Tokens of the client credentials grant have no grant_id.
	// If false, tokens do not name their consent.
	GrantIDInTokens bool

	// EncryptedResponses serves clients that are registered for encrypted
	// authorization responses, by authorization_encrypted_response_alg and
	// _enc, with the first key in their JWK Set that is for it. false: such a
	// client is refused. FAPI advises against it (MS-6.1-1), and nobody else's
	// responses are encrypted.
	EncryptedResponses bool

	// UserInfo returns the claims about the user of an access token with scope
	// openid, those that its scopes allow the client to see, and turns on the
	// UserInfo endpoint (OpenID Connect Core §5.3). "openid" has to be among
	// Scopes. The endpoint itself says "sub", which is the token's subject: a
	// map with another one is not sent. An error with a code and status goes to
	// the client, [accesstoken.ErrRevoked] for a user who is gone, say; any
	// other is a server_error. Called concurrently.
	UserInfo func(ctx context.Context, token *resourceserver.Token) (claims map[string]any, err error)

	// ACRValues are the authentication context classes that logins here can
	// meet, published as acr_values_supported. With any, acr_values in a
	// request is a demand: [Server.Approve] refuses an approval that meets none
	// of them (RFC 9470 §5). Without, acr_values is the host's business.
	ACRValues []string

	// [Server.Handler] calls Interact at the authorization endpoint with a
	// valid request. Interact shows login and consent, calls Approve or Deny,
	// and serves the response that they return. Required for Handler. The
	// consent page shows [Authorization.Choices], Details and NamedResources.
	// ScopesFor turns the user's choices into an [Approval].
	//
	// A reload calls Interact again while RequestLifetime lasts, and so does
	// the form that the page posts to the same URL. If a client sends the
	// browser by POST, with client_id and request_uri in the body, Handler
	// redirects the request to the URL of the GET request. A POST that reaches
	// Interact is always a form of the host.
	//
	// If the user needs more time, store [Authorization.ClientID] and
	// [Authorization.RequestURI] in the browser's session. Continue on a URL of
	// the host, and call [Server.Resume] there. The host must protect its forms
	// against forged posts.
	Interact func(w http.ResponseWriter, r *http.Request, a *Authorization)
	// ErrorPage shows an error of which the client cannot be told. nil shows a
	// plain page that names the cause.
	ErrorPage func(w http.ResponseWriter, r *http.Request, err error)

	RequestLifetime      time.Duration // of a request_uri: 5 s to 599 s, default 90 s
	CodeLifetime         time.Duration // 1 s to 60 s, the default
	AccessTokenLifetime  time.Duration // 1 s to 24 hours, default 5 minutes
	AssertionLifetime    time.Duration // maximum lifetime of a client assertion, 1 s to 1 hour; the default is 1 hour
	RefreshTokenLifetime time.Duration // up to 10 years, default 90 days; only clients with the grant type refresh_token get one

	// Store keeps pushed requests, codes, refresh tokens, opaque access tokens,
	// revocations and, by default, grants and used proofs and assertions.
	// Processes that serve the same issuer must share one. Servers of several
	// issuers may.
	//
	// If nil, the server keeps each kind in a bounded memory store of its own.
	// A client can use as much room as is still free, and then receives
	// [ErrTooMany]. Other clients and other kinds are not affected. This is for
	// a server of one process, and a restart ends its codes and tokens.
	Store store.Store
	// Replay remembers used DPoP proofs, client assertions and request objects.
	// It needs only the method Add of a store. If nil, Store is used, or memory
	// if that is nil too.
	Replay dpop.ReplayStore
	// OpaqueAccessTokens makes access tokens opaque: 256 random bits, whose
	// claims Store keeps until they expire. APIs introspect such tokens
	// ([resourceserver.Issuer].Introspection) and see a revocation at once. If
	// false, access tokens are JWTs (RFC 9068). A server that changes to opaque
	// tokens still accepts the JWTs that it issued before.
	OpaqueAccessTokens bool
	// Nonces makes the server ask for DPoP nonces (RFC 9449 §8); nil: it does
	// not.
	Nonces *dpop.NonceSource

	// Evidence is handed each signed message that the server accepts or issues,
	// before it takes effect; an error stops that. nil: nobody wants them.
	// Called concurrently.
	Evidence func(ctx context.Context, e profile.Evidence) error

	// Logger is told of each refusal: method, path, status, error (the code
	// that the peer is told), reason (the text of one of this module's errors,
	// from a fixed set) and detail, none of which has a secret in it. nil:
	// silent.
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

func (cfg *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authserver: "+format, args...))
	}
	if cfg.Profile.Has(profile.SignedIntrospection) && cfg.ResourceServers == nil {
		bad("SignedIntrospection without ResourceServers")
	}
	if cfg.Profile&^profile.Advanced != 0 {
		bad("unknown profile %d", cfg.Profile)
	}
	if cfg.UserInfo != nil && !slices.Contains(cfg.Scopes, "openid") {
		bad("UserInfo without openid among Scopes")
	}
	if cfg.ClientDetails != nil && cfg.AuthorizationDetails == nil {
		bad("ClientDetails without AuthorizationDetails")
	}
	if g := cfg.Grants; g != nil && (g.Issuer != "" || g.AccessTokenLifetime != 0 || g.Now != nil) {
		bad("Grants has an Issuer, AccessTokenLifetime or Now, which are the server's own")
	}
	if err := profile.CheckIssuer(cfg.Issuer); err != nil { // CA-BIS-4-4
		errs = append(errs, err)
	}
	if cfg.Clients == nil {
		bad("Clients is required")
	}
	if _, err := cfg.signingKeys(); err != nil {
		errs = append(errs, err)
	}
	cfg.checkPaths(bad)
	if cfg.MTLSBaseURL != "" && (cfg.Certificates == nil || profile.CheckIssuer(cfg.MTLSBaseURL) != nil) {
		bad("MTLSBaseURL %q is no https URL, or there are no Certificates", cfg.MTLSBaseURL)
	}
	cfg.checkStores(bad)
	if len(cfg.Resources) == 0 {
		bad("Resources needs at least one resource server")
	}
	for i, resource := range cfg.Resources {
		if !syntax.IsResource(resource) {
			bad("resource %q is no absolute URI without fragment", resource)
		}
		if slices.Contains(cfg.Resources[:i], resource) { // AT-5-1: one audience for each
			bad("resource %q is there twice", resource)
		}
	}
	for _, scope := range cfg.Scopes {
		if !syntax.IsScope(scope) {
			bad("scope %q has characters outside RFC 6749 §3.3", scope)
		}
	}
	if own := strings.TrimSuffix(cfg.Issuer, "/") + cfg.Endpoints.Grants; cfg.Grants != nil && slices.Contains(cfg.Resources, own) {
		bad("Resources has the grant management endpoint %q, which is the server's own", own)
	}
	cfg.checkResourceScopes(bad)
	cfg.checkDetailScopes(bad)
	if cfg.CodeLifetime < time.Second || cfg.CodeLifetime > maxCodeLifetime { // SP-5.3.2.1-11
		bad("CodeLifetime %v is not 1s to %v", cfg.CodeLifetime, maxCodeLifetime)
	}
	if cfg.RefreshTokenLifetime < time.Second || cfg.RefreshTokenLifetime > maxRefreshLifetime {
		bad("RefreshTokenLifetime %v is not 1s to %v", cfg.RefreshTokenLifetime, maxRefreshLifetime)
	}
	return errors.Join(errs...)
}

// checkDetailScopes finds types of details that no client could ask for, as
// they go with a scope that does not exist.
func (cfg *Config) checkDetailScopes(bad func(format string, args ...any)) {
	if cfg.AuthorizationDetails == nil {
		return
	}
	for _, name := range cfg.AuthorizationDetails.Types() {
		if scope := cfg.AuthorizationDetails.Type(name).Scope(); scope != "" && !slices.Contains(cfg.Scopes, scope) {
			bad("the type %q goes with the scope %q, which is not among Scopes", name, scope)
		}
	}
}

// checkPaths wants paths that every proxy and browser leaves as they are, so
// that each endpoint has one URL.
func (cfg *Config) checkPaths(bad func(format string, args ...any)) {
	if u, err := url.Parse(cfg.Issuer); err == nil && u.Path != "" && strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/") {
		bad("the path of issuer %q has dot segments or empty ones", cfg.Issuer)
	}
	seen := map[string]bool{}
	for _, p := range []string{cfg.Endpoints.PushedAuthorizationRequest, cfg.Endpoints.Authorization, cfg.Endpoints.Token,
		cfg.Endpoints.Introspection, cfg.Endpoints.Revocation, cfg.Endpoints.UserInfo, cfg.Endpoints.Grants, cfg.Endpoints.JWKS} {
		u, err := url.Parse(p)
		if err != nil || u.Path != p || p[0] != '/' || p == "/" || path.Clean(p) != p || syntax.HTTPSProblem("https://host"+p) != "" {
			bad("endpoint %q is no plain path", p)
		}
		if seen[p] || strings.HasPrefix(p+"/", "/.well-known/") {
			bad("endpoint %q is at the path of something else", p)
		}
		seen[p] = true
	}
}

func (cfg *Config) setDefaults() {
	or := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	or(&cfg.Endpoints.PushedAuthorizationRequest, "/par")
	or(&cfg.Endpoints.Authorization, "/authorize")
	or(&cfg.Endpoints.Token, "/token")
	or(&cfg.Endpoints.Introspection, "/introspect")
	or(&cfg.Endpoints.Revocation, "/revoke")
	or(&cfg.Endpoints.UserInfo, "/userinfo")
	or(&cfg.Endpoints.Grants, "/grants")
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
	// If Replay stays nil, each verifier keeps a set in memory. The two
	// endpoints may have one for proofs each, because a proof fails at the
	// other by its htu.
	if cfg.Replay == nil && cfg.Store != nil {
		cfg.Replay = cfg.Store
	}
	cfg.Scopes, cfg.Resources, cfg.ACRValues = slices.Clone(cfg.Scopes), slices.Clone(cfg.Resources), slices.Clone(cfg.ACRValues)
	if cfg.ResourceScopes != nil {
		cfg.ResourceScopes = wire.CloneValues(cfg.ResourceScopes)
	}
	if cfg.Grants != nil {
		for _, scope := range []string{scopeGrantQuery, scopeGrantRevoke} {
			if !slices.Contains(cfg.Scopes, scope) {
				cfg.Scopes = append(cfg.Scopes, scope)
			}
		}
	}
	if cfg.ErrorPage == nil {
		cfg.ErrorPage = plainErrorPage
	}
}
