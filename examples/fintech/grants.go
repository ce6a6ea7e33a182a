package main

import (
	"context"
	"errors"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/client"
)

const (
	scopeQuery  = "grant_management_query"
	scopeRevoke = "grant_management_revoke"
)

// managed reports whether a bank manages the grant of a connection.
func managed(ours *client.Client, c connection) bool {
	return c.GrantID != "" && ours.ServerMetadata().GrantManagementEndpoint != ""
}

// grantsAt returns the client of a bank's grant management. It uses tokens of
// the application itself, which can therefore query grants after the tokens of
// its users have ended. The store keeps these tokens.
func grantsAt(ours *client.Client) (*grants.Client, error) {
	return ours.Grants(ours.ClientCredentialsSource(client.Request{Scopes: []string{scopeQuery, scopeRevoke}}))
}

// revokeGrant revokes the grant of a connection. Revoking a grant that has
// ended is not an error.
func revokeGrant(ctx context.Context, ours *client.Client, c connection) error {
	management, err := grantsAt(ours)
	if err != nil {
		return err
	}
	if err := management.Revoke(ctx, c.GrantID); !errors.Is(err, grants.ErrNotFound) {
		return err
	}
	return nil
}
