package client

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/oauth2"
)

// ClientCredentialsSource returns a source of tokens for the client itself (RFC
// 6749 §4.4), for [Client.HTTPClient], [Client.Grants] and the introspection
// endpoint. It requests a token at the first use, and another one shortly
// before the expiry, or once if an API rejects the token. Its margin and its
// pauses after failures are those of [Client.TokenSource]. All callers that
// need a token wait for the same request.
//
// With [Config.Tokens], all processes share one token for each request. The
// source is then a *[StoredToken], and its Delete removes an entry that cannot
// be read. Without Tokens, each source has its own token: make one source for
// each request, and keep it. It is safe for concurrent use.
func (c *Client) ClientCredentialsSource(request Request) oauth2.TokenSource {
	request.Scopes, request.Resources = slices.Clone(request.Scopes), slices.Clone(request.Resources)
	request.AuthorizationDetails = slices.Clone(request.AuthorizationDetails)
	request.Params = maps.Clone(request.Params)
	if c.shared.vault != nil {
		params, err := request.tokenParams()
		id := c.shared.vault.key("credentials", params.Encode())
		return &StoredToken{client: c, id: id, request: &request, err: err}
	}
	s := c.newTokenSource(context.Background(), &oauth2.Token{})
	s.own, s.group = true, &refreshGroup{refresh: func(ctx context.Context, _ string) (*oauth2.Token, error) {
		return c.ClientCredentials(ctx, request)
	}}
	return s
}
