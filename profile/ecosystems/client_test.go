package ecosystems_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

// first returns the first value of a list of the rules, or a default.
func first(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// registrationUnder returns the registration of a client that follows rules.
func registrationUnder(set *rules.Set) *profile.ClientMetadata {
	algorithm := first(set.Algorithms.Signing, "ES256")
	dpop := slices.Contains(set.Bindings, "DPoP") || len(set.Bindings) == 0
	c := &profile.ClientMetadata{
		ClientID: "example-client", RedirectURIs: []string{"https://client.example/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"},
		Scope:      strings.Join(append([]string{"openid", "accounts"}, set.Request.Scopes...), " "),
		JWKSURI:    "https://client.example/jwks", TokenEndpointAuthMethod: first(set.ClientAuthentication, "private_key_jwt"),
		TokenEndpointAuthSigningAlg: first(set.Algorithms.Assertion, algorithm),
		DPoPBoundAccessTokens:       dpop, TLSClientCertificateBoundAccessTokens: !dpop,
		UseMTLSEndpointAliases:   dpop && len(set.MutualTLS) > 0,
		IDTokenSignedResponseAlg: first(set.Algorithms.IDToken, algorithm),
		ResponseModes:            set.ResponseModes, SubjectType: first(set.SubjectTypes, ""),
	}
	if set.Intent != nil { // the client makes consents with a token of its own
		c.GrantTypes = append(c.GrantTypes, "client_credentials")
	}
	if slices.Contains(set.MessageSigning, "requests") {
		c.RequireSignedRequestObject, c.RequestObjectSigningAlg = true, first(set.Algorithms.RequestObject, algorithm)
	}
	if set.Request.AuthorizationDetails.Required {
		c.AuthorizationDetailsTypes = []string{first(set.Request.AuthorizationDetails.Types, bankType(set.Name))}
	}
	if e := set.Encryption.IDToken; e.Required {
		c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = first(e.Algorithms, "ECDH-ES"), first(e.ContentEncryptions, "A256GCM")
	}
	return c
}

// bankType returns a type of authorization details of the example bank.
func bankType(name string) string {
	types, _ := os.ReadFile("../../examples/bank/ecosystems/" + name + "-types.json")
	var byName map[string]json.RawMessage
	_ = json.Unmarshal(types, &byName)
	return first(slices.Sorted(maps.Keys(byName)), "urn:example:consent")
}

// TestRegistrations checks that the registrations in the pages follow the
// documents.
func TestRegistrations(t *testing.T) {
	for _, name := range ecosystems.Names() {
		set := load(t, name)
		c := registrationUnder(set)
		require.NoError(t, c.Validate())
		for _, finding := range set.LintClient(c) {
			require.NotEqual(t, "error", finding.Severity, "%s: %v", name, finding)
		}
	}
}
