package authserver_test

import (
	"context"
	"testing"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The life of a grant, as a client sees it.
func TestClientManagesGrants(t *testing.T) {
	w, ctx := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Grants = &grants.ManagerConfig{}
	}), context.Background()
	for _, id := range []string{"client-1", "client-2"} {
		w.clients[id].Scope += " grant_management_query grant_management_revoke"
	}
	app := w.client("client-1")
	authorize := func(request client.Request) *oauth2.Token {
		session, err := app.Begin(ctx, request)
		require.NoError(t, err)
		callback := w.browse(session.URL)
		require.NotContains(t, callback, "grant_id", "GM-5.3-1 not through the browser")
		token, err := app.Finish(ctx, session, callback)
		require.NoError(t, err)
		return token
	}
	manage := func(id string, scopes ...string) *grants.Client {
		app := w.client(id)
		token, err := app.ClientCredentials(ctx, client.Request{Scopes: scopes})
		require.NoError(t, err)
		management, err := app.Grants(oauth2.StaticTokenSource(token))
		require.NoError(t, err)
		return management
	}
	first := authorize(client.Request{Scopes: []string{"accounts"}, GrantManagementAction: "create"})
	id, _ := first.Extra("grant_id").(string)
	require.Len(t, id, 43, "GM-5.5-1")

	own := manage("client-1", "grant_management_query", "grant_management_revoke")
	grant, err := own.Query(ctx, id)
	require.NoError(t, err)
	require.Equal(t, []string{"accounts"}, grant.ScopeValues())

	merged := authorize(client.Request{Scopes: []string{"payments"}, GrantManagementAction: "merge", GrantID: id})
	require.Equal(t, id, merged.Extra("grant_id"), "GM-5.2-9")
	require.Equal(t, "accounts payments", merged.Extra("scope"), "GM-5.2-5")
	_, err = app.Refresh(ctx, first.RefreshToken, client.Request{})
	require.ErrorContains(t, err, "invalid_grant", "GM-5.2-6")

	_, err = manage("client-2", "grant_management_query").Query(ctx, id)
	require.ErrorIs(t, err, grants.ErrNotFound, "GM-6.6-4 another client's")
	err = manage("client-1", "grant_management_query").Revoke(ctx, id)
	require.ErrorContains(t, err, "insufficient_scope", "GM-6.1-2")

	require.NoError(t, own.Revoke(ctx, id))
	_, err = own.Query(ctx, id)
	require.ErrorIs(t, err, grants.ErrNotFound)
	_, err = app.Refresh(ctx, merged.RefreshToken, client.Request{})
	require.ErrorContains(t, err, "invalid_grant", "GM-6.5-2")
	api, err := app.HTTPClient(oauth2.StaticTokenSource(merged))
	require.NoError(t, err)
	response, err := api.Get(w.rsHTTP.URL + "/accounts")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 401, response.StatusCode, "GM-6.5-3")
}

func TestClientWithoutGrantManagement(t *testing.T) {
	w := newWorld(t)
	_, err := w.client("client-1").Grants(oauth2.StaticTokenSource(&oauth2.Token{}))
	require.ErrorContains(t, err, "grant_management_endpoint")
}
