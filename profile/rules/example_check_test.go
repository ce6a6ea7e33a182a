package rules_test

import (
	"fmt"
	"net/url"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

// An ecosystem permits one method of authentication. LintClient finds a
// registration with another method.
func ExampleSet_LintClient() {
	set := &rules.Set{
		Name: "example", Sources: map[string]string{"client_authentication": "Example Security Profile, §2"},
		ClientAuthentication: []string{"tls_client_auth"},
	}
	registered := &profile.ClientMetadata{
		ClientID: "s6BhdRkqt3", RedirectURIs: []string{"https://client.example/cb"}, JWKSURI: "https://client.example/jwks",
		TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
	}
	for _, finding := range set.LintClient(registered) {
		if finding.Severity == "error" {
			fmt.Println(finding)
		}
	}
	// Output:
	// error: token_endpoint_auth_method: method "private_key_jwt" (Example Security Profile, §2): Register a method that the ecosystem permits.
}

// An ecosystem requires a scope and a parameter, and forbids another
// parameter. A client checks its request before it sends it.
func ExampleSet_CheckRequest() {
	set := &rules.Set{Name: "example", Request: rules.Request{
		Scopes:     []string{"openid"},
		Parameters: map[string]rules.Parameter{"prompt": {Forbidden: true}, "ui_locales": {Required: true}},
	}}
	fmt.Println(set.CheckRequest(url.Values{"scope": {"accounts"}, "prompt": {"login"}}))
	fmt.Println(set.CheckRequest(url.Values{"scope": {"openid accounts"}, "ui_locales": {"en"}}))
	// Output:
	// rules: request outside the rules: prompt is not permitted (example)
	// rules: request outside the rules: ui_locales is missing (example)
	// rules: request outside the rules: missing scope openid (example)
	// <nil>
}
