package owncodes_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/examples/owncodes"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
)

// A world is the server, an API for its tokens, and a client of it.
type world struct {
	t       *testing.T
	kit     *profiletest.Server
	as, api *httptest.Server
	app     *client.Client
	denied  bool // by the user
}

func newWorld(t *testing.T) *world {
	asMux, apiMux := http.NewServeMux(), http.NewServeMux()
	w := &world{t: t, as: httptest.NewTLSServer(asMux), api: httptest.NewTLSServer(apiMux)}
	t.Cleanup(w.as.Close)
	t.Cleanup(w.api.Close)
	w.kit = profiletest.NewServer(t, profiletest.ServerConfig{}) // makes keys and registrations
	cfg := w.kit.ClientConfig(t, "https://app.example/callback")
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	server, err := owncodes.New(authserver.Config{
		Issuer: w.as.URL, Keys: []profile.SigningKey{{Key: w.kit.ClientConfig(t, "").Key}}, Store: memory,
		Scopes: []string{"accounts"}, Resources: []string{w.api.URL}, Clients: w.kit.Registration,
	}, func(rw http.ResponseWriter, _ *http.Request, _ *authserver.Authorization) (string, bool) {
		if w.denied {
			rw.WriteHeader(http.StatusTeapot)
		}
		return "alice", !w.denied
	})
	require.NoError(t, err)
	asMux.Handle("/", server)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: w.api.URL, Issuers: []resourceserver.Issuer{{ID: w.as.URL, Tokens: server.Claims}},
	})
	require.NoError(t, err)
	apiMux.Handle("/", guard.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		io.WriteString(w, token.Subject())
	})))
	cfg.Issuer = w.as.URL
	w.app, err = client.New(t.Context(), cfg)
	require.NoError(t, err)
	return w
}

// code returns a session and its callback with a code.
func (w *world) code() (*client.Session, url.Values) {
	session, err := w.app.Begin(w.t.Context(), client.Request{Scopes: []string{"accounts"}})
	require.NoError(w.t, err)
	return session, w.kit.Browse(w.t, session.URL).Query()
}

// call calls the API with a token.
func (w *world) call(token *oauth2.Token) (int, string) {
	api, err := w.app.HTTPClient(oauth2.StaticTokenSource(token))
	require.NoError(w.t, err)
	response, err := api.Get(w.api.URL)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response.StatusCode, string(body)
}

func TestOwnCodes(t *testing.T) {
	w := newWorld(t)
	session, callback := w.code()
	token, err := w.app.Finish(t.Context(), session, callback)
	require.NoError(t, err)
	require.Equal(t, "accounts", token.Extra("scope"))
	status, body := w.call(token)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", body)

	t.Run("attack: a stolen code in the attacker's session", func(t *testing.T) {
		victim, stolen := w.code()
		mallory, _ := w.code()
		forged := url.Values{"code": stolen["code"], "iss": stolen["iss"], "state": {mallory.State}}
		_, err := w.app.Finish(t.Context(), mallory, forged)
		require.ErrorContains(t, err, "invalid_grant")
		_, err = w.app.Finish(t.Context(), victim, stolen)
		require.NoError(t, err, "the code is not used up")
	})
	t.Run("attack: a stolen code at another client", func(t *testing.T) {
		_, stolen := w.code()
		cfg := w.kit.ClientConfig(t, "https://app.example/callback")
		cfg.Issuer = w.as.URL
		other, err := client.New(t.Context(), cfg)
		require.NoError(t, err)
		session, err := other.Begin(t.Context(), client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		stolen.Set("state", session.State)
		_, err = other.Finish(t.Context(), session, stolen)
		require.ErrorContains(t, err, "invalid_grant")
	})
	t.Run("attack: a code a second time ends the token", func(t *testing.T) {
		status, _ := w.call(token)
		require.Equal(t, http.StatusOK, status)
		_, err := w.app.Finish(t.Context(), session, callback)
		require.ErrorContains(t, err, "invalid_grant")
		status, _ = w.call(token)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("attack: invented tokens", func(t *testing.T) {
		for _, text := range []string{"x", strings.Repeat("A", 43), strings.Repeat("A", 43) + ".B", "a.b"} {
			status, _ := w.call(&oauth2.Token{AccessToken: text, TokenType: "DPoP", Expiry: time.Now().Add(time.Hour)})
			require.Equal(t, http.StatusUnauthorized, status, text)
		}
	})
	t.Run("a user who has not approved", func(t *testing.T) {
		w.denied = true
		session, err := w.app.Begin(t.Context(), client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		response, err := w.as.Client().Get(session.URL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusTeapot, response.StatusCode)
	})
}

// Of many uses of a code at once at most one receives a token, which the others
// end.
func TestOneUseOfACodeWins(t *testing.T) {
	w := newWorld(t)
	session, callback := w.code()
	var all sync.WaitGroup
	tokens := make([]*oauth2.Token, 16)
	for i := range tokens {
		all.Go(func() { tokens[i], _ = w.app.Finish(t.Context(), session, callback) })
	}
	all.Wait()
	won := 0
	for _, token := range tokens {
		if token != nil {
			won++
			status, _ := w.call(token)
			require.Equal(t, http.StatusUnauthorized, status)
		}
	}
	require.LessOrEqual(t, won, 1)
}
