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

// A Session is one authorization that has been begun. Keep it where only the
// browser that began it can bring it back, on the server side or encrypted: it
// holds the code verifier. Remove it from there in the same step in which the
// callback takes it: a session is good for one callback, but a copy cannot know
// that it has been used. [Sessions] does all that. It survives encoding/json;
// printed or logged it shows nothing.
type Session struct {
	// Issuer, ClientID and RedirectURI are those of the client that began it.
	// No other can finish it.
	Issuer      string `json:"issuer"`
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	// State is what the callback must have, Nonce what the ID token must have
	// (empty: none was asked for), and CodeVerifier what makes the code worth
	// something.
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier"`
	// SignedResponse says that the callback has to be signed.
	SignedResponse bool `json:"signed_response,omitempty"`
	// Keep is that of the request: the host's own.
	Keep string `json:"keep,omitempty"`
	// MaxAge is what the ID token has to keep to: the max_age of the request, 1
	// s for one of 0. 0: there was none.
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

// Begin pushes an authorization request (SP-5.3.3.2-2) and returns the session
// whose URL the browser is to open. Call it only when the user has asked for
// it, and protect that call against CSRF (SP-5.3.3.1-12).
//
// There is no fall-back: when the push fails nothing is sent through the
// browser.
func (c *Client) Begin(ctx context.Context, request Request) (*Session, error) {
	if c.cfg.RedirectURI == "" {
		return nil, errors.New("client: no RedirectURI is configured")
	}
	if c.push == nil {
		return nil, errors.New("client: the server has no authorization code flow")
	}
	params, err := request.params()
	if err != nil {
		return nil, err
	}
	if err := request.manageGrant(c.server, params); err != nil {
		return nil, err
	}
	session := &Session{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, RedirectURI: c.cfg.RedirectURI, Keep: request.Keep,
		State: jose.RandomString(32), CodeVerifier: pkce.NewVerifier(), // SP-5.3.3.2-4, BCP-2.1-3, BCP-2.1.1-1, PAR-7.5-1, JARM-5.2-1
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
	if c.responses != nil {
		session.SignedResponse = true
		params.Set("response_mode", "jwt") // MS-5.4.2-1
	}
	if c.requests != nil { // MS-5.3.2-1: all of it inside
		if params, err = c.requests.Form(params); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		evidence := profile.Evidence{
			Kind: profile.EvidenceRequestObject, Issued: true, ClientID: c.cfg.ClientID, JWT: params.Get("request"), Key: c.cfg.Key.Public(), Time: c.cfg.Now(),
		}
		if err := wire.Archive(ctx, c.cfg.Hooks.Evidence, evidence); err != nil {
			return nil, err
		}
	}
	// PAR-4-1: each request_uri is for one authorization. RAR-11.4-1, RAR-12-1:
	// nothing of it, details least of all, goes through the browser, where it
	// could be changed.
	pushed, err := c.push.Push(ctx, params)
	if err != nil {
		return nil, withoutPage(err)
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
		return errors.New("client: the server publishes no jwks_uri, so its ID tokens cannot be verified")
	}
	if algs := c.server.IDTokenSigningAlgValuesSupported; algs != nil && !intersects(algs, jose.Algorithms()) { // MS-5.6.2-1
		return fmt.Errorf("%w: id_token_signing_alg_values_supported has none of %q", profile.ErrServerMetadata, jose.Algorithms())
	}
	session.Nonce = jose.RandomString(32) // SP-5.3.3.2-7: 43 characters
	params.Set("nonce", session.Nonce)
	if maxAge := params.Get("max_age"); maxAge != "" {
		seconds, err := strconv.ParseUint(maxAge, 10, 31)
		if err != nil {
			return errors.New("client: max_age is no number of seconds")
		}
		session.MaxAge = max(time.Duration(seconds)*time.Second, time.Second)
	}
	return nil
}
