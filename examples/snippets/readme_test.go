package snippets_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
	"github.com/gofapi/fapi2/store"
	"golang.org/x/oauth2"
)

var _ = []any{guardAPI, payOnce, beClient, shortClient}

func guardAPI(mux *http.ServeMux) error {
	//docs:begin guard
	api, err := resourceserver.New(resourceserver.Config{
		Resource: "https://api.example",
		Issuers:  []resourceserver.Issuer{{ID: "https://as.example"}},
	})
	if err != nil {
		return err
	}
	mux.Handle("/accounts", api.Require("accounts")(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			token, _ := resourceserver.TokenFromContext(r.Context())
			fmt.Fprintln(w, "accounts of", token.Subject())
		})))
	//docs:end
	return nil
}

func payOnce(mux *http.ServeMux, issuers []resourceserver.Issuer, shared store.Store, bank bank) error {
	const lifeOfAGrant = 90 * 24 * time.Hour
	//docs:begin payOnce
	types, err := openbanking.NewRegistry(map[string]string{openbanking.PaymentType: "payments"}) // type and scope
	if err != nil {
		return err
	}
	api, err := resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: issuers, AuthorizationDetails: types,
	})
	if err != nil {
		return err
	}
	used, err := uses.New(uses.Config{Store: shared, Issuer: "https://as.example", Keep: lifeOfAGrant})
	if err != nil {
		return err
	}
	mux.Handle("POST /payments", api.Require("payments")(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			token, _ := resourceserver.TokenFromContext(r.Context())
			granted, err := token.Details() // those that are for this API
			if err != nil {
				http.Error(w, "no details in the token", http.StatusForbidden)
				return
			}
			order, newID := bank.order(r)
			permission, err := order.PermittedBy(granted)
			if err != nil {
				http.Error(w, "not permitted", http.StatusForbidden)
				return
			}
			id, err := used.Once(r.Context(), uses.Use{
				Grant: token.GrantID(), Detail: permission, Attempt: r.Header.Get("Idempotency-Key"), Result: newID,
			})
			switch {
			case errors.Is(err, uses.ErrUsed):
				http.Error(w, "this permission has paid for "+id, http.StatusConflict)
			case err != nil:
				http.Error(w, "try again", http.StatusServiceUnavailable)
			default:
				bank.pay(w, id, permission)
			}
		})))
	//docs:end
	return nil
}

type bank interface {
	order(*http.Request) (order openbanking.Payment, newID string)
	pay(w http.ResponseWriter, id string, permission rar.Detail)
}

func beClient(ctx context.Context, shared store.Store, key crypto.Signer, secret []byte, users users) error {
	//docs:begin client
	bank, err := client.New(ctx, client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: "2026-11",
		Tokens: &client.Tokens{Store: shared, Keys: [][]byte{secret}}, // each with its DPoP key, for all processes
	})
	if err != nil {
		return err
	}
	sessions, err := client.NewSessions(client.SessionsConfig{Keys: [][]byte{secret}}) // 32 random bytes
	if err != nil {
		return err
	}
	http.Handle("POST /login", bank.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	http.Handle("/callback", bank.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, s *client.Session, token *oauth2.Token) {
			user := client.Subject(token) // at this bank
			if err := bank.StoredToken(user).Save(r.Context(), token); err != nil {
				http.Error(w, "the login could not be stored", http.StatusServiceUnavailable)
				return
			}
			users.logIn(w, user) // your own
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
	http.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		api, err := bank.HTTPClient(bank.StoredToken(users.user(r))) // with proofs, nonces and refreshes
		if err != nil {
			http.Error(w, "no client", http.StatusInternalServerError)
			return
		}
		response, err := api.Get("https://api.bank.example/accounts")
		switch {
		case errors.Is(err, client.ErrReauthorize):
			http.Error(w, "please log in again", http.StatusUnauthorized)
		case err != nil:
			http.Error(w, "no response from the bank", http.StatusBadGateway)
		default:
			defer response.Body.Close()
			io.Copy(w, response.Body)
		}
	})
	//docs:end
	return nil
}

type users interface {
	logIn(http.ResponseWriter, string)
	user(*http.Request) string
}

func shortClient(ctx context.Context, file []byte, shared store.Store, secret []byte, user string, connected func(*http.Request, string)) error {
	//docs:begin shortClient
	key, public, err := jwks.ParsePrivateKey(file) // made by: go run ./cmd/fapi2 keygen
	if err != nil {
		return err
	}
	bank, err := client.New(ctx, client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: public.KeyID,
		Tokens: &client.Tokens{Store: shared, Keys: [][]byte{secret}}, // each with its DPoP key
	})
	if err != nil {
		return err
	}
	api, err := bank.HTTPClient(bank.StoredToken(user)) // proofs, nonces and refreshes are its work
	if err != nil {
		return err
	}
	response, err := api.Get("https://api.bank.example/accounts")
	//docs:end
	if err != nil {
		return err
	}
	return response.Body.Close()
}
