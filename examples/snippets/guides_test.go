package snippets_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store"
)

var _ = []any{
	authorizationServer, interact, ownPush, ownAuthorization, ownToken, archive, signedClient, lintAll, jobClient,
}

type registrations interface {
	find(ctx context.Context, clientID string) (*profile.ClientMetadata, error)
}

type pages interface {
	login(w http.ResponseWriter, r *http.Request) (user string, ok bool)
	consent(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) (choices []string, ok bool)
}

func authorizationServer(clients registrations, pages pages, shared store.Store, key crypto.Signer) error {
	//docs:begin authorizationServer
	var server *authserver.Server
	server, err := authserver.New(authserver.Config{
		Issuer:    "https://as.example",
		Clients:   clients.find, // your database of registrations
		Keys:      []profile.SigningKey{{Key: key}},
		Scopes:    []string{"openid", "accounts"},
		Resources: []string{"https://api.example"},
		Store:     shared, SeveralInstances: true,
		Interact: func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
			user, ok := pages.login(w, r) // your login
			if !ok {
				return // it has shown its page
			}
			choices, ok := pages.consent(w, r, a) // your consent page
			if !ok {
				return
			}
			response, err := server.Approve(r.Context(), a, authserver.Approval{
				Subject: user, Scopes: a.ScopesFor(choices, a.Details()), Details: a.Details(),
			})
			if err != nil {
				server.WriteAuthorizationError(w, r, a, err) // also if the user has chosen nothing
				return
			}
			response.ServeHTTP(w, r)
		},
	})
	if err != nil {
		return err
	}
	https := http.Server{Addr: ":443", Handler: server.Handler(), TLSConfig: profile.TLSConfig()}
	return https.ListenAndServeTLS("as.crt", "as.key")
	//docs:end
}

func interact(server *authserver.Server, w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	//docs:begin deny
	response, err := server.Deny(r.Context(), a, "access_denied", "the user has denied the request")
	if err != nil {
		server.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
	//docs:end
}

func ownPush(server *authserver.Server, w http.ResponseWriter, r *http.Request) {
	//docs:begin ownPush
	pushed, err := server.PushedRequest(r)
	if err == nil {
		err = checkOwnRules(pushed) // nothing is written yet
	}
	if err != nil {
		server.WriteError(w, r, err)
		return
	}
	response, err := server.Push(r.Context(), pushed)
	if err != nil {
		server.WriteError(w, r, err)
		return
	}
	response.ServeHTTP(w, r)
	//docs:end
}

func checkOwnRules(*authserver.PushedRequest) error { return nil }

type codes interface {
	create(ctx context.Context, code string, b authserver.Binding, user string) error
	read(ctx context.Context, code string) (authserver.Binding, error)
	redeem(ctx context.Context, code string) (first bool, err error)
	end(ctx context.Context, code string) error
	new() string
}

func ownAuthorization(ctx context.Context, server *authserver.Server, codes codes, a *authserver.Authorization, user string) (*authserver.AuthorizationResponse, error) {
	//docs:begin ownCode
	code := codes.new() // at least 128 random bits
	if err := codes.create(ctx, code, a.Binding(), user); err != nil {
		return nil, err
	}
	return server.Complete(ctx, a, code)
	//docs:end
}

func ownToken(ctx context.Context, server *authserver.Server, codes codes, r *http.Request) error {
	//docs:begin ownToken
	request, err := server.TokenRequest(r)
	if err != nil {
		return err
	}
	code := request.Param("code")
	binding, err := codes.read(ctx, code)
	if err != nil {
		return authserver.ErrCode
	}
	if err := request.CheckBinding(binding); err != nil {
		return err // the sender may not be the owner of the code, which stays
	}
	confirmation, err := request.Commit(ctx) // consumes the assertion and the proof
	if err != nil {
		return err
	}
	first, err := codes.redeem(ctx, code) // one atomic step
	if err != nil {
		return err
	}
	if !first {
		return errors.Join(authserver.ErrCodeReplayed, codes.end(ctx, code)) // ends its tokens
	}
	cnf, err := json.Marshal(confirmation) // the token contains it
	//docs:end
	fmt.Println(string(cnf))
	return err
}

func archive(config *authserver.Config, save func(profile.Evidence) error) {
	//docs:begin archive
	config.Profile = profile.Advanced
	config.Hooks.Evidence = func(ctx context.Context, e profile.Evidence) error {
		return save(e) // append-only; an error stops the operation
	}
	//docs:end
}

func signedClient(ctx context.Context, config client.Config) (*client.Client, error) {
	config.Profile = profile.SignedRequests | profile.SignedResponses
	return client.New(ctx, config)
}

func lintAll(server *authserver.Server, registered *profile.ClientMetadata) {
	for _, finding := range registered.Lint(profile.Baseline) {
		slog.Warn("registration", "client", registered.ClientID, "finding", finding.String())
	}
	for _, finding := range server.Metadata().Lint(profile.Baseline) {
		slog.Warn("metadata", "finding", finding.String())
	}
}

func jobClient(ctx context.Context, config client.Config) (*http.Response, error) {
	//docs:begin job
	job, err := client.New(ctx, config)
	if err != nil {
		return nil, err
	}
	api, err := job.HTTPClient(job.ClientCredentialsSource(client.Request{Scopes: []string{"payments:status"}}))
	if err != nil {
		return nil, err
	}
	api.Timeout = 30 * time.Second
	return api.Get("https://api.bank.example/status")
	//docs:end
}
