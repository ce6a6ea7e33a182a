package main

import (
	"context"
	"errors"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// newGrants returns the client of the bank's grant management, or nil if the
// bank has none.
func newGrants(app *client.Client) (*grants.Client, error) {
	if app.ServerMetadata().GrantManagementEndpoint == "" {
		return nil, nil
	}
	return app.Grants(oauth2.ReuseTokenSource(nil, ownTokens{app}))
}

// ownTokens returns tokens for grant management. They are the application's own
// tokens. It can therefore query grants after the tokens of its users have
// ended, and without their consent.
type ownTokens struct{ *client.Client }

// Token implements oauth2.TokenSource, whose method has no context.
func (t ownTokens) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	return t.ClientCredentials(ctx, client.Request{Scopes: []string{scopeQuery, scopeRevoke}})
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
