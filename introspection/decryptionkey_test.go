package introspection_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

// pair returns the two halves of a registration for encryption.
func pair(t testing.TB, alg, enc string) (introspection.DecryptionKey, jose.Encryption) {
	private := crypto.Signer(testkit.RSAKey(t, "enc"))
	if strings.HasPrefix(alg, "ECDH") {
		private = testkit.ECKey(t, "enc")
	}
	return introspection.DecryptionKey{Key: private, KeyID: "k1", Algorithm: alg, ContentEncryption: enc},
		jose.Encryption{Key: private.Public(), KeyID: "k1", Algorithm: alg, ContentEncryption: enc}
}

func seal(t testing.TB, to jose.Encryption, signed string) string {
	sealed, err := to.Seal(signed, 64<<10)
	require.NoError(t, err)
	return sealed
}

func decrypting(keys ...introspection.DecryptionKey) func(*introspection.ClientConfig) {
	return func(c *introspection.ClientConfig) { c.DecryptionKeys = keys }
}

func TestEncrypted(t *testing.T) {
	for _, alg := range jose.EncryptionAlgorithms() {
		for _, enc := range jose.ContentEncryptions() {
			t.Run("INT-9701-5-6 "+alg+" "+enc, func(t *testing.T) {
				key, to := pair(t, alg, enc)
				var evidence string
				encrypting := caller
				encrypting.Encrypt = func(signed string) (string, error) {
					evidence = signed
					return seal(t, to, signed), nil
				}
				mediaType, body, err := newResponder(t, nil).Answer(encrypting, false, active())
				require.NoError(t, err)
				token, err := wired(t, reply(mediaType, string(body)), decrypting(key)).Introspect(context.Background(), opaque)
				require.NoError(t, err)
				require.Equal(t, "alice", token.Subject())
				require.Equal(t, evidence, token.Signed(), "MS-7-1 the evidence is the signed response")
			})
		}
	}
}

func TestEncryptedRejects(t *testing.T) {
	_, answer, err := newResponder(t, nil).Answer(caller, true, active())
	require.NoError(t, err)
	signed := string(answer)
	key, to := pair(t, "ECDH-ES+A256KW", "A256CBC-HS512")
	otherKey, otherAlg := key, key
	otherKey.Key, otherAlg.Algorithm = testkit.ECKey(t, "other"), "ECDH-ES"
	for _, tc := range []struct {
		name, mediaType, body string
		keys                  []introspection.DecryptionKey
		want                  error
	}{
		{"a downgrade to a response that is only signed", mediaJWT, signed, []introspection.DecryptionKey{key}, introspection.ErrUnprotected},
		{"a downgrade to JSON", "application/json", `{"active":true}`, []introspection.DecryptionKey{key}, introspection.ErrUnprotected},
		{"a response for another key", mediaJWT, seal(t, to, signed), []introspection.DecryptionKey{otherKey}, introspection.ErrUnprotected},
		{"JWT-3.1-1 another algorithm than the registered one", mediaJWT, seal(t, to, signed), []introspection.DecryptionKey{otherAlg}, introspection.ErrAlgorithm},
		{"a resource server without keys", mediaJWT, seal(t, to, signed), nil, introspection.ErrUnprotected},
		{"INT-9701-5-6 members that are not signed", mediaJWT, seal(t, to, `{"active":true}`), []introspection.DecryptionKey{key}, introspection.ErrMalformed},
		{"signed by another", mediaJWT, seal(t, to, testkit.SignPayload(t, `{"iss":"`+issuer+`","aud":"`+rs+`","iat":1800000000,"token_introspection":{"active":true}}`,
			jose.SignerOptions{Type: typ}, testkit.ECKey(t, "evil"))), []introspection.DecryptionKey{key}, introspection.ErrSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token, err := wired(t, reply(tc.mediaType, tc.body), decrypting(tc.keys...)).Introspect(context.Background(), opaque)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, token)
		})
	}
	t.Run("a configuration that contradicts itself", func(t *testing.T) {
		cfg := clientConfig(t)
		cfg.Unsigned, cfg.DecryptionKeys = true, []introspection.DecryptionKey{key}
		_, err := introspection.NewClient(cfg)
		require.ErrorContains(t, err, "Unsigned and DecryptionKeys")
		cfg.Unsigned, cfg.DecryptionKeys = false, []introspection.DecryptionKey{{Key: testkit.Ed25519Key(t, "enc")}}
		_, err = introspection.NewClient(cfg)
		require.ErrorContains(t, err, "decryption key 0")
	})
	t.Run("the key is not in a log", func(t *testing.T) {
		for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%#v", key), key.LogValue().String()} {
			require.Equal(t, `decryption key "k1"`, text)
		}
	})
	t.Run("a response that cannot be encrypted", func(t *testing.T) {
		encrypting := caller
		encrypting.Encrypt = func(string) (string, error) { return "", errors.New("no key") }
		_, body, err := newResponder(t, nil).Answer(encrypting, true, active())
		require.ErrorContains(t, err, "introspection: encrypting: no key")
		require.Empty(t, body)
		_, _, err = newResponder(t, func(c *introspection.ResponderConfig) { c.Key = nil }).Answer(encrypting, false, active())
		require.ErrorContains(t, err, "requires a signed response")
	})
}
