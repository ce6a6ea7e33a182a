package main

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store/sqlstore"
)

const password = "correct horse"

// A world is the authorization server, an API that accepts its tokens, and a
// client.
type world struct {
	t    *testing.T
	http *http.Client
	api  *httptest.Server
	app  *client.Client
}

func newWorld(t *testing.T) *world {
	asMux, apiMux := http.NewServeMux(), http.NewServeMux()
	as, api := httptest.NewTLSServer(asMux), httptest.NewTLSServer(apiMux)
	t.Cleanup(as.Close)
	t.Cleanup(api.Close)
	// profiletest makes a client with a key, whose registration is moved here.
	kit := profiletest.NewServer(t, profiletest.ServerConfig{})
	cfg := kit.ClientConfig(t, "https://app.example/callback")
	registration, err := kit.Registration(t.Context(), cfg.ClientID)
	require.NoError(t, err)
	clients, err := json.Marshal([]*profile.ClientMetadata{registration})
	require.NoError(t, err)
	users, err := json.Marshal(map[string]*user{"alice": newUser([]byte(password), 1000), "bob": newUser([]byte("battery"), 1000)})
	require.NoError(t, err)
	key, err := jwks.MarshalPrivateKey(kit.ClientConfig(t, "").Key, jwks.Key{KeyID: "as"})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "as.db")+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	shared, err := sqlstore.Open(t.Context(), sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	t.Cleanup(func() { shared.Close() })
	handler, err := newServer(config{as.URL, api.URL, key, clients, users, shared})
	require.NoError(t, err)
	asMux.Handle("/", handler)

	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: as.URL + "/jwks", HTTPClient: as.Client()})
	require.NoError(t, err)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: api.URL, Issuers: []resourceserver.Issuer{{ID: as.URL, Keys: keys.Keys}},
	})
	require.NoError(t, err)
	apiMux.Handle("/accounts", guard.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		io.WriteString(w, token.Subject())
	})))
	cfg.Issuer = as.URL
	app, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	return &world{t, kit.HTTPClient, api, app}
}

// begin begins an authorization.
func (w *world) begin(scopes ...string) *client.Session {
	session, err := w.app.Begin(w.t.Context(), client.Request{Scopes: scopes})
	require.NoError(w.t, err)
	return session
}

// submit submits the form at the authorization endpoint. It returns the
// callback, or the page if there is none.
func (w *world) submit(target string, form url.Values) (callback url.Values, page string) {
	browser := &http.Client{Transport: w.http.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	response, err := browser.PostForm(target, form)
	require.NoError(w.t, err)
	defer response.Body.Close()
	if location, err := response.Location(); err == nil {
		return location.Query(), ""
	}
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return nil, string(body)
}

func form(user, password string) url.Values {
	return url.Values{"user": {user}, "password": {password}, "decision": {"allow"}, "scope": {"accounts"}}
}

func TestLoginAndConsent(t *testing.T) {
	w := newWorld(t)
	session := w.begin("openid", "accounts")
	response, err := w.http.Get(session.URL)
	require.NoError(t, err)
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(page), "app-1 asks for access")
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")

	_, problem := w.submit(session.URL, form("alice", "battery"))
	require.Contains(t, problem, "do not match")
	callback, _ := w.submit(session.URL, form("alice", password))
	token, err := w.app.Finish(t.Context(), session, callback)
	require.NoError(t, err)
	require.Equal(t, "alice", client.Subject(token))
	api, err := w.app.HTTPClient(w.app.TokenSource(t.Context(), token))
	require.NoError(t, err)
	response, err = api.Get(w.api.URL + "/accounts")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "alice", string(body))

	t.Run("attack: the request again", func(t *testing.T) {
		callback, page := w.submit(session.URL, form("alice", password))
		require.Empty(t, callback)
		require.NotContains(t, page, "do not match")
	})
	t.Run("attack: the code of another session", func(t *testing.T) {
		mallory, victim := w.begin("accounts"), w.begin("accounts")
		callback, _ := w.submit(mallory.URL, form("bob", "battery"))
		callback.Set("state", victim.State)
		_, err := w.app.Finish(t.Context(), victim, callback)
		require.ErrorContains(t, err, "invalid_grant")
	})
}

func TestUserDenies(t *testing.T) {
	w := newWorld(t)
	session := w.begin("accounts")
	callback, _ := w.submit(session.URL, url.Values{"decision": {"deny"}})
	_, err := w.app.Finish(t.Context(), session, callback)
	require.ErrorContains(t, err, "access_denied")

	session = w.begin("accounts")
	nothing := form("alice", password)
	nothing.Del("scope")
	callback, _ = w.submit(session.URL, nothing)
	_, err = w.app.Finish(t.Context(), session, callback)
	require.ErrorContains(t, err, "access_denied")

	session = w.begin("openid")
	more := form("alice", password)
	more.Set("scope", "accounts") // the client has not requested it
	callback, _ = w.submit(session.URL, more)
	token, err := w.app.Finish(t.Context(), session, callback)
	require.NoError(t, err)
	require.Equal(t, "openid", token.Extra("scope"))
}

// After five failures, not even the right password is accepted.
func TestGuessingPasswords(t *testing.T) {
	w := newWorld(t)
	session := w.begin("accounts")
	for range maxFailures {
		w.submit(session.URL, form("alice", "guess"))
	}
	callback, page := w.submit(session.URL, form("alice", password))
	require.Nil(t, callback)
	require.Contains(t, page, "too many attempts")
	_, page = w.submit(session.URL, form("nobody", password))
	require.Contains(t, page, "do not match")
	callback, _ = w.submit(session.URL, form("bob", "battery"))
	require.NotEmpty(t, callback.Get("code"), "other users are not affected")
}

// A user who is locked out takes as long as one who does not exist.
func TestLockedUserTakesAsLong(t *testing.T) {
	u := newUser([]byte(password), iterations)
	now := time.Now()
	u.locked = now.Add(lock)
	require.False(t, u.login(password, now))
	require.Greater(t, time.Since(now), 10*time.Millisecond) // a hash of 600,000 iterations takes longer
	require.True(t, u.login(password, now.Add(lock)))
}

// A form without a decision approves nothing.
func TestNoDecision(t *testing.T) {
	w := newWorld(t)
	for _, decision := range []string{"", "ALLOW"} {
		undecided := form("alice", password)
		undecided.Set("decision", decision)
		callback, page := w.submit(w.begin("accounts").URL, undecided)
		require.Nil(t, callback)
		require.Contains(t, page, "asks for access")
	}
}

func TestUnusableFiles(t *testing.T) {
	for name, cfg := range map[string]config{
		"no key":                     {clients: []byte("[]"), users: []byte("{}")},
		"a client that is not valid": {key: []byte("{}"), clients: []byte(`[{"client_id":"a"}]`), users: []byte("{}")},
	} {
		_, err := newServer(cfg)
		require.Error(t, err, name)
	}
}
