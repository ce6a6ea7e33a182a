package client_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"log"
	"net/http"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store"
	"golang.org/x/oauth2"
)

// A web application reads the accounts of its users at a bank. Two handlers log
// the user in: a form of the application POSTs to /login. The third calls the
// API of the bank. The tokens and their DPoP keys are in a store, which all
// processes of the application share.
func ExampleClient() {
	var key crypto.Signer  // the registered key, from a file, a KMS or an HSM
	var secret []byte      // 32 random bytes, the same in all processes
	var shared store.Store // for example of package sqlstore

	app, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: "2026-11", Tokens: &client.Tokens{Store: shared, Keys: [][]byte{secret}},
		SeveralInstances: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := client.NewSessions(client.SessionsConfig{
		Keys: [][]byte{secret}, Used: shared, SeveralInstances: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	users := &userCookies{}

	http.Handle("POST /login", app.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	http.Handle("/callback", app.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
			user := client.Subject(token)
			if err := app.StoredToken(user).Save(r.Context(), token); err != nil {
				http.Error(w, "the login could not be stored", http.StatusServiceUnavailable)
				return
			}
			users.logIn(w, user) // sets a cookie of the application
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
	http.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		user := users.user(r)
		if user == "" {
			http.Error(w, "please log in", http.StatusUnauthorized)
			return
		}
		response, err := readAccounts(r.Context(), app, user)
		switch {
		case errors.Is(err, client.ErrReauthorize):
			http.Error(w, "please connect your bank again", http.StatusUnauthorized)
			return
		case err != nil:
			http.Error(w, "no response from the bank", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	})
	log.Fatal(http.ListenAndServeTLS(":443", "app.crt", "app.key", nil))
}

func readAccounts(ctx context.Context, app *client.Client, user string) (*http.Response, error) {
	bank, err := app.HTTPClient(app.StoredToken(user)) // refreshes the token if necessary
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.bank.example/accounts", nil)
	if err != nil {
		return nil, err
	}
	return bank.Do(r)
}

// userCookies are the application's own sessions of logged-in users.
type userCookies struct{}

func (*userCookies) logIn(http.ResponseWriter, string) {}

func (*userCookies) user(*http.Request) string { return "" }
