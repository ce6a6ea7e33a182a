package accesstoken_test

import (
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
)

// TestTokensOfOtherServers follows docs/other-servers.md: it starts with the
// access token that a server issues by default, applies one setting after the
// other, and expects the rejection that the page names before each of them.
func TestTokensOfOtherServers(t *testing.T) {
	page, err := os.ReadFile("../docs/other-servers.md")
	require.NoError(t, err)
	type setting struct {
		name    string
		want    error  // what the token is rejected with before the setting
		text    string // of the rejection, which the page has
		typ     string // the token's type after it
		members obj    // claims that it adds or replaces
	}
	for name, server := range map[string]struct {
		claims   obj
		settings []setting
	}{
		"CASES F8: Keycloak": {
			obj{
				"iss": issuer, "sub": "7c2f", "aud": "account", "typ": "Bearer", "azp": "fintech", "sid": "9d1e", "jti": "onrtac:1",
				"iat": t0.Unix(), "exp": t0.Unix() + 300, "acr": "1", "allowed-origins": []string{"https://app.example"},
				"realm_access": obj{"roles": []string{"offline_access"}}, "scope": "openid accounts", "email_verified": false,
			},
			[]setting{
				{"at+jwt", accesstoken.ErrType, `not typed as an access token: typ is "JWT"`, "at+jwt", nil},
				{"client_id", accesstoken.ErrClaims, "missing client_id", "at+jwt", obj{"client_id": "fintech"}},
				{"audience", accesstoken.ErrAudience, "audience", "at+jwt", obj{"aud": []string{"account", rs}}},
				{"binding", accesstoken.ErrConfirmation, "missing cnf", "at+jwt", obj{"cnf": obj{"jkt": jkt}}},
			},
		},
		"CASES F8: Spring Authorization Server": {
			obj{
				"iss": issuer, "sub": "alice", "aud": "fintech", "nbf": t0.Unix(), "scope": []string{"accounts"}, "exp": t0.Unix() + 300,
				"iat": t0.Unix(), "jti": "0c1b", "cnf": obj{"jkt": jkt},
			},
			[]setting{
				{"at+jwt", accesstoken.ErrType, "not typed as an access token: typ is", "at+jwt", nil},
				{"client_id", accesstoken.ErrClaims, "missing client_id", "at+jwt", obj{"client_id": "fintech"}},
				{"scope", accesstoken.ErrClaims, "scope", "at+jwt", obj{"scope": "accounts"}},
				{"audience", accesstoken.ErrAudience, "audience", "at+jwt", obj{"aud": rs}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			claims, typ := maps.Clone(server.claims), "JWT"
			for _, s := range server.settings {
				require.Contains(t, string(page), s.text)
				_, err := newVerifier(t, nil).Verify(t.Context(), signTyped(t, claims, typ))
				require.ErrorIs(t, err, s.want, s.name)
				require.ErrorContains(t, err, s.text)
				typ = s.typ
				maps.Copy(claims, s.members)
			}
			_, err := newVerifier(t, nil).Verify(t.Context(), signTyped(t, claims, typ))
			require.NoError(t, err)
		})
	}
}
