package profile_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofapi/fapi2/profile"
)

// An issuer identifier is an https URL, and the loopback interface is no
// exception.
func ExampleCheckIssuer() {
	for _, issuer := range []string{"https://as.example/bank", "http://127.0.0.1:8080", "https://as.example?bank=1"} {
		fmt.Println(profile.CheckIssuer(issuer))
	}
	// Output:
	// <nil>
	// profile: not an issuer identifier: "http://127.0.0.1:8080" is not https
	// profile: not an issuer identifier: "https://as.example?bank=1" has a query
}

// The path of an issuer follows one well-known string and precedes the other.
func ExampleWellKnownURLs() {
	oauth, openid, err := profile.WellKnownURLs("https://as.example/bank")
	if err != nil {
		panic(err)
	}
	fmt.Println(oauth)
	fmt.Println(openid)
	// Output:
	// https://as.example/.well-known/oauth-authorization-server/bank
	// https://as.example/bank/.well-known/openid-configuration
}

// A server for clients with self-signed certificates requests a certificate in
// each handshake. The package tokenbinding then reads it.
func ExampleTLSConfig() {
	config := profile.TLSConfig()
	config.ClientAuth = tls.RequestClientCert
	server := &http.Server{Addr: ":443", TLSConfig: config} // and a Handler

	fmt.Println("at least", tls.VersionName(server.TLSConfig.MinVersion))
	for _, suite := range server.TLSConfig.CipherSuites {
		fmt.Println(tls.CipherSuiteName(suite))
	}
	// Output:
	// at least TLS 1.2
	// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
}

// A registration of plain OAuth 2.0 has two errors under FAPI 2.0. Each finding
// has its remedy.
func ExampleClientMetadata_Lint() {
	registered := &profile.ClientMetadata{
		ClientID: "s6BhdRkqt3", RedirectURIs: []string{"http://app.example/callback"},
		TokenEndpointAuthMethod: "client_secret_basic", DPoPBoundAccessTokens: true,
	}
	for _, finding := range registered.Lint(profile.Baseline) {
		if finding.Severity == "error" {
			fmt.Printf("%s: %s\n  %s\n", finding.Member, finding.Problem, finding.Remedy)
		}
	}
	// Output:
	// token_endpoint_auth_method: forbidden token_endpoint_auth_method "client_secret_basic"
	//   Use private_key_jwt, tls_client_auth or self_signed_tls_client_auth, because secrets are forbidden.
	// redirect_uris: "http://app.example/callback": par: invalid redirect_uri: http is for 127.0.0.1 and [::1] only
	//   Register an https URL without fragment, or http on 127.0.0.1 or [::1] for a native app.
}

// A client discovers a server by its issuer alone. The document of this server
// is valid, but the server does not support FAPI 2.0.
func ExampleDiscover() {
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{
			"issuer": %q, "response_types_supported": ["code"],
			"authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token"
		}`, server.URL)
	})

	found, err := profile.Discover(context.Background(), server.Client(), server.URL)
	if err != nil {
		panic(err)
	}
	fmt.Println(found.TokenEndpoint)
	fmt.Println("supports FAPI 2.0:", found.CheckBaseline() == nil)
	// Output:
	// https://as.example/token
	// supports FAPI 2.0: false
}
