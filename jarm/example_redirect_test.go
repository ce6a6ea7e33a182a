package jarm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/url"

	"github.com/gofapi/fapi2/jarm"
)

// A server with its own redirects appends the signed response to the redirect
// URI of the client. The query of the URI remains.
func ExampleRedirectURL() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	as, err := jarm.NewIssuer(jarm.IssuerConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	response, err := as.Response("fintech", url.Values{"code": {"SplxlOBeZQQYbYS6WxSbIA"}, "state": {"af0ifjsldkj"}})
	if err != nil {
		log.Fatal(err)
	}
	location, err := jarm.RedirectURL("https://fintech.example.com/callback?bank=one", response)
	if err != nil {
		log.Fatal(err)
	}
	parsed, _ := url.Parse(location)
	fmt.Println(parsed.Host, parsed.Query().Get("bank"), parsed.Query().Get("response") == response, parsed.Query().Has("code"))
	// Output: fintech.example.com one true false
}

// A client has registered encryption of its responses. It rejects a response
// that is only signed.
func ExampleEncryption() {
	ctx := context.Background()
	signing, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	own, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // the client's
	as, err := jarm.NewIssuer(jarm.IssuerConfig{Issuer: "https://as.example.com", Key: signing})
	if err != nil {
		log.Fatal(err)
	}
	client, err := jarm.NewVerifier(jarm.VerifierConfig{
		Issuer: "https://as.example.com", ClientID: "fintech",
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{signing.Public()}, nil
		},
		DecryptionKeys: []jarm.DecryptionKey{{Key: own, KeyID: "k-1", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM"}},
	})
	if err != nil {
		log.Fatal(err)
	}

	signed, _ := as.Response("fintech", url.Values{"code": {"SplxlOBeZQQYbYS6WxSbIA"}})
	encryption := jarm.Encryption{Key: own.Public(), KeyID: "k-1", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM"}
	sealed, err := encryption.Seal(signed)
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Verify(ctx, sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Code())

	_, err = client.Verify(ctx, signed)
	fmt.Println(errors.Is(err, jarm.ErrEncryption))
	// Output:
	// SplxlOBeZQQYbYS6WxSbIA
	// true
}
