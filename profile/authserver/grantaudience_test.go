package authserver_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func TestG7GrantsEndpointHasAnIdentifierOfItsOwn(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		own := w.as.Metadata().GrantManagementEndpoint
		require.Contains(t, w.as.Metadata().ProtectedResources, own, "G7 clients can find it")
		_, id := w.create("scope", "accounts")
		both := "accounts grant_management_query"
		credentials := func(scope string, resources ...string) answer {
			form := w.credentialsForm("client-1", scope)
			form["resource"] = resources
			return w.send(w.tokenURL(), form, w.tokenProof("d"))
		}
		for _, tc := range []struct {
			name           string
			tokens         answer
			scope          string
			query, api     int
			apiMaySeeToken bool
		}{
			{"G7 AT-4-7 no resource, a scope of grant management: the endpoint alone", credentials("grant_management_query"), "grant_management_query", 200, 401, false},
			{"G7 AT-4-7 no resource, other scopes: not the endpoint", credentials("accounts"), "accounts", 401, 200, true},
			{"G7 AT-4-7 no resource, scopes of both: both", credentials(both), both, 200, 200, true},
			{"G7 AT-4-7 the endpoint by name", credentials("grant_management_query", own), "grant_management_query", 200, 401, false},
			{"G7 AT-4-7 the endpoint by name and a foreign scope: its own scopes", credentials(both, own), "grant_management_query", 200, 401, false},
			{"G7 AT-4-7 both by name", credentials(both, own, w.rsHTTP.URL), both, 200, 200, true},
			{"G7 AT-4-7 by a user", w.redeem("scope", "openid grant_management_query"), "grant_management_query openid", 200, 401, false},
			{"G7 AT-4-7 by a user, for both", w.redeem("scope", both), both, 200, 200, true},
			{"G7 AT-4-7 details need their resource server", w.redeem("scope", "grant_management_query", "authorization_details", readOnly), "grant_management_query", 200, 403, true},
		} {
			t.Run(tc.name, func(t *testing.T) {
				require.Equal(t, http.StatusOK, tc.tokens.status, "%v", tc.tokens.body)
				require.Equal(t, tc.scope, tc.tokens.body["scope"])
				raw := tc.tokens.body["access_token"].(string)
				require.Equal(t, tc.query, w.grant("GET", id, raw).status)
				guard := w.rs
				defer func() { w.rs = guard }()
				var err error
				w.rs, err = w.as.ResourceServer(resourceserver.Config{Resource: w.rsHTTP.URL})
				require.NoError(t, err)
				require.Equal(t, tc.api, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)
				require.Equal(t, tc.apiMaySeeToken, w.seen("client-2", raw).body["active"], "AT-4-3 introspection agrees")
				require.Equal(t, http.StatusOK, w.revoke("client-1", raw).status, "RFC 7009 knows tokens for the endpoint")
				require.Equal(t, http.StatusUnauthorized, w.grant("GET", id, raw).status)
			})
		}
	})
}

func TestG7TargetsThatDoNotFitTheirScopes(t *testing.T) {
	w := newRichWorld(t)
	own := w.as.Metadata().GrantManagementEndpoint
	for _, tc := range []struct {
		name, scope, code string
		resources         []string
	}{
		{"G7 the endpoint without a scope for it", "accounts", "invalid_target", []string{own}},
		{"G7 the endpoint beside another one, without a scope for it", "accounts", "invalid_target", []string{w.rsHTTP.URL, own}},
		{"G7 scopes of grant management for another resource", "grant_management_query", "invalid_scope", []string{w.rsHTTP.URL}},
		{"G7 the URL of a grant", "grant_management_query", "invalid_target", []string{own, own + "/x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			form.Set("scope", tc.scope)
			form["resource"] = tc.resources
			require.Equal(t, tc.code, w.send(w.parURL(), form).code, "at the push")
			form = w.credentialsForm("client-1", tc.scope)
			form["resource"] = tc.resources
			require.Equal(t, tc.code, w.send(w.tokenURL(), form, w.tokenProof("d")).code, "at the token endpoint")
		})
	}
	form := w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"account","actions":["read"],"locations":["`+own+`"]}]`)
	require.Equal(t, "invalid_authorization_details", w.send(w.parURL(), form).code, "attack: a detail at the endpoint")
	without := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Grants = nil })
	form = without.credentialsForm("client-1", "accounts")
	form.Set("resource", without.asHTTP.URL+"/grants")
	require.Equal(t, "invalid_target", without.send(without.tokenURL(), form, without.tokenProof("d")).code, "no grant management, no such resource")
}

// Tokens of one code or refresh token can be for the API or for the endpoint, each with its own scopes.
func TestG7TokensOfOneGrantAreSplit(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		own := w.as.Metadata().GrantManagementEndpoint
		for _, action := range []string{"", "create"} {
			tokens := w.redeem("scope", "accounts payments grant_management_query", "grant_management_action", action)
			require.Equal(t, "accounts grant_management_query payments", tokens.body["scope"], "%v", tokens.body)
			require.Equal(t, "grant_management_query", w.renew(tokens, "resource", own).body["scope"], "RI-2.2-2")
			require.Equal(t, "accounts payments", w.renew(tokens, "resource", w.rsHTTP.URL).body["scope"], "RI-2.2-2")
			require.Equal(t, tokens.body["scope"], w.renew(tokens, "resource", own, "resource", w.rsHTTP.URL).body["scope"])
			require.Equal(t, "invalid_scope", w.renew(tokens, "resource", own, "scope", "accounts").code)
			require.Equal(t, "invalid_scope", w.renew(tokens, "resource", w.rsHTTP.URL, "scope", "grant_management_query").code)
			plain := w.redeem("scope", "accounts", "grant_management_action", action)
			require.Equal(t, "invalid_target", w.renew(plain, "resource", own).code, "G7 it was not granted")
		}
		_, id := w.create("scope", "accounts grant_management_query")
		merged, _ := w.manage("merge", id, "scope", "payments grant_management_revoke")
		require.Equal(t, "accounts grant_management_query grant_management_revoke payments", merged.body["scope"])
		require.ElementsMatch(t, []any{
			map[string]any{"scope": "accounts payments", "resource": []any{w.rsHTTP.URL}},
			map[string]any{"scope": "grant_management_query grant_management_revoke", "resource": []any{own}},
		}, w.query(id).body["scopes"], "GM-6.4-2")
	})
}

func TestG7ConsentWithoutTheScopeIsNotForTheEndpoint(t *testing.T) {
	w := newRichWorld(t)
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		require.Equal(t, []string{w.rsHTTP.URL, w.as.Metadata().GrantManagementEndpoint}, a.Resources())
		require.Empty(t, a.NamedResources(), "the page does not name the endpoint")
		return w.agree(a, func(p *authserver.Approval) {
			p.Scopes = slices.DeleteFunc(a.Scopes(), func(s string) bool { return s == "grant_management_query" })
		})
	}
	raw := w.redeem("scope", "accounts grant_management_query").body["access_token"].(string)
	_, payload := claims(t, raw)
	require.JSONEq(t, `"`+w.rsHTTP.URL+`"`, string(payload["aud"]))
}

func TestG7TheEndpointIsNotAmongResources(t *testing.T) {
	w := newRichWorld(t)
	cfg := authserver.Config{Issuer: w.asHTTP.URL, Resources: []string{w.asHTTP.URL + "/grants"}, Grants: new(grants.ManagerConfig)}
	_, err := authserver.New(cfg)
	require.ErrorContains(t, err, "is the grant management endpoint")
}

// What a server has issued for the endpoint is worth nothing once there is no grant management.
func TestG7GrantManagementIsTurnedOff(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		memory := memstore.New(memstore.Config{Now: w.clock.Now})
		cfg := func(on bool) worldOption {
			return func(as *authserver.Config, rs *resourceserver.Config) {
				as.Store, as.Hooks.Now = memory, w.clock.Now
				as.Issuer, rs.Issuers[0].ID = w.asHTTP.URL, w.asHTTP.URL
				as.Resources = []string{w.rsHTTP.URL, otherAPI}
				if !on {
					as.Grants = nil
				}
			}
		}
		before := newRichWorld(t, cfg(true))
		w.as = before.as
		w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) { return w.agree(a, nil) }
		tokens := w.redeem("scope", "accounts grant_management_query")
		require.Equal(t, "accounts grant_management_query", tokens.body["scope"], "%v", tokens.body)
		alone := w.redeem("scope", "grant_management_query")
		own := w.as.Metadata().GrantManagementEndpoint
		w.as = newRichWorld(t, cfg(false)).as
		require.Equal(t, "accounts", w.renew(tokens).body["scope"])
		require.Equal(t, "invalid_target", w.renew(tokens, "resource", own).code)
		require.Equal(t, "invalid_target", w.renew(alone).code)
	})
}
