package profiletest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/store"
)

// get sends a request with a token of an issuer to an API that accepts the
// tokens of another.
func get(t testing.TB, accepted, issuer *profiletest.Issuer, claims accesstoken.Claims) (int, string) {
	api, err := resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: []resourceserver.Issuer{{ID: accepted.ID(), Keys: accepted.Keys}},
	})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "https://api.example/accounts?page=1", nil)
	issuer.SetToken(t, r, claims)
	w := httptest.NewRecorder()
	api.Require("accounts")(http.HandlerFunc(accounts)).ServeHTTP(w, r)
	var body struct{ Error string }
	_ = json.Unmarshal(w.Body.Bytes(), &body) // an accepted request has text
	return w.Code, body.Error
}

// The tokens are real: an API rejects those that it must reject.
func TestTokensAreChecked(t *testing.T) {
	good := accesstoken.Claims{Scope: "accounts"}
	issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
	same := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
	other := profiletest.NewIssuer(t, profiletest.IssuerConfig{ID: "https://b.example"})
	late := profiletest.NewIssuer(t, profiletest.IssuerConfig{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	for name, c := range map[string]struct {
		accepted, issuer *profiletest.Issuer
		claims           accesstoken.Claims
		status           int
		code             string
	}{
		"a good token":                          {issuer, issuer, good, 200, ""},
		"a token without the scope":             {issuer, issuer, accesstoken.Claims{Scope: "payments"}, 403, "insufficient_scope"},
		"a token for another API":               {issuer, issuer, forAPI("https://other.example"), 401, "invalid_token"},
		"a token of another key":                {issuer, issuer, accesstoken.Claims{JKT: otherKey(t)}, 401, "invalid_token"},
		"a token of another issuer":             {issuer, other, good, 401, "invalid_token"},
		"a token of an issuer with the same ID": {issuer, same, good, 401, "invalid_token"},
		"an expired token":                      {late, late, good, 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			status, code := get(t, c.accepted, c.issuer, c.claims)
			require.Equal(t, c.status, status)
			require.Equal(t, c.code, code)
		})
	}
}

func forAPI(resource string) accesstoken.Claims {
	return accesstoken.Claims{Scope: "accounts", Audience: []string{resource}}
}

// otherKey returns the thumbprint of a key that no issuer has.
func otherKey(t testing.TB) string {
	token, ok := resourceserver.TokenFromContext(profiletest.WithToken(t, t.Context(), accesstoken.Claims{}))
	require.True(t, ok)
	return token.Confirmation().JKT
}

// A request is accepted once, and the clock of a bubble expires its token.
func TestIssuerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
		api, err := newAPI(resourceserver.Issuer{ID: issuer.ID(), Keys: issuer.Keys})
		require.NoError(t, err)
		serve := func(r *http.Request) int {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			return w.Code
		}
		r := httptest.NewRequest(http.MethodGet, "/accounts", nil)
		r.Host = "api.example"
		issuer.SetToken(t, r, accesstoken.Claims{Scope: "accounts"})
		require.Equal(t, http.StatusOK, serve(r))
		require.Equal(t, http.StatusUnauthorized, serve(r), "a repeated proof")
		issuer.SetToken(t, r, accesstoken.Claims{Scope: "accounts"})
		time.Sleep(5 * time.Minute)
		require.Equal(t, http.StatusUnauthorized, serve(r), "an expired token")
	})
}

func TestWithToken(t *testing.T) {
	types, err := openbanking.NewRegistry(nil)
	require.NoError(t, err)
	const detail = `[{"type":"account_information","actions":["list_accounts"]}]`
	clock := profiletest.NewClock()
	clock.Advance(-24 * time.Hour)
	issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{Types: types, Now: clock.Now})
	ctx := issuer.WithToken(t, t.Context(), accesstoken.Claims{
		Subject: "bob", Scope: "accounts", GrantID: "g-1", AuthorizationDetails: json.RawMessage(detail), ACR: "high",
	})
	token, ok := resourceserver.TokenFromContext(ctx)
	require.True(t, ok)
	require.Equal(t, []any{"bob", "app", "g-1", "high", issuer.ID()},
		[]any{token.Subject(), token.ClientID(), token.GrantID(), token.ACR(), token.Issuer()})
	require.WithinDuration(t, time.Now().Add(-24*time.Hour+5*time.Minute), token.ExpiresAt(), time.Minute)
	require.NoError(t, token.CheckScope("accounts"))
	require.Error(t, token.CheckScope("payments"))
	wanted, err := types.Parse([]byte(detail), types.Types())
	require.NoError(t, err)
	require.NoError(t, token.CheckDetails(wanted))
}

// login returns the token of a login.
func login(t testing.TB, server *profiletest.Server, app *client.Client, scopes ...string) (*oauth2.Token, error) {
	session, err := app.Begin(t.Context(), client.Request{Scopes: scopes})
	require.NoError(t, err)
	return app.Finish(t.Context(), session, server.Browse(t, session.URL).Query())
}

func call(t testing.TB, app *client.Client, source oauth2.TokenSource, target string) (int, string) {
	api, err := app.HTTPClient(source)
	require.NoError(t, err)
	response, err := api.Get(target)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	clock := profiletest.NewClock()
	server := profiletest.NewServer(t, profiletest.ServerConfig{Now: clock.Now})
	app, err := client.New(t.Context(), server.ClientConfig(t, "https://app.example/callback"))
	require.NoError(t, err)
	registered, err := server.Registration(t.Context(), "app-1")
	require.NoError(t, err)
	require.Equal(t, []string{"https://app.example/callback"}, registered.RedirectURIs)
	_, err = server.Registration(t.Context(), "other")
	require.ErrorIs(t, err, clientauth.ErrUnknownClient)

	t.Run("a login, a call and a refresh", func(t *testing.T) {
		token, err := login(t, server, app, "openid", "accounts")
		require.NoError(t, err)
		require.Equal(t, "alice", client.Subject(token))
		clock.Advance(10 * time.Minute)
		status, body := call(t, app, app.TokenSource(t.Context(), token), server.Resource)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "alice", body)
	})
	t.Run("attack: an expired token", func(t *testing.T) {
		token, err := login(t, server, app, "accounts")
		require.NoError(t, err)
		clock.Advance(10 * time.Minute)
		token.Expiry, token.RefreshToken = time.Time{}, ""
		status, _ := call(t, app, oauth2.StaticTokenSource(token), server.Resource)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("attack: the token of a user as another client's", func(t *testing.T) {
		token, err := login(t, server, app, "accounts")
		require.NoError(t, err)
		other, err := client.New(t.Context(), server.ClientConfig(t, ""))
		require.NoError(t, err)
		status, _ := call(t, other, oauth2.StaticTokenSource(token), server.Resource)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("a client that acts for itself", func(t *testing.T) {
		job, err := client.New(t.Context(), server.ClientConfig(t, ""))
		require.NoError(t, err)
		status, body := call(t, job, job.ClientCredentialsSource(client.Request{Scopes: []string{"accounts"}}), server.Resource)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "app-3", body)
	})
	t.Run("a token without a login", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Resource+"/any", nil)
		require.NoError(t, err)
		server.SetToken(t, r, accesstoken.Claims{Subject: "bob"})
		response, err := server.HTTPClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "bob", string(body))
	})
}

func TestServerDecides(t *testing.T) {
	deny := func(*authserver.Authorization) (authserver.Approval, error) {
		return authserver.Approval{}, errors.New("denied")
	}
	less := func(a *authserver.Authorization) (authserver.Approval, error) {
		return authserver.Approval{Subject: "bob", Scopes: []string{"accounts"}}, nil
	}
	start := func(decide func(*authserver.Authorization) (authserver.Approval, error)) (*oauth2.Token, error) {
		server := profiletest.NewServer(t, profiletest.ServerConfig{Decide: decide})
		app, err := client.New(t.Context(), server.ClientConfig(t, "https://app.example/callback"))
		require.NoError(t, err)
		return login(t, server, app, "accounts", "payments")
	}
	_, err := start(deny)
	require.ErrorContains(t, err, "access_denied")
	token, err := start(less)
	require.NoError(t, err)
	require.Equal(t, "accounts", token.Extra("scope"))
}

// Change makes a server that the zero ServerConfig is not.
func TestServerChange(t *testing.T) {
	server := profiletest.NewServer(t, profiletest.ServerConfig{
		Change: func(cfg *authserver.Config) { cfg.Profile = profile.Advanced &^ profile.SignedIntrospection },
	})
	cfg := server.ClientConfig(t, "https://app.example/callback")
	require.Equal(t, profile.SignedRequests|profile.SignedResponses, cfg.Profile)
	app, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	_, err = login(t, server, app, "accounts")
	require.NoError(t, err)
	cfg.Profile = profile.Baseline
	_, err = client.New(t.Context(), cfg)
	require.ErrorContains(t, err, "require_signed_request_object")
}

// A web application logs a user in with its own handlers.
func TestBrowser(t *testing.T) {
	server := profiletest.NewServer(t, profiletest.ServerConfig{})
	mux := http.NewServeMux()
	web := httptest.NewTLSServer(mux)
	defer web.Close()
	cfg := server.ClientConfig(t, web.URL+"/callback")
	shared, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	cfg.Tokens = &client.Tokens{Store: shared, Keys: [][]byte{make([]byte, 32)}}
	app, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	sessions, err := client.NewSessions(client.SessionsConfig{Keys: [][]byte{make([]byte, 32)}})
	require.NoError(t, err)
	mux.Handle("POST /login", app.LoginHandler(sessions, func(*http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	mux.Handle("/callback", app.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
			fmt.Fprint(w, client.Subject(token), app.StoredToken("alice").Save(r.Context(), token))
		}))

	response, err := server.Browser(t).PostForm(web.URL+"/login", nil)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "alice<nil>", string(body))
	_, api := call(t, app, app.StoredToken("alice"), server.Resource)
	require.Equal(t, "alice", api)
}

// A failing is a testing.TB whose Fatalf ends the function under test.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

// Misuse ends the test with a message that names the helper and the mistake.
func TestMisuse(t *testing.T) {
	issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
	server := profiletest.NewServer(t, profiletest.ServerConfig{})
	for name, c := range map[string]struct {
		message string
		misuse  func(t testing.TB)
	}{
		"an issuer without https": {`profiletest: NewIssuer: `, func(t testing.TB) {
			profiletest.NewIssuer(t, profiletest.IssuerConfig{ID: "http://as.example"})
		}},
		"a request without a host": {`profiletest: SetToken: request URL "/accounts" without host`, func(t testing.TB) {
			r := httptest.NewRequest(http.MethodGet, "/accounts", nil)
			r.Host = ""
			issuer.SetToken(t, r, accesstoken.Claims{})
		}},
		"claims that no issuer can sign": {`profiletest: SetToken: `, func(t testing.TB) {
			r := httptest.NewRequest(http.MethodGet, "https://api.example/", nil)
			issuer.SetToken(t, r, accesstoken.Claims{Lifetime: -time.Second})
		}},
		"details without types": {`profiletest: WithToken: `, func(t testing.TB) {
			details := json.RawMessage(`[{"type":"payment"}]`)
			profiletest.WithToken(t, t.Context(), accesstoken.Claims{AuthorizationDetails: details})
		}},
		"a token that is bound to another key": {`profiletest: WithToken: `, func(t testing.TB) {
			profiletest.WithToken(t, t.Context(), accesstoken.Claims{JKT: otherKey(t)})
		}},
		"a change that the server rejects": {`profiletest: NewServer: `, func(t testing.TB) {
			profiletest.NewServer(t, profiletest.ServerConfig{Change: func(cfg *authserver.Config) { cfg.Resources = nil }})
		}},
		"a registration without a key": {`profiletest: Register: `, func(t testing.TB) {
			server.Register(t, &profile.ClientMetadata{ClientID: "other"})
		}},
		"a malformed redirect URI": {`profiletest: Register: `, func(t testing.TB) {
			server.ClientConfig(t, "http://app.example/callback")
		}},
		"an address without a pushed request": {`profiletest: Browse: status 400 without redirect: `, func(t testing.TB) {
			server.Browse(t, server.ID()+"/authorize?client_id=app")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{TB: t}
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(f) {
						panic(p)
					}
				}()
				c.misuse(f)
			}()
			require.Contains(t, f.message, c.message)
			require.Greater(t, len(f.message), len("profiletest: NewIssuer: "))
		})
	}
}
