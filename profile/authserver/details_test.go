package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

const otherAPI = roletest.OtherAPI

// newRichWorld is a world with authorization details and grant management, in which users agree to everything. client-2 is
// the server of the API, client-3 that of the other one.
func newRichWorld(t testing.TB, options ...worldOption) *world {
	registry := roletest.Types(t)
	first := func(as *authserver.Config, rs *resourceserver.Config) {
		as.AuthorizationDetails, as.Grants, rs.AuthorizationDetails = registry, new(grants.ManagerConfig), registry
		as.Introspection = &authserver.Introspection{ResourceServers: func(_ context.Context, clientID string) ([]string, error) {
			return map[string][]string{"client-2": {rs.Resource}, "client-3": {otherAPI}}[clientID], nil
		}}
	}
	w := newWorld(t, append([]worldOption{first}, options...)...)
	w.registry = registry
	for _, id := range []string{"client-1", "client-2", "client-3"} {
		w.enrich(w.register(id, testkit.ECKey(t, id).Public()))
	}
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) { return w.agree(a, nil) }
	return w
}

func opaque(as *authserver.Config, _ *resourceserver.Config) {
	as.OpaqueAccessTokens = true
}

// enrich registers a client for everything that there is.
func (w *world) enrich(c *profile.ClientMetadata) {
	c.AuthorizationDetailsTypes = []string{"account", "payment", "audit"}
	c.Scope = "openid accounts payments grant_management_query grant_management_revoke"
	require.NoError(w.t, c.Validate())
}

// agree is what alice does, with changes.
func (w *world) agree(a *authserver.Authorization, change func(*authserver.Approval)) (*authserver.AuthorizationResponse, error) {
	approval := authserver.Approval{Subject: "alice", Scopes: a.Scopes(), Details: a.Details(), AuthTime: w.clock.Now()}
	if change != nil {
		change(&approval)
	}
	return w.as.Approve(context.Background(), a, approval)
}

// agreeing has the next users agree with changes.
func (w *world) agreeing(change func(*authserver.Approval)) {
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.agree(a, change)
	}
}

// with sets parameters: name and value in turn. resource may come several times.
func with(fields ...string) func(url.Values) {
	return func(f url.Values) {
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == "resource" {
				f.Add(fields[i], fields[i+1])
			} else {
				f.Set(fields[i], fields[i+1])
			}
		}
	}
}

// redeem runs an authorization of client-1 with parameters of the pushed request, and redeems its code.
func (w *world) redeem(fields ...string) answer {
	return w.spend(w.code("client-1", with(fields...)))
}

// spend redeems a code of client-1, with further parameters.
func (w *world) spend(code string, fields ...string) answer {
	form := w.codeForm("client-1", code)
	with(fields...)(form)
	return w.send(w.tokenURL(), form, w.tokenProof("d"))
}

// renew refreshes tokens of client-1, with further parameters.
func (w *world) renew(tokens answer, fields ...string) answer {
	form := w.refreshForm("client-1", tokens.body["refresh_token"].(string))
	with(fields...)(form)
	got := w.send(w.tokenURL(), form, w.tokenProof("d"))
	if got.status == http.StatusOK { // it is not rotated
		got.body["refresh_token"] = tokens.body["refresh_token"]
	}
	return got
}

// told is a member of an answer as JSON, "" if it is not there.
func (a answer) told(name string) string {
	value, ok := a.body[name]
	if !ok {
		return ""
	}
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// seen is what the introspection endpoint tells a client of an access token.
func (w *world) seen(id, raw string) answer {
	got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated(id, url.Values{"token": {raw}}))
	require.Equal(w.t, http.StatusOK, got.status, "%v", got.body)
	return got
}

// requireDetails checks the details in the response, in the token, if that can be read, and at introspection.
func (w *world) requireDetails(want string, got answer, why string) {
	w.t.Helper()
	require.Equal(w.t, http.StatusOK, got.status, "%v", got.body)
	raw := got.body["access_token"].(string)
	said := map[string]string{"response": got.told("authorization_details"), "introspection": w.seen("client-2", raw).told("authorization_details")}
	if strings.Contains(raw, ".") {
		_, payload := claims(w.t, raw)
		said["token"] = string(payload["authorization_details"])
	}
	for where, details := range said {
		if where == "response" && details == "[]" { // asked for, and none granted
			details = ""
		}
		if want == "" {
			require.Empty(w.t, details, "%s: %s", where, why)
		} else {
			require.JSONEq(w.t, want, details, "%s: %s", where, why)
		}
	}
}

// richKinds runs a test with both kinds of access tokens.
func richKinds(t *testing.T, test func(t *testing.T, w *world), options ...worldOption) {
	t.Run("JWT", func(t *testing.T) { test(t, newRichWorld(t, options...)) })
	t.Run("opaque", func(t *testing.T) { test(t, newRichWorld(t, append([]worldOption{opaque}, options...)...)) })
}

const readAndList = `[{"type":"account","actions":["read","list"]}]`

func TestDetailsAllTheWay(t *testing.T) {
	both := `[{"type":"account","actions":["read","list"]},{"type":"payment","payee":"ACME <&> Söhne","amount":"1.00"}]`
	richKinds(t, func(t *testing.T, w *world) {
		require.Equal(t, []string{"account", "payment", "audit"}, w.as.Metadata().AuthorizationDetailsTypesSupported, "RAR-10-1")
		for _, tc := range []struct {
			name string
			push func() url.Values
		}{
			{"RAR-3-1 as a parameter", func() url.Values { return w.pushForm("client-1") }},
			{"RAR-3-1 in a request object", func() url.Values {
				form := w.pushForm("client-1")
				form.Set("authorization_details", both)
				return w.signed("client-1", form)
			}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				var shown rar.Details
				w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
					shown = a.Details()
					require.Equal(t, []string{"accounts", "openid"}, a.Scopes(), "RAR-3.1-1 RAR-3.1-2 one consent for both")
					return w.agree(a, nil)
				}
				form := tc.push()
				if !form.Has("request") {
					form.Set("authorization_details", both)
				}
				code := w.browse(w.authorizationURL("client-1", form)).Get("code")
				raw, err := json.Marshal(shown)
				require.NoError(t, err)
				require.JSONEq(t, both, string(raw), "RAR-3.1-2")
				got := w.spend(code)
				w.requireDetails(both, got, "RAR-7-1 RAR-7-2 RAR-9-1 RAR-9.1-1 RAR-9.2-1 RAR-11.2-1")
				require.Equal(t, "accounts openid", got.body["scope"], "RAR-3.1-1")
				w.requireDetails(both, w.renew(got), "RAR-11.2-1 after a refresh")
			})
		}
		for name, fields := range map[string][]string{"no details": nil, "an empty parameter": {"authorization_details", ""}} {
			got := w.redeem(fields...)
			w.requireDetails("", got, name)
			require.Equal(t, "invalid_authorization_details", w.renew(got, "authorization_details", readAndList).code, "RAR-6-2 %s: nothing was granted", name)
		}
	})
}

// What is wrong with details is told at every endpoint that takes them, and uses up nothing.
func TestDetailsRefused(t *testing.T) {
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
	})
	w.clients["client-1"].AuthorizationDetailsTypes = []string{"account", "payment"}
	for _, tc := range []struct{ name, details string }{
		{"RAR-5-1 an unknown type", `[{"type":"transfer"}]`},
		{"RAR-5-1 a type in another case", `[{"type":"Account"}]`},
		{"RAR-5-1 the second one unknown", `[{"type":"account"},{"type":"transfer"}]`},
		{"RAR-5-2 an unknown field", `[{"type":"account","limit":1}]`},
		{"RAR-5-2 a field in another case", `[{"type":"account","Actions":["read"]}]`},
		{"RAR-5-3 a string for a list", `[{"type":"account","actions":"read"}]`},
		{"RAR-5-3 a number for a string", `[{"type":"payment","payee":"ACME","amount":1}]`},
		{"RAR-5-4 an invalid value", `[{"type":"payment","payee":"ACME","amount":""}]`},
		{"RAR-5-5 a missing field", `[{"type":"payment","payee":"ACME"}]`},
		{"RAR-5-5 no type", `[{"actions":["read"]}]`},
		{"RAR-5-3 a type that is no string", `[{"type":["account"]}]`},
		{"RAR-10-2 a type that the client is not registered for", `[{"type":"audit"}]`},
		{"RAR-3-1 an object", `{"type":"account"}`},
		{"RAR-3-1 a string", `"[]"`},
		{"RAR-3-1 null", `null`},
		{"RAR-3-1 no JSON", `[{"type":"account"}`},
		{"RAR-3-1 two arrays", `[{"type":"account"}][{"type":"payment"}]`},
		{"a member twice", `[{"type":"payment","payee":"ACME","amount":"1","amount":"2"}]`},
		{"a type twice", `[{"type":"account","type":"payment"}]`},
		{"a member twice, in two cases", `[{"type":"payment","payee":"ACME","amount":"1","Amount":"2"}]`},
		{"more than there is room for", `[{"type":"payment","amount":"1","payee":"` + strings.Repeat("x", 16<<10) + `"}]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			push := w.pushForm("client-1")
			push.Set("authorization_details", tc.details)
			got := w.send(w.parURL(), push)
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Equal(t, "invalid_authorization_details", got.code, "%v", got.body)
			push.Set("authorization_details", readAndList)
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), push).status, "the assertion was used up")

			credentials := w.credentialsForm("client-1", "accounts")
			code := w.code("client-1", with("authorization_details", readAndList))
			redemption := w.codeForm("client-1", code)
			for name, form := range map[string]url.Values{"client credentials": credentials, "code": redemption} {
				proof := w.tokenProof("d")
				form.Set("authorization_details", tc.details)
				got = w.send(w.tokenURL(), form, proof)
				require.Equal(t, http.StatusBadRequest, got.status, "RAR-8-1 %s %v", name, got.body)
				require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1 %s", name)
				form.Set("authorization_details", readAndList)
				tokens := w.send(w.tokenURL(), form, proof)
				w.requireDetails(readAndList, tokens, "used up by "+name)
				if name == "code" {
					require.Equal(t, "invalid_authorization_details", w.renew(tokens, "authorization_details", tc.details).code, "RAR-8-1 refresh")
				}
			}
		})
	}
	push := w.pushForm("client-1")
	push["authorization_details"] = []string{readAndList, readAndList}
	require.Equal(t, "invalid_request", w.send(w.parURL(), push).code, "BASE-6749-3.1-1")
}

// objectWith signs a request object with members that are no strings.
func (w *world) objectWith(id string, params url.Values, members map[string]any) string {
	signer, err := jose.NewSigner(testkit.ECKey(w.t, id), jose.SignerOptions{Type: "oauth-authz-req+jwt", KeyID: id + "-key"})
	require.NoError(w.t, err)
	object := map[string]any{
		"iss": id, "aud": w.asHTTP.URL, "client_id": id, "nbf": w.clock.Now().Unix(), "exp": w.clock.Now().Unix() + 60, "jti": jose.RandomString(16),
	}
	for name := range params {
		object[name] = params.Get(name)
	}
	for name, value := range members {
		object[name] = value
	}
	raw, err := signer.Sign(testkit.Must(json.Marshal(object)))
	require.NoError(w.t, err)
	return raw
}

// In a request object details are JSON, and not a string with JSON in it.
func TestDetailsInRequestObjects(t *testing.T) {
	w := newRichWorld(t)
	object := func(value any) url.Values {
		form := w.pushForm("client-1")
		for _, name := range []string{"client_assertion", "client_assertion_type"} {
			form.Del(name)
		}
		return w.authenticated("client-1", url.Values{"request": {w.objectWith("client-1", form, map[string]any{"authorization_details": value})}})
	}
	list := []any{map[string]any{"type": "account"}}
	got := w.send(w.parURL(), object(list))
	require.Equal(t, http.StatusCreated, got.status, "RAR-3-1 %v", got.body)
	for name, tc := range map[string]struct {
		value any
		code  string
	}{
		"CASES F3: RAR-3-1 a string":       {`[{"type":"account"}]`, ""},
		"CASES F3: a string, not an array": {`{"type":"account"}`, "invalid_request_object"},
		"RAR-3-1 an object":                {list[0], "invalid_request_object"},
		"RAR-5-1 an unknown type":          {[]any{map[string]any{"type": "x"}}, "invalid_authorization_details"},
		"RAR-5-2 an unknown field":         {[]any{map[string]any{"type": "account", "x": 1}}, "invalid_authorization_details"},
		"RAR-5-5 an element of no type":    {[]any{map[string]any{}}, "invalid_authorization_details"},
	} {
		require.Equal(t, tc.code, w.send(w.parURL(), object(tc.value)).code, name)
	}
	beside := object(list)
	beside.Set("authorization_details", readAndList)
	require.Equal(t, "invalid_request", w.send(w.parURL(), beside).code, "PAR-3-1 details beside the object")
}

// Neither the browser nor whoever sends it there has a say in what is asked for.
func TestDetailsInTheBrowser(t *testing.T) {
	w, ctx := newRichWorld(t), context.Background()
	app := w.client("client-1")
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}, AuthorizationDetails: json.RawMessage(readAndList), GrantManagementAction: "create"})
	require.NoError(t, err)
	require.NotContains(t, session.URL, "account", "RAR-11.4-1 RAR-12-1")
	callback := w.browse(session.URL + "&authorization_details=" + url.QueryEscape(payACME) + "&grant_management_action=replace&grant_id=x")
	callback.Del("tenant")
	token, err := app.Finish(ctx, session, callback)
	require.NoError(t, err)
	require.JSONEq(t, readAndList, string(client.AuthorizationDetails(token)), "RAR-12-1")
	id, _ := token.Extra("grant_id").(string)
	require.Equal(t, http.StatusOK, w.query(id).status, "GM-5.5-3")
	narrowed, err := app.Refresh(ctx, token.RefreshToken, client.Request{AuthorizationDetails: json.RawMessage(readOnly)})
	require.NoError(t, err)
	require.JSONEq(t, readOnly, string(client.AuthorizationDetails(narrowed)), "RAR-6-1")
	w.agreeing(func(p *authserver.Approval) { p.Details = nil })
	session, err = app.Begin(ctx, client.Request{Scopes: []string{"accounts"}, AuthorizationDetails: json.RawMessage(readAndList), GrantManagementAction: "merge", GrantID: id})
	require.NoError(t, err)
	callback = w.browse(session.URL)
	callback.Del("tenant")
	token, err = app.Finish(ctx, session, callback)
	require.NoError(t, err)
	require.JSONEq(t, readAndList, string(client.AuthorizationDetails(token)), "GM-5.2-5 nothing was added to what there was")
}

func clientsOf(w *world) func(context.Context, string) (*profile.ClientMetadata, error) {
	return func(_ context.Context, id string) (*profile.ClientMetadata, error) {
		if c, ok := w.clients[id]; ok {
			return c, nil
		}
		return nil, clientauth.ErrUnknownClient
	}
}
