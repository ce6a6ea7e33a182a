package clientauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gofapi/fapi2/clientauth"
)

// A client authenticates at a token endpoint; the same request a second time is refused.
func Example() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	// The authorization server knows the client and its public key.
	verifier, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: "https://as.example.com",
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			if id != "s6BhdRkqt3" {
				return clientauth.Client{}, clientauth.ErrUnknownClient
			}
			return clientauth.Client{ID: id, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
				return []crypto.PublicKey{key.Public()}, nil
			}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		who, err := verifier.Verify(r.Context(), clientauth.Credentials{Form: r.PostForm, Authorization: r.Header.Values("Authorization")})
		if err != nil {
			refuse(w, err)
			return
		}
		fmt.Fprintln(w, who.ClientID(), who.Method())
	}))
	defer server.Close()

	// The client signs a new assertion for every request.
	client, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	if err != nil {
		panic(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if err := client.Authenticate(context.Background(), form); err != nil {
		panic(err)
	}
	for range 2 { // the second time without a new assertion
		resp, err := http.PostForm(server.URL, form)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s\n", resp.StatusCode, bytes.TrimSpace(body))
	}
	// Output:
	// 200 s6BhdRkqt3 private_key_jwt
	// 401 {"error":"invalid_client","error_description":"client assertion used before"}
}

// refuse answers what the error says: every error of a Verifier does.
func refuse(w http.ResponseWriter, err error) {
	var answer interface {
		OAuthError() (code, description string)
		HTTPStatus() int
	}
	if !errors.As(err, &answer) {
		http.Error(w, `{"error":"server_error"}`, http.StatusInternalServerError)
		return
	}
	code, description := answer.OAuthError()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(answer.HTTPStatus())
	json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}
