package main

import (
	"context"
	"errors"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/client"
)

// newGrants returns the client of the bank's grant management, or nil if the
// bank has none. It uses tokens of the application itself, which can therefore
// query grants after the tokens of its users have ended.
func newGrants(app *client.Client) (*grants.Client, error) {
	if app.ServerMetadata().GrantManagementEndpoint == "" {
		return nil, nil
	}
	return app.Grants(app.ClientCredentialsSource(client.Request{Scopes: []string{scopeQuery, scopeRevoke}}))
}

const (
	scopeQuery  = "grant_management_query"
	scopeRevoke = "grant_management_revoke"
)

// revokeGrant revokes the grant of a connection. Revoking a grant that has
// ended is not an error.
func (a *app) revokeGrant(ctx context.Context, c connection) error {
	if err := a.grants.Revoke(ctx, c.GrantID); !errors.Is(err, grants.ErrNotFound) {
		return err
	}
	return nil
}
