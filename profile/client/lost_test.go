package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The code or the refresh token is used up when the response arrives. A
// malformed optional member must therefore not lose the tokens.
func TestTokenResponsesWithOddMembers(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	const good = `"access_token":"at","token_type":"DPoP"`
	for body, want := range map[string]struct {
		refresh string // the refresh token after a redemption
		seconds int64  // the lifetime
	}{
		`{` + good + `,"refresh_token":null}`:                             {},
		`{` + good + `,"refresh_token":""}`:                               {},
		`{` + good + `,"refresh_token":7}`:                                {},
		`{` + good + `,"refresh_token":{"value":"x"}}`:                    {},
		`{` + good + `,"refresh_token":"rt-2"}`:                           {refresh: "rt-2"},
		`{` + good + `,"expires_in":null}`:                                {},
		`{` + good + `,"expires_in":"300"}`:                               {seconds: 300},
		`{` + good + `,"expires_in":300.5}`:                               {seconds: 301},
		`{` + good + `,"expires_in":[]}`:                                  {},
		`{` + good + `,"expires_in":-1}`:                                  {},
		`{` + good + `,"expires_in":1e300}`:                               {seconds: 365 * 24 * 3600},
		`{` + good + `,"scope":null,"grant_id":null}`:                     {},
		`{` + good + `,"scope":["a"],"grant_id":7}`:                       {},
		`{` + good + `,"id_token":null}`:                                  {},
		`{` + good + `,"id_token":{"a":1}}`:                               {},
		`{` + good + `,"authorization_details":null}`:                     {},
		`{` + good + `,"authorization_details":"x"}`:                      {},
		`{` + good + `,"error":null,"error_description":null}`:            {},
		`{` + good + `,"error":""}`:                                       {},
		`{` + good + `,"not-before-policy":0,"refresh_expires_in":"0"}`:   {},
		`{` + good + `,"session_state":null,"x":{"y":[1,{"z":null}]}}`:    {},
		`{` + good + `,"issued_token_type":null,"refresh_expires_in":{}}`: {},
	} {
		t.Run("CASES B1: "+body, func(t *testing.T) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, body) }
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
			require.NoError(t, err)
			token, err := app.Finish(ctx, session, callback(session))
			require.NoError(t, err)
			require.Equal(t, "at", token.AccessToken)
			require.Equal(t, want.refresh, token.RefreshToken)
			require.Equal(t, want.seconds, token.ExpiresIn)
			require.Nil(t, token.Extra("id_token"), "it was not verified")

			token, err = app.Refresh(ctx, "rt-1", client.Request{})
			require.NoError(t, err)
			if want.refresh == "" {
				want.refresh = "rt-1"
			}
			require.Equal(t, want.refresh, token.RefreshToken, "SP-5.3.3.1-6 kept")
		})
	}
	for _, body := range []string{
		`{"access_token":null,"token_type":"DPoP"}`, `{"access_token":7,"token_type":"DPoP"}`, `{"access_token":"","token_type":"DPoP"}`,
		`{"access_token":"at","token_type":null}`, `{"access_token":"at","token_type":["DPoP"]}`, `{"access_token":"at","token_type":"Bearer"}`,
		`{` + good + `,"access_token":"at"}`, `{` + good + `,"Access_Token":"at"}`, `{` + good + `,"error":{}}`, `[{` + good + `}]`, `{` + good + `} {}`,
	} {
		t.Run("what the binding hangs on stays strict: "+body, func(t *testing.T) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, body) }
			_, err := app.Refresh(ctx, "rt-1", client.Request{})
			require.ErrorIs(t, err, client.ErrTokenResponse)
		})
	}
}

func TestRefreshEndsForGood(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	code := "invalid_grant"
	p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 400, `{"error":"`+code+`"}`) }
	t.Run("CASES B4: REV-2.1-8 invalid_grant is final", func(t *testing.T) {
		source := app.TokenSource(ctx, stale(p, "rt-1"))
		testkit.Hammer(32, func(int) { source.Token() })
		for range 3 {
			p.clock.Advance(24 * time.Hour)
			_, err := source.Token()
			require.ErrorIs(t, err, client.ErrReauthorize)
			said := (*oauth2.RetrieveError)(nil)
			require.ErrorAs(t, err, &said)
			require.Equal(t, "invalid_grant", said.ErrorCode)
		}
		require.Len(t, p.messages("/token"), 1)
	})
	for _, temporary := range []string{"invalid_client", "unauthorized_client", "temporarily_unavailable", "use_dpop_nonce", "invalid_request"} {
		t.Run("CASES B4: "+temporary+" is not final", func(t *testing.T) {
			code = temporary
			source := app.TokenSource(ctx, stale(p, "rt-1"))
			_, err := source.Token()
			require.Error(t, err)
			require.NotErrorIs(t, err, client.ErrReauthorize)
			before := len(p.messages("/token"))
			p.clock.Advance(time.Minute)
			_, err = source.Token()
			require.Error(t, err)
			require.Greater(t, len(p.messages("/token")), before)
		})
	}
	t.Run("CASES B7: a token without a refresh token", func(t *testing.T) {
		p.token = nil
		token, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		source := app.TokenSource(ctx, token)
		_, err = source.Token()
		require.NoError(t, err)
		p.clock.Advance(time.Hour)
		_, err = source.Token()
		require.ErrorIs(t, err, client.ErrNoRefreshToken)
		_, err = app.Refresh(ctx, "", client.Request{})
		require.ErrorIs(t, err, client.ErrNoRefreshToken)
	})
}

func TestRefreshMargin(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, `{"access_token":"at","token_type":"DPoP","expires_in":8}`)
	}
	t.Run("CASES B5: tokens that live for 8 s are used for 6 s", func(t *testing.T) {
		source := app.TokenSource(ctx, stale(p, "rt-1"))
		for range 10 {
			_, err := source.Token()
			require.NoError(t, err)
		}
		require.Len(t, p.messages("/token"), 1)
		p.clock.Advance(6*time.Second - time.Millisecond)
		_, err := source.Token()
		require.NoError(t, err)
		require.Len(t, p.messages("/token"), 1)
		p.clock.Advance(time.Millisecond)
		_, err = source.Token()
		require.NoError(t, err)
		require.Len(t, p.messages("/token"), 2)
	})
	t.Run("tokens that live long are refreshed 10 s early", func(t *testing.T) {
		for left, refreshed := range map[time.Duration]bool{10 * time.Second: true, 10*time.Second + time.Millisecond: false} {
			before := len(p.messages("/token"))
			token := &oauth2.Token{AccessToken: "old", TokenType: "DPoP", RefreshToken: "rt", ExpiresIn: 3600, Expiry: p.clock.Now().Add(left)}
			_, err := app.TokenSource(ctx, token).Token()
			require.NoError(t, err)
			require.Equal(t, refreshed, len(p.messages("/token")) > before, left)
		}
	})
}

func TestProofsEverywhere(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.metadata = func(m map[string]any) { m["revocation_endpoint"] = p.as.URL + "/revoke" }
	app := p.client()
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	_, err = app.Finish(ctx, session, callback(session))
	require.NoError(t, err)
	require.Error(t, app.Revoke(ctx, "rt", "refresh_token"), "this server has only the address")
	_, own := app.OAuth2()
	response, err := own.PostForm(p.as.URL+"/revoke", map[string][]string{"token": {"rt"}})
	require.NoError(t, err)
	response.Body.Close()
	for _, path := range []string{"/par", "/token", "/revoke"} {
		for _, sent := range p.messages(path) {
			require.Equal(t, p.as.URL+path, sent.proof["htu"], "CASES F2: a proof at %s", path)
			require.Equal(t, "POST", sent.proof["htm"])
		}
	}
	require.Len(t, p.messages("/revoke"), 2)
}

func TestRejectedTokens(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	good, challenge := "new", `DPoP algs="ES256", error="invalid_token", error_description="Invalid DPoP key binding"`
	p.respond = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "DPoP "+good {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, r.Form.Encode())
	}
	p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, freshToken) }
	app := p.client()
	stored := func() oauth2.TokenSource {
		return app.TokenSource(ctx, &oauth2.Token{AccessToken: "old", TokenType: "DPoP", RefreshToken: "rt", Expiry: p.clock.Now().Add(time.Hour)})
	}
	refreshes := func(do func()) int {
		before := len(p.messages("/token"))
		do()
		return len(p.messages("/token")) - before
	}
	t.Run("CASES B6: a token that is bound to a lost key is refreshed once", func(t *testing.T) {
		api, err := app.HTTPClient(stored())
		require.NoError(t, err)
		require.Equal(t, 1, refreshes(func() {
			for range 3 {
				response, err := api.PostForm(p.api.URL, map[string][]string{"amount": {"1"}})
				require.NoError(t, err)
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Equal(t, "amount=1", string(body))
			}
		}))
	})
	t.Run("CASES B6: by many requests at once", func(t *testing.T) {
		api, err := app.HTTPClient(stored())
		require.NoError(t, err)
		require.Equal(t, 1, refreshes(func() {
			testkit.Hammer(16, func(int) {
				if response, err := api.Get(p.api.URL); assert.NoError(t, err) {
					assert.Equal(t, http.StatusOK, response.StatusCode)
				}
			})
		}))
	})
	t.Run("an API that rejects every token costs one refresh", func(t *testing.T) {
		good = "another"
		api, err := app.HTTPClient(stored())
		require.NoError(t, err)
		require.Equal(t, 1, refreshes(func() {
			for range 5 {
				response, err := api.Get(p.api.URL)
				require.NoError(t, err)
				require.Equal(t, http.StatusUnauthorized, response.StatusCode)
			}
		}))
		good = "new"
	})
	t.Run("a body that is sent once is not sent again, and the next request has the new token", func(t *testing.T) {
		api, err := app.HTTPClient(stored())
		require.NoError(t, err)
		r, err := http.NewRequest(http.MethodPost, p.api.URL, io.MultiReader(strings.NewReader("amount=1")))
		require.NoError(t, err)
		response, err := api.Do(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		response, err = api.Get(p.api.URL)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
	})
	for _, other := range []string{`DPoP error="insufficient_scope"`, `DPoP error="invalid_dpop_proof"`, `Basic realm="x"`, ``} {
		t.Run("no refresh for "+other, func(t *testing.T) {
			challenge = other
			api, err := app.HTTPClient(stored())
			require.NoError(t, err)
			require.Zero(t, refreshes(func() {
				response, err := api.Get(p.api.URL)
				require.NoError(t, err)
				require.Equal(t, http.StatusUnauthorized, response.StatusCode)
			}))
		})
	}
}

func TestServersThatChangeTheirKey(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app, nonce, kid := p.client(), "", "k1"
	often := p.config()
	often.ServerKeys = &jwks.RemoteConfig{MinInterval: time.Second}
	eager, err := client.New(ctx, often)
	require.NoError(t, err)
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		signer, err := jose.NewSigner(testkit.ECKey(t, "peer "+kid), jose.SignerOptions{KeyID: kid})
		if err != nil {
			panic(err)
		}
		now := p.clock.Now().Unix()
		idToken, err := signer.Sign(fmt.Appendf(nil, `{"iss":%q,"aud":"c-1","sub":"alice","iat":%d,"exp":%d,"nonce":%q}`, p.as.URL, now, now+300, nonce))
		if err != nil {
			panic(err)
		}
		reply(w, 200, map[string]any{"access_token": "at", "token_type": "DPoP", "id_token": idToken})
	}
	publish := func(kids ...string) {
		p.keys = nil
		for _, kid := range kids {
			p.keys = append(p.keys, jwks.Key{Public: testkit.ECKey(t, "peer "+kid).Public(), KeyID: kid})
		}
	}
	login := func() error {
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
		require.NoError(t, err)
		nonce = session.Nonce
		_, err = app.Finish(ctx, session, callback(session))
		return err
	}
	publish("k1")
	require.NoError(t, login())
	p.clock.Advance(time.Second)
	kid = "k2"
	publish("k1", "k2")
	require.NoError(t, login(), "CASES F5: a new kid a second after the last request for keys")
	require.Len(t, p.messages("/jwks"), 2)

	kid = "k3" // which the server never publishes
	for range 20 {
		require.ErrorIs(t, login(), client.ErrTokenResponse)
	}
	require.LessOrEqual(t, len(p.messages("/jwks")), 4, "CASES F5: requests for keys stay bounded")

	app = eager
	publish("k1")
	before := len(p.messages("/jwks"))
	for range 4 { // more than the early requests that are permitted
		require.ErrorIs(t, login(), client.ErrTokenResponse)
	}
	publish("k3")
	p.clock.Advance(time.Second)
	require.NoError(t, login(), "CASES F5: MinInterval is a setting of the client")
	require.Len(t, p.messages("/jwks"), before+4)
}
