package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	requested "github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// user has the claims of a user.
var user = map[string]any{"given_name": "Alice", "email": "alice@example.com", "cpf": "76109277673", "groups": []string{"a", "b"}}

// withClaims is a server that supports the claims parameter, and whose host sends the requested claims and no others.
func withClaims(as *authserver.Config, _ *resourceserver.Config) {
	as.Claims = []string{"given_name", "email", "cpf", "groups", "acr"}
	as.UserInfo = func(_ context.Context, _ *resourceserver.Token, wanted requested.Set) (map[string]any, error) {
		return wanted.Select(user), nil
	}
}

func TestRequestedClaims(t *testing.T) { // CA-OIDC-5.5-1
	const parameter = `{"id_token":{"cpf":{"essential":true,"value":"76109277673"},"email":{"value":"bob@example.com"},"groups":null},
		"userinfo":{"given_name":null,"cpf":{"value":"0"}},"sharing_duration":60}`
	for name, option := range map[string]worldOption{"JWT": withClaims, "opaque": func(as *authserver.Config, rs *resourceserver.Config) {
		withClaims(as, rs)
		as.OpaqueAccessTokens = true
	}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, option)
			metadata := w.as.Metadata()
			require.True(t, metadata.ClaimsParameterSupported)
			require.Equal(t, []string{"given_name", "email", "cpf", "groups", "acr"}, metadata.ClaimsSupported)
			w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
				if c := a.Claims(); !c.IsZero() && string(c.Other["sharing_duration"]) != "60" {
					t.Errorf("sharing_duration is %s", c.Other["sharing_duration"])
				}
				return w.as.Approve(context.Background(), a, authserver.Approval{
					Subject: "alice", Scopes: a.Scopes(), IDTokenClaims: a.Claims().IDToken.Select(user),
				})
			}
			tokens := w.spend(w.code("client-1", with("claims", parameter)))
			require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
			_, idToken := claims(t, tokens.body["id_token"])
			require.Equal(t, `"76109277673"`, string(idToken["cpf"]))
			require.JSONEq(t, `["a","b"]`, string(idToken["groups"]))
			require.NotContains(t, idToken, "email", "another value was requested")
			require.NotContains(t, idToken, "given_name", "it was not requested for the ID token")

			about := func(tokens answer) map[string]any {
				raw := tokens.body["access_token"].(string)
				got := w.userInfo(http.MethodGet, metadata.UserInfoEndpoint, "Authorization", "DPoP "+raw,
					"DPoP", w.userInfoProof("d", http.MethodGet, raw))
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				return got.body
			}
			want := map[string]any{"sub": "alice", "given_name": "Alice"}
			require.Equal(t, want, about(tokens))
			require.Equal(t, want, about(w.renew(tokens)), "after a refresh")
			plain := w.spend(w.code("client-1", func(url.Values) {}))
			require.Equal(t, map[string]any{"sub": "alice"}, about(plain), "another authorization has requested nothing")
		})
	}
}

func TestMalformedClaimsParameter(t *testing.T) {
	w := newWorld(t)
	for _, parameter := range []string{"x", "[]", `{"id_token":[]}`, `{"id_token":{"acr":{"value":"a","values":["b"]}}}`, `{"id_token":{"acr":1}}`} {
		form := w.pushForm("client-1")
		form.Set("claims", parameter)
		got := w.send(w.parURL(), form)
		require.Equal(t, http.StatusBadRequest, got.status, "CA-OIDC-5.5-1 %s", parameter)
		require.Equal(t, "invalid_request", got.code)
	}
	form := w.pushForm("client-1")
	form.Set("claims", `{"id_token":{"unknown":{"essential":true,"later":1}},"later":{}}`)
	require.False(t, w.load("client-1", form).Claims().IsZero(), "a server without claims of its own passes them to the host")
}

func TestClaimsOfTheLogin(t *testing.T) {
	open := newWorld(t, withClaims)
	strict := newWorld(t, withClaims, func(as *authserver.Config, _ *resourceserver.Config) { as.ACRValues = []string{"gold", "silver"} })
	for _, tc := range []struct {
		name     string
		w        *world
		claims   string
		approval authserver.Approval
		want     error
	}{
		{"CA-OIDC-3.1.2.2-1 this user", open, `{"id_token":{"sub":{"value":"alice"}}}`, authserver.Approval{}, nil},
		{"CA-OIDC-3.1.2.2-1 another user", open, `{"id_token":{"sub":{"value":"bob"}}}`, authserver.Approval{}, authserver.ErrLogin},
		{"CA-OIDC-3.1.2.2-1 one of two users", open, `{"id_token":{"sub":{"values":["bob","alice"]}}}`, authserver.Approval{}, nil},
		{"sub without a value", open, `{"id_token":{"sub":{"essential":true}}}`, authserver.Approval{}, nil},
		{"CA-OIDC-5.5.1.1-1 met", open, `{"id_token":{"acr":{"essential":true,"values":["gold","silver"]}}}`, authserver.Approval{ACR: "silver"}, nil},
		{"CA-OIDC-5.5.1.1-1 not met", open, `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`, authserver.Approval{ACR: "silver"}, authserver.ErrLogin},
		{"CA-OIDC-5.5.1.1-1 no class", open, `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`, authserver.Approval{}, authserver.ErrLogin},
		{"any class", open, `{"id_token":{"acr":{"essential":true}}}`, authserver.Approval{ACR: "x"}, nil},
		{"any class, and there is none", open, `{"id_token":{"acr":{"essential":true}}}`, authserver.Approval{}, authserver.ErrLogin},
		{"CA-OIDC-5.5.1.1-1 voluntary", open, `{"id_token":{"acr":{"values":["gold"]}}}`, authserver.Approval{ACR: "silver"}, nil},
		{"for UserInfo alone", open, `{"userinfo":{"acr":{"essential":true,"value":"gold"}}}`, authserver.Approval{}, nil},
		{"a server with classes", strict, `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`, authserver.Approval{ACR: "gold"}, nil},
		{"a server with classes, another one", strict, `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`, authserver.Approval{ACR: "silver"}, authserver.ErrLogin},
		{"time of the login", open, `{"id_token":{"auth_time":{"essential":true}}}`, authserver.Approval{AuthTime: time.Now()}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := tc.w.pushForm("client-1")
			form.Set("claims", tc.claims)
			tc.approval.Subject, tc.approval.Scopes = "alice", []string{"accounts"}
			_, err := tc.w.as.Approve(context.Background(), tc.w.load("client-1", form), tc.approval)
			require.ErrorIs(t, err, tc.want)
		})
	}
	for about, ok := range map[string]bool{"alice": true, "bob": false} {
		form := open.pushForm("client-1")
		form.Set("claims", `{"id_token":{"sub":{"value":"alice"},"email":null}}`)
		a := open.load("client-1", form)
		_, err := open.as.Approve(context.Background(), a, authserver.Approval{
			Subject: "alice", Scopes: []string{"accounts"},
			IDTokenClaims: map[string]any{"sub": about, "email": "alice@example.com"},
		})
		require.Equal(t, ok, err == nil, "%s: %v", about, err)
	}
	form := open.pushForm("client-1")
	form.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`)
	a := open.load("client-1", form)
	delete(a.Claims().IDToken, "acr")
	_, err := open.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.ErrorIs(t, err, authserver.ErrLogin, "the host changes a copy")

	form = open.pushForm("client-1")
	form.Set("claims", `{"id_token":{"auth_time":{"essential":true}}}`)
	_, err = open.as.Approve(context.Background(), open.load("client-1", form), authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.ErrorContains(t, err, "AuthTime is required")
	require.NotErrorIs(t, err, authserver.ErrLogin)

	for _, w := range []*world{open, strict} {
		for _, values := range []string{`"value":1`, `"value":null`, `"value":["gold"]`, `"values":[1,{"a":"gold"}]`} {
			form = w.pushForm("client-1")
			form.Set("claims", `{"id_token":{"acr":{"essential":true,`+values+`}}}`)
			got := w.send(w.parURL(), form)
			require.Equal(t, "unmet_authentication_requirements", got.code, "CA-OIDC-5.5.1.1-1 no class equals %s", values)
		}
	}
	form = strict.pushForm("client-1")
	form.Set("claims", `{"id_token":{"acr":{"essential":true,"values":["platinum"]}}}`)
	got := strict.send(strict.parURL(), form)
	require.Equal(t, "unmet_authentication_requirements", got.code, "CA-OIDC-5.5.1.1-1 no login here can meet it, so it is rejected at the push")
}
