// Command cli prints the accounts of its user at a bank. It opens the browser
// only if it has no token, because it keeps the token and its key.
package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/client/loopback"
	"github.com/gofapi/fapi2/store/sqlstore"
)

func main() {
	bank := client.Config{Issuer: "https://as.bank.example", ClientID: "cli-7c4f"}
	bank.HTTPClient = &http.Client{Timeout: 30 * time.Second}
	if err := run(bank, loopback.Config{}, "https://api.bank.example/accounts", os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run prints the response of an API. The file client.jwk has the key of this
// installation, from which the encryption key of tokens.db follows.
func run(bank client.Config, login loopback.Config, api string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	file, err := os.ReadFile("client.jwk")
	if err != nil {
		return err
	}
	key, public, keyErr := jwks.ParsePrivateKey(file)
	secret, secretErr := hkdf.Key(sha256.New, file, nil, "tokens.db", 32)
	db, dbErr := sql.Open("sqlite", "file:tokens.db?_pragma=busy_timeout(5000)")
	if err := errors.Join(keyErr, secretErr, dbErr); err != nil {
		return err
	}
	defer db.Close()
	tokens, err := sqlstore.Open(ctx, sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err != nil {
		return err
	}
	defer tokens.Close()
	l, err := loopback.Listen(login)
	if err != nil {
		return err
	}
	defer l.Close()
	bank.Key, bank.KeyID, bank.RedirectURI = key, public.KeyID, l.RedirectURI()
	bank.Tokens = &client.Tokens{Store: tokens, Keys: [][]byte{secret}}
	app, err := client.New(ctx, bank)
	if err != nil {
		return err
	}
	user := app.StoredToken("the only user")
	if _, err = user.Token(); errors.Is(err, client.ErrReauthorize) {
		token, loginErr := l.Login(ctx, app, client.Request{Scopes: []string{"accounts"}})
		if err = loginErr; err == nil {
			err = user.Save(ctx, token)
		}
	}
	if err != nil {
		return err
	}
	caller, err := app.HTTPClient(user)
	if err != nil {
		return err
	}
	response, err := caller.Get(api)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the bank responded with status %s", response.Status)
	}
	_, err = io.Copy(out, http.MaxBytesReader(nil, response.Body, 1<<20))
	return err
}
