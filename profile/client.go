package profile

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
)

// clientTimeout bounds a request to the authorization server whose http.Client has no timeout: a token source that waits
// for an answer makes every user of it wait.
const clientTimeout = 30 * time.Second

// A ClientConfig configures [NewClient].
type ClientConfig struct {
	// Issuer is the authorization server's issuer identifier, from an authoritative source (SP-5.3.3.1-10). Everything else
	// about the server is discovered. Required.
	Issuer string
	// ClientID and RedirectURI are as registered. RedirectURI may be empty for a client that only uses its own credentials.
	ClientID, RedirectURI string

	// Key authenticates the client (private_key_jwt). KeyID is its kid in the registered JWK Set, Algorithm what it signs
	// with if there is a choice: PS256, ES256, EdDSA or Ed25519. Key is required.
	Key              crypto.Signer
	KeyID, Algorithm string
	// DPoPKey is the key that access tokens are bound to; nil: a new P-256 key. Use one for each authorization server
	// (SP-6.3-1). Refresh tokens survive a change of it, access tokens do not.
	DPoPKey crypto.Signer

	// HTTPClient is the template for all requests, to the authorization server and to APIs: its Transport and its Timeout
	// are used, its Jar and CheckRedirect are not. Without a Transport connections keep to [TLSConfig]; without a Timeout a
	// request to the authorization server takes 30 s at most, one to an API as long as its context lets it. nil: neither.
	HTTPClient *http.Client
	Now        func() time.Time // nil: time.Now
}

// String names the client and keeps the keys to itself.
func (c ClientConfig) String() string {
	return fmt.Sprintf("profile.ClientConfig{Issuer: %q, ClientID: %q, KeyID: %q}", c.Issuer, c.ClientID, c.KeyID)
}

// GoString is String.
func (c ClientConfig) GoString() string { return c.String() }

// LogValue is String.
func (c ClientConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Client takes part in FAPI 2.0 at one authorization server, with one registration. It is safe for concurrent use.
type Client struct {
	cfg      ClientConfig
	server   *ServerMetadata
	auth     *clientauth.PrivateKeyJWT
	prover   *dpop.Prover
	proofs   *dpop.Transport   // for the authorization server and all APIs, whose nonces it keeps apart
	http     *http.Client      // with proofs, towards the authorization server
	push     *par.Client       // nil: the server has no authorization code flow
	idTokens *idtoken.Verifier // nil: the server publishes no keys
}

// What a client refuses. What a server said is a *oauth2.RetrieveError instead.
var (
	// ErrAuthorizationResponse: the callback is not an answer to this session, or not from the server that was asked. No
	// part of it was used.
	ErrAuthorizationResponse = errors.New("profile: authorization response refused")
	// ErrTokenResponse: the server's token is not one that was asked for. It was thrown away.
	ErrTokenResponse = errors.New("profile: token response refused")
)

// NewClient discovers the server (SP-5.3.3.1-9, SP-5.3.3.1-11) and checks that it can do what FAPI 2.0 needs, with this
// client's keys. The error is about cfg, or one of [Discover], or matches [ErrServerMetadata].
func NewClient(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if cfg.ClientID == "" || cfg.Key == nil {
		return nil, errors.New("profile: client: ClientID and Key are required")
	}
	cfg.HTTPClient = ownHTTPClient(cfg.HTTPClient)
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
	c := &Client{cfg: cfg}
	if err := c.useKeys(cfg.Algorithm, ""); err != nil { // before anything is sent
		return nil, err
	}
	server, err := Discover(ctx, cfg.HTTPClient, cfg.Issuer)
	if err != nil {
		return nil, err
	}
	c.server = server
	// ISS-2.4-4: among others a server is refused that does not say that it sends iss.
	if err := server.CheckBaseline(); err != nil {
		return nil, err
	}
	if err := c.checkAlgorithms(); err != nil {
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

// ownHTTPClient copies a client, so that nobody changes it later, and completes it.
func ownHTTPClient(theirs *http.Client) *http.Client {
	own := &http.Client{}
	if theirs != nil {
		own.Transport, own.Timeout = theirs.Transport, theirs.Timeout
	}
	if own.Transport == nil {
		own.Transport = &http.Transport{ // http.DefaultTransport, with TLS as SP-5.2.2-2 wants it
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: TLSConfig(), ForceAttemptHTTP2: true,
			MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 256 << 10,
		}
	}
	return own
}

// useKeys makes what signs with the client's keys; an empty algorithm is the one that fits the key.
func (c *Client) useKeys(authAlgorithm, proofAlgorithm string) (err error) {
	// SP-5.3.3.1-5: the audience is the issuer, from our own configuration.
	c.auth, err = clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: c.cfg.ClientID, Audience: c.cfg.Issuer, Key: c.cfg.Key, KeyID: c.cfg.KeyID, Algorithm: authAlgorithm, Now: c.cfg.Now,
	})
	if err != nil {
		return fmt.Errorf("profile: client: %w", err)
	}
	c.prover, err = dpop.NewProver(dpop.ProverConfig{Key: c.cfg.DPoPKey, Algorithm: proofAlgorithm, Now: c.cfg.Now})
	if err != nil {
		return fmt.Errorf("profile: client: DPoPKey: %w", err)
	}
	return nil
}

// checkAlgorithms finds out whether the server knows what this client's keys sign with: better now than when a user waits.
// Ed25519 goes by the name that the server has for it.
func (c *Client) checkAlgorithms() error {
	authAlgorithm := c.cfg.Algorithm
	if authAlgorithm == "" {
		var err error
		if authAlgorithm, err = jose.AlgorithmFor(c.cfg.Key.Public()); err != nil {
			return fmt.Errorf("profile: client: %w", err)
		}
		authAlgorithm = known(authAlgorithm, c.server.TokenEndpointAuthSigningAlgValuesSupported)
	}
	proofAlgorithm := known(c.prover.Algorithm(), c.server.DPoPSigningAlgValuesSupported)
	p := problems{sentinel: ErrServerMetadata}
	p.unless(slices.Contains(c.server.TokenEndpointAuthMethodsSupported, clientauth.MethodPrivateKeyJWT),
		"token_endpoint_auth_methods_supported lacks %s", clientauth.MethodPrivateKeyJWT)
	algs := c.server.TokenEndpointAuthSigningAlgValuesSupported
	p.unless(algs == nil || slices.Contains(algs, authAlgorithm), "token_endpoint_auth_signing_alg_values_supported lacks %s, which Key signs with", authAlgorithm)
	p.unless(slices.Contains(c.server.DPoPSigningAlgValuesSupported, proofAlgorithm),
		"dpop_signing_alg_values_supported lacks %s, which DPoPKey signs with", proofAlgorithm)
	if err := p.err(); err != nil {
		return err
	}
	return c.useKeys(authAlgorithm, proofAlgorithm)
}

// known returns the name that a server knows an algorithm by: EdDSA is a family, of which RFC 9864 renames our member.
func known(algorithm string, supported []string) string {
	const full = "Ed25519"
	if algorithm == "EdDSA" && !slices.Contains(supported, algorithm) && slices.Contains(supported, full) {
		return full
	}
	return algorithm
}

// compose puts the leaves together.
func (c *Client) compose() (err error) {
	// SP-5.3.3.1-8: a server that asks for a nonce gets the request again, by GetBody with a new assertion in it.
	c.proofs, err = dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: c.cfg.HTTPClient.Transport})
	if err != nil {
		return err
	}
	c.http = &http.Client{
		Transport: c.proofs, Timeout: c.cfg.HTTPClient.Timeout,
		// A redirect would carry the client's credentials to wherever the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.http.Timeout == 0 {
		c.http.Timeout = clientTimeout
	}
	if endpoint := c.server.PushedAuthorizationRequestEndpoint; endpoint != "" {
		c.push, err = par.NewClient(par.ClientConfig{Endpoint: endpoint, HTTPClient: c.http, Authenticate: c.auth.Authenticate})
		if err != nil {
			return err
		}
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

// ServerMetadata returns what the server says about itself. The client does not see changes of it.
func (c *Client) ServerMetadata() *ServerMetadata {
	replica := *c.server
	return &replica
}

// A Session is one authorization that has been begun. Keep it where only the browser that began it can bring it back,
// on the server side or encrypted: it holds the code verifier. Remove it from there in the same step in which the callback
// takes it: a session is good for one callback, but a copy cannot know that it has been used. It survives encoding/json;
// printed or logged it shows nothing.
type Session struct {
	// Issuer, ClientID and RedirectURI are those of the client that began it. No other can finish it.
	Issuer      string `json:"issuer"`
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	// State is what the callback must have, Nonce what the ID token must have (empty: none was asked for), and CodeVerifier
	// what makes the code worth something.
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier"`
	// MaxAge is what the ID token has to keep to: the max_age of the request, 1 s for one of 0. 0: there was none.
	MaxAge time.Duration `json:"max_age,omitempty"`
	// URL is where to send the browser.
	URL string `json:"url"`
}

// String leaves the secrets out.
func (s Session) String() string { return "session at " + s.Issuer }

// GoString is String.
func (s Session) GoString() string { return s.String() }

// LogValue is String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// A Request says what an authorization is to be for.
type Request struct {
	Scopes    []string // with "openid" the token comes with an ID token
	Resources []string // RFC 8707; empty: the server's choice
	// Params are further parameters: prompt, max_age, login_hint and so on. One that belongs to the protocol, and so to the
	// client, is an error, as is a repeated one.
	Params url.Values
}

// reserved says whether a parameter of a request is the client's own business. DPoP binds the code by the proof that goes
// with the push; request objects and other response modes are nothing that this client could answer for.
func reserved(name string) bool {
	switch name {
	case "client_id", "client_secret", "client_assertion", "client_assertion_type", "response_type", "response_mode", "redirect_uri",
		"scope", "resource", "state", "nonce", "code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri",
		"grant_type", "code", "code_verifier", "refresh_token":
		return true
	}
	return false
}

// params returns what the caller wants to send.
func (r Request) params() (url.Values, error) {
	params := make(url.Values, len(r.Params)+8)
	for name, values := range r.Params {
		switch {
		case reserved(name):
			return nil, fmt.Errorf("profile: client: Params must not have %q", name)
		case len(values) > 1:
			return nil, fmt.Errorf("profile: client: Params has %.64q repeated", name)
		case len(values) == 1:
			params.Set(name, values[0])
		}
	}
	for _, scope := range r.Scopes {
		if !validScope(scope) { // two in one string would hide an openid from us
			return nil, fmt.Errorf("profile: client: %.64q is not one scope", scope)
		}
	}
	for _, resource := range r.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") { // RI-2-1
			return nil, fmt.Errorf("profile: client: resource %.256q is no absolute URI without fragment", resource)
		}
	}
	if len(r.Scopes) > 0 {
		params.Set("scope", strings.Join(r.Scopes, " "))
	}
	if len(r.Resources) > 0 {
		params["resource"] = slices.Clone(r.Resources)
	}
	return params, nil
}

// Begin pushes an authorization request (SP-5.3.3.2-2) and returns the session whose URL the browser is to open. Call it
// only when the user has asked for it, and protect that call against CSRF (SP-5.3.3.1-12).
//
// There is no fall-back: when the push fails nothing is sent through the browser.
func (c *Client) Begin(ctx context.Context, request Request) (*Session, error) {
	if c.cfg.RedirectURI == "" {
		return nil, errors.New("profile: client: no RedirectURI is configured")
	}
	if c.push == nil {
		return nil, errors.New("profile: client: the server has no authorization code flow")
	}
	params, err := request.params()
	if err != nil {
		return nil, err
	}
	session := &Session{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, RedirectURI: c.cfg.RedirectURI,
		State: jose.RandomString(32), CodeVerifier: pkce.NewVerifier(), // SP-5.3.3.2-4, BCP-2.1-3
	}
	challenge, err := pkce.Challenge(session.CodeVerifier)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"client_id": c.cfg.ClientID, "response_type": "code", "redirect_uri": c.cfg.RedirectURI, "state": session.State, // SP-5.3.3.2-1
		"code_challenge": challenge, "code_challenge_method": pkce.MethodS256, // SP-5.3.3.2-3
	} {
		params.Set(name, value)
	}
	if slices.Contains(request.Scopes, "openid") {
		if err := c.expectIDToken(session, params); err != nil {
			return nil, err
		}
	}
	pushed, err := c.push.Push(ctx, params)
	if err != nil {
		return nil, err
	}
	session.URL, err = par.AuthorizationURL(c.server.AuthorizationEndpoint, c.cfg.ClientID, pushed.RequestURI) // SP-5.3.3.2-6
	if err != nil {
		return nil, err
	}
	return session, nil
}

// expectIDToken notes what the ID token will have to say.
func (c *Client) expectIDToken(session *Session, params url.Values) error {
	if c.idTokens == nil {
		return errors.New("profile: client: the server publishes no jwks_uri, so its ID tokens cannot be verified")
	}
	session.Nonce = jose.RandomString(32) // SP-5.3.3.2-7: 43 characters
	params.Set("nonce", session.Nonce)
	if maxAge := params.Get("max_age"); maxAge != "" {
		seconds, err := strconv.ParseUint(maxAge, 10, 31)
		if err != nil {
			return errors.New("profile: client: max_age is no number of seconds")
		}
		session.MaxAge = max(time.Duration(seconds)*time.Second, time.Second)
	}
	return nil
}
