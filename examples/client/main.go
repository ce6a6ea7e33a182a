// Command client is a web application that shows users their accounts at a
// bank. The tokens and their DPoP keys are encrypted in client.db.
package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
	"golang.org/x/oauth2"
	_ "modernc.org/sqlite" // the driver sqlite
)

func main() {
	db := must(sql.Open("sqlite", "file:client.db?_pragma=busy_timeout(5000)"))
	shared := must(sqlstore.Open(context.Background(), sqlstore.Config{DB: db, Dialect: sqlstore.SQLite}))
	app := must(newApp(client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		HTTPClient: &http.Client{Timeout: 20 * time.Second},
	}, must(os.ReadFile("client.jwk")), shared, "https://api.bank.example/accounts"))
	server := &http.Server{
		Addr: ":8443", Handler: app, TLSConfig: profile.TLSConfig(),
		ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServeTLS("app.crt", "app.key"))
}

// newApp returns the handler of the application. The key that encrypts tokens
// and unfinished logins follows from the key of the client.
func newApp(cfg client.Config, jwk []byte, shared store.Store, api string) (http.Handler, error) {
	key, public, keyErr := jwks.ParsePrivateKey(jwk)
	secret, secretErr := hkdf.Key(sha256.New, jwk, nil, "tokens and logins", 32)
	logins, loginsErr := client.NewSessions(client.SessionsConfig{Keys: [][]byte{secret}, Used: shared})
	if err := errors.Join(keyErr, secretErr, loginsErr); err != nil {
		return nil, err
	}
	cfg.Key, cfg.KeyID = key, public.KeyID
	cfg.Tokens = &client.Tokens{Store: shared, Keys: [][]byte{secret}}
	bank, err := client.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!DOCTYPE html><form method="post" action="/login"><button>Connect a bank</button></form>`)
	})
	mux.Handle("POST /login", bank.LoginHandler(logins, func(*http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"accounts"}}, nil
	}))
	mux.Handle("GET /callback", bank.CallbackHandler(logins,
		func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
			user := rand.Text() // a secret of the browser; the token is stored under its hash
			if err := bank.StoredToken(user).Save(r.Context(), token); err != nil {
				log.Print("login not saved: ", err)
				http.Error(w, "Please try again.", http.StatusServiceUnavailable)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "__Host-user", Value: user, Path: "/", Secure: true, HttpOnly: true,
				SameSite: http.SameSiteLaxMode})
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
	mux.HandleFunc("GET /accounts", func(w http.ResponseWriter, r *http.Request) {
		accounts, err := get(r, bank, api)
		switch {
		case errors.Is(err, client.ErrReauthorize), errors.Is(err, http.ErrNoCookie):
			http.Redirect(w, r, "/", http.StatusSeeOther)
		case err != nil:
			log.Print("no accounts: ", err)
			http.Error(w, "The bank does not respond.", http.StatusBadGateway)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			w.Write(accounts)
		}
	})
	return mux, nil
}

// get calls an API of the bank for the user of a browser.
func get(r *http.Request, bank *client.Client, api string) ([]byte, error) {
	cookie, err := r.Cookie("__Host-user")
	if err != nil {
		return nil, err
	}
	user, err := bank.HTTPClient(bank.StoredToken(cookie.Value))
	if err != nil {
		return nil, err
	}
	response, err := user.Get(api) // with the timeout of Config.HTTPClient
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("status " + response.Status)
	}
	return io.ReadAll(http.MaxBytesReader(nil, response.Body, 1<<20))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
