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

// Revoke tells the server that a token is no longer needed (RFC 7009), best the
// refresh token, when the user logs out: the access tokens of the same grant go
// with it at most servers. hint is refresh_token, access_token, or empty if the
// caller does not know. A token that the server does not know, or not any more,
// is no error. A *oauth2.RetrieveError always comes from the server; with
// status 503 the token is to be taken for good, and revoked later: see
// [Client.RetryAfter].
func (c *Client) Revoke(ctx context.Context, token, hint string) error {
	endpoint := c.endpoints.RevocationEndpoint // REV-2-4: from metadata whose URLs have been checked
	switch {
	case endpoint == "":
		return fmt.Errorf("%w: no revocation_endpoint", profile.ErrServerMetadata)
	case token == "":
		return errors.New("client: no token to revoke")
	case hint != "" && hint != "refresh_token" && hint != "access_token":
		return errors.New("client: hint is none of refresh_token and access_token")
	}
	if methods := c.server.RevocationEndpointAuthMethodsSupported; methods != nil && !slices.Contains(methods, c.cfg.MutualTLS.AuthMethod) { // MD-2-8
		return fmt.Errorf("%w: revocation_endpoint_auth_methods_supported lacks %s", profile.ErrServerMetadata, c.cfg.MutualTLS.AuthMethod)
	}
	params := url.Values{"token": {token}}
	if hint != "" {
		params.Set("token_type_hint", hint)
	}
	response, answer, err := c.post(ctx, endpoint, params)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK { // REV-2.2-3, REV-2.2.1-2
		return retrieveError(response, answer)
	}
	return nil
}
