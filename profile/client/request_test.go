package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// payment contains a number that does not survive a conversion to float64.
const payment = `[ {"type":"payment", "amount":{"value":9007199254740993.10,"currency":"EUR"},"to":"Zoë & Söhne"},{"actions":["read"],"type":"accounts"} ]`

func TestAuthorizationDetailsSent(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	request := client.Request{Scopes: []string{"a"}, AuthorizationDetails: json.RawMessage(payment)}
	_, err := app.Begin(ctx, request)
	require.NoError(t, err)
	_, err = app.Refresh(ctx, "rt", request)
	require.NoError(t, err)
	_, err = app.ClientCredentials(ctx, request)
	require.NoError(t, err)
	for _, m := range append(p.messages("/par"), p.messages("/token")...) {
		require.Equal(t, []string{payment}, m.form["authorization_details"], "RAR-2-1 RAR-6-1 as it is")
	}

	p.metadata = func(m map[string]any) { m["request_object_signing_alg_values_supported"] = []string{"ES256"} }
	cfg := p.config()
	cfg.Profile = profile.SignedRequests
	app, err = client.New(ctx, cfg)
	require.NoError(t, err)
	_, err = app.Begin(ctx, request)
	require.NoError(t, err)
	pushed := p.messages("/par")[1]
	require.NotContains(t, pushed.form, "authorization_details")
	claims := jwtClaims(t, pushed.form.Get("request"))
	require.Len(t, claims["authorization_details"], 2, "RAR-3-1 an array inside a request object, not a string")

	before := len(p.messages("/par")) + len(p.messages("/token"))
	for name, details := range map[string]string{
		"RAR-2-1 an object":                       `{"type":"payment"}`,
		"RAR-2-1 null":                            `null`,
		"RAR-2-1 a string":                        `"[]"`,
		"RAR-2-1 an empty array":                  ` [ ] `,
		"RAR-2-1 a string inside":                 `["payment"]`,
		"RAR-2-1 null inside":                     `[null]`,
		"RAR-2-1 an array inside":                 `[[{"type":"payment"}]]`,
		"RAR-2-1 a second array after the first":  `[{"type":"payment"}][{"type":"accounts"}]`,
		"RAR-2-1 nothing":                         ``,
		"RAR-2-1 cut off":                         `[{"type":"payment"}`,
		"RAR-2-2 no type":                         `[{"actions":["read"]}]`,
		"RAR-2-2 an empty type":                   `[{"type":""}]`,
		"RAR-2-2 a type that is no string":        `[{"type":["payment"]}]`,
		"RAR-2-2 Type":                            `[{"Type":"payment"}]`,
		"RAR-2-2 the second one without":          `[{"type":"payment"},{}]`,
		"a repeated member, nested":               `[{"type":"payment","amount":{"value":1,"value":2}}]`,
		"a member in another case beside, nested": `[{"type":"payment","amount":{"value":1,"Value":2}}]`,
		"invalid UTF-8":                           "[{\"type\":\"payment\xff\"}]",
		"too long":                                `[{"type":"` + strings.Repeat("x", 64<<10) + `"}]`,
		"too deep":                                `[{"type":"x","a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`,
	} {
		t.Run(name, func(t *testing.T) {
			request := client.Request{AuthorizationDetails: json.RawMessage(details)}
			_, err := app.Begin(ctx, request)
			require.ErrorContains(t, err, "AuthorizationDetails")
			require.Less(t, len(err.Error()), 300)
			_, err = app.Refresh(ctx, "rt", request)
			require.Error(t, err)
			_, err = app.ClientCredentials(ctx, request)
			require.Error(t, err)
		})
	}
	require.Equal(t, before, len(p.messages("/par"))+len(p.messages("/token")), "nothing was sent")
}

func TestAuthorizationDetailsGranted(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	granted := func(member string) *oauth2.Token {
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `{"access_token":"at","token_type":"DPoP","grant_id":"g-1"`+member+`}`)
		}
		token, err := app.Refresh(ctx, "rt", client.Request{})
		require.NoError(t, err)
		require.Equal(t, "g-1", token.Extra("grant_id"))
		return token
	}
	token := granted(`,"authorization_details":` + payment)
	details := client.AuthorizationDetails(token)
	require.Equal(t, strings.TrimSpace(payment), string(details), "RAR-7-1 byte by byte")
	details[0] = 'x'
	require.Equal(t, strings.TrimSpace(payment), string(client.AuthorizationDetails(token)), "the token keeps its own")
	require.Len(t, token.Extra("authorization_details"), 2, "as package oauth2 has it")
	require.Equal(t, "[]", string(client.AuthorizationDetails(granted(`,"authorization_details":[]`))), "nothing was granted")
	for name, member := range map[string]string{
		"none": "", "null": `,"authorization_details":null`, "an object": `,"authorization_details":{"type":"a"}`,
		"no type": `,"authorization_details":[{}]`, "under our own name": `,"client: authorization_details":[{"type":"a"}]`,
	} {
		require.Nil(t, client.AuthorizationDetails(granted(member)), name)
	}
	require.Nil(t, client.AuthorizationDetails(nil))
	require.Nil(t, client.AuthorizationDetails(&oauth2.Token{}))
}

func TestGrantManagementSent(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	actions := []string{"create", "merge", "replace", "query"}
	required := false
	p.metadata = func(m map[string]any) {
		m["grant_management_actions_supported"], m["grant_management_action_required"] = actions, required
	}
	app := p.client()
	for action, id := range map[string]string{"create": "", "merge": "g-1", "replace": "g-1"} {
		_, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}, GrantManagementAction: action, GrantID: id})
		require.NoError(t, err)
		sent := p.messages("/par")
		form := sent[len(sent)-1].form
		require.Equal(t, []string{action}, form["grant_management_action"], "GM-5.2-4")
		require.Equal(t, id, form.Get("grant_id"))
		require.Equal(t, id != "", form.Has("grant_id"))
	}
	before := len(p.messages("/par")) + len(p.messages("/token"))
	for name, request := range map[string]client.Request{
		"GM-5.2-4 merge without a grant":   {GrantManagementAction: "merge"},
		"GM-5.2-4 replace without a grant": {GrantManagementAction: "replace"},
		"create with a grant":              {GrantManagementAction: "create", GrantID: "g-1"},
		"a grant without an action":        {GrantID: "g-1"},
		"query is no action of a request":  {GrantManagementAction: "query", GrantID: "g-1"},
		"the update of a draft":            {GrantManagementAction: "update", GrantID: "g-1"},
	} {
		_, err := app.Begin(ctx, request)
		require.ErrorContains(t, err, "Grant", name)
	}
	for _, request := range []client.Request{{GrantManagementAction: "create"}, {GrantID: "g-1"}} {
		_, err := app.Refresh(ctx, "rt", request)
		require.Error(t, err)
		_, err = app.ClientCredentials(ctx, request)
		require.Error(t, err)
	}
	actions, required = []string{"create"}, true
	app = p.client()
	_, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}, GrantManagementAction: "merge", GrantID: "g-1"})
	require.ErrorIs(t, err, profile.ErrServerMetadata, "GM-7.1-1 what the server would leave out")
	_, err = app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.ErrorContains(t, err, "GrantManagementAction", "the server requires one")
	require.Equal(t, before, len(p.messages("/par"))+len(p.messages("/token")), "nothing was sent")
}

func TestRevoke(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	err := p.client().Revoke(ctx, "rt", "")
	require.ErrorIs(t, err, profile.ErrServerMetadata, "a server without that")

	status, body := 200, "<html>" // REV-2.2-3
	p.metadata = func(m map[string]any) { m["revocation_endpoint"] = p.api.URL + "/revoke" }
	p.respond = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		reply(w, status, body)
	}
	app := p.client()
	for _, hint := range []string{"", "refresh_token", "access_token"} {
		require.NoError(t, app.Revoke(ctx, "rt-1", hint), "REV-2.2-3 whatever the body is")
		sent := p.messages("/revoke")
		form := sent[len(sent)-1].form
		require.Equal(t, "rt-1", form.Get("token"), "REV-2.1-1")
		require.Equal(t, hint, form.Get("token_type_hint"))
		require.Equal(t, "c-1", form.Get("client_id"))
		require.Equal(t, p.as.URL, jwtClaims(t, form.Get("client_assertion"))["aud"], "SP-5.3.3.1-5 the issuer, wherever the endpoint is")
	}
	status, body = 503, `{"error":"temporarily_unavailable"}`
	err = app.Revoke(ctx, "rt-1", "")
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, err, &said, "REV-2.2.1-2")
	require.Equal(t, "temporarily_unavailable", said.ErrorCode)
	require.EqualValues(t, 9e9, app.RetryAfter(err))
	before := len(p.messages("/revoke"))
	for _, args := range [][2]string{{"", ""}, {"rt", "id_token"}} {
		require.Error(t, app.Revoke(ctx, args[0], args[1]))
	}
	p.metadata = func(m map[string]any) {
		m["revocation_endpoint"], m["revocation_endpoint_auth_methods_supported"] = p.api.URL+"/revoke", []string{"client_secret_basic"}
	}
	require.ErrorIs(t, p.client().Revoke(ctx, "rt-1", ""), profile.ErrServerMetadata)
	require.Len(t, p.messages("/revoke"), before)
	p.metadata = func(m map[string]any) { m["revocation_endpoint"] = "http://api.example/revoke" }
	unsafe, err := client.New(ctx, p.config())
	if err == nil {
		err = unsafe.Revoke(ctx, "rt-1", "")
	}
	require.ErrorIs(t, err, profile.ErrServerMetadata, "REV-2-4 an endpoint without TLS")
}
