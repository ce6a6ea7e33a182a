package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	requested "github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

// under is a server under rules that supports the claims parameter.
func under(set rules.Set) worldOption {
	return func(as *authserver.Config, rs *resourceserver.Config) {
		withClaims(as, rs)
		set.Name = "x"
		as.Rules = &set
	}
}

func TestClaimRulesAtThePush(t *testing.T) {
	acr := func(how string) rules.Set { return rules.Set{ACR: rules.ACR{Request: how}} }
	top := rules.Set{Claims: rules.Claims{Top: map[string]rules.Integer{"sharing_duration": {Required: true, Max: 31536000}}}}
	txn := rules.Set{Claims: rules.Claims{Essential: []string{"txn"}}}
	worlds := map[string]*world{}
	for name, set := range map[string]rules.Set{
		"essential": acr("essential"), "without values": acr("essential_without_values"), "forbidden": acr("forbidden"), "top": top, "txn": txn,
	} {
		worlds[name] = newWorld(t, under(set))
	}
	for _, tc := range []struct {
		name, rules, claims, acrValues, want string
	}{
		{"no claims", "essential", ``, "", "claims: acr is not essential for the ID token"},
		{"acr_values alone", "essential", ``, "gold", "claims: acr is not essential for the ID token"},
		{"a voluntary acr", "essential", `{"id_token":{"acr":{"values":["gold"]}}}`, "", "claims: acr is not essential for the ID token"},
		{"acr for UserInfo alone", "essential", `{"userinfo":{"acr":{"essential":true}}}`, "", "claims: acr is not essential for the ID token"},
		{"an essential acr", "essential", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`, "", ""},
		{"an acr with values", "without values", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`, "",
			"claims: acr is not essential for the ID token without value and values"},
		{"an acr that is null", "without values", `{"id_token":{"acr":null}}`, "", "claims: acr is not essential for the ID token without value and values"},
		{"an acr without values", "without values", `{"id_token":{"acr":{"essential":true}}}`, "", ""},
		{"an acr where none may be", "forbidden", `{"id_token":{"acr":null}}`, "", "unexpected request for acr"},
		{"an acr for UserInfo where none may be", "forbidden", `{"userinfo":{"acr":null}}`, "", "unexpected request for acr"},
		{"acr_values where none may be", "forbidden", ``, "gold", "unexpected request for acr"},
		{"no acr", "forbidden", `{"id_token":{"email":null}}`, "", ""},
		{"a missing duration", "top", ``, "", "claims: sharing_duration is missing"},
		{"a duration that is a text", "top", `{"sharing_duration":"60"}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"a duration with a fraction", "top", `{"sharing_duration":60.5}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"a negative duration", "top", `{"sharing_duration":-1}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"too long a duration", "top", `{"sharing_duration":31536001}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"a duration that overflows", "top", `{"sharing_duration":9223372036854775808}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"a duration that is null", "top", `{"sharing_duration":null}`, "", "claims: sharing_duration is not an integer from 0 to 31536000"},
		{"the longest duration", "top", `{"sharing_duration":31536000}`, "", ""},
		{"no duration at all", "top", `{"sharing_duration":0}`, "", ""},
		{"claims without txn", "txn", `{"id_token":{"email":null}}`, "", "claims: txn is not essential for the ID token"},
		{"a voluntary txn", "txn", `{"id_token":{"email":null,"txn":null}}`, "", "claims: txn is not essential for the ID token"},
		{"an essential txn", "txn", `{"id_token":{"email":null,"txn":{"essential":true}}}`, "", ""},
		{"no claims for the ID token", "txn", `{"userinfo":{"email":null}}`, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := worlds[tc.rules]
			form := w.pushForm("client-1")
			for name, value := range map[string]string{"claims": tc.claims, "acr_values": tc.acrValues} {
				if value != "" {
					form.Set(name, value)
				}
			}
			got := w.send(w.parURL(), form)
			if tc.want == "" {
				require.Equal(t, http.StatusCreated, got.status, "%v", got.body)
				return
			}
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Equal(t, "invalid_request", got.code)
			require.Equal(t, tc.want, got.body["error_description"])
			form.Del("claims")
			form.Del("acr_values")
			with("claims", map[string]string{
				"essential": `{"id_token":{"acr":{"essential":true}}}`, "without values": `{"id_token":{"acr":{"essential":true}}}`,
				"forbidden": `{}`, "top": `{"sharing_duration":1}`, "txn": `{}`,
			}[tc.rules])(form)
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), form).status, "the assertion was consumed")
		})
	}
}

func TestUnmetACR(t *testing.T) {
	for unmet, code := range map[string]string{
		"": "unmet_authentication_requirements", "unmet_authentication_requirements": "unmet_authentication_requirements", "access_denied": "access_denied",
	} {
		t.Run("CA-OIDC-5.5.1.1-1 "+unmet, func(t *testing.T) {
			w := newWorld(t, under(rules.Set{ACR: rules.ACR{Unmet: unmet}}), func(as *authserver.Config, _ *resourceserver.Config) {
				as.ACRValues = []string{"ca", "sca"}
			})
			w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
				return w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), ACR: "ca"})
			}
			for _, fields := range [][]string{
				{"claims", `{"id_token":{"acr":{"essential":true,"value":"sca"}}}`}, {"acr_values", "sca"},
			} {
				form := w.pushForm("client-1")
				with(fields...)(form)
				callback := w.browse(w.authorizationURL("client-1", form))
				require.Equal(t, code, callback.Get("error"), "the client receives the error")
				require.Equal(t, "s 1&2", callback.Get("state"))
				require.Empty(t, callback.Get("code"))

				form = w.pushForm("client-1")
				with(fields[0], map[string]string{"claims": `{"id_token":{"acr":{"essential":true,"value":"x"}}}`, "acr_values": "x"}[fields[0]])(form)
				require.Equal(t, code, w.send(w.parURL(), form).code, "no login here has the class")
			}
			got := w.redeem("claims", `{"id_token":{"acr":{"essential":true,"values":["sca","ca"]}}}`)
			_, idToken := claims(t, got.body["id_token"])
			require.Equal(t, `"ca"`, string(idToken["acr"]))
		})
	}
}

func TestACRInEachIDToken(t *testing.T) {
	w := newWorld(t, under(rules.Set{ACR: rules.ACR{InIDToken: true}}))
	approve := func(acr string, fields ...string) error {
		form := w.pushForm("client-1")
		with(fields...)(form)
		_, err := w.as.Approve(context.Background(), w.load("client-1", form), authserver.Approval{
			Subject: "alice", Scopes: []string{"accounts"}, ACR: acr,
		})
		return err
	}
	err := approve("")
	require.ErrorContains(t, err, "the rules require ACR")
	require.NotErrorIs(t, err, authserver.ErrLogin, "it is a mistake of the host")
	require.NoError(t, approve("gold"))
	require.NoError(t, approve("", "scope", "accounts"), "there is no ID token")
}

func TestOnlyRequestedClaims(t *testing.T) {
	verified := map[string]any{
		"verification": map[string]any{"trust_framework": "au_connectid", "time": "2026-01-01T00:00Z"},
		"claims":       map[string]any{"over18": true, "given_name": "Alice"},
	}
	about := map[string]any{"email": "alice@example.com", "cpf": "1", "name": "Alice", "groups": []string{"a"}, "verified_claims": verified}
	w := newWorld(t, under(rules.Set{Claims: rules.Claims{OnlyRequested: true}}), func(as *authserver.Config, _ *resourceserver.Config) {
		as.Scopes = append(as.Scopes, "profile")
		as.UserInfo = func(_ context.Context, token *resourceserver.Token, _ requested.Set) (map[string]any, error) {
			all := map[string]any{"sub": token.Subject()}
			for name, value := range about {
				all[name] = value
			}
			return all, nil
		}
	})
	w.clients["client-1"].Scope += " profile"
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.as.Approve(context.Background(), a, authserver.Approval{
			Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now(), ACR: "gold", IDTokenClaims: about,
		})
	}
	for _, tc := range []struct{ name, scope, claims, idToken, userInfo string }{
		{"nothing is requested", "openid accounts", ``, `{}`, `{}`},
		{"a claim for each", "openid accounts", `{"id_token":{"email":null},"userinfo":{"groups":null}}`, `{"email":"alice@example.com"}`, `{"groups":["a"]}`},
		{"another value", "openid accounts", `{"id_token":{"cpf":{"value":"2"}},"userinfo":{"cpf":{"value":"1"}}}`, `{}`, `{"cpf":"1"}`},
		{"verified claims", "openid accounts", `{"id_token":{"verified_claims":{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":null}}}}`,
			`{"verified_claims":{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}}`, `{}`},
		{"the scope profile", "openid accounts profile", ``, `{}`, `{"name":"Alice"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fields := []string{"scope", tc.scope}
			if tc.claims != "" {
				fields = append(fields, "claims", tc.claims)
			}
			tokens := w.redeem(fields...)
			require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
			_, idToken := claims(t, tokens.body["id_token"])
			for _, own := range []string{"iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr"} {
				require.Contains(t, idToken, own, "the claims of the protocol stay")
				delete(idToken, own)
			}
			got, err := json.Marshal(idToken)
			require.NoError(t, err)
			require.JSONEq(t, tc.idToken, string(got))

			raw := tokens.body["access_token"].(string)
			answer := w.userInfo(http.MethodGet, w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", http.MethodGet, raw))
			require.Equal(t, http.StatusOK, answer.status, "%v", answer.body)
			require.Equal(t, "alice", answer.body["sub"])
			delete(answer.body, "sub")
			got, err = json.Marshal(answer.body)
			require.NoError(t, err)
			require.JSONEq(t, tc.userInfo, string(got))
		})
	}
}

func TestClaimRulesConfig(t *testing.T) {
	cfg := authserver.Config{
		Issuer: "https://as.example", Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as"), KeyID: "1"}},
		Clients: func(context.Context, string) (*profile.ClientMetadata, error) { return nil, nil },
		Scopes:  []string{"openid"}, Resources: []string{"https://api.example"}, Claims: []string{"acr", "cpf"}, ACRValues: []string{"loa2"},
	}
	for want, set := range map[string]rules.Set{
		`Claims has none of ["txn"], which are Rules.Claims.Supported`: {Claims: rules.Claims{Supported: []string{"txn"}}},
		`Claims has no "cnpj", which is among Rules.Claims.Required`:   {Claims: rules.Claims{Required: []string{"cpf", "cnpj"}}},
		`ACRValues has no "loa3", which is among Rules.ACR.Supported`:  {ACR: rules.ACR{Supported: []string{"loa2", "loa3"}}},
		"": {Claims: rules.Claims{Supported: []string{"cnpj", "cpf"}, Required: []string{"acr"}}, ACR: rules.ACR{Supported: []string{"loa2"}}},
	} {
		set.Name = "x"
		cfg.Rules = &set
		_, err := authserver.New(cfg)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
	cfg.Rules = &rules.Set{Name: "x", Metadata: map[string]json.RawMessage{"verified_claims_supported": json.RawMessage("true")}}
	cfg.Metadata = func(m *profile.ServerMetadata) {
		m.Other["verified_claims_supported"][0] = 'x'
		m.Other["verified_claims_supported"] = json.RawMessage("false")
		m.Other["own"] = json.RawMessage("1")
	}
	as, err := authserver.New(cfg)
	require.NoError(t, err)
	require.Equal(t, map[string]json.RawMessage{"verified_claims_supported": json.RawMessage("true"), "own": json.RawMessage("1")}, as.Metadata().Other)
	cfg.Metadata = nil
	as, err = authserver.New(cfg)
	require.NoError(t, err)
	require.Equal(t, cfg.Rules.Metadata, as.Metadata().Other)
}
