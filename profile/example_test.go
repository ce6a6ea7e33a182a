package profile_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// An authorization server, an API and a client, each on its own: the whole dialogue of FAPI 2.0.
func Example() {
	ctx := context.Background()
	asMux, apiMux := http.NewServeMux(), http.NewServeMux()
	asHTTP, apiHTTP := httptest.NewTLSServer(asMux), httptest.NewTLSServer(apiMux)
	defer asHTTP.Close()
	defer apiHTTP.Close()
	trusting := asHTTP.Client() // of the test servers' certificates

	// The authorization server knows one client, and lets alice approve whatever that asks for.
	clientKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	registered := &profile.ClientMetadata{
		ClientID: "app", RedirectURIs: []string{"https://app.example/callback"}, TokenEndpointAuthMethod: "private_key_jwt",
		GrantTypes: []string{"authorization_code"}, JWKS: must(jwks.NewSet(jwks.Key{Public: clientKey.Public(), KeyID: "app-1"})),
		Scope: "openid accounts", DPoPBoundAccessTokens: true,
	}
	if err := registered.Validate(); err != nil {
		panic(err)
	}
	var as *authserver.Server
	as = must(authserver.New(authserver.Config{
		Issuer: asHTTP.URL, Keys: []profile.SigningKey{{Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}},
		Scopes: []string{"openid", "accounts"}, Resources: []string{apiHTTP.URL},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			if id != registered.ClientID {
				return nil, clientauth.ErrUnknownClient
			}
			return registered, nil
		},
		Interact: func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) { // login and consent go here
			response, err := as.Approve(r.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes()})
			if err != nil {
				as.WriteAuthorizationError(w, r, a, err)
				return
			}
			response.ServeHTTP(w, r)
		},
	}))
	asMux.Handle("/", as.Handler())

	// The API trusts the authorization server's keys.
	asKeys := must(jwks.NewRemote(jwks.RemoteConfig{URL: asHTTP.URL + "/jwks", HTTPClient: trusting}))
	guard := must(resourceserver.New(resourceserver.Config{
		Resource: apiHTTP.URL,
		Issuers:  []resourceserver.Issuer{{ID: asHTTP.URL, Keys: asKeys.Keys}},
	}))
	apiMux.Handle("/accounts", guard.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		fmt.Fprintf(w, "the accounts of %s, for %s", token.Subject(), token.ClientID())
	})))

	// The client knows the issuer, its registration and its key. All else it discovers.
	app := must(client.New(ctx, client.Config{
		Issuer: asHTTP.URL, ClientID: "app", RedirectURI: "https://app.example/callback",
		Key: clientKey, KeyID: "app-1", HTTPClient: trusting,
	}))
	session := must(app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}}))
	callback := browse(trusting, session.URL) // the browser comes back to the redirect URI
	token := must(app.Finish(ctx, session, callback.Query()))
	user, _ := client.IDToken(token)
	fmt.Println(user.Subject(), "has logged in and granted", token.Extra("scope"))

	api := must(app.HTTPClient(app.TokenSource(ctx, token)))
	response := must(api.Get(apiHTTP.URL + "/accounts"))
	fmt.Println(response.Status, string(must(io.ReadAll(response.Body))))

	// Whoever has got hold of the token, and not of the client's key, can do nothing with it.
	stolen := must(http.NewRequest("GET", apiHTTP.URL+"/accounts", nil))
	stolen.Header.Set("Authorization", "Bearer "+token.AccessToken)
	fmt.Println(must(trusting.Do(stolen)).Status)
	// Output:
	// alice has logged in and granted accounts openid
	// 200 OK the accounts of alice, for app
	// 401 Unauthorized
}

// browse opens a URL as a browser does and returns where it is sent from there.
func browse(app *http.Client, target string) *url.URL {
	browser := &http.Client{Transport: app.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response := must(browser.Get(target))
	defer response.Body.Close()
	return must(response.Location())
}
