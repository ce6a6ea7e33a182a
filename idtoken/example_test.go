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

// A provider signs a token and encrypts it for a client, which has registered
// the algorithms. Singpass and Corppass require these ones.
func ExampleEncryption() {
	ctx := context.Background()
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // the client's
	if err != nil {
		log.Fatal(err)
	}
	const alg, enc = "ECDH-ES+A256KW", "A256CBC-HS512"

	op, err := idtoken.NewIssuer(idtoken.IssuerConfig{Issuer: "https://as.example.com", Key: signing})
	if err != nil {
		log.Fatal(err)
	}
	signed, err := op.Issue(idtoken.Claims{Subject: "alice", ClientID: "fintech", Nonce: "n-1"})
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := idtoken.Encryption{Key: own.Public(), KeyID: "k-1", Algorithm: alg, ContentEncryption: enc}.Seal(signed)
	if err != nil {
		log.Fatal(err)
	}

	client, err := idtoken.NewVerifier(idtoken.VerifierConfig{
		Issuer: "https://as.example.com", ClientID: "fintech",
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{signing.Public()}, nil
		},
		DecryptionKeys: []idtoken.DecryptionKey{{Key: own, KeyID: "k-1", Algorithm: alg, ContentEncryption: enc}},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.Verify(ctx, sealed, idtoken.Expected{Nonce: "n-1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Subject())

	_, err = client.Verify(ctx, signed, idtoken.Expected{Nonce: "n-1"}) // a downgrade
	fmt.Println(errors.Is(err, idtoken.ErrEncryption))
	// Output:
	// alice
	// true
}
