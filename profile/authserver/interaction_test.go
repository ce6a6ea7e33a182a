package authserver_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// Each endpoint that a client calls treats interaction IDs as configured, in successes and in rejections.
func TestInteractionIDs(t *testing.T) {
	const name, id = "X-Fapi-Interaction-Id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
	for setting, without := range map[string]func(t *testing.T, got answer){ // what a request without an ID receives
		"": func(t *testing.T, got answer) { require.Empty(t, got.header.Values(name)) },
		"make": func(t *testing.T, got answer) {
			require.Len(t, got.header.Values(name), 1)
			require.Regexp(t, uuid4, got.header.Get(name))
		},
		"require": func(t *testing.T, got answer) {
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Equal(t, "invalid_request", got.code)
			require.Empty(t, got.header.Values(name))
		},
	} {
		option, events := observer(t)
		w := newWorld(t, option, withUserInfo(about), demanding(profile.Baseline), func(as *authserver.Config, _ *resourceserver.Config) {
			as.InteractionIDs, as.Grants = setting, new(grants.ManagerConfig)
		})
		metadata := w.as.Metadata()
		for endpoint, target := range map[string]string{
			"pushed_authorization_request": metadata.PushedAuthorizationRequestEndpoint, "token": metadata.TokenEndpoint,
			"revocation": metadata.RevocationEndpoint, "introspection": metadata.IntrospectionEndpoint,
			"userinfo": metadata.UserInfoEndpoint, "grants": metadata.GrantManagementEndpoint + "/x",
		} {
			call := func(ids ...string) answer {
				method := http.MethodPost
				if endpoint == "userinfo" || endpoint == "grants" {
					method = http.MethodGet
				}
				r, err := http.NewRequest(method, target, nil)
				require.NoError(t, err)
				r.Header[name] = ids
				return w.do(r)
			}
			t.Run(endpoint, func(t *testing.T) {
				got := call(id)
				require.Contains(t, []int{400, 401}, got.status, "a request without credentials")
				require.Equal(t, []string{id}, got.header.Values(name))
				seen := events()
				require.Len(t, seen, 1)
				require.Equal(t, id, seen[0].InteractionID)
				require.Equal(t, endpoint, seen[0].Endpoint)
				for _, ids := range [][]string{nil, {"x"}, {id, id}, {id + "0"}} {
					got := call(ids...)
					without(t, got)
					seen := events()
					require.Len(t, seen, 1)
					require.Equal(t, "rejected", seen[0].Outcome)
					require.Equal(t, got.header.Get(name), seen[0].InteractionID)
				}
			})
		}
	}
	option, events := observer(t)
	w := newWorld(t, option, func(as *authserver.Config, _ *resourceserver.Config) { as.InteractionIDs = "require" })
	w.visit(w.as.Metadata().AuthorizationEndpoint)
	require.NotContains(t, events()[0].Reason, "interaction", "a browser has no ID")
}

// The rules of one client apply to its requests with access tokens, too.
func TestInteractionIDsOfOneClient(t *testing.T) {
	var set *rules.Set
	w := newWorld(t, withUserInfo(about), func(as *authserver.Config, _ *resourceserver.Config) {
		as.Grants = new(grants.ManagerConfig)
		as.ClientRules = func(*profile.ClientMetadata) *rules.Set { return set }
	})
	w.clients["client-1"].Scope += " grant_management_query"
	user := w.tokens("client-1", "d").body["access_token"].(string)
	own := w.send(w.tokenURL(), w.credentialsForm("client-1", "grant_management_query"), w.tokenProof("d")).body["access_token"].(string)
	set = &rules.Set{Name: "x", InteractionIDs: "require"}
	metadata := w.as.Metadata()
	for target, token := range map[string]string{metadata.UserInfoEndpoint: user, metadata.GrantManagementEndpoint + "/x": own} {
		call := func(fields ...string) answer {
			proof := w.proof("d", http.MethodGet, target, dpop.ProofOptions{AccessToken: token})
			return w.userInfo(http.MethodGet, target, append(fields, "Authorization", "DPoP "+token, "DPoP", proof)...)
		}
		got := call()
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %v", target, got.body)
		require.Equal(t, "invalid_request", got.code)
		require.Contains(t, []int{200, 404}, call("X-Fapi-Interaction-Id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a").status)
	}
}
