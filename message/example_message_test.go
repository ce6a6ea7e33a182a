package message_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/gofapi/fapi2/message"
)

// A bank decodes the members of a verified message, and archives the message
// as it was received.
func ExampleMessage() {
	const api = "https://api.bank.example.com/payments"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := message.NewSigner(message.SignerConfig{Issuer: "fintech", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	token, err := signer.Sign(api, map[string]any{"amount": "100.00", "currency": "BRL"})
	if err != nil {
		log.Fatal(err)
	}

	verifier, err := message.NewVerifier(message.VerifierConfig{
		Issuer: "fintech", Audience: []string{api},
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { // see package jwks
			return []crypto.PublicKey{key.Public()}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	payment, err := verifier.Verify(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	var body struct {
		Amount   string `json:"amount"`
		Currency string `json:"currency"`
	}
	if err := payment.Decode(&body); err != nil {
		log.Fatal(err)
	}
	fmt.Println(payment.Issuer(), body.Amount, body.Currency, payment.Token() == token)
	// Output: fintech 100.00 BRL true
}
