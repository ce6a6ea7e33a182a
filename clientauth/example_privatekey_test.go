package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/url"

	"github.com/gofapi/fapi2/clientauth"
)

// A client adds its authentication to the form of a token request. Each call
// makes a new assertion, because a server accepts an assertion once.
func ExamplePrivateKeyJWT() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	client, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key, KeyID: "2026-01",
	})
	if err != nil {
		panic(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"SplxlOBeZQQYbYS6WxSbIA"}}
	if err := client.Authenticate(context.Background(), form); err != nil {
		panic(err)
	}
	first := form.Get("client_assertion")
	if err := client.Authenticate(context.Background(), form); err != nil { // a retry
		panic(err)
	}
	fmt.Println(form.Get("client_id"), form.Get("client_assertion_type"))
	fmt.Println(form.Get("client_assertion") != first)
	// Output:
	// s6BhdRkqt3 urn:ietf:params:oauth:client-assertion-type:jwt-bearer
	// true
}

// A token endpoint checks the client first and records the assertion last. A
// request that fails another check does not use up the assertion.
func ExampleAuthentication() {
	ctx := context.Background()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	verifier, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: "https://as.example.com",
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			return clientauth.Client{ID: id, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
				return []crypto.PublicKey{key.Public()}, nil
			}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	client, _ := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	form := url.Values{"grant_type": {"client_credentials"}}
	_ = client.Authenticate(ctx, form)

	authentication, err := verifier.Check(ctx, clientauth.Credentials{Form: form})
	fmt.Println(authentication.ClientID(), authentication.Method(), err)
	// Here the server makes all other checks, for example that of a DPoP proof.
	fmt.Println(verifier.Commit(ctx, authentication))
	fmt.Println(verifier.Commit(ctx, authentication))
	// Output:
	// s6BhdRkqt3 private_key_jwt <nil>
	// <nil>
	// clientauth: assertion replayed
}
