package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

var claimsOfAlice = object{
	"given_name": "Alice", "family_name": "Ng", "email": "alice@mail.example",
	"verified_claims": object{
		"verification": object{"trust_framework": "a_framework", "time": "2026-01-01T00:00:00Z"},
		"claims":       object{"given_name": "Alice", "family_name": "Ng", "birthdate": "1990-01-01"},
	},
}

func withClaims(cfg object) {
	cfg["users"].([]object)[0]["claims"] = claimsOfAlice
	cfg["acr_values"] = []string{"urn:example:one", "urn:example:two"}
}

func TestClaimsThatAreRequested(t *testing.T) {
	w := newWorld(t, withClaims)
	supported := w.get(w.issuer + "/.well-known/openid-configuration").json()["claims_supported"]
	require.Subset(t, supported, []any{"given_name", "verified_claims", "preferred_username"})
	verified := func(request object) object { return object{"id_token": object{"verified_claims": request}} }
	framework := object{"trust_framework": object{"value": "a_framework"}}
	for _, tc := range []struct {
		name             string
		request          object
		idToken, userURL object // the claims about the user
	}{
		{"none", nil, object{}, object{}},
		{"for the ID token", object{"id_token": object{"given_name": nil, "unknown": nil}},
			object{"given_name": "Alice"}, object{}},
		{"for UserInfo", object{"userinfo": object{"family_name": object{"value": "Ng"}}}, object{}, object{"family_name": "Ng"}},
		{"with another value", object{"id_token": object{"family_name": object{"value": "Wong"}}}, object{}, object{}},
		{"verified", verified(object{"verification": framework, "claims": object{"given_name": nil}}),
			object{"verified_claims": object{"verification": object{"trust_framework": "a_framework"}, "claims": object{"given_name": "Alice"}}}, object{}},
		{"verified, with evidence", verified(object{"verification": object{"trust_framework": nil, "time": nil}, "claims": object{"given_name": object{"essential": true}, "x": nil}}),
			object{"verified_claims": object{"verification": claimsOfAlice["verified_claims"].(object)["verification"], "claims": object{"given_name": "Alice"}}}, object{}},
		{"verified by another framework", verified(object{"verification": object{"trust_framework": object{"value": "other"}}, "claims": object{"given_name": nil}}), object{}, object{}},
		{"verified, but nothing named", verified(object{"verification": framework}), object{}, object{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := json.Marshal(tc.request)
			require.NoError(t, err)
			if tc.request == nil {
				text = nil
			}
			tokens := w.one.tokens(param("claims", string(text)))
			_, got := unseal(t, tokens["id_token"].(string))
			about := w.one.call(http.MethodGet, "/userinfo", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
			require.Equal(t, "urn:example:one", got["acr"])
			for name := range claimsOfAlice {
				require.Equal(t, tc.idToken[name], got[name], name)
				require.Equal(t, tc.userURL[name], about[name], name)
			}
		})
	}
	t.Run("an identifier of the response", func(t *testing.T) {
		request := param("claims", `{"id_token":{"txn":{"essential":true}}}`)
		_, first := unseal(t, w.one.tokens(request)["id_token"].(string))
		_, second := unseal(t, w.one.tokens(request)["id_token"].(string))
		require.NotEmpty(t, first["txn"])
		require.NotEqual(t, first["txn"], second["txn"])
	})
	t.Run("by scope", func(t *testing.T) {
		tokens := w.one.tokens(param("scope", "openid profile"))
		about := w.one.call(http.MethodGet, "/userinfo", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
		require.Equal(t, object{"sub": "alice", "preferred_username": "alice", "given_name": "Alice", "family_name": "Ng"}, about)
	})
	t.Run("a class of logins", func(t *testing.T) {
		request := `{"id_token":{"acr":{"essential":true,"values":["urn:example:two"]}}}`
		_, got := unseal(t, w.one.tokens(param("claims", request))["id_token"].(string))
		require.Equal(t, "urn:example:two", got["acr"])
	})
}

func TestTheConsentPageShowsRequestedClaims(t *testing.T) {
	w := newWorld(t, withClaims, with("auto_approve", nil))
	b := w.newBrowser()
	page := b.logIn(b.open(w.one.front(w.one.pushed(param("claims", `{"userinfo":{"family_name":null}}`)))), "alice", "correct horse")
	require.Contains(t, string(page.body), "<dt>family_name</dt><dd>Ng</dd>")
	require.NotContains(t, string(page.body), "alice@mail.example")
}

func TestTypesOfDetailsFromAFile(t *testing.T) {
	const name = "urn:example:account-access-consent:v2.1"
	w := newWorld(t, with("authorization_details_types", "testdata/types.json"),
		registration(object{"authorization_details_types": []string{name}}, "one"))
	require.Contains(t, w.get(w.issuer + "/.well-known/oauth-authorization-server").json()["authorization_details_types_supported"], name)
	detail := func(consent string) func(*request) {
		return param("authorization_details", `[{"type":"`+name+`","consent":`+consent+`}]`)
	}
	good := detail(`{"ConsentId":"c-1","ExpirationDateTime":"2027-01-01T00:00:00Z","Permissions":["ReadBalances"]}`)
	require.Len(t, w.one.tokens(good)["authorization_details"], 1)
	for _, consent := range []string{`{}`, `{"ConsentId":"c-1","ExpirationDateTime":"2027-01-01T00:00:00Z","Permissions":["All"]}`, `[]`} {
		r := w.one.push()
		detail(consent)(r)
		r.do().refused(http.StatusBadRequest, "invalid_authorization_details")
	}
}

func TestConfigurationsOfUsersAndTypesThatAreRefused(t *testing.T) {
	of := func(claims object) func(o object) {
		return func(o object) { o["openid"] = true; o["users"].([]object)[0]["claims"] = claims }
	}
	for _, tc := range []struct {
		name   string
		change func(o object)
		says   string
	}{
		{"a claim of the protocol", of(object{"acr": "x"}), `users[0]: claims: "acr"`},
		{"null", of(object{"name": json.RawMessage("null")}), `"name" is null`},
		{"verified claims that are a text", of(object{"verified_claims": "x"}), "verified_claims"},
		{"claims without openid", func(o object) { of(object{"name": "x"})(o); o["openid"] = false }, "needs openid"},
		{"a class with a space", with("acr_values", []string{"a b"}), "acr_values"},
		{"another treatment", with("interaction_ids", "drop"), "neither echo nor make nor require"},
		{"types in a file that is not there", with("authorization_details_types", "not-there.json"), "authorization_details_types"},
		{"types that are no schemas", with("authorization_details_types", "testdata/consent.json"), "authorization_details_types"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := settings()
			tc.change(o)
			raw, err := json.Marshal(o)
			require.NoError(t, err)
			_, err = parseConfig(raw, "memory:")
			require.ErrorContains(t, err, tc.says)
		})
	}
}
