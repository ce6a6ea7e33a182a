package client_test

import (
	"context"
	"crypto"
	"io"
	"log"
	"net/http"

	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// A web application reads the accounts of its users at a bank. Two handlers log
// the user in. The third calls the API of the bank.
func ExampleClient() {
	var key crypto.Signer     // the registered key, from a file, a KMS or an HSM
	var dpopKey crypto.Signer // for this bank only, stored as long as its tokens
	var secret []byte         // 32 random bytes

	app, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: "2026-11", DPoPKey: dpopKey,
	})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := client.NewSessions(client.SessionsConfig{Keys: [][]byte{secret}})
	if err != nil {
		log.Fatal(err)
	}
	users := &userStore{}

	http.Handle("/login", app.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	http.Handle("/callback", app.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
			user, _ := client.IDToken(token)
			source := app.TokenSource(context.WithoutCancel(r.Context()), token)
			users.logIn(w, user.Subject(), source) // sets a cookie of the application
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
	http.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		bank, err := app.HTTPClient(users.source(r)) // refreshes the token if necessary
		if err != nil {
			http.Error(w, "please log in", http.StatusUnauthorized)
			return
		}
		response, err := bank.Get("https://api.bank.example/accounts")
		if err != nil {
			http.Error(w, "no response from the bank", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServeTLS(":443", "app.crt", "app.key", nil))
}

// A userStore is the application's storage of logged-in users.
type userStore struct{}

func (*userStore) logIn(http.ResponseWriter, string, oauth2.TokenSource) {}

func (*userStore) source(*http.Request) oauth2.TokenSource { return nil }
