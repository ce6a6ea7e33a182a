package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

// clientTimeout bounds a request to the authorization server whose http.Client has no timeout: a token source that waits
// for an answer makes every user of it wait.
const clientTimeout = 30 * time.Second

// A Config configures [New].
type Config struct {
	// Issuer is the authorization server's issuer identifier, from an authoritative source (SP-5.3.3.1-10). Everything else
	// about the server is discovered. Required. No two servers that an application talks to may share one.
	Issuer string
	// ClientID and RedirectURI are as registered. RedirectURI may be empty for a client that only uses its own credentials.
	ClientID, RedirectURI string

	// AuthMethod is how the client authenticates, the token_endpoint_auth_method of its registration: private_key_jwt, which
	// is the default, tls_client_auth or self_signed_tls_client_auth.
	AuthMethod string
	// Key authenticates the client by private_key_jwt, for which it is required. KeyID is its kid in the registered JWK Set,
	// Algorithm what it signs with if there is a choice: PS256, ES256, EdDSA or Ed25519.
	Key              crypto.Signer
	KeyID, Algorithm string
	// Certificate is the client's, for mutual TLS: required with the other methods and with the next two fields. For another
	// one make another Client: it finishes the sessions of this one, and its refreshes bind tokens to the new certificate.
	Certificate *tls.Certificate
	// GetCertificate stands in for Certificate if that changes often: it is called for each new connection, concurrently; see
	// [Client.CloseIdleConnections]. Not with CertificateBoundTokens, as a token is for one certificate.
	GetCertificate func() (*tls.Certificate, error)
	// CertificateBoundTokens has access tokens bound to Certificate (RFC 8705 §3), as registered by
	// tls_client_certificate_bound_access_tokens. false: to DPoPKey.
	CertificateBoundTokens bool
	// UseMTLSEndpointAliases is the client metadata of that name: all requests go to the server's mtls_endpoint_aliases, and
	// one that is missing is an error. With any other use of mutual TLS, aliases are followed where there are some.
	UseMTLSEndpointAliases bool
	// DPoPKey is the key that access tokens are bound to. Use one for each
	// authorization server (FAPI 2.0 Security Profile §6.3), and keep it as long as
	// the tokens: access tokens do not survive a change of it, refresh tokens do. If
	// nil, the client makes a P-256 key that ends with the process.
	DPoPKey crypto.Signer

	// Profile says which parts of FAPI 2.0 Message Signing the client uses, because the server demands them or it wants to:
	// with SignedRequests it signs what it pushes, by Key; with SignedResponses it asks for signed authorization responses
	// and takes no others. SignedIntrospection is for APIs and means nothing here.
	Profile profile.Profile

	// ResponseDecryptionKeys are for a client whose registration has authorization responses encrypted, besides being signed: then
	// it takes no others. It needs SignedResponses. nil: it takes none that is encrypted, as FAPI advises (MS-6.1-1).
	ResponseDecryptionKeys []jarm.DecryptionKey

	// Evidence is handed each signed request and response, before it takes effect; an error stops that. nil: nobody wants them.
	// Called concurrently.
	Evidence func(ctx context.Context, e profile.Evidence) error

	// HTTPClient is the template for all requests, to the authorization server and to APIs: its Transport and its Timeout
	// are used, its Jar and CheckRedirect are not. Without a Transport connections keep to [TLSConfig]; without a Timeout a
	// request to the authorization server takes 30 s at most, one to an API as long as its context lets it. nil: neither.
	HTTPClient *http.Client
	// ServerKeys sets how often the keys of the authorization server are fetched,
	// how long they serve, and who receives reports about them. Its URL,
	// HTTPClient, Now, PublicOnly, AllowPrefixes and InsecureAllowHTTP must be
	// unset, because the client sets them. If nil, the defaults of package jwks
	// are used.
	ServerKeys *jwks.RemoteConfig
	Now        func() time.Time // nil: time.Now
}

// String names the client and keeps the keys to itself.
func (c Config) String() string {
	return fmt.Sprintf("client.Config{Issuer: %q, ClientID: %q, KeyID: %q}", c.Issuer, c.ClientID, c.KeyID)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Client takes part in FAPI 2.0 at one authorization server, with one registration. It is safe for concurrent use.
type Client struct {
	cfg       Config
	server    *profile.ServerMetadata // as it was published
	endpoints *profile.ServerMetadata // with the aliases in place, if the client uses mutual TLS

	authenticate func(ctx context.Context, form url.Values) error
	prover       *dpop.Prover      // nil: tokens are bound to the certificate
	http         *http.Client      // towards the authorization server
	plain        *http.Client      // the same without proofs
	bare         http.RoundTripper // towards anybody, with neither proof nor certificate
	api          http.RoundTripper // towards APIs; it adds proofs if there are any
	push         *par.Client       // nil: the server has no authorization code flow
	idTokens     *idtoken.Verifier // nil: the server publishes no keys
	requests     *jar.Signer       // nil: plain requests
	responses    *jarm.Verifier    // nil: plain responses
	refreshes    refreshGroup
	logins       loginGroup
	close        []func()
}

// What a client refuses. What a server said is a *oauth2.RetrieveError instead.
var (
	// ErrAuthorizationResponse: the callback is not an answer to this session, or not from the server that was asked. No
	// part of it was used.
	ErrAuthorizationResponse = errors.New("client: authorization response refused")
	// ErrTokenResponse: the server's token is not one that was asked for. It was thrown away.
	ErrTokenResponse = errors.New("client: token response refused")
	// ErrNoRefreshToken means that an access token has expired, or is about to
	// expire, and that the client has no refresh token. Tokens of
	// [Client.ClientCredentials] have no refresh token: request another token.
	ErrNoRefreshToken = errors.New("client: no refresh token")
	// ErrReauthorize means that the server has rejected the refresh token
	// permanently, because it is invalid, expired or revoked. Repeating the
	// request does not help. The user must authorize again ([Client.Begin]).
	ErrReauthorize = errors.New("client: the user must authorize again")
)

// New discovers the server (SP-5.3.3.1-9, SP-5.3.3.1-11) and checks that it can do what FAPI 2.0 needs, with this
// client's keys. The error is about cfg, or one of [Discover], or matches [ErrServerMetadata].
func New(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	theirs := cfg.HTTPClient
	cfg.HTTPClient = ownHTTPClient(theirs)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DPoPKey == nil && !cfg.CertificateBoundTokens {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		cfg.DPoPKey = key
	}
	if cfg.ServerKeys != nil {
		own := *cfg.ServerKeys
		cfg.ServerKeys = &own
	}
	c := &Client{cfg: cfg}
	c.refreshes.refresh = func(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
		return c.Refresh(ctx, refreshToken, Request{})
	}
	if theirs == nil || theirs.Transport == nil {
		c.close = append(c.close, cfg.HTTPClient.CloseIdleConnections)
	}
	if err := c.useKeys(signingAlgorithms{assertions: cfg.Algorithm, requests: cfg.Algorithm}); err != nil { // before anything is sent
		return nil, err
	}
	server, err := profile.Discover(ctx, cfg.HTTPClient, cfg.Issuer)
	if err != nil {
		return nil, err
	}
	c.server = server
	// ISS-2.4-4: among others a server is refused that does not say that it sends iss.
	if err := server.CheckBaseline(); err != nil {
		return nil, err
	}
	if err := c.checkServer(); err != nil {
		return nil, err
	}
	if err := c.compose(); err != nil {
		return nil, err
	}
	return c, nil
}

// String names the client and the server.
func (c *Client) String() string { return fmt.Sprintf("client %q at %s", c.cfg.ClientID, c.cfg.Issuer) }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// LogValue is String.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ServerMetadata returns what the server says about itself. The client does not see changes of it.
func (c *Client) ServerMetadata() *profile.ServerMetadata {
	replica := *c.server
	return &replica
}

// CloseIdleConnections closes the connections that the client has made by itself and that nobody uses now: those with a
// certificate, and, where HTTPClient has no Transport, all. For a client that is no longer needed, or whose GetCertificate has
// another certificate than before. It can be used after that.
func (c *Client) CloseIdleConnections() {
	for _, f := range c.close {
		f()
	}
}
