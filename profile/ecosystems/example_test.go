package ecosystems_test

import (
	"fmt"
	"log"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/ecosystems"
)

// Example gives an authorization server the rules of an ecosystem, and lists
// the duties that remain.
func Example() {
	set, err := ecosystems.Rules("uk-obl")
	if err != nil {
		log.Fatal(err)
	}
	config := authserver.Config{Rules: set} // and the rest of the configuration

	fmt.Println(config.Rules.Title, config.Rules.Version)
	fmt.Println("a consent is named by the claim", config.Rules.Intent.Claim)
	fmt.Println(config.Rules.Sources["acr"])
	for _, duty := range config.Rules.Host {
		fmt.Println("-", duty)
	}
	// Output:
	// UK Open Banking (OBL) 4.0
	// a consent is named by the claim openbanking_intent_id
	// OpenID conformance suite, fapi_profile openbanking_uk, modules HappyFlow and TestEssentialAcrScaClaim
	// - Serve /account-access-consents. A client calls it with a token of the client_credentials grant, and deletes a consent there.
	// - Publish the scopes openid and accounts, and the grant types authorization_code and client_credentials.
	// - Verify and create the signatures of payment messages. They are in a header field of the API.
	// - Accept the clients and certificates of the Open Banking Directory (OBWAC, OBSEAL, QWAC, QSEAL).
	// - Support the header fields x-fapi-auth-date and x-fapi-customer-ip-address at your API.
}
