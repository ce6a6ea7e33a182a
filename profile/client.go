package profile

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
)

// A ClientConfig configures [NewClient].
type ClientConfig struct {
	// Issuer is the authorization server's issuer identifier, from an authoritative source (SP-5.3.3.1-10). Everything else
	// about the server is discovered. Required.
	Issuer string
	// ClientID and RedirectURI are as registered. RedirectURI may be empty for a client that only uses its own credentials.
	ClientID, RedirectURI string

	// Key authenticates the client (private_key_jwt). KeyID is its kid in the registered JWK Set. Required.
	Key              crypto.Signer
	KeyID, Algorithm string
	// DPoPKey is the key that access tokens are bound to; nil: a new P-256 key. Use one for each authorization server
	// (SP-6.3-1). Refresh tokens survive a change of it, access tokens do not.
	DPoPKey crypto.Signer

	// HTTPClient sends all requests to the authorization server; nil: one with [TLSConfig] and a timeout of 30 s.
	HTTPClient *http.Client
	Now        func() time.Time // nil: time.Now
}

// A Client takes part in FAPI 2.0 at one authorization server, with one registration. It is safe for concurrent use.
type Client struct {
	cfg      ClientConfig
	server   *ServerMetadata
	auth     *clientauth.PrivateKeyJWT
	prover   *dpop.Prover
	http     *http.Client // with proofs, towards the authorization server
	push     *par.Client
	idTokens *idtoken.Verifier
}

// What a client refuses. What a server said is a *oauth2.RetrieveError instead.
var (
	// ErrAuthorizationResponse: the callback is not an answer to this session, or not from the server that was asked. No
	// part of it was used.
	ErrAuthorizationResponse = errors.New("profile: authorization response refused")
	// ErrTokenResponse: the server's token is not one that was asked for. It was thrown away.
	ErrTokenResponse = errors.New("profile: token response refused")
)

// NewClient discovers the server (SP-5.3.3.1-9, SP-5.3.3.1-11) and checks that it can do what FAPI 2.0 needs.
func NewClient(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if cfg.ClientID == "" || cfg.Key == nil {
		return nil, errors.New("profile: client: ClientID and Key are required")
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = defaultHTTPClient()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DPoPKey == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("profile: client: %w", err)
		}
		cfg.DPoPKey = key
	}
	server, err := Discover(ctx, cfg.HTTPClient, cfg.Issuer)
	if err != nil {
		return nil, err
	}
	if err := server.CheckBaseline(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, server: server}
	return c, c.compose()
}

func defaultHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = TLSConfig() // SP-5.2.2-2
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// compose puts the leaves together.
func (c *Client) compose() (err error) {
	// SP-5.3.3.1-5: the audience is the issuer, from our own configuration.
	c.auth, err = clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: c.cfg.ClientID, Audience: c.cfg.Issuer, Key: c.cfg.Key, KeyID: c.cfg.KeyID, Algorithm: c.cfg.Algorithm, Now: c.cfg.Now,
	})
	if err != nil {
		return err
	}
	if c.prover, err = dpop.NewProver(dpop.ProverConfig{Key: c.cfg.DPoPKey, Now: c.cfg.Now}); err != nil {
		return err
	}
	// SP-5.3.3.1-8: a server that asks for a nonce gets the request again, by GetBody with a new assertion in it.
	proofs, err := dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: c.cfg.HTTPClient.Transport})
	if err != nil {
		return err
	}
	c.http = &http.Client{
		Transport: proofs, Timeout: c.cfg.HTTPClient.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.push, err = par.NewClient(par.ClientConfig{
		Endpoint: c.server.PushedAuthorizationRequestEndpoint, HTTPClient: c.http, Authenticate: c.auth.Authenticate,
	})
	if err != nil {
		return err
	}
	if c.server.JWKSURI == "" {
		return nil // no ID tokens from here
	}
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: c.server.JWKSURI, HTTPClient: c.cfg.HTTPClient, Now: c.cfg.Now})
	if err != nil {
		return err
	}
	c.idTokens, err = idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Keys: keys.Keys, Now: c.cfg.Now})
	return err
}

// ServerMetadata returns what the server says about itself.
func (c *Client) ServerMetadata() *ServerMetadata { return c.server }

// A Session is one authorization that has been begun. Keep it where only the browser that began it can bring it back,
// on the server side or encrypted: it holds the code verifier. It survives encoding/json; its String shows nothing.
type Session struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	RedirectURI  string `json:"redirect_uri"`
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier"`
	// URL is where to send the browser.
	URL string `json:"url"`
}

// String and GoString leave the secrets out.
func (s Session) String() string   { return "session at " + s.Issuer }
func (s Session) GoString() string { return s.String() }

// A Request says what an authorization is to be for.
type Request struct {
	Scopes    []string // with "openid" the token comes with an ID token
	Resources []string // RFC 8707; empty: the server's choice
	// Params are further parameters: prompt, max_age, login_hint and so on. They cannot replace those of the protocol.
	Params url.Values
}

// Begin pushes an authorization request (SP-5.3.3.2-2) and returns the session whose URL the browser is to open. Call it
// only when the user has asked for it, and protect that call against CSRF (SP-5.3.3.1-12).
//
// There is no fall-back: when the push fails nothing is sent through the browser.
func (c *Client) Begin(ctx context.Context, request Request) (*Session, error) {
	if c.cfg.RedirectURI == "" {
		return nil, errors.New("profile: client: no RedirectURI is configured")
	}
	session := &Session{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, RedirectURI: c.cfg.RedirectURI,
		State: jose.RandomString(32), CodeVerifier: pkce.NewVerifier(), // SP-5.3.3.2-4, BCP-2.1-3
	}
	challenge, err := pkce.Challenge(session.CodeVerifier)
	if err != nil {
		return nil, err
	}
	params := cloneValues(request.Params)
	for name, value := range map[string]string{
		"client_id": c.cfg.ClientID, "response_type": "code", "redirect_uri": c.cfg.RedirectURI, "state": session.State,
		"scope": strings.Join(request.Scopes, " "), "code_challenge": challenge, "code_challenge_method": pkce.MethodS256, // SP-5.3.3.2-3
	} {
		params.Set(name, value)
	}
	params["resource"] = slices.Clone(request.Resources)
	if slices.Contains(request.Scopes, "openid") {
		if c.idTokens == nil {
			return nil, errors.New("profile: client: the server publishes no jwks_uri, so its ID tokens cannot be verified")
		}
		session.Nonce = jose.RandomString(32) // SP-5.3.3.2-7: 43 characters
		params.Set("nonce", session.Nonce)
	}
	pushed, err := c.push.Push(ctx, params)
	if err != nil {
		return nil, err
	}
	session.URL, err = par.AuthorizationURL(c.server.AuthorizationEndpoint, c.cfg.ClientID, pushed.RequestURI) // SP-5.3.3.2-6
	return session, err
}

// TokenSource returns a source that refreshes token when it has expired. It is safe for concurrent use.
func (c *Client) TokenSource(ctx context.Context, token *oauth2.Token) oauth2.TokenSource {
	return oauth2.ReuseTokenSource(token, &refresher{ctx: ctx, client: c, refreshToken: token.RefreshToken})
}
