package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
	"golang.org/x/oauth2"
)

const (
	// maxTokenResponse bounds what is read from a token endpoint, maxErrorResponse what is read of an error.
	maxTokenResponse = 1 << 20
	maxErrorResponse = 64 << 10
)

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
// the reason, the error also matches an error of package idtoken.
func (c *Client) Finish(ctx context.Context, session *Session, callback url.Values) (*oauth2.Token, error) {
	code, err := c.checkCallback(ctx, session, callback)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("client: %w", context.Cause(ctx))
	}
	ctx = context.WithoutCancel(ctx)
	answer, err := c.requestToken(ctx, url.Values{
		"grant_type": {wire.GrantAuthorizationCode}, "code": {code}, "redirect_uri": {session.RedirectURI}, "code_verifier": {session.CodeVerifier},
	})
	if err != nil {
		return nil, err
	}
	if session.Nonce != "" {
		if err := c.checkIDToken(ctx, session, answer); err != nil {
			c.discard(ctx, answer.token)
			return nil, err
		}
	}
	return answer.done(), nil
}

// discardTimeout bounds the additional wait of a user whose login has failed.
const discardTimeout = 5 * time.Second

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

// checkCallback believes nothing before iss and state are right: SP-5.3.3.2-5, ISS-2.4-1, ISS-2.4-2, CS-20, BCP-2.1-4.
// SP-5.3.3.1-4, BCP-2.1-2: nothing in it is a URL that anybody is sent to.
func (c *Client) checkCallback(ctx context.Context, session *Session, callback url.Values) (code string, err error) {
	if session == nil || session.Issuer != c.cfg.Issuer || session.ClientID != c.cfg.ClientID || session.State == "" || session.CodeVerifier == "" {
		return "", fmt.Errorf("%w: the session was not begun by this client", ErrAuthorizationResponse)
	}
	if session.SignedResponse {
		return c.checkSignedCallback(ctx, session, callback)
	}
	if c.responses != nil { // MS-5.4.2-1, MS-5.4.2-2: whoever brings such a session, nothing unsigned is taken
		return "", fmt.Errorf("%w: the session wants a plain response, and this client takes signed ones only", ErrAuthorizationResponse)
	}
	// BASE-6749-3.1-1: of two values some other party could have added one. Parameters of the redirect URI's own, and those
	// that nobody knows, may be as they like.
	for _, name := range []string{"iss", "state", "code", "error", "error_description", "error_uri", "response"} {
		if len(callback[name]) > 1 {
			return "", fmt.Errorf("%w: %s is repeated", ErrAuthorizationResponse, name)
		}
	}
	if iss := callback.Get("iss"); iss != c.cfg.Issuer { // ISS-2.4-3: a missing one too
		return "", fmt.Errorf("%w: iss is %.256q, the request went to %q", ErrAuthorizationResponse, iss, c.cfg.Issuer)
	}
	// AM-5.4a, AM-5.4b: an answer to a request that an attacker made does not fit the session of this browser.
	if !jose.EqualString(callback.Get("state"), session.State) {
		return "", fmt.Errorf("%w: state is not this session's", ErrAuthorizationResponse)
	}
	code, failure := callback.Get("code"), callback.Get("error")
	switch {
	case code != "" && failure != "":
		return "", fmt.Errorf("%w: both code and error", ErrAuthorizationResponse)
	case failure != "":
		return "", &oauth2.RetrieveError{
			ErrorCode: failure, ErrorDescription: callback.Get("error_description"), ErrorURI: callback.Get("error_uri"),
		}
	case code == "":
		return "", fmt.Errorf("%w: neither code nor error", ErrAuthorizationResponse)
	}
	return code, nil
}

// checkSignedCallback takes the response alone, whatever stands beside it (MS-5.4.2-2, JARM-2.4-6): package jarm has checked
// who made it, for whom and when, before anything in it is read.
func (c *Client) checkSignedCallback(ctx context.Context, session *Session, callback url.Values) (code string, err error) {
	if c.responses == nil {
		return "", fmt.Errorf("%w: the session wants a signed response, and this client is configured for none", ErrAuthorizationResponse)
	}
	response, err := c.responses.VerifyValues(ctx, callback)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
	}
	if err := response.CheckState(session.State); err != nil { // AM-5.4a, AM-5.4b
		return "", fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
	}
	evidence := profile.Evidence{Kind: profile.EvidenceAuthorizationResponse, ClientID: c.cfg.ClientID, JWT: callback.Get("response"), Time: c.cfg.Now()}
	if err := wire.Archive(ctx, c.cfg.Evidence, evidence); err != nil {
		return "", err
	}
	if err := response.Err(); err != nil {
		return "", err
	}
	return response.Code(), nil
}

// checkIDToken. MS-5.6.2-1: signature included, though it came over TLS. AM-5.3, CS-20.
func (c *Client) checkIDToken(ctx context.Context, session *Session, answer *tokenAnswer) error {
	raw, _ := answer.extra["id_token"].(string)
	if raw == "" {
		return fmt.Errorf("%w: %w: no id_token though openid was asked for", ErrTokenResponse, idtoken.ErrMalformed)
	}
	if c.idTokens == nil {
		return fmt.Errorf("%w: %w: the server has stopped to publish its keys", ErrTokenResponse, idtoken.ErrUnavailable)
	}
	// The ID token came from the token endpoint over TLS, and the code is spent.
	// An early key request is justified, because the key may have been published
	// just now.
	verified, err := c.idTokens.Verify(jwks.WithEarlyFetch(ctx), raw, idtoken.Expected{
		Nonce: session.Nonce, MaxAge: session.MaxAge, AccessToken: answer.token.AccessToken,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	answer.verified = verified
	return nil
}

// verifiedKey is where a token's Extra has the verified ID token. No server can put a *idtoken.Token there.
const verifiedKey = "client: verified ID token"

// IDToken returns what the ID token says that came with a token of [Client.Finish]. It is false for a token that came
// without, by a refresh, or that has been stored in between.
func IDToken(token *oauth2.Token) (verified *idtoken.Token, ok bool) {
	if token == nil {
		return nil, false
	}
	verified, ok = token.Extra(verifiedKey).(*idtoken.Token)
	return verified, ok
}

// Refresh obtains a new access token. The returned token keeps refreshToken
// unless the server sent a new one. An ID token in the response is ignored.
// Without a refresh token the error is [ErrNoRefreshToken]. If the server
// rejects the refresh token permanently, the error matches [ErrReauthorize].
// Refresh respects the end of ctx only until it sends the request. A server
// that rotates refresh tokens has no other token for a client that missed the
// response.
func (c *Client) Refresh(ctx context.Context, refreshToken string, request Request) (*oauth2.Token, error) {
	if refreshToken == "" {
		return nil, ErrNoRefreshToken
	}
	params, err := request.tokenParams()
	if err != nil {
		return nil, err
	}
	params.Set("grant_type", wire.GrantRefreshToken)
	params.Set("refresh_token", refreshToken)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("client: %w", context.Cause(ctx))
	}
	answer, err := c.requestToken(context.WithoutCancel(ctx), params)
	if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) && said.ErrorCode == "invalid_grant" {
		// REV-2.1-8, RFC 6749 §5.2: the refresh token is invalid, expired, revoked,
		// or belongs to another client. A retry cannot change that.
		return nil, fmt.Errorf("%w: %w", ErrReauthorize, err)
	}
	if err != nil {
		return nil, err
	}
	if answer.token.RefreshToken == "" { // SP-5.3.3.1-6
		answer.token.RefreshToken = refreshToken
	}
	return answer.done(), nil
}

// ClientCredentials obtains a token about the client itself.
func (c *Client) ClientCredentials(ctx context.Context, request Request) (*oauth2.Token, error) {
	params, err := request.tokenParams()
	if err != nil {
		return nil, err
	}
	params.Set("grant_type", wire.GrantClientCredentials)
	answer, err := c.requestToken(ctx, params)
	if err != nil {
		return nil, err
	}
	return answer.done(), nil
}

// requestToken sends a form to the token endpoint, with client authentication and what the token is to be bound to.
func (c *Client) requestToken(ctx context.Context, params url.Values) (*tokenAnswer, error) {
	response, answer, err := c.post(ctx, c.endpoints.TokenEndpoint, params)
	switch {
	case err != nil && response != nil:
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	case err != nil:
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, retrieveError(response, answer)
	}
	if len(answer) > maxTokenResponse {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrTokenResponse, maxTokenResponse)
	}
	return parseToken(response, answer, c.tokenType(), c.cfg.Now())
}

// post sends a form to an endpoint of the authorization server, with client
// authentication and, if the client uses DPoP, a proof: some servers demand one at
// every endpoint, the others ignore it. It returns at most one byte more of the
// body than may be used. If both the error and the response are not nil, the body
// broke off.
func (c *Client) post(ctx context.Context, endpoint string, params url.Values) (*http.Response, []byte, error) {
	r, err := c.endpointRequest(ctx, endpoint, params)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w", err)
	}
	defer response.Body.Close()
	limit := maxErrorResponse
	if response.StatusCode == http.StatusOK {
		limit = maxTokenResponse
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return response, nil, fmt.Errorf("client: %w", err)
	}
	return response, answer, nil
}

// endpointRequest makes a request to the authorization server, with client authentication.
func (c *Client) endpointRequest(ctx context.Context, endpoint string, params url.Values) (*http.Request, error) {
	body, err := c.authenticated(ctx, params)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	// Whoever sends the request again, for a nonce or on a lost connection, gets a new assertion: the server may have used
	// up the first one's jti.
	r.GetBody = func() (io.ReadCloser, error) {
		again, err := c.authenticated(ctx, params)
		if err != nil {
			return nil, err
		}
		if len(again) != len(body) { // the header says how long it is
			return nil, errors.New("client: a new assertion of another length")
		}
		return io.NopCloser(strings.NewReader(again)), nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

func (c *Client) authenticated(ctx context.Context, params url.Values) (string, error) {
	form := wire.CloneValues(params)
	if err := c.authenticate(ctx, form); err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	return form.Encode(), nil
}

// retrieveError is what a server said. Its text has a body that is no OAuth error in full, so that gets none: it may be a
// page that shows our request, or a token under a strange status. It can still be read from the Response.
func retrieveError(response *http.Response, body []byte) *oauth2.RetrieveError {
	response.Body = io.NopCloser(bytes.NewReader(body)) // what it was has been read
	said := &oauth2.RetrieveError{Response: response}
	if len(body) > maxErrorResponse {
		return said
	}
	if o, err := strictjson.ParseObject(body); err == nil {
		said.ErrorCode, _, _ = o.String("error")
		said.ErrorDescription, _, _ = o.String("error_description")
		said.ErrorURI, _, _ = o.String("error_uri")
	}
	if said.ErrorCode != "" {
		said.Body = body
	}
	return said
}

// A tokenAnswer is a token that may still be refused.
type tokenAnswer struct {
	token    *oauth2.Token
	extra    map[string]any
	details  json.RawMessage // nil: none that anybody could go by
	verified *idtoken.Token
}

// done returns the token. An ID token that nobody has verified is nothing that a caller should find.
func (a *tokenAnswer) done() *oauth2.Token {
	if a.verified == nil {
		delete(a.extra, "id_token")
	} else {
		a.extra[verifiedKey] = a.verified
	}
	delete(a.extra, detailsKey)
	if a.details != nil {
		a.extra[detailsKey] = a.details
	}
	return a.token.WithExtra(a.extra)
}

// parseToken reads a token response.
func parseToken(response *http.Response, body []byte, want tokenbinding.Scheme, now time.Time) (*tokenAnswer, error) {
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	if failure, _ := o.Text("error"); failure != "" && failure != "null" && failure != `""` { // some servers report errors with status 200
		if said := retrieveError(response, body); said.ErrorCode != "" {
			return nil, said
		}
		return nil, fmt.Errorf("%w: an error without a code", ErrTokenResponse)
	}
	token := &oauth2.Token{}
	for _, field := range []struct {
		name string
		to   *string
	}{{"access_token", &token.AccessToken}, {"token_type", &token.TokenType}} {
		if *field.to, _, err = o.String(field.name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
		}
	}
	// The code or the refresh token is spent. An optional member of the wrong type
	// (RFC 6749 §5.1) therefore counts as absent.
	token.RefreshToken, _, _ = o.String("refresh_token")
	if !headerSafe(token.AccessToken) {
		return nil, fmt.Errorf("%w: no access_token that could be sent", ErrTokenResponse)
	}
	// DPOP-5-7, BASE-6749-5.1-2: one of another type the server has not bound as it was asked to. CS-19: in whatever case.
	// AT-6-1: what the token itself says is not the client's to read.
	if want.CheckTokenType(token.TokenType) != nil {
		return nil, fmt.Errorf("%w: token_type is %.32q, not %s", ErrTokenResponse, token.TokenType, want)
	}
	token.TokenType = string(want)
	if seconds := expiresIn(o); seconds > 0 { // CS-19: there need not be one
		token.ExpiresIn, token.Expiry = seconds, now.Add(time.Duration(seconds)*time.Second)
	}
	answer := &tokenAnswer{token: token, extra: members(o)}
	if details, ok := o.Get("authorization_details"); ok && checkDetails(details) == nil { // RAR-7-1
		answer.details = bytes.Clone(details)
	}
	return answer, nil
}

// headerSafe says whether a token can stand in an Authorization header and come out as it went in.
func headerSafe(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}

// members returns all members in the types of encoding/json, as oauth2.Token.Extra has them. A value that no such type can
// hold, a number above all limits, stays a json.RawMessage: it must not stand in the way of the token.
func members(o strictjson.Object) map[string]any {
	all := make(map[string]any)
	for _, name := range o.Names() {
		raw, _ := o.Get(name)
		var value any
		if json.Unmarshal(raw, &value) != nil {
			value = json.RawMessage(bytes.Clone(raw))
		}
		all[name] = value
	}
	return all
}

// expiresIn is the lifetime in seconds, 0 if there is none to go by. Some servers send a string, or a fraction; a year is
// enough for anything.
func expiresIn(o strictjson.Object) int64 {
	raw, _ := o.Get("expires_in")
	var n json.Number
	if json.Unmarshal(raw, &n) != nil {
		return 0
	}
	f, _ := n.Float64() // one that is too large comes as infinity
	if !(f > 0) {
		return 0
	}
	const year = 365 * 24 * 60 * 60
	return int64(math.Ceil(min(f, year)))
}
