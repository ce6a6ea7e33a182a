package authserver

import (
	"cmp"
	"context"
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
	"unicode/utf8"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Config configures [New]. Issuer, Clients, Keys and Resources are required.
// All functions may be called concurrently.
type Config struct {
	// Profile contains the parts of FAPI 2.0 Message Signing that the server
	// requires of every client. The default is Baseline.
	Profile profile.Profile
	// Rules are the rules of the ecosystem of this server. They narrow what
	// every client may do, what an approval may grant and what the metadata
	// announces. New rejects a Set that permits more than FAPI 2.0, and a
	// Config that contradicts it. If nil, there are no further rules.
	Rules *rules.Set
	// ClientRules returns the rules for one client, in place of Rules, or nil
	// for Rules. It is for servers of several ecosystems. Each Set must have
	// passed [rules.Set.Validate]. The metadata follows Rules alone. A lifetime
	// outside the Set of a client is the nearest that the Set permits for this
	// client. A Set that requires longer refresh tokens than
	// Lifetimes.RefreshToken is a server_error, because revocations are
	// forgotten earlier. Of InteractionIDs, only "require" applies to one
	// client. An API requires certificates of all clients or of none. If nil,
	// Rules are for all clients.
	ClientRules func(client *profile.ClientMetadata) *rules.Set
	// Intent checks the consent that an authorization request names, if Rules
	// have an Intent, and sets its Content and Expires. A client makes such a
	// consent before, at an endpoint of the host. Intent returns an error that
	// matches [ErrIntent] for a consent that is unknown, expired, used or of
	// another client. After any other error, the server responds with 503 and
	// consumes nothing.
	//
	// The server calls Intent when the client pushes the request, when the
	// browser arrives, and for the approval. In the last call Approval is true,
	// and Intent can reserve the consent for this RequestID. It then returns
	// ErrIntent for other requests and accepts the same request again, because
	// the user may have to retry. The server approves each request
	// once. Without a reservation, two concurrent requests can have the same
	// consent approved. A consent must not change after it was made.
	//
	// The scopes of an access token, its details or the ID token contain the
	// identifier. A refresh does not call Intent. To end the tokens of a
	// consent, call [Server.Withdraw]. Required if Rules have an Intent.
	Intent func(ctx context.Context, intent *Intent) error
	// Issuer is the issuer identifier, an https URL without query and fragment.
	// Required. The server makes the URLs of its endpoints from it, and never
	// from the headers of a request.
	Issuer string
	// Clients returns the registration of a client, or an error that matches
	// [clientauth.ErrUnknownClient]. The registration must have passed
	// [profile.ClientMetadata.Validate]. Required. At an endpoint where clients
	// authenticate, the server calls it once for a request.
	Clients func(ctx context.Context, clientID string) (*profile.ClientMetadata, error)
	// Keys are the signing keys. Those with the algorithm of the first key sign
	// access tokens, and everything for clients that are registered for no
	// algorithm. The others sign for clients that are registered for their
	// algorithm, for example by id_token_signed_response_alg. The server
	// rejects a client that is registered for an algorithm without a key. Of
	// several keys with one algorithm, one signs at a time: see
	// [profile.SigningKey].SignsFrom. At least one is required, unless
	// KeySource is set.
	Keys []profile.SigningKey
	// Scopes are the scopes that exist at this server. With "openid", the
	// server issues ID tokens. They are encrypted for clients that are
	// registered for that (id_token_encrypted_response_alg).
	Scopes []string
	// Resources are the resource servers that tokens can be for, as absolute
	// URIs (RFC 8707). The first is the audience of a token whose request names
	// no resource. At least one is required.
	Resources []string
	// Interact shows login and consent, calls [Server.Approve] or
	// [Server.Deny], and serves the response that they return. [Server.Handler]
	// calls it at the authorization endpoint for a valid request. The consent
	// page shows [Authorization.Choices], Details and NamedResources. ScopesFor
	// turns the user's choices into an [Approval].
	//
	// A reload calls Interact again while Lifetimes.Request lasts, and so does
	// the form that the page posts to the same URL. If a client sends the
	// browser by POST, with client_id and request_uri in the body, Handler
	// redirects the request to the URL of the GET request. A POST that reaches
	// Interact is always a form of the host.
	//
	// If the user needs more time, store [Authorization.ClientID] and
	// [Authorization.RequestURI] in the browser's session. Continue on a URL of
	// the host, and call [Server.Resume] there. The host must protect its forms
	// against forged posts.
	//
	// If nil, Handler has no authorization endpoint.
	Interact func(w http.ResponseWriter, r *http.Request, a *Authorization)
	// Store keeps pushed requests, codes, refresh tokens, opaque access tokens,
	// revocations and, by default, grants and used proofs and assertions.
	// Processes that serve the same issuer must share one. Servers of several
	// issuers may.
	//
	// If nil, the server keeps each kind in a bounded memory store of its own.
	// A client can use as much room as is still free, and then receives an
	// [ErrStore] with status 429. Other clients and other kinds are not
	// affected. This is for a server of one process, and a restart ends its
	// codes and tokens.
	Store store.Store
	// Replay remembers used DPoP proofs, client assertions and request objects.
	// It needs only the method Add of a store. If nil, Store is used, or memory
	// if that is nil too.
	Replay dpop.ReplayStore
	// SeveralInstances declares that several processes serve the issuer. New
	// then rejects what only one process can use: a nil or memory Store, a
	// memory Replay, Grants.Store or Grants.Index, and Nonces with a random
	// key. It does not recognize a memory store that is wrapped in another
	// type.
	SeveralInstances bool
	// OpaqueAccessTokens makes access tokens opaque: 256 random bits, whose
	// claims Store keeps until they expire. APIs introspect such tokens
	// ([resourceserver.Issuer].Introspection) and see a revocation at once. If
	// false, access tokens are JWTs (RFC 9068). A server that changes to opaque
	// tokens still accepts the JWTs that it issued before.
	OpaqueAccessTokens bool

	// MutualTLS lets clients authenticate with certificates, and binds tokens
	// to them (RFC 8705). If nil, mutual TLS is off.
	MutualTLS *MutualTLS
	// Introspection adds the introspection endpoint (RFC 7662, RFC 9701). If
	// nil, there is none.
	Introspection *Introspection
	// UserInfo returns the claims about the user of an access token with scope
	// openid, as far as its scopes permit. It adds the UserInfo endpoint
	// (OpenID Connect Core §5.3), for which Scopes must include "openid". The
	// endpoint adds the claim "sub", and rejects claims with another subject
	// than the token or [Server.LocalSubject]. If the rules permit requested
	// claims only (rules.Claims.OnlyRequested), it omits the others.
	// requested are the claims that the client requested for UserInfo responses
	// in its authorization request (OpenID Connect Core §5.5), or nil. The
	// client receives an error that has a code and a status, for example
	// [accesstoken.ErrRevoked] for a deleted user. Any other error is a
	// server_error. If nil, there is no UserInfo endpoint.
	UserInfo func(
		ctx context.Context, token *resourceserver.Token, requested claims.Set,
	) (about map[string]any, err error)
	// Claims are the names of the claims that ID tokens and UserInfo responses
	// can contain, published as claims_supported. If there are any, the server
	// publishes claims_parameter_supported, and Scopes must include "openid".
	// See [Authorization.Claims].
	Claims []string
	// Pairwise permits clients that are registered for pairwise subjects
	// (subject_type), published as subject_types_supported. The sector of a
	// client is the host of its sector_identifier_uri, or of its redirect URIs.
	// The server does not fetch a sector_identifier_uri, because registration
	// must check the document.
	//
	// The identifier is in access tokens, ID tokens, UserInfo and introspection
	// responses, and a request for sub with a value means it. It is determined
	// by the approval, and a later change of the registration does not affect
	// it. [Approval.Subject] is in grants, and [Server.LocalSubject] returns it
	// for an access token. If nil, a client that is registered for pairwise
	// subjects is rejected.
	//
	// [idtoken.PairwiseSubjects] returns such a function. A function of the
	// host must return the same identifier for the same arguments, and
	// different ones for different sectors. An identifier has at most 255 ASCII
	// characters, and clients must not be able to compute subject from it. If
	// Pairwise fails, the approval fails with an [ErrStore].
	Pairwise func(ctx context.Context, sector, subject string) (string, error)
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
	// the push. A JWT has room for about 10 KiB, and an opaque token for more
	// than 40 KiB. Hooks.Logger receives a warning for each JWT longer than 8
	// KiB, because common proxies accept no longer header field.
	AuthorizationDetails *rar.Registry
	// ClientDetails returns the details that a client receives for itself by
	// the client credentials grant: the requested ones, or fewer, or an error.
	// If nil, such requests are rejected, because no user has agreed to them.
	ClientDetails func(ctx context.Context, clientID string, requested rar.Details) (granted rar.Details, err error)
	// Grants turns on grant management (Grant Management for OAuth 2.0). The
	// server makes a [grants.Manager] from it; see [Server.Grants]. Leave
	// Issuer, AccessTokenLifetime, EndAccess and Now empty, because the server
	// sets them. If Store is nil, it is that of this Config. If Index is nil,
	// the Store is used if it has the methods of a [store.Index]. If
	// MergeDetails is nil, the server uses the rule of AuthorizationDetails.
	// Clients can be registered for the scopes grant_management_query and
	// grant_management_revoke. Events receives a change after the server has
	// ended the affected access tokens, and cannot hold that up. A host with
	// Events calls [grants.Manager.DeliverPending] at an interval. If nil,
	// grant management is off.
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
	// narrowed tokens. An API can therefore record with
	// [resourceserver.Token.GrantID] that a permission was used. A merge or a
	// replacement within one managed grant does not create a second permission;
	// a client that needs one creates another grant. Tokens of the client
	// credentials grant have no grant_id. If false, tokens do not name their
	// consent.
	GrantIDInTokens bool
	// ACRValues are the authentication context classes of the logins at this
	// server, published as acr_values_supported. If there are any,
	// [Server.Approve] rejects an approval that meets none of the acr_values of
	// its request (RFC 9470 §5). If empty, the host decides about acr_values.
	ACRValues []string
	// EncryptedResponses permits clients that are registered for encrypted
	// authorization responses, by authorization_encrypted_response_alg and
	// _enc. The server encrypts to the first suitable key in the client's JWK
	// Set. FAPI 2.0 Message Signing §6.1 advises against encryption. If false,
	// such clients are rejected.
	EncryptedResponses bool
	// Metadata completes the metadata that the server publishes, for example
	// with the URLs of pages for people, with prompt_values_supported, and with
	// members of an ecosystem in Other. It cannot change a member that the
	// server sets itself. It is called for each result of [Server.Metadata],
	// and New returns an error for a result that clients would reject. If nil,
	// nothing is added.
	Metadata func(m *profile.ServerMetadata)
	// InteractionIDs is the treatment of x-fapi-interaction-id at the endpoints
	// of Handler that clients call: "echo", "make" or "require", as
	// [resourceserver.Config].InteractionIDs defines them. The default is
	// "echo".
	InteractionIDs string
	// Nonces makes the server require nonces in DPoP proofs (RFC 9449 §8). If
	// nil, proofs need no nonce.
	Nonces *dpop.NonceSource

	// KeySource returns the signing keys, in place of Keys, for example from a
	// directory, a KMS or a secret store. New calls it once. The keys rotate
	// without a restart, because later requests call it again when KeyRefresh
	// requires it. Requests do not wait for it, except after a time without
	// requests. If it fails or returns invalid keys, the server keeps the old
	// keys, reports the error to Hooks.Logger and retries. KeySource must
	// return when ctx ends, because it is not called again before.
	//
	// A key that appears in a running server signs when the readers of the JWK
	// Set know it: KeyRefresh and five minutes later, or at its SignsFrom if
	// that is later. It signs at once if no other key of its algorithm is left.
	// A key that is missing is withdrawn at once. The server then rejects its
	// tokens. APIs reject them within five minutes after they have fetched the
	// JWK Set. Therefore keep a key until its last token has expired. The
	// algorithms cannot change, and the default algorithm remains that of the
	// first key at New. See docs/rotation.md.
	KeySource func(ctx context.Context) ([]profile.SigningKey, error)
	// KeyRefresh is the maximum age of the keys that the server uses while
	// KeySource works: 10 seconds to 1 hour. The default is 1 minute.
	KeyRefresh time.Duration
	// RetiredKeys stay in the JWK Set after a change of Keys, for tokens that
	// they have signed.
	RetiredKeys []jwks.Key
	// JWKSClient fetches the jwks_uri of clients. If nil, the server fetches
	// from public addresses only, because clients choose the URL. A given
	// client is not restricted; see [jwks.PublicClient].
	JWKSClient *http.Client

	// Lifetimes are the lifetimes of requests, codes, tokens and assertions.
	Lifetimes Lifetimes
	// Endpoints are the paths of the endpoints.
	Endpoints Endpoints
	// Hooks are functions that follow what the server does.
	Hooks Hooks
}

// MutualTLS configures client certificates (RFC 8705). The zero value reads
// them from the TLS connection.
type MutualTLS struct {
	// Certificates returns the certificate of a request. If nil, the server
	// reads it from the TLS connection. The listener must then request
	// certificates, by ClientAuth: tls.RequestClientCert.
	Certificates *tokenbinding.CertificateSource
	// ClientCAs are the trust anchors for clients with tls_client_auth. If nil,
	// the TLS server or the proxy must have verified the chains, for example
	// with tls.VerifyClientCertIfGiven. See [clientauth.VerifierConfig].
	ClientCAs *x509.CertPool
	// BaseURL is an https URL with another host or port, at which the listener
	// requests certificates. The paths of the endpoints are appended to it. The
	// metadata contains the results as mtls_endpoint_aliases (RFC 8705 §5), and
	// the same [Server.Handler] serves them. If empty, there are no aliases.
	BaseURL string
}

// Introspection configures the introspection endpoint.
type Introspection struct {
	// ResourceServers returns the resources that a client operates. The client
	// can introspect tokens for those resources. A client without resources
	// receives no information about any access token. Required, unless
	// RefreshTokens is true.
	ResourceServers func(ctx context.Context, clientID string) (resources []string, err error)
	// Scopes are the scopes that have a meaning at each of [Config.Resources].
	// A resource server receives no others. Each resource requires an entry,
	// which may be empty. If nil, a resource server receives all scopes of the
	// token.
	Scopes map[string][]string
	// TokenMembers adds the [Approval].TokenMembers to responses about access
	// tokens, for every resource server in the audience of a token. The server
	// then stores them for each authorization that has some. If false,
	// responses do not contain them.
	TokenMembers bool
	// RefreshTokens permits each client to introspect its own refresh tokens,
	// as some ecosystems require. A response about a token that the client can
	// use has the members active, exp and scope, and the
	// [Approval].TokenMembers. The scope is that of an access token that the
	// client would receive for it. Refresh tokens of other clients are
	// inactive. If false, all refresh tokens are inactive.
	RefreshTokens bool
}

// Lifetimes are the lifetimes of what an authorization server issues and
// accepts. A zero field has the default, or the nearest lifetime that
// [Config].Rules permit.
type Lifetimes struct {
	// Request is the lifetime of a request_uri, 5 to 599 seconds. The default
	// is 90 seconds.
	Request time.Duration
	// Code is the lifetime of an authorization code, 1 to 60 seconds. The
	// default is 60 seconds.
	Code time.Duration
	// AccessToken is 1 second to 24 hours. The default is 5 minutes.
	AccessToken time.Duration
	// RefreshToken is 1 second to 10 years. The default is 90 days. Only
	// clients with the grant type refresh_token receive refresh tokens.
	RefreshToken time.Duration
	// Assertion is the longest lifetime of a client assertion, 1 second to 1
	// hour. The default is 1 hour.
	Assertion time.Duration
}

// Endpoints are the paths of an authorization server's endpoints. Each starts
// with a slash and follows the path of the issuer. An empty field has the
// default that its comment gives.
type Endpoints struct {
	PushedAuthorizationRequest string // /par
	Authorization              string // /authorize
	Token                      string // /token
	Introspection              string // /introspect
	Revocation                 string // /revoke
	UserInfo                   string // /userinfo
	Grants                     string // /grants; each grant has a URL below it
	JWKS                       string // /jwks
}

// Hooks are functions of a host that follow what an authorization server does.
// The zero value has none. They may be called concurrently.
type Hooks struct {
	// Observe receives an event for each request to an endpoint of
	// [Server.Handler] or [Server.UserInfo], after the response is known. It is
	// not called for the metadata and the JWK Set. It also receives an event
	// for each call of KeySource after New, with the endpoint "keys". If
	// Interact fails, it must call [Server.WriteAuthorizationError], or the
	// event reports a success. Requests to handlers of the host, which call
	// PushedRequest, TokenRequest and the like, are not observed. If nil,
	// nothing is observed.
	Observe func(ctx context.Context, e profile.Event)
	// Evidence receives each signed message that the server accepts or issues,
	// before it takes effect. If Evidence returns an error, the operation
	// fails. If nil, nothing is recorded.
	Evidence func(ctx context.Context, e profile.Evidence) error
	// ErrorPage shows an error that the client cannot receive. If nil, a plain
	// page shows the error code.
	ErrorPage func(w http.ResponseWriter, r *http.Request, err error)
	// Logger receives each rejection with method, path, status, error, reason
	// and detail. The error is the code that the client receives. The reason is
	// the text of one of this module's errors, from a fixed set. No attribute
	// contains a secret. If nil, nothing is logged.
	Logger *slog.Logger
	// Now is the clock. If nil, time.Now is used.
	Now func() time.Time
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
	for _, l := range cfg.lifetimes() {
		if *l.value == 0 {
			*l.value = l.standard
		}
	}
	cfg.InteractionIDs = cmp.Or(cfg.InteractionIDs, cfg.rules().InteractionIDs)
	cfg.KeyRefresh = cmp.Or(cfg.KeyRefresh, refresh.DefaultEvery)
	if cfg.Hooks.Now == nil {
		cfg.Hooks.Now = time.Now
	}
	if cfg.Hooks.Logger == nil {
		cfg.Hooks.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hooks.ErrorPage == nil {
		cfg.Hooks.ErrorPage = plainErrorPage
	}
	if cfg.MutualTLS != nil {
		group := *cfg.MutualTLS
		if group.Certificates == nil {
			group.Certificates = new(tokenbinding.CertificateSource)
		}
		cfg.MutualTLS = &group
	}
	if cfg.Introspection != nil {
		group := *cfg.Introspection
		if group.Scopes != nil {
			group.Scopes = form.Clone(group.Scopes)
		}
		cfg.Introspection = &group
	}
	// If Replay stays nil, each verifier keeps a set in memory. The two
	// endpoints may have one for proofs each, because a proof fails at the
	// other by its htu.
	if cfg.Replay == nil && cfg.Store != nil {
		cfg.Replay = cfg.Store
	}
	cfg.Scopes = slices.Clone(cfg.Scopes)
	cfg.Resources, cfg.ACRValues = slices.Clone(cfg.Resources), slices.Clone(cfg.ACRValues)
	cfg.Claims = slices.Clone(cfg.Claims)
	if cfg.Grants != nil {
		for _, scope := range []string{scopeGrantQuery, scopeGrantRevoke} {
			if !slices.Contains(cfg.Scopes, scope) {
				cfg.Scopes = append(cfg.Scopes, scope)
			}
		}
	}
}

// certificates returns the source of client certificates, or nil if mutual TLS
// is off.
func (cfg *Config) certificates() *tokenbinding.CertificateSource {
	if cfg.MutualTLS == nil {
		return nil
	}
	return cfg.MutualTLS.Certificates
}

// clientCAs returns the trust anchors for client certificates, or nil.
func (cfg *Config) clientCAs() *x509.CertPool {
	if cfg.MutualTLS == nil {
		return nil
	}
	return cfg.MutualTLS.ClientCAs
}

// aliasURL returns the URL of an endpoint for mutual TLS, or "" if there are no
// aliases.
func (cfg *Config) aliasURL(path string) string {
	if cfg.MutualTLS == nil || cfg.MutualTLS.BaseURL == "" {
		return ""
	}
	return strings.TrimSuffix(cfg.MutualTLS.BaseURL, "/") + path
}

// A lifetime is a field of [Lifetimes] with its bounds.
type lifetime struct {
	name     string
	value    *time.Duration
	min, max time.Duration
	standard time.Duration
	span     rules.Span // of Rules
}

func (cfg *Config) lifetimes() []lifetime {
	l, set := &cfg.Lifetimes, cfg.rules()
	const second, hour = time.Second, time.Hour
	return []lifetime{
		{"Request", &l.Request, 5 * second, 599 * second, 90 * second, set.Lifetimes.RequestURI}, // SP-5.3.2.2-12
		{"Code", &l.Code, second, maxCodeLifetime, maxCodeLifetime, set.Lifetimes.Code},          // SP-5.3.2.1-11
		{"AccessToken", &l.AccessToken, second, maxAccessLifetime, 300 * second, set.Lifetimes.AccessToken},
		{"RefreshToken", &l.RefreshToken, second, maxRefreshLifetime, 90 * 24 * hour, set.RefreshTokens.Lifetime},
		{"Assertion", &l.Assertion, second, hour, hour, set.Lifetimes.Assertion},
	}
}

// check returns all problems of a configuration with defaults.
func (cfg *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authserver: "+format, args...))
	}
	if cfg.Profile&^profile.Advanced != 0 {
		bad("unknown profile %d", cfg.Profile)
	}
	if err := profile.CheckIssuer(cfg.Issuer); err != nil { // CA-BIS-4-4
		errs = append(errs, err)
	}
	if cfg.Clients == nil {
		bad("missing Clients")
	}
	if err := refresh.CheckEvery(cfg.KeyRefresh); err != nil {
		bad("%w", err)
	}
	cfg.checkScopes(bad)
	cfg.checkGroups(bad)
	cfg.checkPaths(bad)
	cfg.checkStores(bad)
	cfg.checkDetailScopes(bad)
	cfg.checkIntents(bad)
	cfg.checkRules(bad)
	cfg.checkClaimSupport(bad)
	cfg.checkPairwise(bad)
	for _, l := range cfg.lifetimes() {
		if *l.value < l.min || *l.value > l.max {
			bad("invalid Lifetimes.%s %v, want %v to %v", l.name, *l.value, l.min, l.max)
		}
	}
	return errors.Join(errs...)
}

// checkScopes checks Scopes and Resources.
func (cfg *Config) checkScopes(bad func(format string, args ...any)) {
	for _, scope := range cfg.Scopes {
		if !syntax.IsScope(scope) {
			bad("malformed scope %q (RFC 6749 §3.3)", scope)
		}
	}
	if len(cfg.Resources) == 0 {
		bad("missing Resources")
	}
	own := strings.TrimSuffix(cfg.Issuer, "/") + cfg.Endpoints.Grants
	for i, resource := range cfg.Resources {
		if !syntax.IsResource(resource) {
			bad("resource %q is not an absolute URI without fragment", resource)
		}
		if slices.Contains(cfg.Resources[:i], resource) { // AT-5-1: one audience for each
			bad("duplicate resource %q", resource)
		}
		if cfg.Grants != nil && resource == own {
			bad("resource %q is the grant management endpoint, which the server adds itself", own)
		}
	}
}

// checkGroups checks the optional parts of a configuration.
func (cfg *Config) checkGroups(bad func(format string, args ...any)) {
	if cfg.Introspection == nil && cfg.profileUnder(cfg.rules()).Has(profile.SignedIntrospection) {
		bad("SignedIntrospection requires Introspection")
	}
	if cfg.Introspection != nil {
		cfg.checkIntrospection(bad)
	}
	if cfg.UserInfo != nil && !slices.Contains(cfg.Scopes, scopeOpenID) {
		bad("UserInfo requires openid among Scopes")
	}
	if problem := wire.InteractionIDsProblem(cfg.InteractionIDs); problem != "" {
		bad("%s", problem)
	}
	if len(cfg.Claims) > 0 && !slices.Contains(cfg.Scopes, scopeOpenID) {
		bad("Claims requires openid among Scopes")
	}
	for _, name := range cfg.Claims {
		if name == "" || !utf8.ValidString(name) {
			bad("Claims contains %q, want the name of a claim", name)
		}
	}
	if cfg.ClientDetails != nil && cfg.AuthorizationDetails == nil {
		bad("ClientDetails requires AuthorizationDetails")
	}
	if g := cfg.Grants; g != nil &&
		(g.Issuer != "" || g.AccessTokenLifetime != 0 || g.EndAccess != nil || g.Now != nil) {
		bad("Grants has Issuer, AccessTokenLifetime, EndAccess or Now, which the server sets")
	} else if g != nil {
		group := *g
		group.Issuer = "https://as.example" // that of cfg is checked elsewhere
		if _, err := grants.NewManager(group); err != nil {
			bad("Grants: %w", err)
		}
	}
	if m := cfg.MutualTLS; m != nil && m.BaseURL != "" && profile.CheckIssuer(m.BaseURL) != nil {
		bad("MutualTLS.BaseURL %q is not an https URL without query and fragment", m.BaseURL)
	}
}

// checkDetailScopes finds types of details that go with an unknown scope. No
// client could request such a detail.
func (cfg *Config) checkDetailScopes(bad func(format string, args ...any)) {
	if cfg.AuthorizationDetails == nil {
		return
	}
	for _, name := range cfg.AuthorizationDetails.Types() {
		if scope := cfg.AuthorizationDetails.Type(name).Scope(); scope != "" && !slices.Contains(cfg.Scopes, scope) {
			bad("type %q requires the scope %q, which is not among Scopes", name, scope)
		}
	}
}

// checkPaths requires paths that proxies and browsers do not change, so that
// each endpoint has one URL.
func (cfg *Config) checkPaths(bad func(format string, args ...any)) {
	u, err := url.Parse(cfg.Issuer)
	if err == nil && u.Path != "" && strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/") {
		bad("issuer %q has dot segments or empty segments in its path", cfg.Issuer)
	}
	seen := map[string]bool{}
	e := cfg.Endpoints
	for _, p := range []string{
		e.PushedAuthorizationRequest, e.Authorization, e.Token, e.Introspection, e.Revocation, e.UserInfo,
		e.Grants, e.JWKS,
	} {
		u, err := url.Parse(p)
		plain := err == nil && u.Path == p && p[0] == '/' && p != "/" && path.Clean(p) == p &&
			syntax.HTTPSProblem("https://host"+p) == ""
		switch {
		case !plain:
			bad("endpoint path %q is not a plain path", p)
		case seen[p] || strings.HasPrefix(p+"/", "/.well-known/"):
			bad("endpoint path %q is used twice or is under /.well-known/", p)
		}
		seen[p] = true
	}
}
