package authserver_test

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// A world is an authorization server, an API and two registered clients, each server on a TLS socket of its own.
type world struct {
	t           testing.TB
	clock       *testkit.Clock
	as          *authserver.Server
	rs          *resourceserver.Server
	asHTTP      *httptest.Server
	rsHTTP      *httptest.Server
	http        *http.Client
	clients     map[string]*profile.ClientMetadata
	failClients func() error // not nil: registrations cannot be read, at times
	onClients   func(ctx context.Context, id string)
	// decide ends an authorization in place of a user, or returns nothing to send the browser to a login page; nil approves
	// everything for alice.
	decide   func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error)
	registry *rar.Registry // of a rich world
	// onInteract sees the request of a browser at the authorization endpoint.
	onInteract func(r *http.Request)
}

const redirectURI = "https://client.example/callback?tenant=1"

type worldOption func(as *authserver.Config, rs *resourceserver.Config)

func newWorld(t testing.TB, options ...worldOption) *world {
	w := &world{t: t, clock: testkit.NewClock(time.Now()), clients: map[string]*profile.ClientMetadata{}}
	w.asHTTP = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.as.Handler().ServeHTTP(rw, r) }))
	t.Cleanup(w.asHTTP.Close)
	w.rsHTTP = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.api().ServeHTTP(rw, r) }))
	t.Cleanup(w.rsHTTP.Close)
	w.http = w.asHTTP.Client()
	w.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(w.rsHTTP.Certificate())

	asConfig := authserver.Config{
		Issuer: w.asHTTP.URL, Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as"), KeyID: "as-1"}},
		Scopes: []string{"openid", "accounts", "payments"}, Resources: []string{w.rsHTTP.URL, "https://other-api.example"},
		Clients: func(ctx context.Context, id string) (*profile.ClientMetadata, error) {
			if w.onClients != nil {
				w.onClients(ctx, id)
			}
			if w.failClients != nil {
				if err := w.failClients(); err != nil {
					return nil, err
				}
			}
			if c, ok := w.clients[id]; ok {
				return c, nil
			}
			return nil, clientauth.ErrUnknownClient
		},
		Interact: w.interact, Hooks: authserver.Hooks{Now: w.clock.Now},
	}
	rsConfig := resourceserver.Config{Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: w.asHTTP.URL}}, Hooks: resourceserver.Hooks{Now: w.clock.Now}}
	rsConfig.Issuers[0].Revoked = func(ctx context.Context, id string) (bool, error) { return w.as.Revoked(ctx, id) }
	for _, option := range options {
		option(&asConfig, &rsConfig)
	}
	var err error
	w.as, err = authserver.New(asConfig)
	require.NoError(t, err)
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: w.as.Metadata().JWKSURI, HTTPClient: w.http, Now: w.clock.Now})
	require.NoError(t, err)
	rsConfig.Issuers[0].Keys = keys.Keys
	w.rs, err = resourceserver.New(rsConfig)
	require.NoError(t, err)
	for _, id := range []string{"client-1", "client-2"} {
		w.register(id, testkit.ECKey(t, id).Public())
	}
	return w
}

func (w *world) register(id string, key crypto.PublicKey) *profile.ClientMetadata {
	set, err := jwks.NewSet(jwks.Key{Public: key, KeyID: id + "-key", Use: "sig"})
	require.NoError(w.t, err)
	c := &profile.ClientMetadata{
		ClientID: id, ClientName: "The " + id, RedirectURIs: []string{redirectURI}, JWKS: set,
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}, Scope: "openid accounts payments",
		TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
	}
	require.NoError(w.t, c.Validate())
	w.clients[id] = c
	return c
}

func (w *world) interact(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	if w.onInteract != nil {
		w.onInteract(r)
	}
	decide := w.decide
	if decide == nil {
		decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
			return w.as.Approve(r.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now(), ACR: "high"})
		}
	}
	response, err := decide(a)
	switch {
	case err != nil:
		w.as.WriteAuthorizationError(rw, r, a, err)
	case response == nil:
		http.Redirect(rw, r, "https://as.example/login", http.StatusSeeOther)
	default:
		response.ServeHTTP(rw, r)
	}
}

func (w *world) api() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/accounts", w.rs.Require("accounts")(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, ok := resourceserver.TokenFromContext(r.Context())
		if !ok {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Consent", token.GrantID())
		json.NewEncoder(rw).Encode(map[string]any{"owner": token.Subject(), "client": token.ClientID()})
	})))
	mux.Handle("/payments", w.rs.Require("payments")(http.NotFoundHandler()))
	return mux
}

func (w *world) client(id string, change ...func(*client.Config)) *client.Client {
	cfg := client.Config{
		Issuer: w.asHTTP.URL, ClientID: id, RedirectURI: redirectURI, Key: testkit.ECKey(w.t, id), KeyID: id + "-key",
		DPoPKey: testkit.ECKey(w.t, id+" dpop"), HTTPClient: w.http, Hooks: client.Hooks{Now: w.clock.Now},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.New(context.Background(), cfg)
	require.NoError(w.t, err)
	return c
}

// browse opens a URL as a browser does and returns where it is sent.
func (w *world) browse(target string) url.Values {
	response := w.visit(target)
	require.Equal(w.t, http.StatusSeeOther, response.StatusCode)
	location, err := response.Location()
	require.NoError(w.t, err)
	return location.Query()
}

func (w *world) visit(target string) *http.Response {
	browser := &http.Client{Transport: w.http.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(target)
	require.NoError(w.t, err)
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response
}

func TestFlow(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	app := w.client("client-1")
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
	require.NoError(t, err)
	callback := w.browse(session.URL)
	require.Equal(t, "1", callback.Get("tenant"), "the redirect URI keeps its own query")
	require.Equal(t, w.asHTTP.URL, callback.Get("iss"))
	callback.Del("tenant")
	token, err := app.Finish(ctx, session, callback)
	require.NoError(t, err)
	require.Equal(t, "DPoP", token.TokenType)
	require.NotEmpty(t, token.RefreshToken)
	require.NotEmpty(t, token.Extra("id_token"))

	api, err := app.HTTPClient(app.TokenSource(ctx, token))
	require.NoError(t, err)
	for range 2 {
		response, err := api.Get(w.rsHTTP.URL + "/accounts?page=2")
		require.NoError(t, err)
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode, string(body))
		require.JSONEq(t, `{"owner":"alice","client":"client-1"}`, string(body))
	}
	response, err := api.Get(w.rsHTTP.URL + "/payments")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	require.Contains(t, response.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`)

	refreshed, err := app.Refresh(ctx, token.RefreshToken, client.Request{})
	require.NoError(t, err)
	require.Equal(t, token.RefreshToken, refreshed.RefreshToken)
	require.NotEqual(t, token.AccessToken, refreshed.AccessToken)

	own, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	require.Empty(t, own.RefreshToken)
}
