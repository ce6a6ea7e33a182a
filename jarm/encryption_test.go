package jarm_test

import (
	"context"
	"crypto"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

func toEC(t testing.TB) jarm.Encryption {
	return jarm.Encryption{
		Key: testkit.ECKey(t, "enc").Public(), KeyID: "ec", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM",
	}
}

func toRSA(t testing.TB) jarm.Encryption {
	return jarm.Encryption{
		Key: testkit.RSAKey(t, "enc").Public(), KeyID: "rsa", Algorithm: "RSA-OAEP-256", ContentEncryption: "A256GCM",
	}
}

// decrypting is a client with both keys.
func decrypting(t testing.TB) func(*jarm.VerifierConfig) {
	return func(c *jarm.VerifierConfig) {
		c.DecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "enc"), KeyID: "ec"}, {Key: testkit.RSAKey(t, "enc"), KeyID: "rsa"}}
	}
}

func encrypt(t testing.TB, token string, to jarm.Encryption) string {
	t.Helper()
	sealed, err := jose.Encryption(to).Seal(token, 1<<17)
	require.NoError(t, err)
	return sealed
}

func TestEncryptedResponse(t *testing.T) {
	params := url.Values{"code": {code}, "state": {state}}
	for name, to := range map[string]jarm.Encryption{"ECDH-ES": toEC(t), "RSA-OAEP-256": toRSA(t)} {
		t.Run("JARM-2.2-1 JARM-2.4-1 "+name, func(t *testing.T) {
			sealed, err := newIssuer(t, nil).EncryptedResponse(client, params, to)
			require.NoError(t, err)
			require.Len(t, strings.Split(sealed, "."), 5)
			for entry, enter := range entries {
				got, err := enter(newVerifier(t, decrypting(t)), sealed)
				require.NoError(t, err, entry)
				require.Equal(t, params, got.Params())
			}
			target, err := jarm.RedirectURL(callback, sealed)
			require.NoError(t, err)
			require.Equal(t, callback+"?response="+sealed, target)

			requireRefused(t, sealed, jarm.ErrEncryption, nil) // no decryption key at all
			requireRefused(t, sealed, jarm.ErrEncryption, func(c *jarm.VerifierConfig) {
				c.DecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "other")}, {Key: testkit.RSAKey(t, "other")}}
			})
			requireRefused(t, sealed, jarm.ErrEncryption, func(c *jarm.VerifierConfig) {
				c.DecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "enc"), KeyID: "x"}, {Key: testkit.RSAKey(t, "enc"), KeyID: "x"}}
			})
			got, err := newVerifier(t, func(c *jarm.VerifierConfig) {
				c.DecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "enc")}, {Key: testkit.RSAKey(t, "enc")}}
			}).Verify(context.Background(), sealed)
			require.NoError(t, err)
			require.Equal(t, code, got.Code())
		})
	}
	for _, alg := range jose.EncryptionAlgorithms() {
		for _, enc := range jose.ContentEncryptions() {
			t.Run("JARM-2.4-1 "+alg+" "+enc, func(t *testing.T) {
				to, key := toRSA(t), jarm.DecryptionKey{Key: testkit.RSAKey(t, "enc"), KeyID: "rsa", Algorithm: alg, ContentEncryption: enc}
				if strings.HasPrefix(alg, "ECDH") {
					to, key.Key, key.KeyID = toEC(t), testkit.ECKey(t, "enc"), "ec"
				}
				to.Algorithm, to.ContentEncryption = alg, enc
				sealed, err := newIssuer(t, nil).EncryptedResponse(client, params, to)
				require.NoError(t, err)
				got, err := newVerifier(t, func(c *jarm.VerifierConfig) { c.DecryptionKeys = []jarm.DecryptionKey{key} }).Verify(context.Background(), sealed)
				require.NoError(t, err)
				require.Equal(t, params, got.Params())
				if (alg == "ECDH-ES" || alg == "RSA-OAEP-256") && enc == "A256GCM" { // the defaults
					return
				}
				requireRefused(t, sealed, jarm.ErrAlgorithm, decrypting(t)) // JWT-3.1-1: the message does not choose
			})
		}
	}
	t.Run("JARM-2.2-1 what was signed before is sealed as it is", func(t *testing.T) {
		signed, err := newIssuer(t, nil).Response(client, params)
		require.NoError(t, err)
		sealed, err := toEC(t).Seal(signed)
		require.NoError(t, err)
		got, err := newVerifier(t, decrypting(t)).Verify(context.Background(), sealed)
		require.NoError(t, err)
		require.Equal(t, params, got.Params())
		_, err = toEC(t).Seal("")
		require.Error(t, err)
	})
	t.Run("MS-6.1-1 nothing is encrypted unasked", func(t *testing.T) {
		token, err := newIssuer(t, nil).Response(client, params)
		require.NoError(t, err)
		require.False(t, jose.IsEncrypted(token))
		_, err = newVerifier(t, nil).Verify(context.Background(), token)
		require.NoError(t, err)
		requireRefused(t, token, jarm.ErrEncryption, decrypting(t)) // this client demands it
		got, err := newVerifier(t, func(c *jarm.VerifierConfig) {
			decrypting(t)(c)
			c.AllowUnencrypted = true
		}).Verify(context.Background(), token)
		require.NoError(t, err)
		require.Equal(t, code, got.Code())
	})
	for name, change := range map[string]func(*jarm.Encryption){
		"no key":                        func(e *jarm.Encryption) { e.Key = nil },
		"no algorithm":                  func(e *jarm.Encryption) { e.Algorithm = "" },
		"no content encryption":         func(e *jarm.Encryption) { e.ContentEncryption = "" },
		"an unknown content encryption": func(e *jarm.Encryption) { e.ContentEncryption = "A192GCM" },
		"RSA1_5":                        func(e *jarm.Encryption) { *e = toRSA(t); e.Algorithm = "RSA1_5" },
		"dir":                           func(e *jarm.Encryption) { e.Algorithm = "dir" },
		"the key of another kind":       func(e *jarm.Encryption) { e.Key = testkit.RSAKey(t, "enc").Public() },
		"a private key":                 func(e *jarm.Encryption) { e.Key = testkit.ECKey(t, "enc") },
	} {
		t.Run("JARM-2.2-1 "+name, func(t *testing.T) {
			to := toEC(t)
			change(&to)
			sealed, err := newIssuer(t, nil).EncryptedResponse(client, params, to)
			require.Error(t, err)
			require.Empty(t, sealed)
		})
	}
	t.Run("JARM-2.1-1 iss among the parameters", func(t *testing.T) {
		_, err := newIssuer(t, nil).EncryptedResponse(client, url.Values{"code": {code}, "iss": {issuer}}, toEC(t))
		require.Error(t, err)
	})
	t.Run("more than 64 KiB", func(t *testing.T) {
		_, err := newIssuer(t, nil).EncryptedResponse(client, url.Values{"code": {code}, "state": {strings.Repeat("x", 40<<10)}}, toEC(t))
		require.Error(t, err)
	})
}

// TestEncryptionIsNoSignature: anybody can encrypt to the client, so all that holds for what is signed holds inside too.
func TestEncryptionIsNoSignature(t *testing.T) {
	good := sign(t, set())
	for _, tc := range []struct {
		name, inside string
		want         error
	}{
		{"JARM-2.4-5 signed by another", testkit.SignPayload(t, `{"iss":"`+issuer+`","aud":"`+client+`","exp":1800000300,"code":"x"}`, jose.SignerOptions{}, testkit.ECKey(t, "evil")), jarm.ErrSignature},
		{"JARM-2.4-5 not signed", `{"iss":"` + issuer + `","aud":"` + client + `","exp":1800000300,"code":"x"}`, jarm.ErrMalformed},
		{"JARM-2.4-5 none", testkit.WithHeader(good, `{"alg":"none"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-2 another issuer", sign(t, set("iss", "https://evil.example.com")), jarm.ErrIssuer},
		{"JARM-2.4-3 another audience", sign(t, set("aud", "other")), jarm.ErrAudience},
		{"JARM-2.4-4 expired", sign(t, set("exp", 1)), jarm.ErrExpired},
		{"JWT-3.12-1 an ID token", sign(t, set("sub", "alice")), jarm.ErrType},
		{"JWT-3.3-1 encrypted twice", encrypt(t, good, toEC(t)), jarm.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, to := range []jarm.Encryption{toEC(t), toRSA(t)} {
				requireRefused(t, encrypt(t, tc.inside, to), tc.want, decrypting(t))
			}
		})
	}
	t.Run("JARM-5.1-1 no key is fetched for an unexpected issuer", func(t *testing.T) {
		v := newVerifier(t, func(c *jarm.VerifierConfig) {
			decrypting(t)(c)
			c.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) {
				t.Error("fetched")
				return nil, nil
			}
		})
		_, err := v.Verify(context.Background(), encrypt(t, sign(t, set("iss", "https://evil.example.com")), toEC(t)))
		require.ErrorIs(t, err, jarm.ErrIssuer)
	})
	sealed := encrypt(t, good, toEC(t))
	_, rest, _ := strings.Cut(sealed, ".")
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"JARM-2.4-1 another algorithm", testkit.WithHeader(sealed, `{"alg":"dir","enc":"A256GCM","cty":"JWT"}`), jarm.ErrAlgorithm},
		{"JARM-2.4-1 compressed", testkit.WithHeader(sealed, `{"alg":"ECDH-ES","enc":"A256GCM","cty":"JWT","zip":"DEF"}`), jarm.ErrMalformed},
		{"JARM-2.4-1 no ephemeral key", testkit.WithHeader(sealed, `{"alg":"ECDH-ES","enc":"A256GCM","cty":"JWT"}`), jarm.ErrMalformed},
		{"JARM-2.4-1 an ephemeral key that is none", testkit.WithHeader(sealed, `{"alg":"ECDH-ES","enc":"A256GCM","cty":"JWT","epk":1}`), jarm.ErrEncryption},
		{"JARM-2.4-1 no header", "." + rest, jarm.ErrMalformed},
		{"JARM-2.4-1 more than 64 KiB", sealed + strings.Repeat("A", 64<<10), jarm.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, tc.token, tc.want, decrypting(t)) })
	}
}
