package message_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gofapi/fapi2/message"
)

// A client creates a consent at a bank. Request and response are signed.
// Package jwks provides the keys.
func Example() {
	const client, bank, consents = "fintech", "https://bank.example.com", "https://api.bank.example.com/consents"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil // both parties have one key here
	}
	signs := func(issuer string) *message.Signer {
		s, err := message.NewSigner(message.SignerConfig{Issuer: issuer, Key: key})
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	verifies := func(issuer, audience string) *message.Verifier {
		v, err := message.NewVerifier(message.VerifierConfig{Issuer: issuer, Audience: []string{audience}, Keys: keys})
		if err != nil {
			log.Fatal(err)
		}
		return v
	}

	// The API of the bank.
	fromClient, asBank := verifies(client, consents), signs(bank)
	api := func(w http.ResponseWriter, r *http.Request) {
		body, err := message.ReadBody(r.Header, r.Body)
		if err != nil {
			http.Error(w, "not a signed message", http.StatusUnsupportedMediaType)
			return
		}
		consent, err := fromClient.Verify(r.Context(), body)
		if err != nil {
			http.Error(w, "invalid message", http.StatusBadRequest)
			return
		}
		fmt.Println("the bank received", string(consent.Claim("permissions")))
		signed, err := asBank.Sign(client, map[string]any{"consentId": "urn:bank:1"})
		if err != nil {
			http.Error(w, "no response", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", message.MediaType)
		fmt.Fprint(w, signed)
	}

	// The client.
	signed, err := signs(client).Sign(consents, map[string]any{"permissions": []string{"ReadBalances"}})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, consents, strings.NewReader(signed))
	r.Header.Set("Content-Type", message.MediaType)
	w := httptest.NewRecorder()
	api(w, r)
	body, err := message.ReadBody(w.Header(), w.Body)
	if err != nil {
		log.Fatal(err)
	}
	response, err := verifies(bank, client).Verify(context.Background(), body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the client received", string(response.Claim("consentId")))
	// Output:
	// the bank received ["ReadBalances"]
	// the client received "urn:bank:1"
}
