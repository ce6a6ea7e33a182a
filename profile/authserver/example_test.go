package authserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
)

// A host has the registrations of clients, the login and the consent page.
// Handler serves the endpoints and calls Interact for each valid request. The
// client pushes its request, the browser opens the URL, the user consents, and
// the client redeems the code.
func Example() {
	serverKey, clientKey := exampleKey(), exampleKey()
	clientKeys, err := jwks.NewSet(jwks.Key{Public: clientKey.Public()})
	if err != nil {
		panic(err)
	}
	app := &profile.ClientMetadata{
		ClientID: "app", RedirectURIs: []string{"https://app.example/callback"}, Scope: "openid accounts payments",
		GrantTypes: []string{"authorization_code", "refresh_token"}, JWKS: clientKeys,
		TokenEndpointAuthMethod: clientauth.MethodPrivateKeyJWT, DPoPBoundAccessTokens: true,
	}
	if err := app.Validate(); err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	https := httptest.NewTLSServer(mux) // in production an http.Server with profile.TLSConfig
	defer https.Close()
	var server *authserver.Server
	server, err = authserver.New(authserver.Config{
		Issuer: https.URL, Resources: []string{"https://api.example"}, Scopes: []string{"openid", "accounts", "payments"},
		Keys: []profile.SigningKey{{Key: serverKey}},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) { // of a database
			if id != app.ClientID {
				return nil, clientauth.ErrUnknownClient
			}
			return app, nil
		},
		Interact: func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
			// The host logs the user in and shows its consent page.
			fmt.Println(a.ClientID(), "asks for", a.Choices())
			user, ticked := "alice", []string{"accounts"}
			response, err := server.Approve(r.Context(), a, authserver.Approval{
				Subject: user, Scopes: a.ScopesFor(ticked, nil),
			})
			if err != nil {
				server.WriteAuthorizationError(w, r, a, err)
				return
			}
			response.ServeHTTP(w, r)
		},
	})
	if err != nil {
		panic(err)
	}
	mux.Handle("/", server.Handler())

	ctx := context.Background()
	c, err := client.New(ctx, client.Config{
		Issuer: https.URL, ClientID: "app", RedirectURI: "https://app.example/callback", Key: clientKey,
		HTTPClient: https.Client(),
	})
	if err != nil {
		panic(err)
	}
	session, err := c.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts", "payments"}})
	if err != nil {
		panic(err)
	}
	browser := https.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Get(session.URL)
	if err != nil {
		panic(err)
	}
	response.Body.Close()
	callback, err := response.Location()
	if err != nil {
		panic(err)
	}
	token, err := c.Finish(ctx, session, callback.Query())
	if err != nil {
		panic(err)
	}
	fmt.Println(client.Subject(token), "granted", token.Extra("scope"), "to a", token.TokenType, "token")
	// Output:
	// app asks for [accounts payments]
	// alice granted accounts openid to a DPoP token
}

func exampleKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}
