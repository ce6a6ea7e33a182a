package jar_test

import (
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

	"github.com/gofapi/fapi2/jar"
)

// A client pushes a signed authorization request, the same request again, and a
// request without a signature.
func Example() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	// The authorization server knows the client and its public key.
	verifier, err := jar.NewVerifier(jar.VerifierConfig{Issuer: "https://as.example.com"})
	if err != nil {
		panic(err)
	}
	client := jar.Client{ID: "s6BhdRkqt3", Algorithm: "ES256", Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		// Here the client authenticates: see package clientauth.
		request, err := verifier.Verify(r.Context(), client, r.PostForm)
		if err != nil {
			reject(w, err)
			return
		}
		// Here the parameters are checked and stored: see package par. Archive request.Raw().
		fmt.Fprintln(w, request.ClientID(), "asks for", request.Params().Get("authorization_details"))
	}))
	defer server.Close()

	// The client signs its request.
	signer, err := jar.NewSigner(jar.SignerConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	if err != nil {
		panic(err)
	}
	params := url.Values{
		"response_type": {"code"}, "redirect_uri": {"https://client.example.org/cb"}, "authorization_details": {`[{"type":"accounts"}]`},
		"code_challenge": {"K2-ltc83acc4h0c9w6ESC_rEMTJ3bwwuCHaoeK1t8U_"}, "code_challenge_method": {"S256"},
	}
	signed, err := signer.Form(params)
	if err != nil {
		panic(err)
	}
	for _, form := range []url.Values{signed, signed, params} {
		resp, err := http.PostForm(server.URL, form)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s", resp.StatusCode, body)
	}
	// Output:
	// 200 s6BhdRkqt3 asks for [{"type":"accounts"}]
	// 400 {"error":"invalid_request_object","error_description":"request object used before"}
	// 400 {"error":"invalid_request","error_description":"a signed request object is required"}
}

// reject writes the response that an error of the package contains.
func reject(w http.ResponseWriter, err error) {
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
