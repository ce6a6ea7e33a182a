package authserver_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
)

// A host with codes of its own redeems one. The Binding was stored with the
// code, when the user approved. A host with a database marks the code as
// redeemed after Commit.
func ExampleTokenRequest() {
	server, newRequest := newTokenEndpoint()
	verifier := pkce.NewVerifier()
	challenge, err := pkce.Challenge(verifier)
	if err != nil {
		log.Fatal(err)
	}
	stored := map[string]authserver.Binding{
		"code-1": {ClientID: "app", RedirectURI: "https://app.example/callback", CodeChallenge: challenge},
	}
	redeem := func(r *http.Request) (tokenType string, err error) {
		request, err := server.TokenRequest(r)
		if err != nil {
			return "", err
		}
		if err := request.CheckBinding(stored[request.Param("code")]); err != nil {
			return "", err // nothing is consumed
		}
		bound, err := request.Commit(r.Context())
		return string(bound.TokenType()), err // the host issues a token with this cnf
	}

	for _, sent := range []string{pkce.NewVerifier(), verifier} {
		tokenType, err := redeem(newRequest("code-1", sent))
		fmt.Printf("%q %v\n", tokenType, err)
	}
	// Output:
	// "" pkce: code_verifier does not match
	// "DPoP" <nil>
}

// newTokenEndpoint returns a server, and a function that makes a token request
// as the client "app" does.
func newTokenEndpoint() (*authserver.Server, func(code, verifier string) *http.Request) {
	const issuer = "https://bank.example"
	key := newKey()
	keys, err := jwks.NewSet(jwks.Key{Public: key.Public()})
	if err != nil {
		log.Fatal(err)
	}
	server, err := authserver.New(authserver.Config{
		Issuer: issuer, Resources: []string{"https://api.bank.example"}, Keys: []profile.SigningKey{{Key: newKey()}},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			return &profile.ClientMetadata{
				ClientID: id, RedirectURIs: []string{"https://app.example/callback"}, JWKS: keys,
				TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
			}, nil
		},
		Interact: func(http.ResponseWriter, *http.Request, *authserver.Authorization) {},
	})
	if err != nil {
		log.Fatal(err)
	}
	app, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "app", Audience: issuer, Key: key})
	if err != nil {
		log.Fatal(err)
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: newKey()})
	if err != nil {
		log.Fatal(err)
	}
	return server, func(code, verifier string) *http.Request {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier},
			"redirect_uri": {"https://app.example/callback"},
		}
		if err := app.Authenticate(context.Background(), form); err != nil {
			log.Fatal(err)
		}
		proof, err := prover.Proof("POST", issuer+"/token", dpop.ProofOptions{})
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequest("POST", issuer+"/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", proof)
		return r
	}
}

// A host follows the token requests of its clients. An event contains no secret.
func ExampleHooks() {
	t := &exampleTB{}
	defer t.end()
	server := profiletest.NewServer(t, profiletest.ServerConfig{Change: func(cfg *authserver.Config) {
		cfg.Hooks.Observe = func(_ context.Context, e profile.Event) {
			fmt.Printf("%s %s %s %q\n", e.Endpoint, e.GrantType, e.Outcome, e.Code)
		}
	}})
	app, err := client.New(t.Context(), server.ClientConfig(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{"accounts", "savings"} {
		app.ClientCredentialsSource(client.Request{Scopes: []string{scope}}).Token()
	}
	// Output:
	// token client_credentials success ""
	// token client_credentials rejected "invalid_scope"
}
