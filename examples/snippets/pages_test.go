package snippets_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

var _ = []any{allowOrigin, openSQLite, storedTokens, sweep, oauth2Config, jobConfig, twoStores}

//docs:begin allowOrigin

// allowOrigin lets scripts of one origin call an API.
func allowOrigin(origin string, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, WWW-Authenticate, x-fapi-interaction-id")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", "Authorization, DPoP, Content-Type, x-fapi-interaction-id")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

//docs:end

func openSQLite(ctx context.Context) (store.Store, error) {
	//docs:begin openSQLite
	// import _ "modernc.org/sqlite"
	db, err := sql.Open("sqlite", "file:app.db?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	return sqlstore.Open(ctx, sqlstore.Config{DB: db, Dialect: sqlstore.SQLite}) // creates its tables
	//docs:end
}

func storedTokens(ctx context.Context, config client.Config, shared store.Store, secret []byte, user string, token *oauth2.Token) error {
	//docs:begin storedTokens
	config.Tokens = &client.Tokens{Store: shared, Keys: [][]byte{secret}}
	app, err := client.New(ctx, config)
	if err != nil {
		return err
	}
	stored := app.StoredToken(user)
	if err := stored.Save(ctx, token); err != nil { // after a login
		return err
	}
	bank, err := app.HTTPClient(stored) // refreshes the token if necessary
	if err != nil {
		return err
	}
	response, err := bank.Get("https://api.bank.example/accounts")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return stored.Revoke(ctx) // the user disconnects the bank
	//docs:end
}

func sweep(ctx context.Context, server *authserver.Server) {
	for range time.Tick(time.Minute) {
		if _, err := server.Grants().DeliverPending(ctx, 100); err != nil {
			slog.Error("events of grants are pending", "error", err)
		}
	}
}

func oauth2Config(ctx context.Context, app *client.Client, code, verifier string) (*http.Client, error) {
	//docs:begin oauth2Config
	cfg, own := app.OAuth2()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, own)
	token, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, err
	}
	return cfg.Client(ctx, token), nil // calls the API
	//docs:end
}

func jobConfig(ctx context.Context, cfg *oauth2.Config, scopes []string) *http.Client {
	credentials := clientcredentials.Config{
		ClientID: cfg.ClientID, TokenURL: cfg.Endpoint.TokenURL, AuthStyle: cfg.Endpoint.AuthStyle, Scopes: scopes,
	}
	return credentials.Client(ctx)
}

func twoStores(config *authserver.Config, sql, replays store.Store) {
	config.Store = sql      // codes, requests, tokens, revocations and grants
	config.Replay = replays // used assertions, request objects and proofs
}
