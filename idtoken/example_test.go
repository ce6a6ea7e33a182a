package idtoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/gofapi/fapi2/idtoken"
)

// An OpenID provider issues an ID token for an authentication request, and the
// client verifies it. Package jwks provides the keys.
func Example() {
	ctx := context.Background()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}

	nonce := rand.Text() // the client sends it with the request

	op, err := idtoken.NewIssuer(idtoken.IssuerConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	raw, err := op.Issue(idtoken.Claims{Subject: "alice", ClientID: "fintech", Nonce: nonce})
	if err != nil {
		log.Fatal(err)
	}

	client, err := idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: "https://as.example.com", ClientID: "fintech", Keys: keys})
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.Verify(ctx, raw, idtoken.Expected{Nonce: nonce})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Issuer(), token.Subject())

	_, err = client.Verify(ctx, raw, idtoken.Expected{Nonce: "of another session"})
	fmt.Println(errors.Is(err, idtoken.ErrNonce))
	// Output:
	// https://as.example.com alice
	// true
}
