package authserver_test

import (
	"cmp"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func encrypting(as *authserver.Config, _ *resourceserver.Config) {
	as.EncryptedResponses = true
}

// registerEncryption gives client-1 a key for encryption beside the one it signs with.
func (w *world) registerEncryption(alg string) jarm.DecryptionKey {
	private := map[string]crypto.Signer{"ECDH-ES": testkit.ECKey(w.t, "enc"), "RSA-OAEP-256": testkit.RSAKey(w.t, "enc")}[alg]
	set, err := jwks.NewSet(
		jwks.Key{Public: testkit.ECKey(w.t, "client-1").Public(), KeyID: "client-1-key"},
		jwks.Key{Public: private.Public(), KeyID: "enc", Use: "enc", Algorithm: alg},
	)
	require.NoError(w.t, err)
	c := w.clients["client-1"]
	c.JWKS, c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc = set, alg, "A256GCM"
	require.NoError(w.t, c.Validate())
	return jarm.DecryptionKey{Key: private, KeyID: "enc"}
}

func TestEncryptedResponses(t *testing.T) {
	for _, alg := range []string{"ECDH-ES", "RSA-OAEP-256"} {
		t.Run("JARM-2.2-1 "+alg, func(t *testing.T) {
			held := &archive{}
			w, ctx := newWorld(t, encrypting, archiving(held)), context.Background()
			require.Equal(t, []string{"ECDH-ES", "ECDH-ES+A256KW", "ECDH-ES+A128KW", "RSA-OAEP-256", "RSA-OAEP"}, w.as.Metadata().AuthorizationEncryptionAlgValuesSupported, "JARM-4-1")
			require.Equal(t, []string{"A256GCM"}, w.as.Metadata().AuthorizationEncryptionEncValuesSupported, "JARM-4-1")
			key := w.registerEncryption(alg)
			app := w.client("client-1", using(profile.SignedResponses), func(c *client.Config) { c.ResponseDecryptionKeys = []jarm.DecryptionKey{key} })
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
			require.NoError(t, err)
			callback := w.browse(session.URL)
			require.Equal(t, 4, strings.Count(callback.Get("response"), "."), "JARM-2.2-1 five parts: a JWE")
			require.Equal(t, []string{"authorization response true"}, held.take(), "MS-7-1 what was signed, and not what only the client can read")
			_, err = w.client("client-1", using(profile.SignedResponses)).Finish(ctx, session, callback)
			require.ErrorIs(t, err, client.ErrAuthorizationResponse, "MS-6.1-1 a client without a key takes nothing that is encrypted")
			_, err = app.Finish(ctx, session, callback)
			require.NoError(t, err)

			// Errors too, those of a request that is no longer good among them.
			target := w.authorizationURL("client-1", w.withMode("jwt"))
			w.clients["client-1"].Scope = "openid"
			callback = w.browse(target)
			require.Equal(t, 4, strings.Count(callback.Get("response"), "."), "JARM-2.1-3")
			require.False(t, callback.Has("error"))

			// MS-6.1-1: whoever has not asked for it gets none.
			form := w.pushForm("client-2")
			form.Set("response_mode", "jwt")
			response, err := w.as.Approve(ctx, w.load("client-2", form), authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
			require.NoError(t, err)
			u, err := url.Parse(response.URL())
			require.NoError(t, err)
			require.Equal(t, 2, strings.Count(u.Query().Get("response"), "."), "MS-6.1-1")
		})
	}
	t.Run("JARM-2.2-1 by post, with the longest state", func(t *testing.T) {
		w := newWorld(t, encrypting)
		w.registerEncryption("RSA-OAEP-256")
		form := w.withMode("form_post.jwt")
		form.Set("state", strings.Repeat("\x1f", 5460))
		response, err := w.as.Deny(context.Background(), w.load("client-1", form), "access_denied", strings.Repeat("d", 200))
		require.NoError(t, err)
		recorder := httptest.NewRecorder()
		response.ServeHTTP(recorder, nil)
		posted := formPost.FindStringSubmatch(recorder.Body.String())
		require.Equal(t, 4, strings.Count(posted[2], "."))
	})
	t.Run("MS-6.1-1 a client that decrypts takes nothing plain", func(t *testing.T) {
		w, ctx := newWorld(t, encrypting), context.Background()
		key := w.registerEncryption("ECDH-ES")
		app := w.client("client-1", using(profile.SignedResponses), func(c *client.Config) { c.ResponseDecryptionKeys = []jarm.DecryptionKey{key} })
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		w.clients["client-1"].AuthorizationEncryptedResponseAlg = ""
		_, err = app.Finish(ctx, session, w.browse(session.URL))
		require.ErrorIs(t, err, client.ErrAuthorizationResponse)
		_, err = client.New(ctx, client.Config{
			Issuer: w.asHTTP.URL, ClientID: "client-1", Key: testkit.ECKey(t, "client-1"), HTTPClient: w.http, ResponseDecryptionKeys: []jarm.DecryptionKey{key},
		})
		require.ErrorContains(t, err, "without SignedResponses")
	})
}

// A client is not served with less than it is registered for.
func TestEncryptedResponsesRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server worldOption
		change func(c *profile.ClientMetadata, signatures *jwks.Set)
	}{
		{"MS-6.1-1 a server that is not configured for it", func(*authserver.Config, *resourceserver.Config) {}, func(*profile.ClientMetadata, *jwks.Set) {}},
		{"JARM-3-2 without enc, which means another one", encrypting, func(c *profile.ClientMetadata, _ *jwks.Set) { c.AuthorizationEncryptedResponseEnc = "" }},
		{"JARM-3-2 with another enc", encrypting, func(c *profile.ClientMetadata, _ *jwks.Set) { c.AuthorizationEncryptedResponseEnc = "A128CBC-HS256" }},
		{"JWT-3.2-2 RSA1_5", encrypting, func(c *profile.ClientMetadata, _ *jwks.Set) { c.AuthorizationEncryptedResponseAlg = "RSA1_5" }},
		{"JARM-3-2 an alg that no key is for", encrypting, func(c *profile.ClientMetadata, _ *jwks.Set) { c.AuthorizationEncryptedResponseAlg = "RSA-OAEP-256" }},
		{"JARM-3-2 keys for signatures only", encrypting, func(c *profile.ClientMetadata, signatures *jwks.Set) { c.JWKS = signatures }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.server)
			signatures := w.clients["client-1"].JWKS
			w.registerEncryption("ECDH-ES")
			tc.change(w.clients["client-1"], signatures)
			got := w.send(w.parURL(), w.withMode("jwt"))
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Equal(t, "unauthorized_client", got.code)
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.pushForm("client-1")).status, "plain responses are not what it is registered to have encrypted")
		})
	}
}

// encryptionKey registers a key of a client for an algorithm, among others.
func (w *world) encryptionKey(id, alg string) crypto.Signer {
	private := crypto.Signer(testkit.RSAKey(w.t, "enc"))
	if strings.HasPrefix(alg, "ECDH") {
		private = testkit.ECKey(w.t, "enc")
	}
	set, err := jwks.NewSet(
		jwks.Key{Public: testkit.ECKey(w.t, id).Public(), KeyID: id + "-key", Use: "sig"},
		jwks.Key{Public: testkit.ECKey(w.t, "other").Public(), KeyID: "other", Use: "enc", Algorithm: "RSA-OAEP"},
		jwks.Key{Public: private.Public(), KeyID: "enc", Use: "enc"},
	)
	require.NoError(w.t, err)
	w.clients[id].JWKS = set
	return private
}

// encryptFor registers client-1 for ID tokens and UserInfo responses that are
// encrypted by a pair of algorithms, and returns the key of the client.
func (w *world) encryptFor(alg, enc string) idtoken.DecryptionKey {
	private := w.encryptionKey("client-1", alg)
	c := w.clients["client-1"]
	c.UserInfoSignedResponseAlg = "ES256"
	c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = alg, enc
	c.UserInfoEncryptedResponseAlg, c.UserInfoEncryptedResponseEnc = alg, enc
	require.NoError(w.t, c.Validate())
	return idtoken.DecryptionKey{Key: private, KeyID: "enc", Algorithm: alg, ContentEncryption: cmp.Or(enc, "A128CBC-HS256")}
}

// Our client and our server over sockets.
func TestEncryptedIDTokensAndUserInfo(t *testing.T) {
	w, ctx := newWorld(t, withUserInfo(about)), context.Background()
	for _, pair := range [][2]string{
		{"ECDH-ES", "A256GCM"}, {"ECDH-ES+A128KW", "A128GCM"}, {"ECDH-ES+A256KW", "A256CBC-HS512"},
		{"RSA-OAEP-256", "A256GCM"}, {"RSA-OAEP", "A128CBC-HS256"}, {"RSA-OAEP-256", ""}, {"ECDH-ES", ""},
	} {
		t.Run(fmt.Sprintf("CA-OIDC-10.2-1 CA-OIDC-10.2-2 CA-OIDC-5.3.2-3 CA-REG-2-1 %q", pair), func(t *testing.T) {
			key := w.encryptFor(pair[0], pair[1])
			keys := []idtoken.DecryptionKey{key}
			app := w.client("client-1", func(c *client.Config) {
				c.OpenID = &client.OpenID{IDTokenDecryptionKeys: keys, UserInfo: idtoken.UserInfoConfig{Signed: true, DecryptionKeys: keys}}
			})
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.NoError(t, err)
			token, err := app.Finish(ctx, session, w.browse(session.URL))
			require.NoError(t, err)
			require.Equal(t, "alice", client.Subject(token))
			idToken := token.Extra("id_token").(string)
			require.Equal(t, 4, strings.Count(idToken, "."), "five parts: a JWE")
			header := decodeHeader(t, idToken)
			require.Equal(t, map[string]any{"alg": pair[0], "enc": key.ContentEncryption, "kid": "enc", "cty": "JWT"}, header)

			user, err := app.UserInfo(ctx, token)
			require.NoError(t, err)
			require.JSONEq(t, `"Alice & <Bob>"`, string(user.Claim("name")))
			refreshed, err := app.Refresh(ctx, token.RefreshToken, client.Request{})
			require.NoError(t, err)
			_, err = app.UserInfoOf(ctx, "alice", oauth2.StaticTokenSource(refreshed))
			require.NoError(t, err)
			_, err = app.UserInfoOf(ctx, "bob", oauth2.StaticTokenSource(refreshed))
			require.ErrorIs(t, err, idtoken.ErrSubject, "CA-OIDC-5.3.2-1")
			status, mediaType, sealed := w.signedUserInfo(w.as.Metadata().UserInfoEndpoint, w.tokens("client-1", "d").body["access_token"].(string))
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "application/jwt", mediaType)
			require.Equal(t, 4, strings.Count(sealed, "."))
		})
	}
	m := w.as.Metadata()
	for _, algs := range [][]string{m.IDTokenEncryptionAlgValuesSupported, m.UserInfoEncryptionAlgValuesSupported} {
		require.Equal(t, jose.EncryptionAlgorithms(), algs, "MD-2-12")
	}
	for _, encs := range [][]string{m.IDTokenEncryptionEncValuesSupported, m.UserInfoEncryptionEncValuesSupported} {
		require.Equal(t, jose.ContentEncryptions(), encs, "MD-2-12")
	}
	require.Empty(t, m.AuthorizationEncryptionAlgValuesSupported)
	bare := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Scopes = []string{"accounts"} }).as.Metadata()
	require.Empty(t, bare.IDTokenEncryptionAlgValuesSupported, "without OpenID Connect")
	require.Empty(t, bare.UserInfoEncryptionEncValuesSupported)
}

// decodeHeader returns the header of a JWE without the ephemeral key.
func decodeHeader(t testing.TB, token string) (header map[string]any) {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &header))
	delete(header, "epk")
	return header
}

// A registration that cannot be served is an error before anything is consumed.
func TestEncryptionIsImpossible(t *testing.T) {
	down := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(down.Close)
	m, ctx := newMTLSWorld(t, withUserInfo(about), func(as *authserver.Config, _ *resourceserver.Config) { as.JWKSClient = down.Client() }), context.Background()
	for _, tc := range []struct {
		name   string
		change func(*profile.ClientMetadata)
		code   string
	}{
		{"JWT-3.2-2 RSA1_5", func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "RSA1_5" }, "unauthorized_client"},
		{"CA-REG-2-1 a shared key", func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "dir" }, "unauthorized_client"},
		{"CA-REG-2-1 an enc that is not supported", func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseEnc = "A192GCM" }, "unauthorized_client"},
		{"CA-OIDC-10.2-2 an alg that no key is for", func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "RSA-OAEP-256" }, "unauthorized_client"},
		{"CA-OIDC-10.2-2 a key for signatures", func(c *profile.ClientMetadata) {
			c.JWKS = testkit.Must(jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "enc").Public(), KeyID: "enc"}))
		}, "unauthorized_client"},
		{"CA-OIDC-10.2-2 no keys", func(c *profile.ClientMetadata) { c.JWKS = nil }, "unauthorized_client"},
		{"CA-OIDC-10.2-2 a jwks_uri that fails", func(c *profile.ClientMetadata) { c.JWKS, c.JWKSURI = nil, down.URL }, "server_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := m.enrol("app", "tls_client_auth", false)
			c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = "ECDH-ES", "A256GCM"
			c.JWKS = testkit.Must(jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "enc").Public(), KeyID: "enc", Use: "enc"}))
			app := m.client("app", func(c *client.Config) {
				c.Key, c.MutualTLS = nil, &client.MutualTLS{AuthMethod: "tls_client_auth", Certificate: testkit.Certify(t, "app", m.ca)}
				c.OpenID = &client.OpenID{IDTokenDecryptionKeys: []idtoken.DecryptionKey{{Key: testkit.ECKey(t, "enc")}}}
			})
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.NoError(t, err)
			callback, good := m.browse(session.URL), *c
			tc.change(c)
			said := (*oauth2.RetrieveError)(nil)
			_, err = app.Finish(ctx, session, callback)
			require.ErrorAs(t, err, &said)
			require.Equal(t, tc.code, said.ErrorCode)
			_, err = app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.ErrorAs(t, err, &said, "rejected at the push")
			require.Equal(t, tc.code, said.ErrorCode)
			*c = good
			token, err := app.Finish(ctx, session, callback)
			require.NoError(t, err, "the code was not consumed")
			require.NotEmpty(t, token.RefreshToken)
		})
	}
	t.Run("CA-OIDC-10.2-2 a key at the jwks_uri", func(t *testing.T) {
		keys := httptest.NewTLSServer(testkit.Must(jwks.NewSet(
			jwks.Key{Public: testkit.ECKey(t, "app").Public(), KeyID: "sig", Use: "sig"}, jwks.Key{Public: testkit.ECKey(t, "enc").Public(), KeyID: "enc", Use: "enc"},
		)))
		t.Cleanup(keys.Close)
		c := m.enrol("app", "private_key_jwt", false)
		c.JWKS, c.JWKSURI, c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = nil, keys.URL, "ECDH-ES", "A256GCM"
		app := m.client("app", func(c *client.Config) {
			c.KeyID, c.OpenID = "sig", &client.OpenID{IDTokenDecryptionKeys: []idtoken.DecryptionKey{{Key: testkit.ECKey(t, "enc"), KeyID: "enc"}}}
		})
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
		require.NoError(t, err)
		token, err := app.Finish(ctx, session, m.browse(session.URL))
		require.NoError(t, err)
		require.Equal(t, "alice", client.Subject(token))
	})
	t.Run("CA-OIDC-10.2-1 UserInfo that is encrypted and not signed", func(t *testing.T) {
		m.encryptFor("ECDH-ES", "A256GCM")
		raw := m.tokens("client-1", "d").body["access_token"].(string)
		m.clients["client-1"].UserInfoSignedResponseAlg = ""
		got := m.userInfo("GET", m.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", m.userInfoProof("d", "GET", raw))
		require.Equal(t, "unauthorized_client", got.code)
		require.Contains(t, got.body["error_description"], "userinfo_signed_response_alg")
	})
	t.Run("claims that do not fit into an encrypted ID token", func(t *testing.T) {
		m.encryptFor("ECDH-ES", "A256GCM")
		long := map[string]any{"long": strings.Repeat("x", 40<<10)} // 54 KiB signed, 72 KiB encrypted
		a := m.load("client-1", m.pushForm("client-1"))
		_, err := m.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), IDTokenClaims: long})
		require.ErrorContains(t, err, "IDTokenClaims", "at the approval, and not after the login")
		m.clients["client-1"].IDTokenEncryptedResponseAlg = ""
		_, err = m.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), IDTokenClaims: long})
		require.NoError(t, err)
	})
}

// An API that is registered for encryption receives nothing else.
func TestEncryptedIntrospection(t *testing.T) {
	held := &archive{}
	w, ctx := newWorld(t, demanding(profile.SignedIntrospection), archiving(held)), context.Background()
	require.Equal(t, jose.EncryptionAlgorithms(), w.as.Metadata().IntrospectionEncryptionAlgValuesSupported, "INT-9701-7-1")
	require.Equal(t, jose.ContentEncryptions(), w.as.Metadata().IntrospectionEncryptionEncValuesSupported, "INT-9701-7-1")
	access := w.tokens("client-1", "d").body["access_token"].(string)
	api := w.clients["client-2"]
	for _, pair := range [][2]string{{"ECDH-ES", "A256GCM"}, {"ECDH-ES+A256KW", "A256CBC-HS512"}, {"RSA-OAEP-256", ""}} {
		t.Run(fmt.Sprintf("INT-9701-5-6 INT-9701-6-1 %q", pair), func(t *testing.T) {
			private := w.encryptionKey("client-2", pair[0])
			api.IntrospectionEncryptedResponseAlg, api.IntrospectionEncryptedResponseEnc = pair[0], pair[1]
			key := introspection.DecryptionKey{Key: private, KeyID: "enc", Algorithm: pair[0], ContentEncryption: cmp.Or(pair[1], "A128CBC-HS256")}
			keys := func(c *introspection.ClientConfig) { c.DecryptionKeys = []introspection.DecryptionKey{key} }
			held.take()
			token, err := w.newIntrospection(keys).Introspect(ctx, access)
			require.NoError(t, err)
			require.Equal(t, "alice", token.Subject())
			require.Equal(t, 2, strings.Count(token.Signed(), "."))
			require.Equal(t, []string{"introspection response true"}, held.take(), "MS-7-1 the signed response")
			_, err = w.newIntrospection(keys).Introspect(ctx, "no token of ours")
			require.ErrorIs(t, err, introspection.ErrInactive, "an inactive token in an encrypted response")
			_, err = w.newIntrospection().Introspect(ctx, access)
			require.ErrorIs(t, err, introspection.ErrUnprotected)
			plain := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {access}}))
			require.Equal(t, mediaTypeIntrospection, plain.header.Get("Content-Type"), "INT-9701-6-1 encrypted, whatever the request prefers")
		})
	}
	for name, change := range map[string]func(){
		"JWT-3.2-2 RSA1_5":                          func() { api.IntrospectionEncryptedResponseAlg = "RSA1_5" },
		"INT-9701-6-1 an enc that is not supported": func() { api.IntrospectionEncryptedResponseEnc = "A192GCM" },
		"INT-9701-6-1 an alg that no key is for":    func() { api.IntrospectionEncryptedResponseAlg = "ECDH-ES" },
	} {
		t.Run(name, func(t *testing.T) {
			w.encryptionKey("client-2", "RSA-OAEP-256")
			api.IntrospectionEncryptedResponseAlg, api.IntrospectionEncryptedResponseEnc = "RSA-OAEP-256", "A256GCM"
			change()
			form := w.authenticated("client-2", url.Values{"token": {access}})
			require.Equal(t, "unauthorized_client", w.send(w.as.Metadata().IntrospectionEndpoint, form).code)
			api.IntrospectionEncryptedResponseAlg, api.IntrospectionEncryptedResponseEnc = "", ""
			require.Equal(t, http.StatusOK, w.send(w.as.Metadata().IntrospectionEndpoint, form).status, "the assertion was not consumed")
		})
	}
}

const mediaTypeIntrospection = "application/token-introspection+jwt"
