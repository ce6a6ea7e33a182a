package client

import (
	"errors"
	"fmt"

	"github.com/gofapi/fapi2/grants"
	"golang.org/x/oauth2"
)

// Grants returns a client of the server's grant management endpoint, which asks
// about the grants of this client and revokes them (Grant Management for OAuth
// 2.0 §6). source has tokens with the scopes grant_management_query and
// grant_management_revoke, for what is to be done: of
// [Client.ClientCredentials] as a rule. It fails if the server has no such
// endpoint.
//
// The tokens must be for the grant management endpoint. A server of this
// package issues such a token if the token request names no resource. For other
// servers, name the grant_management_endpoint in [Request].Resources.
func (c *Client) Grants(source oauth2.TokenSource) (*grants.Client, error) {
	endpoint := c.endpoints.GrantManagementEndpoint
	if endpoint == "" {
		return nil, errors.New("client: the server has no grant_management_endpoint")
	}
	api, err := c.HTTPClient(source)
	if err != nil {
		return nil, err
	}
	management, err := grants.NewClient(grants.ClientConfig{Endpoint: endpoint, HTTPClient: api, Now: c.cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return management, nil
}
