package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// A Session is an authorization in progress. It contains the code verifier.
// Store it on the server or encrypted, so that only the browser that began the
// authorization can return it. Remove it when the callback uses it, because a
// Session cannot detect that it is used twice. [Sessions] does all this. A
// Session can be encoded as JSON. Its String shows only the issuer.
type Session struct {
	// Issuer, ClientID and RedirectURI are those of the client that began the
	// authorization. Other clients reject the session.
	Issuer      string `json:"issuer"`
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	// State is the expected state of the callback. Nonce is the expected nonce
	// of the ID token, and is empty without scope openid. CodeVerifier is the
	// PKCE verifier, without which the code cannot be redeemed.
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier"`
	// SignedResponse requires a signed callback.
	SignedResponse bool `json:"signed_response,omitempty"`
	// Keep is [Request.Keep].
	Keep string `json:"keep,omitempty"`
	// MaxAge is the max_age of the request, at least one second. The ID token
	// must conform to it. If 0, the request had none.
	MaxAge time.Duration `json:"max_age,omitempty"`
	// DPoPKey is the private key of the user in PKCS #8, if [Config.Tokens] is
	// set and [Config.DPoPKey] is not. The code and the tokens are bound to it.
	DPoPKey []byte `json:"dpop_key,omitempty"`
	// Claims is the part of the parameter claims that requests values in the ID
	// token. [Client.Finish] requires them. If empty, none were requested.
	Claims string `json:"claims,omitempty"`
	// URL is the address to which the browser must be redirected.
	URL string `json:"url"`
}

// String omits the secrets.
func (s Session) String() string { return "session at " + s.Issuer }

// GoString omits the secrets.
func (s Session) GoString() string { return s.String() }

// LogValue omits the secrets.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Begin pushes an authorization request (RFC 9126) and returns a session.
// Redirect the browser to its URL. Call Begin only after the user has started
// the login, and protect that request against CSRF (FAPI 2.0 Security Profile
// §5.3.3.1). If the push fails, Begin returns the error. It never sends the
// parameters through the browser instead.
func (c *Client) Begin(ctx context.Context, request Request) (*Session, error) {
	c, err := c.forLogin(ctx)
	if err != nil {
		return nil, err
	}
	if c.cfg.RedirectURI == "" {
		return nil, errors.New("client: missing RedirectURI")
	}
	if c.push == nil {
		return nil, fmt.Errorf("%w: missing pushed_authorization_request_endpoint", profile.ErrServerMetadata)
	}
	params, err := request.params()
	if err != nil {
		return nil, err
	}
	if err := request.manageGrant(c.server, params); err != nil {
		return nil, err
	}
	session, err := c.newSession(params, request)
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Rules.CheckRequest(params); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.keyPerLogin {
		key, err := c.newProofKey()
		if err != nil {
			return nil, err
		}
		session.DPoPKey, ctx = key.pkcs8, withProofKey(ctx, key)
	}
	if params, err = c.sign(ctx, params); err != nil {
		return nil, err
	}
	// SP-5.3.3.2-2, PAR-4-1: each request_uri is for one authorization.
	// RAR-11.4-1, RAR-12-1: no parameter goes through the browser, where it
	// could be changed.
	ctx = c.interact(ctx)
	o := c.observe(pushEndpoint, "")
	pushed, err := c.push.Push(ctx, params)
	err = withoutPage(err)
	o.end(ctx, err)
	if err != nil {
		return nil, err
	}
	// SP-5.3.3.2-6
	session.URL, err = par.AuthorizationURL(c.server.AuthorizationEndpoint, c.cfg.ClientID, pushed.RequestURI)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// newSession makes a session and adds its parameters to those of the caller.
func (c *Client) newSession(params url.Values, request Request) (*Session, error) {
	// SP-5.3.3.2-4, BCP-2.1-3, BCP-2.1.1-1, PAR-7.5-1, JARM-5.2-1
	state, verifier := jose.RandomString(32), pkce.NewVerifier()
	challenge, err := pkce.Challenge(verifier)
	if err != nil {
		return nil, err
	}
	params.Set("client_id", c.cfg.ClientID)
	params.Set("response_type", "code") // SP-5.3.3.2-1
	params.Set("redirect_uri", c.cfg.RedirectURI)
	params.Set("state", state)
	params.Set("code_challenge", challenge)
	params.Set("code_challenge_method", pkce.MethodS256) // SP-5.3.3.2-3
	session := &Session{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, RedirectURI: c.cfg.RedirectURI,
		State: state, CodeVerifier: verifier, Keep: request.Keep,
	}
	if c.responses != nil {
		session.SignedResponse = true
		params.Set("response_mode", "jwt") // MS-5.4.2-1
	}
	if session.Claims, err = requiredClaims(params.Get("claims")); err != nil {
		return nil, err
	}
	if !slices.Contains(request.Scopes, "openid") {
		if session.Claims != "" { // the client could not check the values
			return nil, errors.New("client: claims of the ID token with values, without scope openid")
		}
		return session, nil
	}
	return session, c.expectIDToken(session, params)
}

// sign returns the parameters as a signed request object, if Profile requires
// it.
func (c *Client) sign(ctx context.Context, params url.Values) (url.Values, error) {
	if c.requests == nil {
		return params, nil
	}
	params, err := c.requests.Form(params) // MS-5.3.2-1: all parameters
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return params, wire.Archive(ctx, c.cfg.Hooks.Evidence, profile.Evidence{
		Kind: profile.EvidenceRequestObject, Issued: true, ClientID: c.cfg.ClientID,
		JWT: params.Get("request"), Key: c.cfg.Key.Public(), Time: c.cfg.Hooks.Now(),
	})
}

// expectIDToken adds the nonce, and records what the ID token must contain.
func (c *Client) expectIDToken(session *Session, params url.Values) error {
	if c.idTokens == nil {
		return fmt.Errorf("%w: missing jwks_uri, required for scope openid", profile.ErrServerMetadata)
	}
	supported := c.server.IDTokenSigningAlgValuesSupported
	if supported != nil && !intersects(supported, jose.Algorithms()) { // MS-5.6.2-1
		return fmt.Errorf("%w: id_token_signing_alg_values_supported has none of %q",
			profile.ErrServerMetadata, jose.Algorithms())
	}
	session.Nonce = jose.RandomString(32) // SP-5.3.3.2-7: 43 characters
	params.Set("nonce", session.Nonce)
	if maxAge := params.Get("max_age"); maxAge != "" {
		seconds, err := strconv.ParseUint(maxAge, 10, 31)
		if err != nil {
			return errors.New("client: malformed max_age, want a number of seconds")
		}
		session.MaxAge = max(time.Duration(seconds)*time.Second, time.Second)
	}
	return nil
}
