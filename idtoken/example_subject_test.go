package idtoken_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log"

	"github.com/gofapi/fapi2/idtoken"
)

// Two clients of one sector receive the same identifier of Alice. A client of
// another sector receives another one, so the two cannot compare their users.
func ExamplePairwiseSubjects() {
	secret := bytes.Repeat([]byte{'s'}, 32) // in production, 32 random bytes
	pairwise, err := idtoken.PairwiseSubjects(secret)
	if err != nil {
		log.Fatal(err)
	}
	identifier := func(sector string) string {
		subject, err := pairwise(context.Background(), sector, "alice")
		if err != nil {
			log.Fatal(err)
		}
		return subject
	}
	web, mobile := identifier("fintech.example.com"), identifier("fintech.example.com")
	fmt.Println(len(web))
	fmt.Println(web == mobile)
	fmt.Println(web == identifier("shop.example.com"))
	// Output:
	// 43
	// true
	// false
}

// A client reads a UserInfo response about the user of its ID token. It rejects
// a response about another user.
func ExampleVerifier_VerifyUserInfo() {
	ctx := context.Background()
	client, err := idtoken.NewVerifier(idtoken.VerifierConfig{
		Issuer: "https://as.example.com", ClientID: "fintech",
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }, // see package jwks
	})
	if err != nil {
		log.Fatal(err)
	}
	const contentType = "application/json"
	body := []byte(`{"sub": "alice", "email": "alice@example.com"}`)

	user, err := client.VerifyUserInfo(ctx, contentType, body, "alice") // Token.Subject of the ID token
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Subject(), string(user.Claim("email")))

	_, err = client.VerifyUserInfo(ctx, contentType, body, "bob")
	fmt.Println(errors.Is(err, idtoken.ErrSubject))
	// Output:
	// alice "alice@example.com"
	// true
}
