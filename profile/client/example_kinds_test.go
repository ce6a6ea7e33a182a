package client_test

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// A job reads the rates of a bank every night. It acts for itself, so there is
// no user and no redirect URI. The source requests a new token when the old one
// expires.
func ExampleClient_ClientCredentialsSource() {
	var key crypto.Signer // the registered key, from a file, a KMS or an HSM

	job, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "nightly-job", Key: key, KeyID: "2026-11",
	})
	if err != nil {
		log.Fatal(err)
	}
	bank, err := job.HTTPClient(job.ClientCredentialsSource(client.Request{Scopes: []string{"rates"}}))
	if err != nil {
		log.Fatal(err)
	}
	response, err := bank.Get("https://api.bank.example/rates")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

// The user of a mobile app connects a bank. The server of the app is the
// client: keys and tokens stay there. The app opens the URL in the browser of
// the phone or in the app of the bank, and passes the query of its universal
// link https://app.example/callback to its server.
func ExampleSessions_Seal() {
	var bank *client.Client
	var sessions *client.Sessions
	// device returns a secret that the app received at its own login.
	var device func(*http.Request) string
	var save func(device string, token *oauth2.Token)
	fail := func(w http.ResponseWriter, err error) {
		log.Print(err)
		http.Error(w, "the bank could not be connected", http.StatusBadGateway)
	}

	http.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		session, err := bank.Begin(r.Context(), client.Request{Scopes: []string{"accounts"}})
		if err != nil {
			fail(w, err)
			return
		}
		sealed, err := sessions.Seal(session, device(r)) // no other device can use it
		if err != nil {
			fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"url": session.URL, "session": sealed})
	})
	http.HandleFunc("POST /connected", func(w http.ResponseWriter, r *http.Request) {
		session, err := sessions.Open(r.Context(), r.PostFormValue("session"), device(r))
		if err != nil {
			fail(w, err)
			return
		}
		callback, err := url.ParseQuery(r.PostFormValue("query"))
		if err != nil {
			fail(w, err)
			return
		}
		token, err := bank.Finish(r.Context(), session, callback)
		if err != nil {
			fail(w, err)
			return
		}
		save(device(r), token)
	})
}

// A web application reads accounts at several banks. The user chooses the bank
// with a form. All banks have the same redirect URI.
func ExampleSet() {
	var key crypto.Signer
	var dpopKeys map[string]crypto.Signer // one for each bank
	var sessions *client.Sessions

	banks := &client.Set{
		Report: func(_ context.Context, issuer string, err error) { log.Print(issuer, ": ", err) },
	}
	for issuer, dpopKey := range dpopKeys { // sends no request: a bank may be down
		err := banks.Put(client.Config{
			Issuer: issuer, ClientID: "my-app", RedirectURI: "https://app.example/callback",
			Key: key, KeyID: "2026-11", DPoPKey: dpopKey,
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	http.Handle("POST /login", banks.LoginHandler(sessions, func(r *http.Request) (string, client.Request, error) {
		return r.PostFormValue("bank"), client.Request{Scopes: []string{"accounts"}}, nil
	}))
	http.Handle("/callback", banks.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, session *client.Session, token *oauth2.Token) {
			bank, err := banks.Client(r.Context(), session.Issuer)
			if err != nil {
				http.Error(w, "the bank is not available", http.StatusBadGateway)
				return
			}
			source := bank.TokenSource(context.WithoutCancel(r.Context()), token)
			_ = source // the application keeps it, or stores the token
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
}
