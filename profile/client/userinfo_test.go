package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// forUs returns the halves of a registration for encryption. Singpass and
// Corppass require these algorithms.
func (p *peer) forUs() (idtoken.DecryptionKey, idtoken.Encryption) {
	const alg, enc = "ECDH-ES+A256KW", "A256CBC-HS512"
	key := testkit.ECKey(p.t, "enc")
	return idtoken.DecryptionKey{Key: key, KeyID: "enc-1", Algorithm: alg, ContentEncryption: enc},
		idtoken.Encryption{Key: key.Public(), KeyID: "enc-1", Algorithm: alg, ContentEncryption: enc}
}

// login returns a token with an ID token, which transform may change.
func (p *peer) login(c *client.Client, transform func(string) string) (*oauth2.Token, error) {
	session := p.begin(c, "openid")
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		raw, err := p.idTokens().Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: session.Nonce, AccessToken: "at-1"})
		if err != nil {
			panic(err)
		}
		if transform != nil {
			raw = transform(raw)
		}
		reply(w, 200, map[string]any{"access_token": "at-1", "token_type": "DPoP", "id_token": raw, "refresh_token": "rt-1"})
	}
	return c.Finish(context.Background(), session, callback(session))
}

// userInfo returns claims about alice with changes, as JSON.
func (p *peer) userInfo(changes ...any) string {
	raw, err := json.Marshal(testkit.Change(map[string]any{"iss": p.as.URL, "aud": "c-1", "sub": "alice", "email": "alice@bank.example"}, changes...))
	require.NoError(p.t, err)
	return string(raw)
}

func (p *peer) sign(payload string) string {
	return testkit.SignPayload(p.t, payload, jose.SignerOptions{KeyID: "k1"}, testkit.ECKey(p.t, "peer"))
}

func sealed(t testing.TB, to idtoken.Encryption, token string) string {
	t.Helper()
	jwe, err := to.Seal(token)
	require.NoError(t, err)
	return jwe
}

// informs makes the peer serve UserInfo.
func (p *peer) informs(contentType, body string) {
	p.respond = page(200, contentType, body)
	p.says("userinfo_endpoint", p.api.URL+"/userinfo")
}

func TestEncryptedIDToken(t *testing.T) {
	p := newPeer(t)
	key, to := p.forUs()
	seal := func(raw string) string { return sealed(t, to, raw) }
	decrypting := func(keys ...idtoken.DecryptionKey) *client.Client {
		app, err := p.try(func(c *client.Config) { c.OpenID = &client.OpenID{IDTokenDecryptionKeys: keys} })
		require.NoError(t, err)
		return app
	}
	t.Run("CA-OIDC-3.1.3.7-1 signed, then encrypted", func(t *testing.T) {
		token, err := p.login(decrypting(key), seal)
		require.NoError(t, err)
		user, ok := client.IDToken(token)
		require.True(t, ok)
		require.Equal(t, "alice", user.Subject())
	})
	other, otherName := key, key
	other.Key, otherName.KeyID = testkit.ECKey(t, "other"), "enc-2"
	rsa := idtoken.DecryptionKey{Key: testkit.RSAKey(t, "enc")}
	for _, tc := range []struct {
		name      string
		app       *client.Client
		transform func(string) string
		want      error
		text      string
	}{
		{"CA-OIDC-3.1.3.7-1 a downgrade to a token that is not encrypted", decrypting(key), nil, idtoken.ErrEncryption, "this client requires encryption"},
		{"CA-OIDC-3.1.3.7-1 a client without keys", p.client(), seal, idtoken.ErrEncryption, "this client has no decryption key"},
		{"CA-OIDC-3.1.3.7-1 a token for another key", decrypting(other), seal, idtoken.ErrEncryption, "JWE cannot be decrypted"},
		{"CA-OIDC-3.1.3.7-1 a token for a kid that we do not have", decrypting(otherName), seal, idtoken.ErrEncryption, `no key with kid "enc-1"`},
		{"CA-OIDC-3.1.3.7-1 algorithms that we have not registered", decrypting(rsa), seal, idtoken.ErrAlgorithm, "ECDH-ES+A256KW"},
		{"CA-OIDC-10.2-1 encrypted and not signed", decrypting(key), func(raw string) string {
			return seal(testkit.WithHeader(raw, `{"alg":"none"}`))
		}, idtoken.ErrAlgorithm, "none"},
		{"CA-OIDC-10.2-1 signed by another", decrypting(key), func(raw string) string {
			return seal(testkit.SignPayload(t, p.userInfo(), jose.SignerOptions{KeyID: "k1"}, testkit.ECKey(t, "evil")))
		}, idtoken.ErrClaims, "missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := p.login(tc.app, tc.transform)
			require.ErrorIs(t, err, client.ErrTokenResponse)
			require.ErrorIs(t, err, tc.want)
			require.ErrorContains(t, err, tc.text)
		})
	}
	t.Run("a server without the algorithms", func(t *testing.T) {
		with := func(c *client.Config) {
			c.OpenID = &client.OpenID{IDTokenDecryptionKeys: []idtoken.DecryptionKey{key, rsa}, UserInfo: idtoken.UserInfoConfig{DecryptionKeys: []idtoken.DecryptionKey{key}}}
		}
		for member, values := range map[string][]string{
			"id_token_encryption_alg_values_supported": {"RSA-OAEP"}, "id_token_encryption_enc_values_supported": {"A128GCM"},
			"userinfo_encryption_alg_values_supported": {"RSA-OAEP-256"}, "userinfo_encryption_enc_values_supported": {"A256GCM"},
		} {
			p := newPeer(t)
			p.says(member, values)
			_, err := p.try(with)
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.ErrorContains(t, err, "lack the algorithms of the decryption keys")
		}
		p := newPeer(t)
		p.says("id_token_encryption_alg_values_supported", []string{"ECDH-ES+A256KW"})
		p.says("id_token_encryption_enc_values_supported", []string{"A256CBC-HS512"})
		_, err := p.try(with)
		require.NoError(t, err)
	})
	t.Run("unusable keys", func(t *testing.T) {
		_, err := p.try(func(c *client.Config) {
			c.OpenID = &client.OpenID{
				IDTokenDecryptionKeys: []idtoken.DecryptionKey{key, {}}, UserInfo: idtoken.UserInfoConfig{DecryptionKeys: []idtoken.DecryptionKey{{Key: key.Key, Algorithm: "dir"}}},
			}
		})
		require.ErrorContains(t, err, "OpenID.IDTokenDecryptionKeys: decryption key 1")
		require.ErrorContains(t, err, "OpenID.UserInfo.DecryptionKeys: decryption key 0")
	})
}

func TestUserInfo(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name string
		make func(p *peer, to idtoken.Encryption)
		with func(o *client.OpenID, key idtoken.DecryptionKey)
	}{
		{"JSON", func(p *peer, _ idtoken.Encryption) { p.informs("application/json", p.userInfo("iss", nil, "aud", nil)) }, nil},
		{"CA-OIDC-5.3.4-2 signed", func(p *peer, _ idtoken.Encryption) { p.informs("application/jwt", p.sign(p.userInfo())) }, func(o *client.OpenID, _ idtoken.DecryptionKey) {
			o.UserInfo.Signed = true
		}},
		{"CA-OIDC-5.3.4-1 signed, then encrypted", func(p *peer, to idtoken.Encryption) {
			p.informs("application/jwt", sealed(p.t, to, p.sign(p.userInfo())))
		}, func(o *client.OpenID, key idtoken.DecryptionKey) {
			o.UserInfo.DecryptionKeys = []idtoken.DecryptionKey{key}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			key, to := p.forUs()
			tc.make(p, to)
			app, err := p.try(func(c *client.Config) {
				if tc.with != nil {
					c.OpenID = new(client.OpenID)
					tc.with(c.OpenID, key)
				}
			})
			require.NoError(t, err)
			token, err := p.login(app, nil)
			require.NoError(t, err)
			user, err := app.UserInfo(ctx, token)
			require.NoError(t, err)
			require.Equal(t, "alice", user.Subject())
			require.JSONEq(t, `"alice@bank.example"`, string(user.Claim("email")))

			sent := p.last("/userinfo")
			require.Equal(t, "DPoP at-1", sent.header.Get("Authorization"))
			require.Equal(t, "GET", sent.proof["htm"])
			require.Equal(t, p.api.URL+"/userinfo", sent.proof["htu"])
			require.NotEmpty(t, sent.proof["ath"])

			refreshed, err := app.Refresh(ctx, "rt-1", client.Request{})
			require.NoError(t, err)
			_, err = app.UserInfo(ctx, refreshed)
			require.ErrorIs(t, err, client.ErrUserInfo)
			require.ErrorContains(t, err, "without a verified ID token")
			user, err = app.UserInfoOf(ctx, "alice", app.TokenSource(ctx, refreshed))
			require.NoError(t, err)
			require.Equal(t, "alice", user.Subject())
			_, err = app.UserInfoOf(ctx, "mallory", app.TokenSource(ctx, refreshed))
			require.ErrorIs(t, err, client.ErrUserInfo, "CA-OIDC-5.3.2-1")
			require.ErrorIs(t, err, idtoken.ErrSubject, "CA-OIDC-5.3.2-1")
		})
	}
}

func TestUserInfoRejects(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name string
		make func(p *peer)
		want error
	}{
		{"CA-OIDC-5.3.2-1 another user", func(p *peer) { p.informs("application/json", p.userInfo("sub", "mallory")) }, idtoken.ErrSubject},
		{"CA-OIDC-5.3.2-2 a response for another client", func(p *peer) { p.informs("application/jwt", p.sign(p.userInfo("aud", "c-2"))) }, idtoken.ErrAudience},
		{"CA-OIDC-5.3.4-1 an encrypted response and no key", func(p *peer) {
			_, to := p.forUs()
			p.informs("application/jwt", sealed(p.t, to, p.sign(p.userInfo())))
		}, idtoken.ErrEncryption},
		{"CA-OIDC-5.3.4-2 a signature of another", func(p *peer) {
			p.informs("application/jwt", testkit.SignPayload(p.t, p.userInfo(), jose.SignerOptions{KeyID: "k1"}, testkit.ECKey(p.t, "evil")))
		}, idtoken.ErrSignature},
		{"a page", func(p *peer) { p.informs("text/html", "<html>") }, idtoken.ErrMalformed},
		{"two types", func(p *peer) {
			p.informs("application/json", p.userInfo())
			good := p.respond
			p.respond = func(w http.ResponseWriter, r *http.Request) {
				good(twoTypes{w}, r)
			}
		}, idtoken.ErrMalformed},
		{"a body without end", func(p *peer) {
			p.informs("application/json", "")
			p.respond = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
						return
					}
				}
			}
		}, idtoken.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			tc.make(p)
			app := p.client()
			token, err := p.login(app, nil)
			require.NoError(t, err)
			user, err := app.UserInfo(ctx, token)
			require.ErrorIs(t, err, client.ErrUserInfo)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, user)
			require.NotContains(t, err.Error(), "bank.example")
		})
	}
	t.Run("errors of the server", func(t *testing.T) {
		p := newPeer(t)
		p.informs("application/json", "")
		app := p.client()
		token, err := p.login(app, nil)
		require.NoError(t, err)
		for _, failure := range []struct {
			status            int
			challenge, body   string
			code, description string
		}{
			{403, `DPoP error="insufficient_scope", error_description="openid is missing", scope="openid"`, "", "insufficient_scope", "openid is missing"},
			{401, `Bearer, DPoP algs="ES256",error="invalid_token"`, "<html>secret</html>", "invalid_token", ""},
			{500, "", `{"error":"server_error"}`, "server_error", ""},
			{302, "", "", "", ""},
			{204, "", "", "", ""},
			{503, `DPoP x_error="no"`, "", "", ""},
		} {
			p.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://evil.example/")
				w.Header().Set("WWW-Authenticate", failure.challenge)
				w.WriteHeader(failure.status)
				if failure.body != "" {
					io.WriteString(w, failure.body)
				}
			}
			_, err := app.UserInfo(ctx, token)
			var received *oauth2.RetrieveError
			require.ErrorAs(t, err, &received)
			require.Equal(t, failure.status, received.Response.StatusCode)
			require.Equal(t, []string{failure.code, failure.description}, []string{received.ErrorCode, received.ErrorDescription})
			require.NotErrorIs(t, err, client.ErrUserInfo)
			require.NotContains(t, err.Error(), "secret")
		}
	})
	t.Run("a rejected access token is refreshed once", func(t *testing.T) {
		p := newPeer(t)
		p.informs("application/json", p.userInfo())
		good := p.respond
		p.respond = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "DPoP new" {
				w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
				w.WriteHeader(401)
				return
			}
			good(w, r)
		}
		app := p.client()
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `{"access_token":"new","token_type":"DPoP","expires_in":300}`)
		}
		old := &oauth2.Token{AccessToken: "old", TokenType: "DPoP", RefreshToken: "rt", Expiry: p.clock.Now().Add(time.Hour)}
		user, err := app.UserInfoOf(ctx, "alice", app.TokenSource(ctx, old))
		require.NoError(t, err)
		require.Equal(t, "alice", user.Subject())
		require.Len(t, p.messages("/userinfo"), 2)
	})
	t.Run("no endpoint, no source, no ID token", func(t *testing.T) {
		p := newPeer(t)
		app := p.client()
		token, err := p.login(app, nil)
		require.NoError(t, err)
		_, err = app.UserInfo(ctx, token)
		require.ErrorIs(t, err, profile.ErrServerMetadata)
		_, err = app.UserInfoOf(ctx, "alice", nil)
		require.ErrorContains(t, err, "missing token source")
		_, err = app.UserInfo(ctx, nil)
		require.ErrorIs(t, err, client.ErrUserInfo)
	})
	t.Run("attack: the token of a login at another server", func(t *testing.T) {
		honest, evil := newPeer(t), newPeer(t)
		evil.informs("application/json", evil.userInfo())
		token, err := honest.login(honest.client(), nil)
		require.NoError(t, err)
		_, err = evil.client().UserInfo(ctx, token)
		require.ErrorIs(t, err, client.ErrUserInfo)
		require.ErrorIs(t, err, idtoken.ErrIssuer)
		require.Empty(t, evil.messages("/userinfo"))
	})
	t.Run("events", func(t *testing.T) {
		p := newPeer(t)
		p.informs("application/json", p.userInfo("sub", "mallory"))
		app, events, err := observed(p)
		require.NoError(t, err)
		token, err := p.login(app, nil)
		require.NoError(t, err)
		_, err = app.UserInfo(ctx, token)
		require.Error(t, err)
		var seen []profile.Event
		for _, e := range drain(t, events) {
			if e.Endpoint == "userinfo" { // the event of the keys may come later
				seen = append(seen, e)
			}
		}
		require.Equal(t, []profile.Event{{Endpoint: "userinfo", Outcome: "rejected", Reason: "idtoken: wrong subject", Binding: "DPoP"}}, seen)
	})
}

// The proof has the key of the stored token, also after a refresh.
func TestUserInfoOfAStoredToken(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	w.says("userinfo_endpoint", w.peer.api.URL+"/userinfo")
	w.respond = func(rw http.ResponseWriter, r *http.Request) {
		checked := httptest.NewRecorder()
		if w.serveAPI(checked, r); checked.Code != http.StatusOK {
			rw.Header().Set("WWW-Authenticate", checked.Header().Get("WWW-Authenticate"))
			rw.WriteHeader(checked.Code)
			return
		}
		reply(rw, http.StatusOK, w.userInfo())
	}
	app := w.replica()
	stored := w.login(app, "user 1")
	for range 2 {
		user, err := app.UserInfoOf(ctx, "alice", stored)
		require.NoError(t, err)
		require.Equal(t, "alice", user.Subject())
		loaded, err := stored.Load(ctx)
		require.NoError(t, err)
		_, err = app.UserInfoOf(ctx, "alice", oauth2.StaticTokenSource(loaded))
		require.NoError(t, err)
		w.family.mu.Lock()
		w.access = "revoked"
		w.family.mu.Unlock()
	}
	require.Equal(t, 1, w.refreshes())
}

// twoTypes keeps a header that the handler sets again.
type twoTypes struct{ http.ResponseWriter }

func (w twoTypes) WriteHeader(status int) {
	w.Header().Add("Content-Type", "text/html")
	w.ResponseWriter.WriteHeader(status)
}
