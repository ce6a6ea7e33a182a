package introspection_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/introspection"
)

// A resource server has registered encryption. It receives a response that is
// signed and then encrypted for its DecryptionKey.
func ExampleDecryptionKey() {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	as, keys := encryptingServer(own.Public())
	defer as.Close()

	client, err := introspection.NewClient(introspection.ClientConfig{
		Endpoint: as.URL, HTTPClient: as.Client(), Issuer: "https://as.example.com", ClientID: "accounts-api",
		Audience: []string{"https://api.example.com"}, Keys: keys,
		DecryptionKeys: []introspection.DecryptionKey{
			{Key: own, KeyID: "k-1", Algorithm: "ECDH-ES+A256KW", ContentEncryption: "A256GCM"},
		},
	})
	if err != nil {
		panic(err)
	}
	token, err := client.Introspect(context.Background(), "2YotnFZFEjr1zCsicMWpAA")
	if err != nil {
		panic(err)
	}
	fmt.Println(token.Subject(), token.ClientID())
	// Output: alice fintech
}

// encryptingServer returns an authorization server that encrypts responses. A
// host uses the method Seal of idtoken.Encryption in place of encryption.Seal.
func encryptingServer(to crypto.PublicKey) (
	*httptest.Server, func(context.Context, string, string) ([]crypto.PublicKey, error),
) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	responder, err := introspection.NewResponder(introspection.ResponderConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		panic(err)
	}
	encryption := jose.Encryption{Key: to, KeyID: "k-1", Algorithm: "ECDH-ES+A256KW", ContentEncryption: "A256GCM"}
	api := introspection.ResourceServer{
		ID: "accounts-api", Audience: []string{"https://api.example.com"},
		Encrypt: func(signed string) (string, error) { return encryption.Seal(signed, 64<<10) },
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := introspection.ParseRequest(r)
		if err != nil {
			responder.WriteError(w, err)
			return
		}
		_ = responder.Write(w, request, api, introspection.Response{
			Active: true, Audience: api.Audience, Expires: time.Now().Add(time.Minute), Subject: "alice", ClientID: "fintech",
			JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		})
	}))
	return server, func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}
}
