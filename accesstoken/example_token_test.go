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
	"time"

	"github.com/gofapi/fapi2/accesstoken"
)

// A route of an API requires a scope value.
func ExampleToken_CheckScope() {
	token := verified(accesstoken.Claims{Scope: "accounts"})
	for _, scope := range []string{"accounts", "payments"} {
		err := token.CheckScope(scope)
		if errors.Is(err, accesstoken.ErrInsufficientScope) {
			fmt.Println(scope, "has status 403")
			continue
		}
		fmt.Println(scope, err)
	}
	// Output:
	// accounts <nil>
	// payments has status 403
}

// A payment requires a recent authentication with a strong class. The client
// starts a new authorization with the parameters of the challenge.
func ExampleStepUp() {
	payment := accesstoken.StepUp{ACRValues: []string{"urn:example:strong"}, MaxAge: 5 * time.Minute}
	for _, age := range []time.Duration{time.Minute, time.Hour} {
		token := verified(accesstoken.Claims{ACR: "urn:example:strong", AuthTime: time.Now().Add(-age)})
		if err := token.CheckStepUp(payment); err != nil {
			fmt.Println("DPoP", payment.Challenge()) // the WWW-Authenticate header with status 401
			continue
		}
		fmt.Println("permitted")
	}
	// Output:
	// permitted
	// DPoP error="insufficient_user_authentication", error_description="A different or more recent authentication is required", acr_values="urn:example:strong", max_age="300"
}

// verified issues a token with the claims and verifies it, as an API does.
func verified(claims accesstoken.Claims) *accesstoken.Token {
	const api = "https://api.example.com"
	claims.Subject, claims.ClientID, claims.Audience = "alice", "fintech", []string{api}
	claims.JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	raw, err := issuer.Issue(claims)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{Issuer: "https://as.example.com", Audience: []string{api}, Keys: keys})
	if err != nil {
		log.Fatal(err)
	}
	token, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		log.Fatal(err)
	}
	return token
}
