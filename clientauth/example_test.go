package clientauth_test

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

	"github.com/gofapi/fapi2/clientauth"
)

// A client authenticates at a token endpoint; the same request a second time is refused.
func Example() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	// The authorization server knows the client and its public key.
	verifier, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: "https://as.example.com",
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			if id != "s6BhdRkqt3" {
				return clientauth.Client{}, clientauth.ErrUnknownClient
			}
			return clientauth.Client{ID: id, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
				return []crypto.PublicKey{key.Public()}, nil
			}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		who, err := verifier.Verify(r.Context(), clientauth.Credentials{Form: r.PostForm, Authorization: r.Header.Values("Authorization")})
		fmt.Println(who.ClientID(), who.Method(), errors.Is(err, clientauth.ErrReplayed))
	}))
	defer server.Close()

	// The client signs a new assertion for every request.
	client, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	if err != nil {
		panic(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if err := client.Authenticate(context.Background(), form); err != nil {
		panic(err)
	}
	http.PostForm(server.URL, form)
	http.PostForm(server.URL, form) // without a new assertion
	// Output:
	// s6BhdRkqt3 private_key_jwt false
	//   true
}
