package rules_test

import (
	"fmt"
	"log"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

// Example reads the rules of an ecosystem, and checks a registration under
// them. A document that permits more than FAPI 2.0 is rejected.
func Example() {
	set, err := rules.Parse([]byte(`{
		"name": "example",
		"sources": {
			"bindings": "Example Security Profile, §2",
			"algorithms": "Example Security Profile, §3",
			"lifetimes.access_token": "Example Security Profile, §4"
		},
		"bindings": ["mTLS"],
		"algorithms": {"signing": ["PS256"]},
		"lifetimes": {"access_token": ["5m", "15m"]}
	}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("access tokens live", set.Lifetimes.AccessToken)

	client := &profile.ClientMetadata{
		ClientID: "s6BhdRkqt3", RedirectURIs: []string{"https://client.example/cb"}, JWKSURI: "https://client.example/jwks",
		TokenEndpointAuthMethod: "private_key_jwt", TokenEndpointAuthSigningAlg: "ES256", DPoPBoundAccessTokens: true,
	}
	for _, finding := range set.LintClient(client) {
		fmt.Println(finding)
	}

	set.Algorithms.Signing = append(set.Algorithms.Signing, "RS256")
	fmt.Println(set.Validate())
	// Output:
	// access tokens live 5m to 15m
	// error: dpop_bound_access_tokens: tokens bound by DPoP (Example Security Profile, §2): Register tls_client_certificate_bound_access_tokens instead.
	// error: token_endpoint_auth_signing_alg: token_endpoint_auth_signing_alg has "ES256" (Example Security Profile, §3): Use PS256.
	// rules: unusable rules: algorithms.signing: "RS256" is not among ["ES256" "PS256" "EdDSA" "Ed25519"]
}
