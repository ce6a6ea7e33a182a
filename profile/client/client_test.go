package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestPushedRequest(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	params := url.Values{"prompt": {"consent"}, "login_hint": {"alice"}}
	session, err := app.Begin(ctx, client.Request{
		Scopes: []string{"openid", "a"}, Resources: []string{"https://api.example", "urn:b"}, Params: params,
	})
	require.NoError(t, err)
	require.Len(t, params, 2, "the caller's Params are not changed")
	sent := p.messages("/par")[0]
	for name, want := range map[string]string{
		"SP-5.3.3.2-1 response_type": "code", "client_id": "c-1", "redirect_uri": "https://client.example/cb", "scope": "openid a",
		"SP-5.3.3.2-3 code_challenge_method": "S256", "state": session.State, "nonce": session.Nonce, "prompt": "consent", "login_hint": "alice",
	} {
		require.Equal(t, []string{want}, sent.form[name[strings.LastIndex(name, " ")+1:]], name)
	}
	require.Equal(t, []string{"https://api.example", "urn:b"}, sent.form["resource"])
	require.Len(t, sent.form.Get("code_challenge"), 43)
	require.NotContains(t, sent.form, "code_verifier")
	require.GreaterOrEqual(t, len(session.State), 43)
	require.LessOrEqual(t, len(session.Nonce), 64, "SP-5.3.3.2-7")
	require.Equal(t, "POST", sent.proof["htm"], "the code is bound to the proof's key")

	assertion := jwtClaims(t, sent.form.Get("client_assertion"))
	require.Equal(t, p.as.URL, assertion["aud"], "SP-5.3.3.1-5 a string, and the issuer")

	target, err := url.Parse(session.URL)
	require.NoError(t, err)
	require.Equal(t, url.Values{"client_id": {"c-1"}, "request_uri": {"urn:ietf:params:oauth:request_uri:x-1"}}, target.Query(), "SP-5.3.3.2-6")
	require.True(t, strings.HasPrefix(session.URL, p.as.URL+"/authorize?"), "SP-5.3.3.1-9")

	again, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	require.Empty(t, again.Nonce, "without openid there is none")
	require.NotContains(t, p.messages("/par")[1].form, "nonce")
	require.NotEqual(t, session.State, again.State)
	require.NotEqual(t, session.CodeVerifier, again.CodeVerifier, "SP-5.3.3.2-4 BCP-2.1-3")

	_, err = app.Begin(ctx, client.Request{})
	require.NoError(t, err)
	require.NotContains(t, p.messages("/par")[2].form, "scope", "nothing is sent empty")
}

// Params cannot contain a parameter that the client sets itself.
func TestReservedParameters(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	for _, name := range []string{
		"state", "nonce", "code_challenge", "code_challenge_method", "request_uri", "request", "client_assertion", "client_assertion_type",
		"client_id", "client_secret", "dpop_jkt", "response_type", "response_mode", "redirect_uri", "scope", "resource",
		"grant_type", "code", "code_verifier", "refresh_token",
	} {
		request := client.Request{Scopes: []string{"a"}, Params: url.Values{name: {"evil"}}}
		_, err := app.Begin(ctx, request)
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
		_, err = app.Refresh(ctx, "rt", request)
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
		_, err = app.ClientCredentials(ctx, request)
		require.ErrorContains(t, err, fmt.Sprintf("%q", name))
	}
	for name, request := range map[string]client.Request{
		"a repeated parameter":              {Params: url.Values{"prompt": {"login", "none"}}},
		"two scopes in one hide openid":     {Scopes: []string{"openid a"}},
		"an empty scope":                    {Scopes: []string{""}},
		"RI-2-1 a resource with a fragment": {Resources: []string{"https://api.example/#x"}},
		"RI-2-1 a relative resource":        {Resources: []string{"/accounts"}},
		"max_age that is no number":         {Scopes: []string{"openid"}, Params: url.Values{"max_age": {"-1"}}},
	} {
		_, err := app.Begin(ctx, request)
		require.Error(t, err, name)
	}
	require.Empty(t, p.messages("/par"))
	require.Empty(t, p.messages("/token"))
}

func TestBeginFails(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	for _, tc := range []struct {
		name string
		push http.HandlerFunc
		said string // ErrorCode
	}{
		{"SP-5.3.3.2-2 refused", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 400, `{"error":"invalid_request","error_description":"no"}`)
		}, "invalid_request"},
		{"down", func(w http.ResponseWriter, _ *http.Request) { reply(w, 503, "<html>") }, ""},
		{"200 in place of 201", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, `{"request_uri":"urn:x","expires_in":60}`) }, ""},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.api.URL+"/par", 307) }, ""},
		{"no request_uri", func(w http.ResponseWriter, _ *http.Request) { reply(w, 201, `{"expires_in":60}`) }, ""},
		{"a request_uri that would add parameters is escaped", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 201, `{"request_uri":"urn:x y","expires_in":60}`)
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.push = tc.push
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
			require.Error(t, err)
			require.Nil(t, session, "nothing to send a browser to")
			if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) {
				require.Equal(t, tc.said, said.ErrorCode)
			}
		})
	}
	require.Empty(t, p.messages("/authorize"))
	require.Len(t, p.messages("/par"), 6, "neither repeated nor sent to where the redirect pointed")
}

// New rejects a configuration or a server before it requests anything except the
// metadata.
func TestNewClientRefuses(t *testing.T) {
	set := func(name string, value any) func(map[string]any) { return func(m map[string]any) { m[name] = value } }
	del := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }
	for _, tc := range []struct {
		name     string
		metadata func(map[string]any)
		change   func(*client.Config)
		want     error
	}{
		{"SP-5.3.3.1-11 CS-20 issuer with a slash more", func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }, nil, profile.ErrIssuerMismatch},
		{"SP-5.3.3.1-11 CS-20 another issuer", set("issuer", "https://evil.example"), nil, profile.ErrIssuerMismatch},
		{"SP-5.3.3.1-11 no issuer", del("issuer"), nil, profile.ErrIssuerMismatch},
		{"SP-5.3.3.1-11 configured with a slash more", nil, func(c *client.Config) { c.Issuer += "/" }, profile.ErrIssuerMismatch},
		{"SP-5.3.3.1-10 an http issuer", nil, func(c *client.Config) { c.Issuer = strings.Replace(c.Issuer, "https", "http", 1) }, nil},
		{"SP-5.2.1-1 http token endpoint", set("token_endpoint", "http://as.example/token"), nil, profile.ErrServerMetadata},
		{"SP-5.2.1-1 http PAR endpoint", set("pushed_authorization_request_endpoint", "http://as.example/par"), nil, profile.ErrServerMetadata},
		{"SP-5.2.1-1 http authorization endpoint", set("authorization_endpoint", "http://as.example/a"), nil, profile.ErrServerMetadata},
		{"SP-5.4.2-1 http keys", set("jwks_uri", "http://as.example/jwks"), nil, profile.ErrServerMetadata},
		{"ISS-2.4-4 ISS-2.3-2 does not say that it sends iss", del("authorization_response_iss_parameter_supported"), nil, profile.ErrServerMetadata},
		{"SP-5.3.3.2-2 no PAR", del("pushed_authorization_request_endpoint"), nil, profile.ErrServerMetadata},
		{"no private_key_jwt", set("token_endpoint_auth_methods_supported", []string{"tls_client_auth"}), nil, profile.ErrServerMetadata},
		{"no DPoP, certificates only", func(m map[string]any) {
			delete(m, "dpop_signing_alg_values_supported")
			m["tls_client_certificate_bound_access_tokens"] = true
		}, nil, profile.ErrServerMetadata},
		{"an algorithm for proofs that the key does not have", set("dpop_signing_alg_values_supported", []string{"PS256"}), nil, profile.ErrServerMetadata},
		{"an algorithm for assertions that the key does not have", set("token_endpoint_auth_signing_alg_values_supported", []string{"PS256"}), nil, profile.ErrServerMetadata},
		{"no client id", nil, func(c *client.Config) { c.ClientID = "" }, nil},
		{"no key", nil, func(c *client.Config) { c.Key = nil }, nil},
		{"no DPoP key, and several instances", nil, func(c *client.Config) { c.DPoPKey, c.SeveralInstances = nil, true }, nil},
		{"a typed nil key", nil, func(c *client.Config) { c.Key = ed25519.PrivateKey(nil) }, nil},
		{"a typed nil DPoP key", nil, func(c *client.Config) { c.DPoPKey = ed25519.PrivateKey(nil) }, nil},
		{"CASES F5: SP-5.4.2-1 keys from another place", nil, func(c *client.Config) {
			c.ServerKeys = &jwks.RemoteConfig{URL: "https://evil.example/jwks"}
		}, nil},
		{"CASES F5: a negative time between requests for keys", nil, func(c *client.Config) {
			c.ServerKeys = &jwks.RemoteConfig{MinInterval: -1}
		}, nil},
		{"SP-5.4.1-1.2 RS256", nil, func(c *client.Config) { c.Key, c.Algorithm = testkit.RSAKey(t, "c"), "RS256" }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.metadata = tc.metadata
			cfg := p.config()
			if tc.change != nil {
				tc.change(&cfg)
			}
			app, err := client.New(context.Background(), cfg)
			require.Error(t, err)
			require.Nil(t, app)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			require.Empty(t, p.messages("/token"))
			require.Empty(t, p.messages("/par"))
		})
	}
}

func TestNewClientAccepts(t *testing.T) {
	ctx := context.Background()
	t.Run("a server for client credentials alone", func(t *testing.T) {
		p := newPeer(t)
		p.metadata = func(m map[string]any) {
			for _, name := range []string{"pushed_authorization_request_endpoint", "authorization_endpoint", "response_types_supported", "jwks_uri"} {
				delete(m, name)
			}
			m["grant_types_supported"] = []string{"client_credentials"}
		}
		app := p.client()
		token, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		require.Equal(t, "at-1", token.AccessToken)
		_, err = app.Begin(ctx, client.Request{})
		require.Error(t, err)
	})
	t.Run("openid without jwks_uri is refused before anything is sent", func(t *testing.T) {
		p := newPeer(t)
		p.metadata = func(m map[string]any) { delete(m, "jwks_uri") }
		app := p.client()
		_, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
		require.Error(t, err)
		require.Empty(t, p.messages("/par"))
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		session.Nonce = "begun when there still were keys"
		raw, err := p.idTokens().Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: session.Nonce})
		require.NoError(t, err)
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, map[string]any{"access_token": "at", "token_type": "DPoP", "id_token": raw})
		}
		_, err = app.Finish(ctx, session, callback(session))
		require.ErrorIs(t, err, client.ErrTokenResponse)
		require.ErrorIs(t, err, idtoken.ErrUnavailable)
	})
	t.Run("Ed25519 by the name that the server has for it", func(t *testing.T) {
		p := newPeer(t)
		p.metadata = func(m map[string]any) {
			m["dpop_signing_alg_values_supported"] = []string{"Ed25519"}
			m["token_endpoint_auth_signing_alg_values_supported"] = []string{"Ed25519"}
		}
		cfg := p.config()
		cfg.Key, cfg.DPoPKey = testkit.Ed25519Key(t, "c"), testkit.Ed25519Key(t, "d")
		app, err := client.New(ctx, cfg)
		require.NoError(t, err)
		_, err = app.ClientCredentials(ctx, client.Request{})
		require.NoError(t, err)
		for _, jwt := range []string{p.messages("/token")[0].header.Get("DPoP"), p.messages("/token")[0].form.Get("client_assertion")} {
			header, err := base64.RawURLEncoding.DecodeString(jwt[:strings.IndexByte(jwt, '.')])
			require.NoError(t, err)
			require.Contains(t, string(header), `"alg":"Ed25519"`)
		}
	})
	t.Run("an http.Client that is changed afterwards", func(t *testing.T) {
		p := newPeer(t)
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		u, err := url.Parse(p.as.URL)
		require.NoError(t, err)
		jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "secret"}})
		cfg := p.config()
		own := *p.http
		own.Jar = jar
		cfg.HTTPClient = &own
		app, err := client.New(ctx, cfg)
		require.NoError(t, err)
		own.Transport = nil
		_, err = app.ClientCredentials(ctx, client.Request{})
		require.NoError(t, err)
		require.Empty(t, p.messages("/token")[0].header.Get("Cookie"), "cookies are a browser's")
		app.ServerMetadata().TokenEndpoint = "https://evil.example"
		_, err = app.ClientCredentials(ctx, client.Request{})
		require.NoError(t, err)
	})
	t.Run("an http.Client without Transport does not use the process's", func(t *testing.T) {
		before := http.DefaultTransport
		t.Cleanup(func() { http.DefaultTransport = before })
		http.DefaultTransport = testkit.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("used the default") })
		p := newPeer(t)
		cfg := p.config()
		for _, cfg.HTTPClient = range []*http.Client{nil, {Timeout: time.Minute}} {
			_, err := client.New(ctx, cfg)
			unknown := (*tls.CertificateVerificationError)(nil)
			require.ErrorAs(t, err, &unknown, "SP-5.2.1-5 the test server's certificate is not trusted")
		}
	})
}

func TestSessionRoundTrip(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	session, err := p.client().Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	stored, err := json.Marshal(session)
	require.NoError(t, err)
	var restored client.Session
	require.NoError(t, json.Unmarshal(stored, &restored))
	require.Equal(t, *session, restored)
	token, err := p.client().Finish(ctx, &restored, callback(session)) // another process of the same client
	require.NoError(t, err)
	require.Equal(t, "at-1", token.AccessToken)
	sent := p.messages("/token")[0].form
	require.Equal(t, []string{session.CodeVerifier}, sent["code_verifier"])
	require.Equal(t, []string{"https://client.example/cb"}, sent["redirect_uri"])
}

func TestNothingSecretIsPrinted(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	cfg := p.config()
	key := testkit.Ed25519Key(t, "printed")
	cfg.Key, cfg.DPoPKey = key, key
	app, err := client.New(ctx, cfg)
	require.NoError(t, err)
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	var out bytes.Buffer
	for _, v := range []any{session, *session, app, cfg, &cfg, []any{*session, app, cfg}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q\n", v, v, v, v, v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	printed := out.String()
	// A slice of them is for encoding/json to print, which is how sessions are stored.
	printed = printed[:strings.LastIndex(printed, `"level":"INFO"`)]
	seed := strings.Trim(fmt.Sprint([]byte(key.Seed()[:8])), "[]")
	for _, secret := range []string{session.State, session.Nonce, session.CodeVerifier, "request_uri", seed, strings.ReplaceAll(seed, " ", ", "), base64.StdEncoding.EncodeToString(key.Seed())[:20]} {
		require.NotContains(t, printed, secret)
	}
	require.Contains(t, printed, "c-1")
}

func TestUserOfTheIDToken(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	issuer := p.idTokens()
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		raw, err := issuer.Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: session.Nonce, AccessToken: "at-1"})
		if err != nil {
			panic(err)
		}
		reply(w, 200, map[string]any{"access_token": "at-1", "token_type": "DPoP", "id_token": raw, "refresh_token": "rt-1", "client: verified ID token": "x"})
	}
	token, err := app.Finish(ctx, session, callback(session))
	require.NoError(t, err)
	user, ok := client.IDToken(token)
	require.True(t, ok)
	require.Equal(t, "alice", user.Subject())
	require.NotEmpty(t, token.Extra("id_token"))

	refreshed, err := app.Refresh(ctx, "rt-1", client.Request{})
	require.NoError(t, err)
	require.Nil(t, refreshed.Extra("id_token"), "an ID token that was not verified is not returned")
	_, ok = client.IDToken(refreshed)
	require.False(t, ok)
	_, ok = client.IDToken(nil)
	require.False(t, ok)
	_, ok = client.IDToken(&oauth2.Token{})
	require.False(t, ok)

	session, err = app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	token, err = app.Finish(ctx, session, callback(session))
	require.NoError(t, err)
	require.Nil(t, token.Extra("id_token"), "it was not asked for")
}

func (p *peer) idTokens() *idtoken.Issuer {
	issuer, err := idtoken.NewIssuer(idtoken.IssuerConfig{Issuer: p.as.URL, Key: testkit.ECKey(p.t, "peer"), KeyID: "k1", Now: p.clock.Now})
	require.NoError(p.t, err)
	return issuer
}

func TestTokenSource(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	var answers []string
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		reply(w, 200, answers[0])
		answers = answers[1:]
	}
	const once = `{"access_token":"new","token_type":"dpop","expires_in":3600}`
	expired := func(in time.Duration) *oauth2.Token {
		return &oauth2.Token{AccessToken: "old", TokenType: "DPoP", RefreshToken: "rt-1", Expiry: time.Now().Add(in)}
	}
	t.Run("one refresh for all that wait", func(t *testing.T) {
		answers = []string{once}
		source := app.TokenSource(ctx, expired(-time.Second))
		got := make([]*oauth2.Token, 32)
		testkit.Hammer(len(got), func(i int) { got[i], _ = source.Token() })
		for _, token := range got {
			require.NotNil(t, token)
			require.Equal(t, "new", token.AccessToken)
			require.Equal(t, "rt-1", token.RefreshToken, "SP-5.3.3.1-6 kept")
		}
	})
	t.Run("a token about to expire is refreshed, one that is not is not", func(t *testing.T) {
		answers = []string{once}
		token, err := app.TokenSource(ctx, expired(5*time.Second)).Token()
		require.NoError(t, err)
		require.Equal(t, "new", token.AccessToken)
		token, err = app.TokenSource(ctx, expired(time.Minute)).Token()
		require.NoError(t, err)
		require.Equal(t, "old", token.AccessToken)
	})
	t.Run("SP-5.3.3.1-6 a new refresh token replaces the old one", func(t *testing.T) {
		answers = []string{`{"access_token":"n1","token_type":"DPoP","refresh_token":"rt-2","expires_in":1}`, once}
		source := app.TokenSource(ctx, expired(-time.Second))
		token, err := source.Token()
		require.NoError(t, err)
		require.Equal(t, "rt-2", token.RefreshToken)
		p.clock.Advance(time.Second)
		_, err = source.Token()
		require.NoError(t, err)
		sent := p.messages("/token")
		require.Equal(t, "rt-2", sent[len(sent)-1].form.Get("refresh_token"))
	})
	t.Run("the error is the server's", func(t *testing.T) {
		p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 400, `{"error":"invalid_grant"}`) }
		api, err := app.HTTPClient(app.TokenSource(ctx, expired(-time.Second)))
		require.NoError(t, err)
		_, err = api.Get(p.api.URL)
		said := (*oauth2.RetrieveError)(nil)
		require.ErrorAs(t, err, &said)
		require.Equal(t, "invalid_grant", said.ErrorCode)
		require.Empty(t, p.messages("/"))
	})
	t.Run("nothing to refresh with", func(t *testing.T) {
		for _, token := range []*oauth2.Token{nil, {AccessToken: "x", TokenType: "DPoP", Expiry: time.Now().Add(-time.Hour)}} {
			_, err := app.TokenSource(ctx, token).Token()
			require.Error(t, err)
		}
	})
	t.Run("a done context", func(t *testing.T) {
		done, cancel := context.WithCancel(ctx)
		cancel()
		_, err := app.TokenSource(done, expired(-time.Second)).Token()
		require.ErrorIs(t, err, context.Canceled)
	})
}
