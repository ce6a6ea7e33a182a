package introspection_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/introspection"
)

// An API introspects a token and receives a signed response, which is evidence for
// an auditor.
func Example() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	// The authorization server.
	responder, _ := introspection.NewResponder(introspection.ResponderConfig{Issuer: "https://as.example.com", Key: key})
	as := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := introspection.ParseRequest(r)
		if err != nil {
			responder.WriteError(w, err)
			return
		}
		// Package clientauth authenticates the caller. The maps stand for a database.
		_ = responder.Write(w, req, resourceServers[req.Form.Get("client_assertion")], tokens[req.Token])
	}))
	defer as.Close()

	// The API.
	client, err := introspection.NewClient(introspection.ClientConfig{
		Endpoint: as.URL, HTTPClient: as.Client(), Issuer: "https://as.example.com", ClientID: "accounts-api",
		Audience: []string{"https://api.example.com"},
		Authenticate: func(_ context.Context, form url.Values) error {
			form.Set("client_assertion", "of accounts-api") // a new one for each request
			return nil
		},
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{key.Public()}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := client.Introspect(context.Background(), "2YotnFZFEjr1zCsicMWpAA")
	fmt.Println(token, err)
	fmt.Println(token.Subject(), token.JKT(), token.CheckScope("accounts"), token.Signed() != "")

	_, err = client.Introspect(context.Background(), "tGzv3JOkF0XG5Qx2TlKWIA")
	fmt.Println(errors.Is(err, introspection.ErrInactive))
	// Output:
	// access token "t-1" of client "fintech" <nil>
	// alice 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I <nil> true
	// true
}

var resourceServers = map[string]introspection.ResourceServer{
	"of accounts-api": {ID: "accounts-api", Audience: []string{"https://api.example.com"}, RequireJWT: true},
}

var tokens = map[string]introspection.Response{
	"2YotnFZFEjr1zCsicMWpAA": {
		Active: true, Audience: []string{"https://api.example.com"}, Expires: time.Now().Add(5 * time.Minute), ID: "t-1",
		JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", Subject: "alice", ClientID: "fintech", Scope: "accounts",
	},
}
