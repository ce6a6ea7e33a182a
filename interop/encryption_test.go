package interop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
)

const encryptionKeyID = "enc-1"

// A sealing is a pair of algorithms with a key for it.
type sealing struct {
	alg, enc string
	key      crypto.Signer
}

func (w *world) sealings() (all []sealing) {
	for _, alg := range []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP", "RSA-OAEP-256"} {
		for _, enc := range []string{"A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"} {
			s := sealing{alg, enc, w.key}
			if strings.HasPrefix(alg, "RSA") {
				s.key = w.rsaKey
			}
			all = append(all, s)
		}
	}
	return all
}

func (s sealing) String() string { return s.alg + " " + s.enc }

// jwk returns the key for jose. Without d it is the public key.
func (s sealing) jwk(t *testing.T, private bool) map[string]string {
	t.Helper()
	jwk := maps.Clone(testkit.JWK(t, s.key, encryptionKeyID, s.alg))
	jwk["use"] = "enc"
	if !private {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			delete(jwk, name)
		}
	}
	return jwk
}

func (s sealing) decryption() idtoken.DecryptionKey {
	return idtoken.DecryptionKey{Key: s.key, KeyID: encryptionKeyID, Algorithm: s.alg, ContentEncryption: s.enc}
}

// Both directions between this module and jose, with each pair of algorithms.
func TestEncryptionAgainstJose(t *testing.T) {
	t.Parallel()
	testkit.RequirePeers(t, "jose")
	w := newWorld(t)
	issuer, err := idtoken.NewIssuer(idtoken.IssuerConfig{Issuer: "https://as.example", Key: w.asKey, KeyID: asKeyID})
	require.NoError(t, err)
	signed, err := issuer.Issue(idtoken.Claims{Subject: "alice", ClientID: "client-1", Nonce: "n-1"})
	require.NoError(t, err)
	var input struct {
		Seal []map[string]any `json:"seal"`
		Open []map[string]any `json:"open"`
	}
	sealings := w.sealings()
	for _, s := range sealings {
		to := idtoken.Encryption{Key: s.key.Public(), KeyID: encryptionKeyID, Algorithm: s.alg, ContentEncryption: s.enc}
		jwe, err := to.Seal(signed)
		require.NoError(t, err, s)
		input.Seal = append(input.Seal, map[string]any{
			"jwk": s.jwk(t, false), "alg": s.alg, "enc": s.enc, "kid": encryptionKeyID, "token": signed,
		})
		input.Open = append(input.Open, map[string]any{"jwk": s.jwk(t, true), "alg": s.alg, "enc": s.enc, "jwe": jwe})
	}
	type opened struct{ Token, CTY, KID string }
	var output struct {
		Sealed []string
		Opened []opened
	}
	testkit.Run(t, "jwe.mjs", input, &output)
	require.Len(t, output.Sealed, len(sealings))
	require.Len(t, output.Opened, len(sealings))
	for i, s := range sealings {
		t.Run(s.String(), func(t *testing.T) {
			require.Equal(t, opened{signed, "JWT", encryptionKeyID}, output.Opened[i])
			v, err := idtoken.NewVerifier(idtoken.VerifierConfig{
				Issuer: "https://as.example", ClientID: "client-1", DecryptionKeys: []idtoken.DecryptionKey{s.decryption()},
				Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
					return []crypto.PublicKey{w.asKey.Public()}, nil
				},
			})
			require.NoError(t, err)
			got, err := v.Verify(t.Context(), output.Sealed[i], idtoken.Expected{Nonce: "n-1"})
			require.NoError(t, err)
			require.Equal(t, "alice", got.Subject())
		})
	}
}

// Our client against oidc-provider, which encrypts ID tokens, UserInfo and
// authorization responses. The first algorithms are those of Singpass.
func TestEncryptionByOIDCProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := []struct {
		combination
		sealing
	}{
		{combination{false, privateKey, false}, sealing{"ECDH-ES+A256KW", "A256CBC-HS512", w.key}},
		{combination{true, privateKey, true}, sealing{"RSA-OAEP-256", "A128CBC-HS256", w.rsaKey}},
		{combination{true, tlsAuth, false}, sealing{"ECDH-ES", "A256GCM", w.key}},
		{combination{false, tlsAuth, true}, sealing{"RSA-OAEP", "A128GCM", w.rsaKey}},
	}
	var registrations []any
	for _, tc := range cases {
		registrations = append(registrations, w.encryptedRegistration(t, tc.combination, tc.sealing))
	}
	p := w.startProvider(t, map[string]any{"clients": registrations})
	for _, tc := range cases {
		t.Run(tc.combination.String()+" "+tc.sealing.String(), func(t *testing.T) {
			cfg := w.clientConfig(t, p.Issuer, tc.combination)
			key := tc.decryption()
			cfg.OpenID = &client.OpenID{
				IDTokenDecryptionKeys: []idtoken.DecryptionKey{key},
				UserInfo:              idtoken.UserInfoConfig{Signed: true, DecryptionKeys: []idtoken.DecryptionKey{key}},
			}
			if tc.advanced {
				cfg.ResponseDecryptionKeys = []jarm.DecryptionKey{jarm.DecryptionKey(key)}
			}
			app, err := client.New(t.Context(), cfg)
			require.NoError(t, err)
			session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"openid"}})
			require.NoError(t, err)
			callback := w.authority.Browse(t, session.URL, redirectURI)
			if tc.advanced {
				require.Equal(t, 4, strings.Count(callback.Get("response"), "."), "the response is encrypted")
			}
			token, err := app.Finish(t.Context(), session, callback)
			require.NoError(t, err)
			require.Equal(t, 4, strings.Count(token.Extra("id_token").(string), "."), "the ID token is encrypted")
			user, err := app.UserInfo(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, "alice", user.Subject())

			_, err = app.UserInfoOf(t.Context(), "mallory", app.TokenSource(t.Context(), token))
			require.ErrorIs(t, err, idtoken.ErrSubject)
			w.requireOtherKeyFails(t, cfg)
		})
	}
}

// encryptedRegistration returns a registration with a key for encryption.
func (w *world) encryptedRegistration(t *testing.T, c combination, s sealing) *profile.ClientMetadata {
	t.Helper()
	m := w.registration(t, c)
	keys, err := jwks.NewSet(jwks.Key{Public: w.key.Public(), KeyID: authKeyID},
		jwks.Key{Public: s.key.Public(), KeyID: encryptionKeyID, Use: "enc", Algorithm: s.alg})
	require.NoError(t, err)
	m.JWKS, m.Scope = keys, "openid offline_access"
	m.IDTokenSignedResponseAlg, m.UserInfoSignedResponseAlg = "ES256", "ES256"
	m.IDTokenEncryptedResponseAlg, m.IDTokenEncryptedResponseEnc = s.alg, s.enc
	m.UserInfoEncryptedResponseAlg, m.UserInfoEncryptedResponseEnc = s.alg, s.enc
	if c.advanced {
		m.AuthorizationSignedResponseAlg = "ES256"
		m.AuthorizationEncryptedResponseAlg, m.AuthorizationEncryptedResponseEnc = s.alg, s.enc
	}
	require.False(t, slices.ContainsFunc(m.Lint(c.profile()), func(f profile.Finding) bool { return f.Severity == "error" }))
	return m
}

// requireOtherKeyFails checks that a client with another key of the same name
// gets a clear error.
func (w *world) requireOtherKeyFails(t *testing.T, cfg client.Config) {
	t.Helper()
	other := cfg.OpenID.IDTokenDecryptionKeys[0]
	if _, ok := other.Key.(*ecdsa.PrivateKey); ok {
		other.Key = testkit.NewKey(t)
	} else {
		other.Key = testkit.NewRSAKey(t)
	}
	cfg.OpenID = &client.OpenID{IDTokenDecryptionKeys: []idtoken.DecryptionKey{other}}
	app, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	callback := w.authority.Browse(t, session.URL, redirectURI)
	_, err = app.Finish(t.Context(), session, callback)
	require.ErrorIs(t, err, client.ErrTokenResponse)
	require.ErrorIs(t, err, idtoken.ErrEncryption)
}
