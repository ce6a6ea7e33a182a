package authserver_test

import (
	"context"
	"crypto"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
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
