package authserver_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

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
)

// kids are those of a server with a key for each algorithm; that of newWorld is the first.
var kids = map[string]string{"ES256": "as-1", "PS256": "as-2", "EdDSA": "as-3", "Ed25519": "as-4"}

func moreKeys(t testing.TB) []profile.SigningKey {
	return []profile.SigningKey{
		{Key: testkit.RSAKey(t, "as"), KeyID: "as-2"},
		{Key: testkit.Ed25519Key(t, "as"), KeyID: "as-3"},
		{Key: testkit.Ed25519Key(t, "as by its new name"), KeyID: "as-4", Algorithm: "Ed25519"},
	}
}

func withKeys(keys ...profile.SigningKey) worldOption {
	return func(as *authserver.Config, _ *resourceserver.Config) { as.Keys = append(as.Keys[:1], keys...) }
}

// requireSigned wants a JWT that is signed by the key of an algorithm, as whoever reads the published keys finds out.
func (w *world) requireSigned(alg, jwt string) {
	w.t.Helper()
	header, _ := claims(w.t, jwt)
	require.Equal(w.t, fmt.Sprintf("%q %q", alg, kids[alg]), string(header["alg"])+" "+string(header["kid"]))
	keys, err := w.as.Keys().Keys(context.Background(), kids[alg], alg)
	require.NoError(w.t, err)
	require.Len(w.t, keys, 1, "SP-5.4.2-3")
	compact, err := jose.Split(jwt, 1<<16)
	require.NoError(w.t, err)
	require.NoError(w.t, compact.Verify(alg, keys[0]))
}

// wants makes a client whose registration names one algorithm for everything.
func (w *world) wants(id, alg string) *profile.ClientMetadata {
	c := w.register(id, testkit.ECKey(w.t, id).Public())
	c.IDTokenSignedResponseAlg, c.AuthorizationSignedResponseAlg = alg, alg
	c.IntrospectionSignedResponseAlg, c.UserInfoSignedResponseAlg = alg, alg
	return c
}

func TestKeysAreAnnounced(t *testing.T) {
	w := newWorld(t, demanding(profile.Advanced), withUserInfo(about), withKeys(moreKeys(t)...))
	m := w.as.Metadata()
	all := []string{"ES256", "PS256", "EdDSA", "Ed25519"}
	for name, list := range map[string]*[]string{
		"MD-2-12 JARM-4-1 responses":         &m.AuthorizationSigningAlgValuesSupported,
		"MD-2-12 INT-9701-7-1 introspection": &m.IntrospectionSigningAlgValuesSupported,
		"MD-2-12 ID tokens":                  &m.IDTokenSigningAlgValuesSupported,
		"MD-2-12 UserInfo":                   &m.UserInfoSigningAlgValuesSupported,
	} {
		require.Equal(t, all, *list, name)
		(*list)[0] = "the caller's own"
	}
	require.Equal(t, all, w.as.Metadata().IDTokenSigningAlgValuesSupported)
	require.NoError(t, w.as.Metadata().CheckPublished())
	for _, finding := range w.as.Metadata().Lint(profile.Advanced) {
		require.Equal(t, "advice", finding.Severity, "%v", finding)
	}
	got := w.userInfo("GET", m.JWKSURI)
	require.Equal(t, http.StatusOK, got.status, "SP-5.4.2-R1")
	keys := got.body["keys"].([]any)
	require.Len(t, keys, len(kids))
	for i, alg := range all {
		key := keys[i].(map[string]any)
		require.Equal(t, kids[alg], key["kid"], "SP-5.4.2-3")
		require.Equal(t, alg, key["alg"])
		require.Equal(t, "sig", key["use"])
		require.NotContains(t, key, "d")
	}
}

// Clients that are registered for different algorithms, and one for none, get everything from one server.
func TestClientsOfDifferentAlgorithms(t *testing.T) {
	held := &archive{}
	w, ctx := newWorld(t, demanding(profile.Advanced), withUserInfo(about), withKeys(moreKeys(t)...), archiving(held)), context.Background()
	w.wants("client-2", "PS256") // which introspects
	for id, alg := range map[string]string{"client-1": "ES256", "es": "ES256", "ps": "PS256", "ed": "EdDSA", "new": "Ed25519"} {
		t.Run("JARM-3-1 "+id, func(t *testing.T) {
			if id != "client-1" {
				w.wants(id, alg)
			}
			held.take()
			app := w.client(id, using(profile.Advanced))
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.NoError(t, err)
			callback := w.browse(session.URL)
			w.requireSigned(alg, callback.Get("response"))
			responses, err := jarm.NewVerifier(jarm.VerifierConfig{Issuer: w.asHTTP.URL, ClientID: id, Keys: w.as.Keys().Keys, Algorithms: []string{alg}, Now: w.clock.Now})
			require.NoError(t, err)
			_, err = responses.VerifyValues(ctx, callback)
			require.NoError(t, err, "JARM-2.2-2 a client that takes its own algorithm alone")
			token, err := app.Finish(ctx, session, callback)
			require.NoError(t, err)
			w.requireSigned(alg, token.Extra("id_token").(string))
			w.requireSigned("ES256", token.AccessToken)
			api, err := app.HTTPClient(app.TokenSource(ctx, token))
			require.NoError(t, err)
			response, err := api.Get(w.rsHTTP.URL + "/accounts")
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)

			asked, err := w.newIntrospection(func(c *introspection.ClientConfig) { c.Algorithms = []string{"PS256"} }).Introspect(ctx, token.AccessToken)
			require.NoError(t, err, "INT-9701-6-1")
			w.requireSigned("PS256", asked.Signed())
			w.checkArchive(held, id, callback.Get("response"), asked.Signed())
		})
	}
}

// checkArchive wants in the archive what two keys have signed, each with the key that verifies it.
func (w *world) checkArchive(held *archive, id, response, answer string) {
	found := map[string]string{}
	for _, e := range held.held {
		compact, err := jose.Split(e.JWT, 1<<16)
		require.NoError(w.t, err)
		header, err := compact.ParseHeader()
		require.NoError(w.t, err)
		if e.Issued {
			require.NoError(w.t, compact.Verify(header.Algorithm, e.Key), "MS-7-1 %s", e.Kind)
			found[e.Kind+" "+e.ClientID] = e.JWT
		}
	}
	require.Equal(w.t, map[string]string{"authorization response " + id: response, "introspection response client-2": answer}, found)
}

// A client whose algorithm no key is for is refused before anything is used up, and is told of which member it is.
func TestAlgorithmsWithoutAKey(t *testing.T) {
	for _, keys := range []struct {
		name    string
		more    []profile.SigningKey
		missing []string
	}{
		{"one key", nil, []string{"PS256", "EdDSA", "Ed25519", "RS256", "none", "es256"}},
		{"three keys", moreKeys(t)[:2], []string{"Ed25519", "RS256", "none", "ES256 "}},
		{"Ed25519 by its new name", moreKeys(t)[2:], []string{"EdDSA", "PS256"}},
	} {
		w := newWorld(t, demanding(profile.SignedIntrospection), withUserInfo(about), withKeys(keys.more...))
		access := w.tokens("client-2", "d").body["access_token"].(string)
		code := w.code("client-1", nil)
		good := *w.clients["client-1"]
		for _, alg := range keys.missing {
			for _, tc := range []struct {
				name, member string
				register     func(c *profile.ClientMetadata)
				send         func() answer
			}{
				{"SP-5.4.1-1.2 a push with openid", "id_token_signed_response_alg", func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = alg }, func() answer {
					return w.send(w.parURL(), w.pushForm("client-1"))
				}},
				{"SP-5.4.1-1.2 a code from before", "id_token_signed_response_alg", func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = alg }, func() answer {
					return w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
				}},
				{"JARM-3-1 a push with response_mode", "authorization_signed_response_alg", func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg = alg }, func() answer {
					return w.send(w.parURL(), w.withMode("jwt"))
				}},
				{"INT-9701-6-1 introspection", "introspection_signed_response_alg", func(c *profile.ClientMetadata) { c.IntrospectionSignedResponseAlg = alg }, func() answer {
					return w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-1", url.Values{"token": {access}}))
				}},
			} {
				t.Run(tc.name+" "+alg+" "+keys.name, func(t *testing.T) {
					c := good
					tc.register(&c)
					w.clients["client-1"] = &c
					got := tc.send()
					require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
					require.Equal(t, "unauthorized_client", got.code)
					require.Contains(t, got.body["error_description"], tc.member)
				})
			}
		}
		w.clients["client-1"] = &good
		require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status, "the code is still good")
		plain := w.pushForm("client-1")
		plain.Set("scope", "accounts")
		good.IDTokenSignedResponseAlg, good.AuthorizationSignedResponseAlg = keys.missing[0], keys.missing[0]
		require.Equal(t, http.StatusCreated, w.send(w.parURL(), plain).status, "who gets nothing signed is not in the way")
	}
}

func TestSigningKeysRefused(t *testing.T) {
	ec := testkit.ECKey(t, "other")
	for _, tc := range []struct {
		name string
		keys []profile.SigningKey
		says string
	}{
		{"two of one algorithm", []profile.SigningKey{{Key: ec}}, "Keys[1]: second key for ES256"},
		{"two of one algorithm, further on", append(moreKeys(t), profile.SigningKey{Key: testkit.RSAKey(t, "other")}), "Keys[4]: second key for PS256"},
		{"SP-5.4.2-3 two of one kid", []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), KeyID: "as-1"}}, `duplicate kid "as-1"`},
		{"SP-5.4.2-3 one key by two names, of one kid", []profile.SigningKey{{Key: testkit.Ed25519Key(t, "as")}, {Key: testkit.Ed25519Key(t, "as"), Algorithm: "Ed25519"}}, "duplicate kid"},
		{"SP-5.4.2-3 the kid of a retired one", []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), KeyID: "old"}}, `duplicate kid "old"`},
		{"nothing", []profile.SigningKey{{}}, "Keys[1]: missing Key"},
		{"a nil pointer", []profile.SigningKey{{Key: (*ecdsa.PrivateKey)(nil)}}, "Keys[1]: missing Key"},
		{"SP-5.4.1-1.2 RS256", []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), Algorithm: "RS256"}}, `Algorithm "RS256"`},
		{"SP-5.4.1-1.3 none", []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), Algorithm: "none"}}, `Algorithm "none"`},
		{"an algorithm that does not fit", []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), Algorithm: "EdDSA"}}, `Algorithm "EdDSA"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := goodConfig(t)
			cfg.RetiredKeys = []jwks.Key{{Public: ec.Public(), KeyID: "old"}}
			cfg.Keys = append(cfg.Keys, tc.keys...)
			_, err := authserver.New(cfg)
			require.ErrorContains(t, err, tc.says)
		})
	}
	cfg := goodConfig(t)
	cfg.Keys = []profile.SigningKey{{}, {Key: ec, Algorithm: "PS256"}}
	_, err := authserver.New(cfg)
	require.ErrorContains(t, err, "Keys[0]: missing Key", "all problems are listed")
	require.ErrorContains(t, err, "Keys[1]: Key cannot be used")
	cfg.Keys = append([]profile.SigningKey{{}}, moreKeys(t)...)
	_, err = authserver.New(cfg)
	require.Error(t, err, "the first key is required")

	cfg = goodConfig(t)
	cfg.Keys = []profile.SigningKey{{Key: ec}, {Key: testkit.RSAKey(t, "as")}}
	as, err := authserver.New(cfg)
	require.NoError(t, err)
	require.Zero(t, cfg.Keys[1].KeyID, "the host's own list stays as it is")
	cfg.Keys[1] = profile.SigningKey{}
	for _, alg := range []string{"ES256", "PS256"} {
		keys, err := as.Keys().Keys(t.Context(), "", alg)
		require.NoError(t, err)
		require.Len(t, keys, 1)
		thumbprint, err := jose.Thumbprint(keys[0])
		require.NoError(t, err)
		keys, err = as.Keys().Keys(t.Context(), thumbprint, alg)
		require.NoError(t, err)
		require.Len(t, keys, 1, "its kid is its thumbprint")
	}
}

// Tokens outlive a change of the first key, whether the old one signs on for some clients or has retired.
func TestAccessTokensOutliveAKeyChange(t *testing.T) {
	old := testkit.ECKey(t, "as")
	for name, change := range map[string]func(*authserver.Config){
		"SP-5.4.3-1 it signs on": func(c *authserver.Config) {
			c.Keys = append(c.Keys[:1:1], profile.SigningKey{Key: old, KeyID: "as-1"})
		},
		"SP-5.4.3-1 it has retired": func(c *authserver.Config) {
			c.Keys, c.RetiredKeys = c.Keys[:1], []jwks.Key{{Public: old.Public(), KeyID: "as-1"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			option, restart := restartable()
			w := newWorld(t, demanding(profile.SignedIntrospection), withUserInfo(about), option)
			w.wants("es", "ES256")
			before := w.tokens("client-1", "d").body["access_token"].(string)
			w.requireSigned("ES256", before)
			restart(w, func(c *authserver.Config) {
				c.Keys = []profile.SigningKey{{Key: testkit.RSAKey(t, "as"), KeyID: "as-2"}}
				change(c)
			})
			w.clock.Advance(time.Minute) // readers fetch keys again
			after := w.tokens("client-1", "d")
			w.requireSigned("PS256", after.body["access_token"].(string))
			w.requireSigned("PS256", after.body["id_token"].(string))
			for _, access := range []string{before, after.body["access_token"].(string)} {
				require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("d", access)).status)
				_, err := w.newIntrospection().Introspect(t.Context(), access)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+access, "DPoP", w.userInfoProof("d", "GET", access)).status)
			}
			got := w.send(w.parURL(), w.pushForm("es"))
			if name == "SP-5.4.3-1 it has retired" {
				require.Equal(t, "unauthorized_client", got.code, "a retired key signs nothing")
				return
			}
			require.Equal(t, http.StatusCreated, got.status)
			w.requireSigned("ES256", w.tokens("es", "d").body["id_token"].(string))
		})
	}
}

// A key that fails stops those alone who are registered for it.
func TestAKeyThatFails(t *testing.T) {
	key := &moody{Signer: testkit.RSAKey(t, "as")}
	w := newWorld(t, withUserInfo(about), withKeys(profile.SigningKey{Key: key, KeyID: "as-2"}))
	w.wants("ps", "PS256")
	code := w.code("ps", nil)
	key.down.Store(true)
	got := w.send(w.tokenURL(), w.codeForm("ps", code), w.tokenProof("d"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	w.requireSigned("ES256", w.tokens("client-1", "d").body["id_token"].(string))
	key.down.Store(false)
	got = w.send(w.tokenURL(), w.codeForm("ps", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status, "the code is still good")
	w.requireSigned("PS256", got.body["id_token"].(string))
	var good atomic.Int32
	testkit.Hammer(16, func(i int) {
		id, alg := "ps", "PS256"
		if i%2 == 0 {
			id, alg = "client-1", "ES256"
		}
		header, _ := claims(t, w.tokens(id, "d").body["id_token"])
		if string(header["alg"]) == `"`+alg+`"` {
			good.Add(1)
		}
	})
	require.EqualValues(t, 16, good.Load())
}
