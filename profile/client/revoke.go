package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/gofapi/fapi2/profile"
)

// Revoke revokes a token (RFC 7009), usually the refresh token when the user
// logs out. Most servers then also revoke the access tokens of the same grant.
// hint is refresh_token, access_token, or empty if the caller does not know. A
// token that the server does not know is not an error. A *oauth2.RetrieveError
// always comes from the server. After status 503 the token is still valid: call
// Revoke again later, see [Client.RetryAfter].
func (c *Client) Revoke(ctx context.Context, token, hint string) error {
	c, err := c.latest(ctx)
	if err != nil {
		return err
	}
	endpoint, method := c.endpoints.RevocationEndpoint, c.cfg.MutualTLS.AuthMethod // REV-2-4: discovered and checked
	supported := c.server.RevocationEndpointAuthMethodsSupported
	switch {
	case endpoint == "":
		return fmt.Errorf("%w: missing revocation_endpoint", profile.ErrServerMetadata)
	case token == "":
		return errors.New("client: missing token")
	case hint != "" && hint != "refresh_token" && hint != "access_token":
		return errors.New("client: unknown hint, want refresh_token or access_token")
	case supported != nil && !slices.Contains(supported, method): // MD-2-8
		return fmt.Errorf("%w: revocation_endpoint_auth_methods_supported lacks %s", profile.ErrServerMetadata, method)
	}
	params := url.Values{"token": {token}}
	if hint != "" {
		params.Set("token_type_hint", hint)
	}
	ctx = c.interact(ctx)
	o := c.observe(revocationEndpoint, "")
	response, body, err := c.post(ctx, endpoint, params)
	if err == nil && response.StatusCode != http.StatusOK { // REV-2.2-3, REV-2.2.1-2
		err = retrieveError(response, body)
	}
	o.end(ctx, err)
	return err
}
