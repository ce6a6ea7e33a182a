package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/dpop"
)

// An API checks proofs in addition to access tokens, and a client calls it.
func Example() {
	// keyOf stands for the check of access tokens. It returns the key that a token is
	// bound to.
	keyOf := func(token string) (thumbprint string, ok bool) { return strings.CutPrefix(token, "token-for-") }
	// Missing credentials are not an error, so the challenge has no code. An invalid token
	// is an error with a code.
	var verifier *dpop.Verifier
	protect := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			if !strings.EqualFold(scheme, "DPoP") {
				w.Header().Set("WWW-Authenticate", verifier.Challenge(nil))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			thumbprint, ok := keyOf(token)
			if !ok {
				verifier.WriteError(w, badToken{})
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
	verifier, _ = dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{api.URL}, Nonces: nonces})

	// The client.
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, _ := dpop.NewProver(dpop.ProverConfig{Key: key})
	transport, _ := dpop.NewTransport(dpop.TransportConfig{Prover: prover})
	client := &http.Client{Transport: transport}
	for _, token := range []string{"token-for-" + prover.Thumbprint(), "token-for-another-key", "no-token"} {
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
	// API: dpop: no recent nonce: missing nonce
	// client: 404
	// API: dpop: access token is not bound to the key of the proof
	// client: 401 DPoP error="invalid_token"
	// client: 401 DPoP error="invalid_token"
}

// badToken is an error of the API. Its methods return the code and status for WriteError
// and Challenge.
type badToken struct{}

func (badToken) Error() string                     { return "unknown or expired access token" }
func (badToken) OAuthError() (code, detail string) { return "invalid_token", "Unknown or expired" }
func (badToken) HTTPStatus() int                   { return http.StatusUnauthorized }

// A client uses golang.org/x/oauth2 with an authorization server and an API that require
// proofs.
func ExampleTransport() {
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	verifier, _ := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{server.URL}})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		proof, err := verifier.Verify(r.Context(), r)
		if err != nil {
			verifier.WriteError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-for-%s","token_type":"DPoP","expires_in":300}`, proof.Thumbprint())
	})
	mux.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if _, err := verifier.VerifyToken(r.Context(), r, token, strings.TrimPrefix(token, "token-for-")); err != nil {
			verifier.WriteError(w, err)
			return
		}
		fmt.Fprint(w, "three accounts")
	})

	// The client. Only these lines differ from one without proofs.
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, _ := dpop.NewProver(dpop.ProverConfig{Key: key})
	transport, _ := dpop.NewTransport(dpop.TransportConfig{Prover: prover, Base: server.Client().Transport})
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport})

	cfg := oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
	token, err := cfg.Exchange(ctx, "the-code")
	if err != nil {
		panic(err)
	}
	if !strings.EqualFold(token.TokenType, "DPoP") {
		panic("the server has issued a token without binding")
	}
	resp, err := cfg.Client(ctx, token).Get(server.URL + "/accounts")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(token.TokenType, resp.StatusCode, string(body))
	// Output:
	// DPoP 200 three accounts
}
