package client

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

// discardTimeout bounds the additional wait of a user whose login has failed.
const discardTimeout = 5 * time.Second

// Finish checks the parameters that arrived at the redirect URI, and redeems
// the code. The session must belong to this browser. Use a session once: a
// second call redeems the code again, and the server may then revoke the first
// tokens. After Finish has sent the code, it ignores the end of ctx, because a
// lost response would lose the tokens. The timeout of the HTTP client bounds
// the request. If Finish rejects the ID token, it revokes the tokens of the
// same response, provided that the server has a revocation endpoint.
//
// The Extra values of the token contain the further members of the response,
// for example scope and grant_id. Use [AuthorizationDetails] for the details.
// If openid was requested, Extra contains the verified id_token; [IDToken]
// returns its claims.
//
// A *oauth2.RetrieveError always comes from the server. If its Response is nil,
// it comes from the authorization response, otherwise from the token endpoint.
// The error matches [ErrAuthorizationResponse] if Finish sent nothing, and
// [ErrTokenResponse] if it rejected the server's response. If the ID token was
// the reason, the error also matches an error of package idtoken, or
// [claims.ErrValue] if a requested value of a claim is missing.
func (c *Client) Finish(ctx context.Context, session *Session, callback url.Values) (*oauth2.Token, error) {
	c, err := c.latest(ctx)
	if err != nil {
		return nil, err
	}
	o := c.observe(authorizationEndpoint, "")
	code, key, err := c.checkSession(ctx, session, callback)
	o.end(ctx, err)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("client: %w", context.Cause(ctx))
	}
	ctx = c.interact(withProofKey(context.WithoutCancel(ctx), key))
	o = c.observe(tokenEndpoint, wire.GrantAuthorizationCode)
	response, err := c.requestToken(ctx, url.Values{
		"grant_type": {wire.GrantAuthorizationCode}, "code": {code},
		"redirect_uri": {session.RedirectURI}, "code_verifier": {session.CodeVerifier},
	})
	if err == nil && session.Nonce != "" {
		err = c.checkIDToken(ctx, session, response)
	}
	o.end(ctx, err)
	if err == nil {
		return response.result(), nil
	}
	if response != nil {
		c.discard(ctx, response.token)
	}
	return nil, err
}

// checkSession returns the code of a callback, and the DPoP key that it is
// bound to. The key is nil if that is DPoPKey or a certificate.
func (c *Client) checkSession(
	ctx context.Context, session *Session, callback url.Values,
) (code string, key *proofKey, err error) {
	if session != nil && session.DPoPKey != nil { // before the code, which could not be redeemed without the key
		if key, err = c.parseProofKey(session.DPoPKey); err != nil {
			return "", nil, fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
		}
	}
	code, err = c.checkCallback(ctx, session, callback)
	return code, key, err
}

// checkCallback returns the code of a callback. It uses no URL of the callback
// (SP-5.3.3.1-4, BCP-2.1-2).
func (c *Client) checkCallback(ctx context.Context, session *Session, callback url.Values) (code string, err error) {
	if session == nil || session.Issuer != c.cfg.Issuer || session.ClientID != c.cfg.ClientID ||
		session.State == "" || session.CodeVerifier == "" {
		return "", fmt.Errorf("%w: session of another client", ErrAuthorizationResponse)
	}
	switch {
	case session.SignedResponse && c.responses == nil:
		return "", fmt.Errorf("%w: signed response required, SignedResponses not configured", ErrAuthorizationResponse)
	case session.SignedResponse:
		return c.checkSignedCallback(ctx, session, callback)
	case c.responses != nil: // MS-5.4.2-1, MS-5.4.2-2: the session does not decide what is accepted
		return "", fmt.Errorf("%w: session without SignedResponse", ErrAuthorizationResponse)
	}
	return c.checkPlainCallback(session, callback)
}

// checkPlainCallback checks iss and state before it uses another parameter:
// SP-5.3.3.2-5, ISS-2.4-1, ISS-2.4-2, CS-20, BCP-2.1-4.
func (c *Client) checkPlainCallback(session *Session, callback url.Values) (code string, err error) {
	// BASE-6749-3.1-1: of two values, an attacker may have added one. The
	// redirect URI may have parameters of its own, which may be repeated.
	for _, name := range []string{"iss", "state", "code", "error", "error_description", "error_uri", "response"} {
		if len(callback[name]) > 1 {
			return "", fmt.Errorf("%w: repeated %s", ErrAuthorizationResponse, name)
		}
	}
	if iss := callback.Get("iss"); iss != c.cfg.Issuer { // ISS-2.4-3: also if it is missing
		return "", fmt.Errorf("%w: iss %.256q, want %q", ErrAuthorizationResponse, iss, c.cfg.Issuer)
	}
	// AM-5.4a, AM-5.4b: the response to an attacker's request does not match
	// the session of this browser.
	if !jose.EqualString(callback.Get("state"), session.State) {
		return "", fmt.Errorf("%w: wrong state", ErrAuthorizationResponse)
	}
	code, failure := callback.Get("code"), callback.Get("error")
	switch {
	case code != "" && failure != "":
		return "", fmt.Errorf("%w: both code and error", ErrAuthorizationResponse)
	case failure != "":
		return "", &oauth2.RetrieveError{
			ErrorCode: failure, ErrorDescription: callback.Get("error_description"),
			ErrorURI: callback.Get("error_uri"),
		}
	case code == "":
		return "", fmt.Errorf("%w: neither code nor error", ErrAuthorizationResponse)
	}
	return code, nil
}

// checkSignedCallback uses the signed response only, and ignores the other
// parameters (MS-5.4.2-2, JARM-2.4-6). Package jarm verifies the response
// before its parameters can be read.
func (c *Client) checkSignedCallback(ctx context.Context, session *Session, callback url.Values) (string, error) {
	response, err := c.responses.VerifyValues(ctx, callback)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
	}
	if err := response.CheckState(session.State); err != nil { // AM-5.4a, AM-5.4b
		return "", fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
	}
	evidence := profile.Evidence{
		Kind: profile.EvidenceAuthorizationResponse, ClientID: c.cfg.ClientID,
		JWT: callback.Get("response"), Time: c.cfg.Hooks.Now(),
	}
	if err := wire.Archive(ctx, c.cfg.Hooks.Evidence, evidence); err != nil {
		return "", err
	}
	if err := response.Err(); err != nil {
		return "", err
	}
	return response.Code(), nil
}

// checkIDToken verifies the ID token of a token response, its signature
// included, although it came over TLS (MS-5.6.2-1; AM-5.3, CS-20).
func (c *Client) checkIDToken(ctx context.Context, session *Session, response *tokenResponse) error {
	raw, _ := response.extra["id_token"].(string)
	if raw == "" {
		return fmt.Errorf("%w: %w: missing id_token", ErrTokenResponse, idtoken.ErrMalformed)
	}
	if c.idTokens == nil { // another process has begun the session with older metadata
		return fmt.Errorf("%w: %w: missing jwks_uri", ErrTokenResponse, idtoken.ErrUnavailable)
	}
	// The ID token came from the token endpoint over TLS, and the code is used
	// up. An early key request is justified, because the key may have been
	// published just now.
	verified, err := c.idTokens.Verify(jwks.WithEarlyFetch(ctx), raw, idtoken.Expected{
		Nonce: session.Nonce, MaxAge: session.MaxAge, AccessToken: response.token.AccessToken,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	if err := checkRequiredClaims(session.Claims, verified); err != nil {
		return fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	response.verified = verified
	return nil
}

// discard revokes the tokens of a failed login, so that the user's consent does
// not remain at the server. If the revocation fails, the tokens expire there.
func (c *Client) discard(ctx context.Context, token *oauth2.Token) {
	if c.endpoints.RevocationEndpoint == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, discardTimeout)
	defer cancel()
	if token.RefreshToken != "" {
		_ = c.Revoke(ctx, token.RefreshToken, "refresh_token")
		return
	}
	_ = c.Revoke(ctx, token.AccessToken, "access_token")
}
