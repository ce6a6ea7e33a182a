package loopback_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/client/loopback"
	"github.com/gofapi/fapi2/store"
)

// A command-line program shows the accounts of its user. The redirect URI is
// registered as http://127.0.0.1/callback.
func Example() {
	var key crypto.Signer // made at the installation and registered for it
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	l, err := loopback.Listen(loopback.Config{Open: func(url string) error {
		_, err := fmt.Fprintln(os.Stderr, "Open this address in your browser:", url)
		return err
	}})
	if err != nil {
		log.Fatal(err)
	}
	app, err := client.New(ctx, client.Config{
		Issuer: "https://as.bank.example", ClientID: "cli-7c4f", RedirectURI: l.RedirectURI(), Key: key,
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := l.Login(ctx, app, client.Request{Scopes: []string{"accounts"}})
	if err != nil {
		log.Fatal(err)
	}
	bank, err := app.HTTPClient(app.TokenSource(ctx, token))
	if err != nil {
		log.Fatal(err)
	}
	response, err := bank.Get("https://api.bank.example/accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

// A command-line program keeps the token of its user between two runs, and
// opens the browser only if the user has to authorize.
func Example_storedToken() {
	var key crypto.Signer
	var file store.Store // for example of package sqlstore, in a SQLite file
	var secret []byte    // 32 random bytes, from the key store of the system
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	l, err := loopback.Listen(loopback.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	app, err := client.New(ctx, client.Config{
		Issuer: "https://as.bank.example", ClientID: "cli-7c4f", RedirectURI: l.RedirectURI(), Key: key,
		Tokens: &client.Tokens{Store: file, Keys: [][]byte{secret}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mine := app.StoredToken("the only user")
	if _, err := mine.Token(); errors.Is(err, client.ErrReauthorize) {
		token, err := l.Login(ctx, app, client.Request{Scopes: []string{"accounts"}})
		if err != nil {
			log.Fatal(err)
		}
		if err := mine.Save(ctx, token); err != nil {
			log.Fatal(err)
		}
	} else if err != nil {
		log.Fatal(err)
	}
	bank, err := app.HTTPClient(mine)
	if err != nil {
		log.Fatal(err)
	}
	response, err := bank.Get("https://api.bank.example/accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}
