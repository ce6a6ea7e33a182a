package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gofapi/fapi2/dpop"
)

// An API adds proofs to the check of access tokens that it has, and a client calls it.
func Example() {
	// The API. Its keyOf stands for the check of access tokens that it has; it returns the key that a token is bound to.
	keyOf := func(token string) (thumbprint string, ok bool) { return strings.CutPrefix(token, "token-for-") }
	var verifier *dpop.Verifier
	protect := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			thumbprint, ok := keyOf(token)
			if !ok || !strings.EqualFold(scheme, "DPoP") {
				w.Header().Set("WWW-Authenticate", verifier.Challenge(nil))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if _, err := verifier.VerifyToken(r.Context(), r, token, thumbprint); err != nil {
				fmt.Println("API:", err)
				verifier.WriteError(w, err)
				return
			}
			verifier.SetNonce(w.Header())
			next.ServeHTTP(w, r)
		})
	}
	api := httptest.NewServer(protect(http.NotFoundHandler()))
	defer api.Close()
	nonces, _ := dpop.NewNonceSource(dpop.NonceSourceConfig{})
	verifier, _ = dpop.NewVerifier(dpop.VerifierConfig{BaseURL: api.URL, Nonces: nonces})

	// The client.
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, _ := dpop.NewProver(dpop.ProverConfig{Key: key})
	transport, _ := dpop.NewTransport(dpop.TransportConfig{Prover: prover})
	client := &http.Client{Transport: transport}
	for _, token := range []string{"token-for-" + prover.Thumbprint(), "token-for-somebody-else"} {
		req, _ := http.NewRequest("GET", api.URL+"/no-such-thing", nil)
		req.Header.Set("Authorization", "DPoP "+token)
		resp, err := client.Do(req)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		challenge, _, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), ",")
		fmt.Println(strings.TrimSpace(fmt.Sprint("client: ", resp.StatusCode, " ", challenge)))
	}

	// Output:
	// API: dpop: no recent nonce: there is none
	// client: 404
	// API: dpop: access token is not bound to the key of the proof
	// client: 401 DPoP error="invalid_token"
}
