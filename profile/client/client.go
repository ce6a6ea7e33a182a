package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

// A Client is a FAPI 2.0 client with one registration at one authorization
// server. It is safe for concurrent use.
type Client struct {
	cfg       Config
	server    *profile.ServerMetadata // as published
	endpoints *profile.ServerMetadata // with the mtls_endpoint_aliases that the client uses

	authenticate func(ctx context.Context, form url.Values) error
	prover       *dpop.Prover      // nil if tokens are bound to the certificate
	http         *http.Client      // for the authorization server
	plain        *http.Client      // for the authorization server, without proofs
	certified    http.RoundTripper // presents the certificate; nil without one
	bare         http.RoundTripper // for other servers, without proofs and without the certificate
	api          http.RoundTripper // for APIs, with proofs or the certificate
	push         *par.Client       // nil if the server has no authorization code flow
	idTokens     *idtoken.Verifier // nil if the server publishes no keys
	requests     *jar.Signer       // nil without SignedRequests
	responses    *jarm.Verifier    // nil without SignedResponses
	keys         *jwks.Remote      // nil if the server publishes no keys
	keyPerLogin  bool              // each login has a DPoP key of its own
	shared       *shared
	close        []func()
}

// shared is the state that all generations of a client share. A [Set] makes
// another generation when the metadata of the server have changed. Other
// clients have one generation.
type shared struct {
	newest          atomic.Pointer[Client] // nil before the first discovery
	refreshes       refreshGroup
	logins          loginGroup
	renewal         *renewal    // nil outside a Set
	vault           *tokenVault // nil without Config.Tokens
	storedRefreshes storedRefreshGroup
}

// Errors of a client. If the authorization server returned an error, the error
// matches *oauth2.RetrieveError as well, or only that.
var (
	// ErrAuthorizationResponse means that the callback does not belong to the
	// session, or did not come from the authorization server. The client used
	// no part of it.
	ErrAuthorizationResponse = errors.New("client: invalid authorization response")
	// ErrTokenResponse means that the client has rejected the server's token
	// response. It has discarded the token.
	ErrTokenResponse = errors.New("client: invalid token response")
	// ErrNoRefreshToken means that an access token has expired, or is about to
	// expire, and that the client has no refresh token. Tokens of
	// [Client.ClientCredentials] have no refresh token, see
	// [Client.ClientCredentialsSource].
	ErrNoRefreshToken = errors.New("client: no refresh token")
	// ErrReauthorize means that the server has rejected the refresh token
	// permanently, because it is invalid, expired or revoked, or that the store
	// has no token of the user. Repeating the request does not help. The user
	// must authorize again ([Client.Begin]).
	ErrReauthorize = errors.New("client: the user must authorize again")
)

// New discovers the authorization server and checks that it supports FAPI 2.0
// with this configuration. The error reports all problems of cfg, comes from
// [profile.Discover], or matches [profile.ErrServerMetadata].
func New(ctx context.Context, cfg Config) (*Client, error) {
	c, err := configure(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.discover(ctx); err != nil {
		return nil, err
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	c.shared.newest.Store(c)
	return c, nil
}

// configure returns a client that has not discovered its server. The error
// reports all problems of cfg.
func configure(cfg Config) (*Client, error) {
	if err := errors.Join(cfg.followRules(), cfg.check()); err != nil {
		return nil, err
	}
	keyPerLogin := cfg.Tokens != nil && cfg.DPoPKey == nil && !cfg.mutualTLS().BindTokens
	ownTransport := cfg.HTTPClient == nil || cfg.HTTPClient.Transport == nil
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	c, base := &Client{shared: new(shared), keyPerLogin: keyPerLogin}, cfg.HTTPClient.Transport
	if ownTransport {
		c.close = append(c.close, base.(*http.Transport).CloseIdleConnections)
	}
	var err error
	if cfg.HTTPClient.Transport, err = cfg.Hooks.observed(base); err != nil {
		return nil, err
	}
	if cfg.MutualTLS.used() {
		certified := cfg.MutualTLS.Transport
		if certified == nil {
			own, err := cfg.MutualTLS.transport(base)
			if err != nil {
				return nil, err
			}
			c.close = append(c.close, own.CloseIdleConnections)
			certified = own
		}
		if c.certified, err = cfg.Hooks.observed(certified); err != nil {
			return nil, err
		}
	}
	c.cfg = cfg
	if cfg.Tokens != nil {
		if c.shared.vault, err = newTokenVault(c); err != nil {
			return nil, err
		}
	}
	c.shared.refreshes.refresh = func(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
		return c.Refresh(ctx, refreshToken, Request{})
	}
	// Keys that cannot sign are found before the first request.
	return c, c.useKeys(signingAlgorithms{assertions: cfg.Algorithm, requests: cfg.Algorithm})
}

// connect uses the metadata of the server.
func (c *Client) connect() error {
	if err := c.checkServer(); err != nil {
		return err
	}
	return c.compose()
}

// discover fetches the server's metadata: SP-5.3.3.1-9, SP-5.3.3.1-11.
func (c *Client) discover(ctx context.Context) (err error) {
	o := c.observe(metadataEndpoint, "")
	if c.server, err = profile.Discover(ctx, c.cfg.HTTPClient, c.cfg.Issuer); err == nil { // SP-5.3.3.1-10
		err = c.server.CheckBaseline() // ISS-2.4-4: the server must also send iss
	}
	o.end(ctx, err)
	return err
}

// String returns the client ID and the issuer.
func (c *Client) String() string { return fmt.Sprintf("client %q at %s", c.cfg.ClientID, c.cfg.Issuer) }

// GoString returns the client ID and the issuer.
func (c *Client) GoString() string { return c.String() }

// LogValue returns the client ID and the issuer.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ServerMetadata returns a copy of the server's metadata.
func (c *Client) ServerMetadata() *profile.ServerMetadata {
	replica := *c.last().server
	return &replica
}

// CloseIdleConnections closes the idle connections of the client's own
// transports: those with a certificate and, if HTTPClient has no Transport, all
// others. Call it when the client is no longer needed, or when GetCertificate
// returns another certificate. The client remains usable.
func (c *Client) CloseIdleConnections() {
	for _, f := range c.last().close {
		f()
	}
}
