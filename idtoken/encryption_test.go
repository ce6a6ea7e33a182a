package idtoken_test

import (
	"context"
	"crypto"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// pair returns the two halves of a registration for encryption.
func pair(t testing.TB, alg, enc string) (idtoken.DecryptionKey, idtoken.Encryption) {
	private, public := crypto.PrivateKey(testkit.RSAKey(t, "enc")), testkit.RSAKey(t, "enc").Public()
	if strings.HasPrefix(alg, "ECDH") {
		private, public = testkit.ECKey(t, "enc"), testkit.ECKey(t, "enc").Public()
	}
	return idtoken.DecryptionKey{Key: private, KeyID: "k1", Algorithm: alg, ContentEncryption: enc},
		idtoken.Encryption{Key: public, KeyID: "k1", Algorithm: alg, ContentEncryption: enc}
}

func decrypting(keys ...idtoken.DecryptionKey) func(*idtoken.VerifierConfig) {
	return func(c *idtoken.VerifierConfig) { c.DecryptionKeys = keys }
}

func seal(t testing.TB, to idtoken.Encryption, token string) string {
	t.Helper()
	sealed, err := to.Seal(token)
	require.NoError(t, err)
	require.NotContains(t, sealed, strings.Split(token, ".")[1])
	return sealed
}

func TestVerifyEncrypted(t *testing.T) {
	issued, err := newIssuer(t, nil).Issue(idtoken.Claims{Subject: "alice", ClientID: client, Nonce: nonce})
	require.NoError(t, err)
	for _, alg := range jose.EncryptionAlgorithms() {
		for _, enc := range jose.ContentEncryptions() {
			t.Run("CA-OIDC-3.1.3.7-1 CA-OIDC-10.2-1 "+alg+" "+enc, func(t *testing.T) {
				key, to := pair(t, alg, enc)
				sealed := seal(t, to, issued)
				got, err := newVerifier(t, decrypting(key)).Verify(context.Background(), sealed, sent)
				require.NoError(t, err)
				require.Equal(t, "alice", got.Subject())

				other := key
				other.Algorithm, other.ContentEncryption = "ECDH-ES+A256KW", "A256CBC-HS512"
				if alg == "RSA-OAEP" || alg == "RSA-OAEP-256" {
					other.Algorithm, other.ContentEncryption = map[string]string{"RSA-OAEP": "RSA-OAEP-256", "RSA-OAEP-256": "RSA-OAEP"}[alg], enc
				}
				if other != key { // JWT-3.1-1: the token does not choose its algorithms
					requireRefused(t, sealed, idtoken.ErrAlgorithm, sent, decrypting(other))
				}
			})
		}
	}
}

// Singpass and Corppass require this pair of algorithms.
func TestVerifyEncryptedRejects(t *testing.T) {
	key, to := pair(t, "ECDH-ES+A256KW", "A256CBC-HS512")
	otherKey, otherKeyID := key, key
	otherKey.Key, otherKeyID.KeyID = testkit.ECKey(t, "other"), "k2"
	good := sign(t, set())
	sealed := seal(t, to, good)
	payload := `{"iss":"` + issuer + `","sub":"alice","aud":"` + client + `","iat":1800000000,"exp":1800000300,"nonce":"` + nonce + `"}`
	for _, tc := range []struct {
		name, token string
		want        error
		key         idtoken.DecryptionKey
	}{
		{"CA-OIDC-3.1.3.7-1 a token that is not encrypted", good, idtoken.ErrEncryption, key},
		{"CA-OIDC-3.1.3.7-1 a token for another key with the same kid", sealed, idtoken.ErrEncryption, otherKey},
		{"CA-OIDC-3.1.3.7-1 a token for a kid that we do not have", sealed, idtoken.ErrEncryption, otherKeyID},
		{"CA-OIDC-10.2-1 claims that are not signed", seal(t, to, "x."+payload), idtoken.ErrMalformed, key},
		{"CA-OIDC-10.2-1 none inside", seal(t, to, testkit.WithHeader(good, `{"alg":"none"}`)), idtoken.ErrAlgorithm, key},
		{"MS-5.6.2-1 signed by another", seal(t, to, testkit.SignPayload(t, payload, jose.SignerOptions{}, testkit.ECKey(t, "evil"))), idtoken.ErrSignature, key},
		{"CS-20 another issuer inside", seal(t, to, sign(t, set("iss", "https://evil.example"))), idtoken.ErrIssuer, key},
		{"CS-20 expired inside", seal(t, to, sign(t, set("exp", 1))), idtoken.ErrExpired, key},
		{"CS-20 another nonce inside", seal(t, to, sign(t, set("nonce", "x"))), idtoken.ErrNonce, key},
		{"JWT-3.3-1 encrypted twice", seal(t, to, sealed), idtoken.ErrMalformed, key},
		{"JWE-4.1.13-1 crit", testkit.WithHeader(sealed, `{"alg":"ECDH-ES+A256KW","enc":"A256CBC-HS512","cty":"JWT","crit":["x"],"x":1}`), idtoken.ErrMalformed, key},
		{"JWT-BIS-1 zip", testkit.WithHeader(sealed, `{"alg":"ECDH-ES+A256KW","enc":"A256CBC-HS512","cty":"JWT","zip":"DEF"}`), idtoken.ErrMalformed, key},
		{"JWT-BIS-1 PBES2", testkit.WithHeader(sealed, `{"alg":"PBES2-HS512+A256KW","enc":"A256CBC-HS512","cty":"JWT","p2c":2147483647,"p2s":"AA"}`), idtoken.ErrAlgorithm, key},
		{"JWT-3.2-1 dir", testkit.WithHeader(sealed, `{"alg":"dir","enc":"A256CBC-HS512","cty":"JWT"}`), idtoken.ErrAlgorithm, key},
		{"more than 64 KiB", sealed + strings.Repeat("A", 64<<10), idtoken.ErrMalformed, key},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requireRefused(t, tc.token, tc.want, sent, func(c *idtoken.VerifierConfig) {
				c.DecryptionKeys = []idtoken.DecryptionKey{tc.key}
				if keys := c.Keys; tc.want != idtoken.ErrSignature {
					c.Keys = func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
						t.Error("fetched a key")
						return keys(ctx, kid, alg)
					}
				}
			})
		})
	}
	t.Run("CA-OIDC-3.1.3.7-1 an encrypted token and no key", func(t *testing.T) {
		requireRefused(t, sealed, idtoken.ErrEncryption, sent, nil)
		_, err := newVerifier(t, nil).Verify(context.Background(), sealed, sent)
		require.ErrorContains(t, err, "this client has no decryption key")
		_, err = newVerifier(t, decrypting(key)).Verify(context.Background(), good, sent)
		require.ErrorContains(t, err, "this client requires encryption")
		_, err = newVerifier(t, decrypting(otherKeyID)).Verify(context.Background(), sealed, sent)
		require.ErrorContains(t, err, `no key with kid "k1"`)
	})
	t.Run("CA-OIDC-10.2-1 any content but a signed JWT is rejected, without the help of cty", func(t *testing.T) {
		for _, content := range []string{payload, "x", "..", good + ".", good + "\n"} {
			sealed, err := to.Seal(content)
			require.NoError(t, err)
			requireRefused(t, sealed, idtoken.ErrMalformed, sent, decrypting(key))
		}
	})
	t.Run("CA-OIDC-3.1.3.7-1 while the registration changes", func(t *testing.T) {
		old, toOld := pair(t, "RSA-OAEP", "A128CBC-HS256")
		for _, token := range []string{seal(t, toOld, good), sealed} {
			_, err := newVerifier(t, decrypting(old, key)).Verify(context.Background(), token, sent)
			require.NoError(t, err)
		}
	})
	t.Run("an unusable key", func(t *testing.T) {
		_, err := idtoken.NewVerifier(idtoken.VerifierConfig{
			Issuer: issuer, ClientID: client, Keys: testkit.KeySource(), DecryptionKeys: []idtoken.DecryptionKey{{Key: testkit.Ed25519Key(t, "enc")}},
		})
		require.ErrorContains(t, err, "decryption key 0")
		_, err = idtoken.Encryption{Key: testkit.ECKey(t, "enc").Public(), Algorithm: "ECDH-ES"}.Seal(good)
		require.Error(t, err, "the content encryption is required")
	})
	t.Run("the key is not in a log", func(t *testing.T) {
		for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%#v", key), key.LogValue().String()} {
			require.Equal(t, `decryption key "k1"`, text)
		}
	})
}

// A changed token never verifies.
func FuzzVerifyEncrypted(f *testing.F) {
	var tokens []string
	var keys []idtoken.DecryptionKey
	for _, alg := range jose.EncryptionAlgorithms() {
		key, to := pair(f, alg, "A128CBC-HS256")
		keys, tokens = append(keys, key), append(tokens, seal(f, to, sign(f, set())))
	}
	for i := range 40 {
		f.Add(uint8(i), i*31, "")
	}
	f.Add(uint8(0), 0, ".")
	f.Add(uint8(3), 7, "\n")
	v := newVerifier(f, decrypting(keys...))
	f.Fuzz(func(t *testing.T, which uint8, at int, insert string) {
		token := tokens[int(which)%len(tokens)]
		changed := testkit.MutateJWS(token, at)
		if insert != "" {
			place := int(uint(at) % uint(len(token)+1))
			changed = token[:place] + insert + token[place:]
		}
		got, err := v.Verify(context.Background(), changed, sent)
		require.Error(t, err)
		require.Nil(t, got)
	})
}
