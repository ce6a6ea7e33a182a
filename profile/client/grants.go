package client

import (
	"fmt"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

// Grants returns a client for the server's grant management endpoint (Grant
// Management for OAuth 2.0 §6). It queries and revokes the grants of this
// client. source returns tokens with the scope grant_management_query or
// grant_management_revoke, usually of [Client.ClientCredentialsSource]. If the
// server has no such endpoint, Grants returns an error.
//
// The tokens must be for the grant management endpoint. A server of this module
// issues such a token if the token request names no resource. For other
// servers, name the grant_management_endpoint in [Request].Resources.
func (c *Client) Grants(source oauth2.TokenSource) (*grants.Client, error) {
	c = c.last()
	endpoint := c.endpoints.GrantManagementEndpoint
	if endpoint == "" {
		return nil, fmt.Errorf("%w: missing grant_management_endpoint", profile.ErrServerMetadata)
	}
	api, err := c.HTTPClient(source)
	if err != nil {
		return nil, err
	}
	management, err := grants.NewClient(grants.ClientConfig{Endpoint: endpoint, HTTPClient: api, Now: c.cfg.Hooks.Now})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return management, nil
}
