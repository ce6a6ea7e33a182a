package authserver_test

import (
	"net/http"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// consents is what the three kinds of guard and introspection say of a token's consent.
func (w *world) consents(raw string) map[string]any {
	w.t.Helper()
	told, _ := w.seen("client-2", raw).body["grant_id"].(string)
	said := map[string]any{"introspection response": told}
	call := func(name string) {
		got := w.callAPI("DPoP", raw, w.apiProof("d", raw))
		require.Equal(w.t, http.StatusOK, got.status, "%s: %v", name, got.body)
		said[name] = got.header.Get("Consent")
	}
	jwt := w.rs
	defer func() { w.rs = jwt }()
	if len(raw) > 43 {
		call("JWT")
	}
	var err error
	w.rs, err = w.as.ResourceServer(resourceserver.Config{Resource: w.rsHTTP.URL})
	require.NoError(w.t, err)
	call("in the same process")
	w.introspect()
	call("introspection")
	return said
}

func (w *world) requireConsent(want string, tokens answer, why string) {
	w.t.Helper()
	for guard, got := range w.consents(tokens.body["access_token"].(string)) {
		require.Equal(w.t, want, got, "%s: %s", guard, why)
	}
}

func namingGrants(as *authserver.Config, _ *resourceserver.Config) {
	as.GrantIDInTokens = true
}

// All tokens of one consent name it alike, and those of another consent do not.
func TestG14GrantIDInTokens(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, id := w.create("authorization_details", readAndList, "scope", "accounts payments")
		w.requireConsent(id, tokens, "G14 the managed grant")
		w.requireConsent(id, w.renew(tokens), "G14 after a refresh")
		w.requireConsent(id, w.renew(tokens, "scope", "accounts", "authorization_details", readOnly), "G14 after narrowing")
		merged, _ := w.manage("merge", id, "scope", "accounts")
		w.requireConsent(id, merged, "G14 after a merge")
		replaced, _ := w.manage("replace", id, "scope", "accounts")
		w.requireConsent(id, replaced, "G14 after a replacement")
		require.Equal(t, id, replaced.body["grant_id"], "GM-5.5-3")

		authorization := func() (tokens answer, id string) {
			decide := w.decide
			defer func() { w.decide = decide }()
			w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
				response, err := decide(a)
				if err == nil {
					id = response.AuthorizationID()
				}
				return response, err
			}
			return w.redeem("scope", "accounts"), id
		}
		first, firstID := authorization()
		second, secondID := authorization()
		require.NotEqual(t, firstID, secondID)
		w.requireConsent(firstID, first, "G14 without grant management it is the authorization")
		w.requireConsent(firstID, w.renew(first), "G14 after a refresh")
		w.requireConsent(secondID, second, "G14 a second consent is another one")
		require.NotContains(t, first.body, "grant_id", "GM-5.5-3: the token response names managed grants alone")

		own := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d"))
		w.requireConsent("", own, "G14 a client that acts for itself has no consent")
	}, namingGrants)
}

func TestG14TokensDoNotNameTheirConsentByDefault(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, _ := w.create("scope", "accounts")
		w.requireConsent("", tokens, "G14 off by default")
		require.NotContains(t, w.seen("client-2", tokens.body["access_token"].(string)).body, "grant_id")
	})
}
