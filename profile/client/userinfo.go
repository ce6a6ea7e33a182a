package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

// ErrUserInfo means that the client has rejected the server's UserInfo
// response. It has used no claim of the response. The error also matches an
// error of package idtoken, for example [idtoken.ErrSubject].
var ErrUserInfo = errors.New("client: invalid UserInfo response")

// maxUserInfo bounds a UserInfo response, like package idtoken.
const maxUserInfo = 256 << 10

// UserInfo requests the claims about the user from the UserInfo endpoint
// (OpenID Connect Core 1.0 §5.3). The login must have had an ID token, which is
// the case if [Subject] of the token is not empty. An ID token of another
// server is an error, because the same subject is another user there. For the
// tokens of a source, use [Client.UserInfoOf].
func (c *Client) UserInfo(ctx context.Context, token *oauth2.Token) (*idtoken.UserInfo, error) {
	subject := Subject(token)
	if subject == "" {
		return nil, fmt.Errorf("%w: %w: token without a verified ID token", ErrUserInfo, idtoken.ErrSubject)
	}
	if verified, ok := IDToken(token); ok && verified.Issuer() != c.cfg.Issuer {
		return nil, fmt.Errorf("%w: %w: ID token of %.256q", ErrUserInfo, idtoken.ErrIssuer, verified.Issuer())
	}
	return c.UserInfoOf(ctx, subject, oauth2.StaticTokenSource(token))
}

// UserInfoOf is [Client.UserInfo] for a token source and the [Subject] of the
// login with which its tokens began. The response must be about that user.
//
// The request carries a DPoP proof or the client's certificate. The response is
// JSON or a JWT, as [OpenID] requires. Values that the request asked for in the
// parameter claims are not compared, see claims.Set.Check. If the server
// rejects the access token and source is one of this package, the client
// replaces the token and repeats the request once. An error of the server is an
// *oauth2.RetrieveError. If the client rejects the response, the error matches
// [ErrUserInfo].
func (c *Client) UserInfoOf(
	ctx context.Context, subject string, source oauth2.TokenSource,
) (*idtoken.UserInfo, error) {
	if source == nil {
		return nil, errors.New("client: missing token source")
	}
	c, err := c.latest(ctx)
	if err != nil {
		return nil, err
	}
	if c.endpoints.UserInfoEndpoint == "" || c.idTokens == nil {
		return nil, fmt.Errorf("%w: missing userinfo_endpoint or jwks_uri", profile.ErrServerMetadata)
	}
	ctx = c.interact(ctx)
	o := c.observe(userInfoEndpoint, "")
	contentType, body, err := c.requestUserInfo(ctx, source)
	var info *idtoken.UserInfo
	if err == nil {
		// The response came over TLS from the issuer. An early key request is
		// justified, because the key may have been published just now.
		info, err = c.idTokens.VerifyUserInfo(jwks.WithEarlyFetch(ctx), contentType, body, subject)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrUserInfo, err)
		}
	}
	o.end(ctx, err)
	return info, err
}

// requestUserInfo returns a response with status 200, at most one byte longer
// than permitted.
func (c *Client) requestUserInfo(
	ctx context.Context, source oauth2.TokenSource,
) (contentType string, body []byte, err error) {
	transport := c.api
	if c.certified != nil { // the endpoint may be the alias for certificates
		transport = c.http.Transport
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoints.UserInfoEndpoint, nil)
	if err != nil {
		return "", nil, fmt.Errorf("client: %w", err)
	}
	r.Header.Set("Accept", "application/jwt, application/json")
	response, err := c.serverClient(&apiTransport{client: c, source: source, base: transport}).Do(withInteraction(r))
	if err != nil {
		return "", nil, fmt.Errorf("client: %w", err)
	}
	defer response.Body.Close()
	limit := maxErrorResponse
	if response.StatusCode == http.StatusOK {
		limit = maxUserInfo
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w", ErrUserInfo, err)
	case response.StatusCode != http.StatusOK:
		received := retrieveError(response, body)
		if received.ErrorCode == "" { // RFC 6750 §3
			received.ErrorCode = challengeParameter(response.Header, "error")
			received.ErrorDescription = challengeParameter(response.Header, "error_description")
		}
		return "", nil, received
	}
	return strings.Join(response.Header.Values("Content-Type"), ", "), body, nil
}

// challengeParameter returns a quoted parameter of WWW-Authenticate, or "".
func challengeParameter(h http.Header, name string) string {
	challenges := " " + strings.Join(h.Values("WWW-Authenticate"), ", ")
	for _, before := range []string{" ", ","} {
		if _, rest, ok := strings.Cut(challenges, before+name+`="`); ok {
			value, _, _ := strings.Cut(rest, `"`)
			return syntax.ErrorText(value)
		}
	}
	return ""
}
