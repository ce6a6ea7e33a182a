package client_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The client sends nothing after a callback that does not belong to the session.
func TestCallbackRefused(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	good, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	other, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	set := func(name string, values ...string) func(url.Values, *client.Session) {
		return func(v url.Values, _ *client.Session) { v[name] = values }
	}
	for _, tc := range []struct {
		name   string
		change func(url.Values, *client.Session)
	}{
		{"ISS-2.4-3 SP-5.3.3.2-5 CS-20 iss missing", func(v url.Values, _ *client.Session) { delete(v, "iss") }},
		{"ISS-2.4-1 CS-20 iss of another server", set("iss", "https://evil.example")},
		{"ISS-2.4-1 iss with a slash more", set("iss", p.as.URL+"/")},
		{"ISS-2.4-1 iss in capitals", set("iss", strings.ToUpper(p.as.URL))},
		{"iss empty", set("iss", "")},
		{"iss twice, equal", set("iss", p.as.URL, p.as.URL)},
		{"iss twice, the right one first", set("iss", p.as.URL, "https://evil.example")},
		{"AM-5.4a CS-20 state missing", func(v url.Values, _ *client.Session) { delete(v, "state") }},
		{"AM-5.4b CS-20 state of another session", set("state", other.State)},
		{"state empty", set("state", "")},
		{"state twice", set("state", good.State, good.State)},
		{"code and error together", set("error", "access_denied")},
		{"neither code nor error", func(v url.Values, _ *client.Session) { delete(v, "code") }},
		{"code empty", set("code", "")},
		{"code twice", set("code", "code-1", "code-2")},
		{"an empty code first", set("code", "", "code-2")},
		{"error twice", func(v url.Values, _ *client.Session) { delete(v, "code"); v["error"] = []string{"a", "b"} }},
		{"ISS-2.4-2 an error from another server is no error of ours", func(v url.Values, _ *client.Session) {
			delete(v, "code")
			v.Set("error", "access_denied")
			v.Set("iss", "https://evil.example")
		}},
		{"an error without state", func(v url.Values, _ *client.Session) {
			delete(v, "code")
			delete(v, "state")
			v.Set("error", "access_denied")
		}},
		{"a session of another client", func(_ url.Values, s *client.Session) { s.ClientID = "c-2" }},
		{"a session at another server", func(_ url.Values, s *client.Session) { s.Issuer = "https://evil.example" }},
		{"a session without state", func(v url.Values, s *client.Session) { s.State = ""; delete(v, "state") }},
		{"a session without verifier", func(_ url.Values, s *client.Session) { s.CodeVerifier = "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			session, values := *good, callback(good)
			tc.change(values, &session)
			token, err := app.Finish(ctx, &session, values)
			require.ErrorIs(t, err, client.ErrAuthorizationResponse)
			require.Nil(t, token)
			said := (*oauth2.RetrieveError)(nil)
			require.False(t, errors.As(err, &said), "the server has not said anything")
			for _, secret := range []string{good.State, other.State, good.CodeVerifier, "code-1", "code-2"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
	_, err = app.Finish(ctx, nil, callback(good))
	require.ErrorIs(t, err, client.ErrAuthorizationResponse)
	_, err = app.Finish(ctx, good, nil)
	require.ErrorIs(t, err, client.ErrAuthorizationResponse)
	require.Empty(t, p.messages("/token"))

	values := callback(good)
	values.Del("code")
	values.Set("error", "access_denied")
	values.Set("error_description", "alice said no")
	_, err = app.Finish(ctx, good, values)
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, err, &said)
	require.Equal(t, "access_denied", said.ErrorCode)
	require.Equal(t, "alice said no", said.ErrorDescription)
	require.Nil(t, said.Response)
	require.Contains(t, err.Error(), "access_denied")
	require.Empty(t, p.messages("/token"))

	values = callback(good)
	values["tenant"], values["resource"], values["id_token"] = []string{"1", "2"}, []string{"x"}, []string{"a.b.c"}
	_, err = app.Finish(ctx, good, values)
	require.NoError(t, err, "parameters that mean nothing here are ignored")
	require.Len(t, values, 6, "the caller's values are not changed")
}

func TestTokenResponseAccepted(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	year := int64(365 * 24 * 3600)
	for _, tc := range []struct {
		name, body string
		expires    int64
	}{
		{"CS-19 token_type in small letters", `{"access_token":"at","token_type":"dpop","expires_in":60}`, 60},
		{"CS-19 token_type in capitals", `{"access_token":"at","token_type":"DPOP","expires_in":60}`, 60},
		{"CS-19 no expires_in", `{"access_token":"at","token_type":"DPoP"}`, 0},
		{"expires_in huge", `{"access_token":"at","token_type":"DPoP","expires_in":99999999999999999999}`, year},
		{"expires_in beyond a float", `{"access_token":"at","token_type":"DPoP","expires_in":1e999}`, year},
		{"expires_in a string", `{"access_token":"at","token_type":"DPoP","expires_in":"60"}`, 60},
		{"expires_in a fraction", `{"access_token":"at","token_type":"DPoP","expires_in":59.5}`, 60},
		{"expires_in negative says nothing", `{"access_token":"at","token_type":"DPoP","expires_in":-1}`, 0},
		{"expires_in null", `{"access_token":"at","token_type":"DPoP","expires_in":null}`, 0},
		{"expires_in an object", `{"access_token":"at","token_type":"DPoP","expires_in":{}}`, 0},
		{"a member no type can hold", `{"access_token":"at","token_type":"DPoP","expires_in":60,"acme":1e999}`, 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, tc.body) }
			token, err := app.ClientCredentials(ctx, client.Request{})
			require.NoError(t, err)
			require.Equal(t, "DPoP", token.Type())
			require.Equal(t, tc.expires, token.ExpiresIn)
			if tc.expires == 0 {
				require.True(t, token.Expiry.IsZero())
				return
			}
			require.Equal(t, p.clock.Now().Add(time.Duration(tc.expires)*time.Second), token.Expiry)
		})
	}
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, `{"access_token":"at","token_type":"DPoP","expires_in":60,"refresh_expires_in":1800,"grant_id":"g",
			"authorization_details":[{"type":"a"}],"scope":"a b","acme":1e999,"client: subject":"mallory"}`)
	}
	token, err := app.ClientCredentials(ctx, client.Request{})
	require.NoError(t, err)
	require.Equal(t, 1800.0, token.Extra("refresh_expires_in"))
	require.Equal(t, "g", token.Extra("grant_id"))
	require.Equal(t, "a b", token.Extra("scope"))
	require.Equal(t, json.RawMessage("1e999"), token.Extra("acme"))
	require.Equal(t, []any{map[string]any{"type": "a"}}, token.Extra("authorization_details"))
	require.Empty(t, client.Subject(token), "attack: a member without a signature is not the sub of an ID token")
}

func TestTokenResponseRefused(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		code   string // of a RetrieveError; "-": there is one without
	}{
		{"DPOP-5-7 Bearer", 200, `{"access_token":"s3cret","token_type":"Bearer"}`, ""},
		{"DPOP-5-7 no token_type", 200, `{"access_token":"s3cret"}`, ""},
		{"no access_token", 200, `{"token_type":"DPoP"}`, ""},
		{"an access_token that is no string", 200, `{"access_token":["s3cret"],"token_type":"DPoP"}`, ""},
		{"an access_token that would end its header", 200, `{"access_token":"s3cret\r\nX-Evil: 1","token_type":"DPoP"}`, ""},
		{"a repeated member", 200, `{"access_token":"s3cret","token_type":"DPoP","access_token":"s3cret2"}`, ""},
		{"a member in another case beside", 200, `{"access_token":"s3cret","token_type":"DPoP","Access_Token":"s3cret2"}`, ""},
		{"bytes after the object", 200, `{"access_token":"s3cret","token_type":"DPoP"}{}`, ""},
		{"a page", 200, `<html>s3cret</html>`, ""},
		{"nothing", 200, ``, ""},
		{"an array", 200, `[{"access_token":"s3cret","token_type":"DPoP"}]`, ""},
		{"more than 1 MiB", 200, `{"access_token":"s3cret","token_type":"DPoP","x":"` + strings.Repeat("x", 1<<20) + `"}`, ""},
		{"more than 1 MiB, of spaces", 200, `{"access_token":"s3cret","token_type":"DPoP"}` + strings.Repeat(" ", 1<<20), ""},
		{"200 with an error", 200, `{"error":"invalid_grant","error_description":"used"}`, "invalid_grant"},
		{"200 with an error and a token", 200, `{"error":"invalid_grant","access_token":"s3cret","token_type":"DPoP"}`, "invalid_grant"},
		{"200 with an error that has no code", 200, `{"error":{},"access_token":"s3cret","token_type":"DPoP"}`, ""},
		{"an error", 400, `{"error":"invalid_grant","error_description":"used","error_uri":"https://as.example/e"}`, "invalid_grant"},
		{"401", 401, `{"error":"invalid_client"}`, "invalid_client"},
		{"a page that shows our request", 502, `<html>code=s3cret</html>`, "-"},
		{"a token under a strange status", 201, `{"access_token":"s3cret","token_type":"DPoP"}`, "-"},
		{"an error and many spaces", 400, `{"error":"x"}` + strings.Repeat(" ", 1<<20), "-"},
		{"an error without end", 400, `{"error":"` + strings.Repeat("x", 1<<20) + `"}`, "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, tc.status, tc.body) }
			before := len(p.messages("/token"))
			token, err := app.Refresh(ctx, "rt-1", client.Request{})
			require.Error(t, err)
			require.Nil(t, token)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err.Error()), "s3cret")
			require.Less(t, len(err.Error()), 1000)
			said := (*oauth2.RetrieveError)(nil)
			if tc.code == "" {
				require.ErrorIs(t, err, client.ErrTokenResponse)
				require.False(t, errors.As(err, &said))
			} else {
				require.ErrorAs(t, err, &said)
				require.Equal(t, strings.TrimPrefix(tc.code, "-"), said.ErrorCode)
				require.Equal(t, tc.status, said.Response.StatusCode)
				shown, err := io.ReadAll(said.Response.Body)
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(tc.body, string(shown)), "still to be read by who wants to see it")
			}
			require.Len(t, p.messages("/token"), before+1, "not repeated")
		})
	}
	t.Run("the details of an error", func(t *testing.T) {
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 400, `{"error":"invalid_grant","error_description":"used","error_uri":"https://as.example/e"}`)
		}
		_, err := app.Refresh(ctx, "rt-1", client.Request{})
		said := (*oauth2.RetrieveError)(nil)
		require.ErrorAs(t, err, &said)
		require.Equal(t, []string{"used", "https://as.example/e"}, []string{said.ErrorDescription, said.ErrorURI})
		require.Contains(t, string(said.Body), "invalid_grant")
	})
	t.Run("a redirect gets no credentials", func(t *testing.T) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			p.token = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.api.URL+"/elsewhere", status) }
			_, err := app.Refresh(ctx, "rt-1", client.Request{})
			said := (*oauth2.RetrieveError)(nil)
			require.ErrorAs(t, err, &said)
			require.Equal(t, status, said.Response.StatusCode)
		}
		require.Empty(t, p.messages("/elsewhere"))
	})
	t.Run("the context ends while the response comes", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		p.token = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"access_token":`))
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		}
		_, err := app.ClientCredentials(ctx, client.Request{})
		require.ErrorIs(t, err, context.Canceled)
		cfg := p.config()
		cfg.HTTPClient = &http.Client{Transport: p.http.Transport, Timeout: 100 * time.Millisecond}
		hasty, err := client.New(context.Background(), cfg)
		require.NoError(t, err)
		_, err = hasty.Refresh(context.Background(), "rt-1", client.Request{})
		require.ErrorIs(t, err, context.DeadlineExceeded, "a refresh ends with the client's timeout alone")
	})
	t.Run("a timeout", func(t *testing.T) {
		cfg := p.config()
		own := *p.http
		own.Timeout = 50 * time.Millisecond
		cfg.HTTPClient = &own
		app, err := client.New(context.Background(), cfg)
		require.NoError(t, err)
		p.token = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		p.respond = p.token
		_, err = app.Refresh(context.Background(), "rt-1", client.Request{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		api, err := app.HTTPClient(oauth2.StaticTokenSource(dpopToken("at")))
		require.NoError(t, err)
		_, err = api.Get(p.api.URL)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, p.http.Timeout, time.Duration(0), "the caller's http.Client is not changed")
	})
}

func dpopToken(access string) *oauth2.Token {
	return &oauth2.Token{AccessToken: access, TokenType: "DPoP", Expiry: time.Now().Add(time.Hour)}
}

// jws signs any header and claims, also those that this module's issuers reject.
func jws(t testing.TB, header, payload map[string]any, key crypto.Signer) string {
	h, err := json.Marshal(header)
	require.NoError(t, err)
	b, err := json.Marshal(payload)
	require.NoError(t, err)
	input := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(b)
	digest := sha256.Sum256([]byte(input))
	if k, ok := key.(*rsa.PrivateKey); ok {
		signature, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		require.NoError(t, err)
		return input + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	kid, _ := header["kid"].(string)
	signer, err := jose.NewSigner(key, jose.SignerOptions{KeyID: kid})
	require.NoError(t, err)
	signed, err := signer.Sign(b)
	require.NoError(t, err)
	return signed
}

// If the ID token is invalid, the caller does not receive the access token.
func TestIDTokenRefused(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	ec, decoy, unknown, rsaKey := testkit.ECKey(t, "peer"), testkit.ECKey(t, "decoy"), testkit.ECKey(t, "unknown"), testkit.RSAKey(t, "peer")
	p.keys = []jwks.Key{
		{Public: decoy.Public(), KeyID: "k0"}, {Public: testkit.Ed25519Key(t, "decoy").Public(), KeyID: "k9"},
		{Public: ec.Public(), KeyID: "k1"}, {Public: rsaKey.Public(), KeyID: "r1"},
	}
	app := p.client()
	set := func(name string, value any) func(map[string]any) { return func(m map[string]any) { m[name] = value } }
	del := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }
	es := map[string]any{"alg": "ES256", "kid": "k1"}
	for _, tc := range []struct {
		name   string
		change func(map[string]any)
		header map[string]any
		key    crypto.Signer
		want   error // nil: accepted
	}{
		{"good, among decoys", func(map[string]any) {}, es, ec, nil},
		{"CS-20 an audience in an array of one", func(m map[string]any) { m["aud"] = []string{"c-1"} }, es, ec, nil},
		{"CS-20 AM-5.3 nonce of another session", set("nonce", "other"), es, ec, idtoken.ErrNonce},
		{"CS-20 no nonce", del("nonce"), es, ec, idtoken.ErrNonce},
		{"CS-20 another issuer", set("iss", "https://evil.example"), es, ec, idtoken.ErrIssuer},
		{"CS-20 another audience", set("aud", "c-2"), es, ec, idtoken.ErrAudience},
		{"CS-20 one more audience", func(m map[string]any) { m["aud"], m["azp"] = []string{"c-1", "c-2"}, "c-1" }, es, ec, idtoken.ErrAudience},
		{"CS-20 expired", set("exp", p.clock.Now().Add(-6*time.Minute).Unix()), es, ec, idtoken.ErrExpired},
		{"no exp", del("exp"), es, ec, idtoken.ErrClaims},
		{"MS-5.6.2-1 CS-20 a key that the server does not have", func(map[string]any) {}, es, unknown, idtoken.ErrSignature},
		{"CS-20 the key of a decoy", func(map[string]any) {}, es, decoy, idtoken.ErrSignature},
		{"CS-20 SP-5.4.3-1 the kid of a decoy", func(map[string]any) {}, map[string]any{"alg": "ES256", "kid": "k0"}, ec, idtoken.ErrSignature},
		{"CS-20 RS256", func(map[string]any) {}, map[string]any{"alg": "RS256", "kid": "r1"}, rsaKey, idtoken.ErrAlgorithm},
		{"at_hash of another access token", set("at_hash", "xxxxxxxxxxxxxxxxxxxxxx"), es, ec, idtoken.ErrAccessToken},
		{"max_age was asked for, no auth_time", del("auth_time"), es, ec, idtoken.ErrAuthentication},
		{"max_age was asked for, too long ago", set("auth_time", p.clock.Now().Add(-time.Hour).Unix()), es, ec, idtoken.ErrAuthentication},
	} {
		t.Run(tc.name, func(t *testing.T) {
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}, Params: url.Values{"max_age": {"60"}}})
			require.NoError(t, err)
			now := p.clock.Now().Unix()
			payload := map[string]any{
				"iss": p.as.URL, "sub": "alice", "aud": "c-1", "exp": now + 300, "iat": now, "auth_time": now, "nonce": session.Nonce,
			}
			tc.change(payload)
			raw := jws(t, tc.header, payload, tc.key)
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 200, map[string]any{"access_token": "s3cret", "token_type": "DPoP", "id_token": raw})
			}
			token, err := app.Finish(ctx, session, callback(session))
			if tc.want == nil {
				require.NoError(t, err)
				user, ok := client.IDToken(token)
				require.True(t, ok)
				require.Equal(t, "alice", user.Subject())
				return
			}
			require.ErrorIs(t, err, client.ErrTokenResponse)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, token)
			require.NotContains(t, err.Error(), raw)
			require.NotContains(t, err.Error(), session.Nonce)
		})
	}
	for name, raw := range map[string]any{
		"none at all": nil, "no string": 7, "empty": "",
		"CS-20 alg none": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30.",
	} {
		t.Run(name, func(t *testing.T) {
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
			require.NoError(t, err)
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 200, map[string]any{"access_token": "s3cret", "token_type": "DPoP", "id_token": raw})
			}
			token, err := app.Finish(ctx, session, callback(session))
			require.ErrorIs(t, err, client.ErrTokenResponse)
			want := idtoken.ErrMalformed
			if name == "CS-20 alg none" {
				want = idtoken.ErrAlgorithm // CASES C13
			}
			require.ErrorIs(t, err, want, "so that a client can tell which of the two it is about")
			require.Nil(t, token)
		})
	}
}

// The metadata may contain a jwks_uri at another origin.
func TestKeysElsewhere(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.metadata = func(m map[string]any) { m["jwks_uri"] = p.api.URL + "/keys" }
	p.respond = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			http.Redirect(w, r, p.as.URL+"/jwks", http.StatusFound)
			return
		}
		set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "peer").Public(), KeyID: "k1"})
		if err != nil {
			panic(err)
		}
		set.ServeHTTP(w, r)
	}
	app := p.client()
	issuer := p.idTokens()
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		raw, err := issuer.Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: session.Nonce})
		if err != nil {
			panic(err)
		}
		reply(w, 200, map[string]any{"access_token": "at", "token_type": "DPoP", "id_token": raw})
	}
	_, err = app.Finish(ctx, session, callback(session))
	require.NoError(t, err)
	require.Empty(t, p.messages("/keys")[0].header.Get("DPoP"), "who only serves keys learns nothing about the client")
}
