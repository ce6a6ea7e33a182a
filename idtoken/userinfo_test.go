package idtoken_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	asJSON = "application/json;charset=UTF-8"
	asJWT  = "application/jwt"
)

// about returns good claims of a UserInfo response with changes; nil removes.
func about(changes ...any) obj {
	return testkit.Change(obj{"iss": issuer, "aud": client, "sub": "alice", "email": "alice@bank.example"}, changes...)
}

func text(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

func requireUser(t testing.TB, v *idtoken.Verifier, contentType, body string) {
	t.Helper()
	got, err := v.VerifyUserInfo(context.Background(), contentType, []byte(body), "alice")
	require.NoError(t, err)
	require.Equal(t, "alice", got.Subject())
	require.JSONEq(t, `"alice@bank.example"`, string(got.Claim("email")))
	require.Nil(t, got.Claim("EMAIL"))
	var claims struct {
		Email string `json:"email"`
	}
	require.NoError(t, got.Claims(&claims))
	require.Equal(t, "alice@bank.example", claims.Email)
	require.ErrorIs(t, got.Claims(new(string)), idtoken.ErrClaims)
	for _, shown := range []string{fmt.Sprint(got), fmt.Sprintf("%#v", got), got.LogValue().String()} {
		require.Equal(t, `UserInfo of "`+issuer+`"`, shown)
	}
}

func TestVerifyUserInfo(t *testing.T) {
	signed := sign(t, about())
	requireUser(t, newVerifier(t, nil), asJSON, text(t, about("iss", nil, "aud", nil)))
	requireUser(t, newVerifier(t, nil), "application/jwt; charset=utf-8", signed)
	requireUser(t, newVerifier(t, nil), asJWT, sign(t, about("aud", []string{client}, "exp", t0.Unix()+1, "iat", t0.Unix())))
	requireUser(t, newVerifier(t, func(c *idtoken.VerifierConfig) { c.UserInfo.Signed = true }), asJWT, signed)
	for _, alg := range jose.EncryptionAlgorithms() {
		t.Run("CA-OIDC-5.3.4-1 "+alg, func(t *testing.T) {
			key, to := pair(t, alg, "A256CBC-HS512")
			v := newVerifier(t, func(c *idtoken.VerifierConfig) { c.UserInfo.DecryptionKeys = []idtoken.DecryptionKey{key} })
			requireUser(t, v, asJWT, seal(t, to, signed))
		})
	}
}

func TestVerifyUserInfoRejects(t *testing.T) {
	key, to := pair(t, "ECDH-ES+A256KW", "A256CBC-HS512")
	otherKey := key
	otherKey.Key = testkit.ECKey(t, "other")
	good, plain := sign(t, about()), text(t, about())
	signedOnly := func(c *idtoken.VerifierConfig) { c.UserInfo.Signed = true }
	encrypted := func(c *idtoken.VerifierConfig) { c.UserInfo.DecryptionKeys = []idtoken.DecryptionKey{key} }
	for _, tc := range []struct {
		name, contentType, body string
		want                    error
		change                  func(*idtoken.VerifierConfig)
	}{
		{"CA-OIDC-5.3.2-1 another user", asJSON, text(t, about("sub", "mallory")), idtoken.ErrSubject, nil},
		{"CA-OIDC-5.3.2-1 another case", asJSON, text(t, about("sub", "Alice")), idtoken.ErrSubject, nil},
		{"CA-OIDC-5.3.2-1 no sub", asJSON, text(t, about("sub", nil)), idtoken.ErrClaims, nil},
		{"CA-OIDC-5.3.2-1 an empty sub", asJSON, text(t, about("sub", "")), idtoken.ErrClaims, nil},
		{"CA-OIDC-5.3.2-1 a sub that is a list", asJSON, text(t, about("sub", []string{"alice"})), idtoken.ErrClaims, nil},
		{"CA-OIDC-5.3.2-1 sub twice", asJSON, `{"sub":"alice","sub":"mallory"}`, idtoken.ErrMalformed, nil},
		{"CA-OIDC-5.3.2-1 sub in another case", asJSON, `{"sub":"alice","SUB":"mallory"}`, idtoken.ErrMalformed, nil},
		{"CA-OIDC-5.3.2-1 another user, signed", asJWT, sign(t, about("sub", "mallory")), idtoken.ErrSubject, nil},
		{"CA-OIDC-5.3.2-2 another issuer", asJWT, sign(t, about("iss", "https://evil.example")), idtoken.ErrIssuer, nil},
		{"CA-OIDC-5.3.2-2 no issuer", asJWT, sign(t, about("iss", nil)), idtoken.ErrClaims, nil},
		{"CA-OIDC-5.3.2-2 another client", asJWT, sign(t, about("aud", "other")), idtoken.ErrAudience, nil},
		{"CA-OIDC-5.3.2-2 another client as well", asJWT, sign(t, about("aud", []string{client, "other"})), idtoken.ErrAudience, nil},
		{"CA-OIDC-5.3.2-2 no audience", asJWT, sign(t, about("aud", nil)), idtoken.ErrClaims, nil},
		{"expired", asJWT, sign(t, about("exp", t0.Unix())), idtoken.ErrExpired, nil},
		{"exp as a string", asJWT, sign(t, about("exp", "x")), idtoken.ErrClaims, nil},
		{"CA-OIDC-5.3.4-2 a signature of another", asJWT, testkit.SignPayload(t, plain, jose.SignerOptions{}, testkit.ECKey(t, "evil")), idtoken.ErrSignature, nil},
		{"CA-OIDC-5.3.4-2 none", asJWT, testkit.WithHeader(good, `{"alg":"none"}`), idtoken.ErrAlgorithm, nil},
		{"CA-OIDC-5.3.4-2 an algorithm that is not registered", asJWT, good, idtoken.ErrAlgorithm, func(c *idtoken.VerifierConfig) { c.Algorithms = []string{"PS256"} }},
		{"CA-OIDC-5.3.4-2 an algorithm for ID tokens only", asJWT, good, idtoken.ErrAlgorithm, func(c *idtoken.VerifierConfig) { c.UserInfo.Algorithms = []string{"PS256"} }},
		{"CA-OIDC-5.3.4-2 JSON for a client that registered a signature", asJSON, plain, idtoken.ErrSignature, signedOnly},
		{"CA-OIDC-5.3.4-2 JSON that claims to be a JWT", asJWT, plain, idtoken.ErrMalformed, nil},
		{"CA-OIDC-5.3.4-2 a JWT that claims to be JSON", asJSON, good, idtoken.ErrMalformed, nil},
		{"JWT-3.12-1 an ID token", asJWT, sign(t, set()), idtoken.ErrType, nil},
		{"JWT-3.12-1 an access token", asJWT, testkit.SignPayload(t, plain, jose.SignerOptions{Type: "at+jwt"}, testkit.ECKey(t, "op")), idtoken.ErrType, nil},
		{"JWT-3.12-1 a logout token", asJWT, sign(t, about("events", obj{})), idtoken.ErrType, nil},
		{"CA-OIDC-5.3.4-1 JSON for a client that registered encryption", asJSON, plain, idtoken.ErrEncryption, encrypted},
		{"CA-OIDC-5.3.4-1 signed and not encrypted", asJWT, good, idtoken.ErrEncryption, encrypted},
		{"CA-OIDC-5.3.4-1 encrypted and not signed", asJWT, seal(t, to, "."+plain), idtoken.ErrMalformed, encrypted},
		{"CA-OIDC-5.3.4-1 encrypted for a client without a key", asJWT, seal(t, to, good), idtoken.ErrEncryption, nil},
		{"CA-OIDC-5.3.4-1 encrypted to another key", asJWT, seal(t, to, good), idtoken.ErrEncryption, func(c *idtoken.VerifierConfig) {
			c.UserInfo.DecryptionKeys = []idtoken.DecryptionKey{otherKey}
		}},
		{"CA-OIDC-5.3.4-1 the keys of ID tokens do not decrypt", asJWT, seal(t, to, good), idtoken.ErrEncryption, decrypting(key)},
		{"CA-OIDC-5.3.4-1 another user, encrypted", asJWT, seal(t, to, sign(t, about("sub", "mallory"))), idtoken.ErrSubject, encrypted},
		{"no Content-Type", "", plain, idtoken.ErrMalformed, nil},
		{"HTML", "text/html", plain, idtoken.ErrMalformed, nil},
		{"JWT-3.11-1 a media type that only ends in json", "application/x+json", plain, idtoken.ErrMalformed, nil},
		{"nothing", asJSON, "", idtoken.ErrMalformed, nil},
		{"no object", asJSON, `["alice"]`, idtoken.ErrMalformed, nil},
		{"bytes after the object", asJSON, plain + "{}", idtoken.ErrMalformed, nil},
		{"more than 256 KiB", asJSON, text(t, about("picture", strings.Repeat("x", 256<<10))), idtoken.ErrMalformed, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVerifier(t, func(c *idtoken.VerifierConfig) {
				if tc.change != nil {
					tc.change(c)
				}
				if keys := c.Keys; tc.want != idtoken.ErrSignature {
					c.Keys = func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
						t.Error("fetched a key")
						return keys(ctx, kid, alg)
					}
				}
			})
			got, err := v.VerifyUserInfo(context.Background(), tc.contentType, []byte(tc.body), "alice")
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, got)
			for _, secret := range []string{"alice", "mallory", "bank.example"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
	t.Run("CA-OIDC-5.3.2-1 no ID token", func(t *testing.T) {
		_, err := newVerifier(t, nil).VerifyUserInfo(context.Background(), asJSON, []byte(`{"sub":""}`), "")
		require.ErrorIs(t, err, idtoken.ErrSubject)
	})
	t.Run("an unusable key", func(t *testing.T) {
		_, err := idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: issuer, ClientID: client, Keys: testkit.KeySource(), UserInfo: idtoken.UserInfoConfig{
			DecryptionKeys: []idtoken.DecryptionKey{{}},
		}})
		require.ErrorContains(t, err, "UserInfo: decryption key 0")
	})
	t.Run("no keys of the issuer at present", func(t *testing.T) {
		v := newVerifier(t, func(c *idtoken.VerifierConfig) {
			c.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) {
				return nil, context.DeadlineExceeded
			}
		})
		_, err := v.VerifyUserInfo(context.Background(), asJWT, []byte(good), "alice")
		require.ErrorIs(t, err, idtoken.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// An accepted response is about the expected user, whatever its form.
func FuzzVerifyUserInfo(f *testing.F) {
	for _, body := range []string{text(f, about()), sign(f, about()), `{"sub":"mallory"}`, `{"sub":"alice","sub":"mallory"}`, `{"Sub":"alice"}`, `[]`, `{"sub":"\u0061lice"}`} {
		f.Add(asJSON, body)
		f.Add(asJWT, body)
	}
	f.Add("application/json; a=b; a=c", `{"sub":"alice"}`)
	v := newVerifier(f, nil)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		got, err := v.VerifyUserInfo(context.Background(), contentType, []byte(body), "alice")
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.Equal(t, "alice", got.Subject())
		require.JSONEq(t, `"alice"`, string(got.Claim("sub")))
	})
}
