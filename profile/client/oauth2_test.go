package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func TestOAuth2HostRequests(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.metadata = func(m map[string]any) { m["introspection_endpoint"] = p.as.URL + "/introspect" }
	app := p.client()
	cfg, own := app.OAuth2()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, own)
	bound := &oauth2.Token{AccessToken: "at", TokenType: "DPoP"}

	t.Run("DPOP-5-7 no token of another type gets through", func(t *testing.T) {
		for body, ok := range map[string]bool{
			`{"access_token":"s3cret","token_type":"Bearer"}`: false, `{"access_token":"s3cret"}`: false, `{"token_type":"DPoP"}`: false,
			`<html>s3cret`: false, `{"access_token":"s3cret","token_type":"DPoP","x":"` + strings.Repeat("x", 1<<20) + `"}`: false,
			`{"access_token":"s3cret","token_type":"dpop"}`: true,
		} {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, body) }
			token, err := cfg.Exchange(ctx, "code")
			if ok {
				require.NoError(t, err)
				require.Equal(t, "s3cret", token.AccessToken)
				continue
			}
			require.ErrorIs(t, err, client.ErrTokenResponse, body)
			require.NotContains(t, err.Error(), "s3cret")
		}
	})
	t.Run("SP-5.3.3.1-8 a nonce, with a new assertion", func(t *testing.T) {
		before := len(p.messages("/token"))
		p.token = nonces(400, "n-1", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, freshToken) })
		_, err := cfg.TokenSource(ctx, stale(p, "rt")).Token()
		require.NoError(t, err)
		sent := p.messages("/token")[before:]
		require.Len(t, sent, 2)
		first, second := jwtClaims(t, sent[0].form.Get("client_assertion")), jwtClaims(t, sent[1].form.Get("client_assertion"))
		require.NotEqual(t, first["jti"], second["jti"])
		require.Equal(t, "n-1", sent[1].proof["nonce"])
		require.Equal(t, []string{"rt"}, sent[1].form["refresh_token"])
		require.NotContains(t, sent[1].form, "client_secret")
	})
	t.Run("the server's errors stay package oauth2's", func(t *testing.T) {
		for _, status := range []int{200, 400} {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, status, `{"error":"invalid_grant"}`) }
			_, err := cfg.Exchange(ctx, "code")
			said := (*oauth2.RetrieveError)(nil)
			require.ErrorAs(t, err, &said)
			require.Equal(t, "invalid_grant", said.ErrorCode)
		}
	})
	t.Run("what has a token goes out as by HTTPClient", func(t *testing.T) {
		p.respond = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/moved" {
				http.Redirect(w, r, p.as.URL+"/elsewhere", http.StatusTemporaryRedirect)
			}
		}
		api := cfg.Client(ctx, bound)
		response, err := api.Get(p.api.URL + "/accounts")
		require.NoError(t, err)
		response.Body.Close()
		require.NotEmpty(t, p.messages("/accounts")[0].proof["ath"])
		api.CheckRedirect = nil // follow
		_, err = api.Get(p.api.URL + "/moved")
		require.ErrorContains(t, err, "another origin")
		require.Empty(t, p.messages("/elsewhere"))
		_, err = api.Get(strings.Replace(p.api.URL, "https", "http", 1))
		require.ErrorContains(t, err, "https only", "SP-5.2.1-1")
		_, err = cfg.Client(ctx, &oauth2.Token{AccessToken: "at"}).Get(p.api.URL + "/bearer")
		require.ErrorContains(t, err, "Bearer", "DPOP-5-7")
		require.Empty(t, p.messages("/bearer"))
	})
	t.Run("all else goes out as it is", func(t *testing.T) {
		response, err := own.Get(p.as.URL + "/jwks")
		require.NoError(t, err)
		response.Body.Close()
		require.Empty(t, p.messages("/jwks")[0].header.Get("DPoP"))
	})
	t.Run("no forms, no authentication", func(t *testing.T) {
		for name, r := range map[string]*http.Request{
			"GET":        testkit.Must(http.NewRequest("GET", cfg.Endpoint.TokenURL, nil)),
			"no form":    testkit.Must(http.NewRequest("POST", cfg.Endpoint.TokenURL, strings.NewReader("a=%zz"))),
			"too long":   testkit.Must(http.NewRequest("POST", cfg.Endpoint.TokenURL, strings.NewReader(strings.Repeat("a", 300<<10)))),
			"unreadable": testkit.Must(http.NewRequest("POST", cfg.Endpoint.TokenURL, io.MultiReader(strings.NewReader("a="), brokenOff{}))),
			"no body":    testkit.Must(http.NewRequest("POST", cfg.Endpoint.TokenURL, nil)),
		} {
			before := len(p.messages("/token"))
			_, err := own.Do(r)
			require.Error(t, err, name)
			require.Len(t, p.messages("/token"), before)
		}
	})
	t.Run("an introspection client", func(t *testing.T) {
		asking, err := introspection.NewClient(introspection.ClientConfig{
			Endpoint: p.as.URL + "/introspect", HTTPClient: own, Issuer: p.as.URL, ClientID: "c-1", Unsigned: true, Now: p.clock.Now,
		})
		require.NoError(t, err)
		_, err = asking.Introspect(ctx, "at")
		require.Error(t, err, "this server has only the address")
		sent := p.messages("/introspect")[0]
		require.NotEmpty(t, sent.form.Get("client_assertion"))
		require.Empty(t, sent.header.Get("DPoP"), "DPOP-6.2-2")
	})
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, errors.New("gone") }

// A program on clientcredentials.Config continues with its own token handling.
func TestOAuth2ClientCredentials(t *testing.T) {
	p := newPeer(t)
	cfg, own := p.client().OAuth2()
	credentials := clientcredentials.Config{
		ClientID: cfg.ClientID, TokenURL: cfg.Endpoint.TokenURL, AuthStyle: cfg.Endpoint.AuthStyle, Scopes: []string{"rates"},
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, own)
	response, err := credentials.Client(ctx).Get(p.api.URL + "/rates")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	sent, called := p.last("/token"), p.last("/rates")
	require.Equal(t, "client_credentials", sent.form.Get("grant_type"))
	require.Equal(t, "rates", sent.form.Get("scope"))
	require.NotEmpty(t, sent.form.Get("client_assertion"))
	require.NotContains(t, sent.form, "client_secret")
	require.NotEmpty(t, sent.proof)
	require.Equal(t, "DPoP at-1", called.header.Get("Authorization"))
	require.NotEmpty(t, called.proof["ath"])

	p.token = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, `{"access_token":"at-2","token_type":"Bearer"}`)
	}
	_, err = credentials.Token(ctx)
	require.ErrorIs(t, err, client.ErrTokenResponse, "DPOP-5-7")
}
