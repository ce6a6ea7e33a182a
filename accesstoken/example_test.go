package accesstoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/gofapi/fapi2/accesstoken"
)

// An authorization server issues a token for an API, and the API verifies it.
// Package jwks provides the keys. Package dpop checks the proof of the request.
func Example() {
	ctx := context.Background()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}

	as, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	raw, err := as.Issue(accesstoken.Claims{
		Subject: "alice", ClientID: "fintech", Audience: []string{"https://api.example.com"}, Scope: "accounts",
		JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
	})
	if err != nil {
		log.Fatal(err)
	}

	api, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: "https://as.example.com", Audience: []string{"https://api.example.com"}, Keys: keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := api.Verify(ctx, raw)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Subject(), token.ClientID(), token.JKT())
	fmt.Println(token.CheckScope("accounts"))
	fmt.Println(errors.Is(token.CheckScope("payments"), accesstoken.ErrInsufficientScope))
	stepUp := accesstoken.StepUp{ACRValues: []string{"urn:example:strong"}}
	if errors.Is(token.CheckStepUp(stepUp), accesstoken.ErrInsufficientAuthentication) {
		fmt.Println("WWW-Authenticate: DPoP", stepUp.Challenge())
	}
	// Output:
	// alice fintech 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I
	// <nil>
	// true
	// WWW-Authenticate: DPoP error="insufficient_user_authentication", error_description="A different or more recent authentication is required", acr_values="urn:example:strong"
}
