package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

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
	if c, err = c.latest(ctx); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	ctx = c.interact(ctx)
	o := c.observe(tokenEndpoint, wire.GrantRefreshToken)
	response, err := c.requestToken(ctx, params)
	if received := (*oauth2.RetrieveError)(nil); errors.As(err, &received) && received.ErrorCode == "invalid_grant" {
		// REV-2.1-8, RFC 6749 §5.2: the refresh token is invalid, expired,
		// revoked, or belongs to another client. A retry cannot change that.
		err = fmt.Errorf("%w: %w", ErrReauthorize, err)
	}
	o.end(ctx, err)
	if err != nil {
		return nil, err
	}
	if response.token.RefreshToken == "" { // SP-5.3.3.1-6
		response.token.RefreshToken = refreshToken
	}
	return response.result(), nil
}

// ClientCredentials obtains a token for the client itself (RFC 6749 §4.4).
func (c *Client) ClientCredentials(ctx context.Context, request Request) (*oauth2.Token, error) {
	params, err := request.tokenParams()
	if err != nil {
		return nil, err
	}
	if c, err = c.latest(ctx); err != nil {
		return nil, err
	}
	params.Set("grant_type", wire.GrantClientCredentials)
	ctx = c.interact(ctx)
	o := c.observe(tokenEndpoint, wire.GrantClientCredentials)
	response, err := c.requestToken(ctx, params)
	o.end(ctx, err)
	if err != nil {
		return nil, err
	}
	return response.result(), nil
}

// requestToken sends a form to the token endpoint.
func (c *Client) requestToken(ctx context.Context, params url.Values) (*tokenResponse, error) {
	response, body, err := c.post(ctx, c.endpoints.TokenEndpoint, params)
	switch {
	case err != nil && response != nil:
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, retrieveError(response, body)
	case len(body) > maxTokenResponse:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrTokenResponse, maxTokenResponse)
	}
	parsed, err := parseToken(response, body, c.tokenType(), c.cfg.Hooks.Now())
	if err == nil {
		parsed.key = proofKeyIn(ctx)
	}
	return parsed, err
}
