package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gofapi/fapi2/dpop"
)

// A token endpoint requires a nonce. The client sends the nonce of the first
// response, as a Transport does.
func ExampleNonceSource() {
	const endpoint = "https://as.example.com/token"
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{}) // processes of one service share Keys
	if err != nil {
		panic(err)
	}
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{"https://as.example.com"}, Nonces: nonces})
	if err != nil {
		panic(err)
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, _ := dpop.NewProver(dpop.ProverConfig{Key: key})

	nonce := ""
	for range 2 {
		proof, _ := prover.Proof(http.MethodPost, endpoint, dpop.ProofOptions{Nonce: nonce})
		r, w := httptest.NewRequest(http.MethodPost, endpoint, nil), httptest.NewRecorder()
		r.Header.Set("DPoP", proof)
		if _, err := verifier.Verify(r.Context(), r); err != nil {
			verifier.WriteError(w, err)
		}
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
		nonce = w.Header().Get("DPoP-Nonce")
	}
	// Output:
	// 400 {"error":"use_dpop_nonce","error_description":"DPoP proof requires a recent nonce"}
	// 200
}

// An authorization server binds a token to the key of a proof. Check records
// nothing, so a request that fails other checks does not use up the proof.
func ExampleProof() {
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{"https://as.example.com"}})
	if err != nil {
		panic(err)
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, _ := dpop.NewProver(dpop.ProverConfig{Key: key})
	header, _ := prover.Proof(http.MethodPost, "https://as.example.com/token", dpop.ProofOptions{})
	r := httptest.NewRequest(http.MethodPost, "https://as.example.com/token", nil)
	r.Header.Set("DPoP", header)

	proof, err := verifier.Check(r)
	if err != nil {
		panic(err)
	}
	// Here the server makes all other checks of the request.
	fmt.Println(verifier.Commit(context.Background(), proof))
	fmt.Println(verifier.Commit(context.Background(), proof))
	fmt.Println(proof.Algorithm(), proof.Thumbprint() == prover.Thumbprint()) // the cnf.jkt of the token
	// Output:
	// <nil>
	// dpop: proof replayed
	// ES256 true
}
