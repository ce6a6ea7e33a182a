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

// A web application that reads its users' accounts at a bank. Two handlers log in, the third calls the bank's API.
func ExampleClient() {
	var key crypto.Signer     // of the registration, from a file, a key management service or a hardware module
	var dpopKey crypto.Signer // for the tokens of this bank, kept where they are stored
	var secret []byte         // 32 random bytes, of the application's own

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
	users := &userStore{} // the application's own

	http.Handle("/login", app.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	http.Handle("/callback", app.CallbackHandler(sessions, func(w http.ResponseWriter, r *http.Request, s *client.Session, token *oauth2.Token) {
		user, _ := client.IDToken(token) // who it is
		source := app.TokenSource(context.WithoutCancel(r.Context()), token)
		users.logIn(w, user.Subject(), source) // a cookie of the application's own
		http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	}))
	http.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		bank, err := app.HTTPClient(users.source(r)) // refreshes the token when it has to
		if err != nil {
			http.Error(w, "please log in", http.StatusUnauthorized)
			return
		}
		response, err := bank.Get("https://api.bank.example/accounts")
		if err != nil {
			http.Error(w, "the bank does not answer", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServeTLS(":443", "app.crt", "app.key", nil))
}

// userStore is what an application has to know its users by.
type userStore struct{}

func (*userStore) logIn(http.ResponseWriter, string, oauth2.TokenSource) {}

func (*userStore) source(*http.Request) oauth2.TokenSource { return nil }
