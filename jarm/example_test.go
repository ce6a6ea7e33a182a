package jarm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/jarm"
)

// A client requests a signed response, and the authorization server sends it
// through the browser. Package jwks provides the keys.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	const redirectURI = "https://fintech.example.com/callback"
	state := rand.Text() // the client stores it in its session

	// The client, when it begins.
	request := url.Values{"response_type": {"code"}, "response_mode": {string(jarm.ModeJWT)}, "state": {state}}

	// The authorization server.
	as, err := jarm.NewIssuer(jarm.IssuerConfig{Issuer: "https://as.example.com", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	authorize := func(w http.ResponseWriter, answer url.Values) error {
		mode, err := jarm.ParseMode(request.Get("response_mode"), request.Get("response_type"))
		if err != nil {
			return err
		}
		answer.Set("state", request.Get("state"))
		response, err := as.Response("fintech", answer)
		if err != nil {
			return err
		}
		return mode.Write(w, redirectURI, response)
	}

	// The client, when the browser comes back.
	verifier, err := jarm.NewVerifier(jarm.VerifierConfig{
		Issuer: "https://as.example.com", ClientID: "fintech",
		Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{key.Public()}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	finish := func(callback *http.Request) (code string, err error) {
		response, err := verifier.VerifyRequest(callback.Context(), callback)
		if err == nil {
			err = response.CheckState(state)
		}
		if err == nil {
			err = response.Err()
		}
		if err != nil {
			return "", err
		}
		return response.Code(), nil
	}

	for _, answer := range []url.Values{{"code": {"SplxlOBeZQQYbYS6WxSbIA"}}, {"error": {"access_denied"}}} {
		browser := httptest.NewRecorder()
		if err := authorize(browser, answer); err != nil {
			log.Fatal(err)
		}
		code, err := finish(httptest.NewRequest(http.MethodGet, browser.Header().Get("Location"), nil))
		if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) {
			fmt.Println("refused:", said.ErrorCode)
			continue
		}
		fmt.Println(code, err)
	}
	_, err = finish(httptest.NewRequest(http.MethodGet, redirectURI+"?code=stolen&state="+state, nil))
	fmt.Println(errors.Is(err, jarm.ErrNoResponse))
	// Output:
	// SplxlOBeZQQYbYS6WxSbIA <nil>
	// refused: access_denied
	// true
}
