package resourceserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// An API accepts the tokens of two authorization servers. One client has a token
// of each, and a attacker has the tokens but not the client's key.
func Example() {
	red, blue := newServer("https://red.example"), newServer("https://blue.example")
	api := must(resourceserver.New(resourceserver.Config{
		Resource: "https://api.example",
		Issuers:  []resourceserver.Issuer{{ID: red.issuer, Keys: red.keys.Keys}, {ID: blue.issuer, Keys: blue.keys.Keys}},
	}))
	mux := http.NewServeMux()
	mux.Handle("/accounts", api.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		fmt.Fprintf(w, "accounts of %s at %s", token.Subject(), token.Issuer())
	})))

	client, attacker := newKey(), newKey()
	for _, server := range []*server{red, blue} {
		token := server.issue(client)
		for _, sender := range []*ecdsa.PrivateKey{client, attacker} {
			response := httptest.NewRecorder()
			mux.ServeHTTP(response, signedRequest(sender, token))
			fmt.Println(response.Code, response.Body)
		}
	}
	// Output:
	// 200 accounts of alice at https://red.example
	// 401 {"error":"invalid_token","error_description":"Invalid DPoP key binding"}
	// 200 accounts of alice at https://blue.example
	// 401 {"error":"invalid_token","error_description":"Invalid DPoP key binding"}
}

// Frameworks such as gin and echo have middleware of another type. It calls
// Authorize and passes the returned request on.
func ExampleServer_Authorize() {
	server, client := newServer("https://as.example"), newKey()
	api := must(resourceserver.New(resourceserver.Config{
		Resource: "https://api.example",
		Issuers:  []resourceserver.Issuer{{ID: server.issuer, Keys: server.keys.Keys}},
	}))
	type ginContext struct { // stands for *gin.Context
		Writer  http.ResponseWriter
		Request *http.Request
		Abort   func()
	}
	guard := func(c *ginContext) {
		r, ok := api.Authorize(c.Writer, c.Request, "accounts")
		if !ok {
			c.Abort()
			return
		}
		c.Request = r
	}

	c := &ginContext{Writer: httptest.NewRecorder(), Request: signedRequest(client, server.issue(client))}
	guard(c)
	token, ok := resourceserver.TokenFromContext(c.Request.Context())
	fmt.Println(ok, token.Subject())
	// Output: true alice
}

// A gRPC service calls Decide in its interceptor. It sends the header in any
// case, and the status or an error code of its own after a rejection.
func ExampleServer_Decide() {
	server, client := newServer("https://as.example"), newKey()
	api := must(resourceserver.New(resourceserver.Config{
		Resource: "https://api.example",
		Issuers:  []resourceserver.Issuer{{ID: server.issuer, Keys: server.keys.Keys}},
		Nonces:   must(dpop.NewNonceSource(dpop.NonceSourceConfig{})),
	}))
	sent := signedRequest(client, server.issue(client))
	metadata := map[string][]string{ // as gRPC delivers it
		"authorization": sent.Header["Authorization"],
		"dpop":          sent.Header["Dpop"],
	}
	decision := api.Decide(&http.Request{Method: "GET", URL: sent.URL, Header: metadata}, "accounts")
	fmt.Println(decision.Status, decision.Err)
	fmt.Println(len(decision.Header.Get("DPoP-Nonce")), "characters of a nonce")
	// Output:
	// 401 dpop: no recent nonce: missing nonce
	// 22 characters of a nonce
}

// A server is an authorization server, reduced to its access tokens.
type server struct {
	issuer string
	keys   *jwks.Set
	tokens *accesstoken.Issuer
}

func newServer(issuer string) *server {
	key := newKey()
	return &server{
		issuer: issuer,
		keys:   must(jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "1"})),
		tokens: must(accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: issuer, Key: key, KeyID: "1"})),
	}
}

// issue returns a token that is bound to the key of a client.
func (s *server) issue(key *ecdsa.PrivateKey) string {
	prover := must(dpop.NewProver(dpop.ProverConfig{Key: key}))
	return must(s.tokens.Issue(accesstoken.Claims{
		Subject: "alice", ClientID: "fintech", Audience: []string{"https://api.example"}, Scope: "accounts",
		JKT: prover.Thumbprint(),
	}))
}

// signedRequest returns a request with a proof of possession. A client uses
// package client or a dpop.Transport instead.
func signedRequest(key *ecdsa.PrivateKey, token string) *http.Request {
	prover := must(dpop.NewProver(dpop.ProverConfig{Key: key}))
	proof := must(prover.Proof("GET", "https://api.example/accounts", dpop.ProofOptions{AccessToken: token}))
	r := httptest.NewRequest("GET", "https://api.example/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
