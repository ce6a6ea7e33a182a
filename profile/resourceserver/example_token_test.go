package resourceserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A payment requires a login of the last five minutes. The response names the
// demand, so that the client can request an authorization that meets it.
func ExampleToken_CheckStepUp() {
	server, client := newServer("https://as.example"), newKey()
	api := must(resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: []resourceserver.Issuer{{ID: server.issuer, Keys: server.keys.Keys}},
	}))
	pay := func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		if err := token.CheckStepUp(accesstoken.StepUp{MaxAge: 5 * time.Minute}); err != nil {
			api.WriteError(w, r, err)
			return
		}
		fmt.Fprintln(w, "paid")
	}

	response := httptest.NewRecorder() // the token of newServer has no time of a login
	api.Require()(http.HandlerFunc(pay)).ServeHTTP(response, signedRequest(client, server.issue(client)))
	fmt.Println(response.Code)
	fmt.Println(response.Header().Get("WWW-Authenticate"))
	// Output:
	// 401
	// DPoP error="insufficient_user_authentication", error_description="a different or more recent authentication is required", max_age="300", algs="ES256 PS256 EdDSA Ed25519"
}

// A host with a router of its own calls Verify, and passes the token to its
// handlers in the context.
func ExampleContextWithToken() {
	server, client := newServer("https://as.example"), newKey()
	api := must(resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: []resourceserver.Issuer{{ID: server.issuer, Keys: server.keys.Keys}},
	}))
	request := signedRequest(client, server.issue(client))
	token, err := api.Verify(request, "accounts")
	if err != nil {
		panic(err)
	}
	ctx := resourceserver.ContextWithToken(request.Context(), token)

	found, ok := resourceserver.TokenFromContext(ctx) // in a handler
	fmt.Println(found.Subject(), found.Scopes(), ok)
	// Output: alice [accounts] true
}
