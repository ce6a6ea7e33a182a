package conformance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"github.com/gofapi/fapi2/conformance"
)

// A server that has no metadata fails two cases. The others need them.
func Example() {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	report, err := conformance.CheckServer(context.Background(), conformance.ServerConfig{
		Issuer: server.URL, RootCAs: roots, ClientID: "test", Key: key, RedirectURI: "https://app.example/callback",
	})
	if err != nil {
		panic(err)
	}
	for _, r := range report.Results[:3] {
		fmt.Printf("%s: %s: %s\n", r.Outcome, r.ID, r.Reason)
	}
	fmt.Println(report.Count(conformance.Pass), "passed")
	// Output:
	// fail: metadata/oauth: the response is not a JSON document
	// fail: metadata/openid: the response is not a JSON document
	// skip: metadata/endpoints: metadata/oauth did not pass
	// 0 passed
}

// The test of an authorization server has one line for all cases. The function
// newUser is what a test of the server has: it logs in and approves.
func ExampleServer() {
	var newUser func(t *testing.T) func(ctx context.Context, authorizationURL string) (*url.URL, error)
	var key *ecdsa.PrivateKey // registered for the client

	test := func(t *testing.T) { // TestConformance
		conformance.Server(t, conformance.ServerConfig{
			Issuer: "https://127.0.0.1:8443", ClientID: "test", Key: key, KeyID: "1",
			RedirectURI: "https://app.example/callback", Scope: "accounts", Approve: newUser(t),
		})
	}
	_ = test
}

func ExampleReport_WriteTable() {
	report := conformance.Report{Issuer: "https://as.example", Requests: 2, Results: []conformance.Result{
		{Outcome: conformance.Pass, Case: conformance.Case{ID: "push/accepted", Title: "valid pushed request"}},
		{
			Outcome: conformance.Fail, Case: conformance.Case{ID: "push/no-challenge",
				Title: "pushed request without code_challenge", Clauses: []string{"FAPI 2.0 Security Profile §5.3.2.2"},
				Remedy: "Require PKCE with S256."},
			Reason:   "the server did not reject the request",
			Expected: "status 400 or 401 with the error invalid_request", Received: "status 201",
		},
	}}
	if err := report.WriteTable(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// pass  push/accepted      valid pushed request
	// fail  push/no-challenge  pushed request without code_challenge
	//
	// push/no-challenge fail: pushed request without code_challenge (FAPI 2.0 Security Profile §5.3.2.2)
	//   reason:   the server did not reject the request
	//   expected: status 400 or 401 with the error invalid_request
	//   received: status 201
	//   remedy:   Require PKCE with S256.
	//
	// https://as.example: 1 passed, 1 failed, 0 warnings, 0 skipped, 2 requests
}
