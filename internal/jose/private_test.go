package jose_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// privateJWK returns a private JWK that the other library has marshalled.
func privateJWK(t testing.TB, key crypto.Signer) map[string]any {
	t.Helper()
	parsed, err := jwk.FromRaw(key)
	require.NoError(t, err)
	raw, err := json.Marshal(parsed)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(raw, &members))
	return members
}

func TestParsePrivateKey(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run(p.alg, func(t *testing.T) {
			signer, key, err := jose.ParsePrivateKey([]byte(edit(t, privateJWK(t, p.key), "kid", "k", "alg", p.alg, "use", "sig", "key_ops", []string{"sign"})))
			require.NoError(t, err)
			require.True(t, jose.Equal(key.Public, p.key.Public()))
			require.Equal(t, "k", key.KeyID)
			require.True(t, key.Fits("k", p.alg), "key_ops of the private half do not bind the public one")
			token := sign(t, signer, jose.SignerOptions{Algorithm: p.alg})
			require.NoError(t, split(t, token).Verify(p.alg, p.key.Public()))
			raw, err := json.Marshal(key)
			require.NoError(t, err)
			_, err = jose.ParseKey(raw)
			require.NoError(t, err, "what is written is public")
		})
	}
	t.Run("RSA with only its primes", func(t *testing.T) {
		signer, _, err := jose.ParsePrivateKey([]byte(edit(t, privateJWK(t, testkit.RSAKey(t, "a")), "dp", nil, "dq", nil, "qi", nil)))
		require.NoError(t, err)
		sign(t, signer, jose.SignerOptions{})
	})
	t.Run("attack: CRT values of RSA that would reveal the primes are computed again", func(t *testing.T) {
		signer, _, err := jose.ParsePrivateKey([]byte(edit(t, privateJWK(t, testkit.RSAKey(t, "a")), "dp", "Aw", "dq", "Aw", "qi", "Aw")))
		require.NoError(t, err)
		require.NoError(t, split(t, sign(t, signer, jose.SignerOptions{})).Verify("PS256", testkit.RSAKey(t, "a").Public()))
	})
}

func TestParsePrivateKeyRejects(t *testing.T) {
	ec, ed, rs := privateJWK(t, testkit.ECKey(t, "a")), privateJWK(t, testkit.Ed25519Key(t, "a")), privateJWK(t, testkit.RSAKey(t, "a"))
	ec2, ed2, rs2 := privateJWK(t, testkit.ECKey(t, "b")), privateJWK(t, testkit.Ed25519Key(t, "b")), privateJWK(t, testkit.RSAKey(t, "b"))
	d := ec["d"].(string)
	for _, tc := range []struct{ name, jwk string }{
		{"a public key", edit(t, ec, "d", nil)},
		{"P-256: another key's secret", edit(t, ec, "d", ec2["d"])},
		{"P-256: secret 0", edit(t, ec, "d", enc(strings.Repeat("\x00", 32)))},
		{"P-256: the order as secret", edit(t, ec, "d", enc(string(elliptic.P256().Params().N.Bytes())))},
		{"P-256: a secret of 31 octets", edit(t, ec, "d", enc(strings.Repeat("\x01", 31)))},
		{"P-256: a secret of 33 octets", edit(t, ec, "d", enc("\x00"+strings.Repeat("\x01", 32)))},
		{"P-256: a secret of 10 KiB", edit(t, ec, "d", enc(strings.Repeat("\x01", 10<<10)))},
		{"P-256: an empty secret", edit(t, ec, "d", "")},
		{"P-256: a secret that is a number", edit(t, ec, "d", 1)},
		{"P-256: a secret that is null", strings.Replace(edit(t, ec), `"d":"`+d+`"`, `"d":null`, 1)},
		{"P-256: a secret with a newline", edit(t, ec, "d", d+"\n")},
		{"P-256: padding", edit(t, ec, "d", d+"=")},
		{"P-256: called P-384", edit(t, ec, "crv", "P-384")},
		{"P-384 called P-256", edit(t, privateJWK(t, generateEC(t, elliptic.P384())), "crv", "P-256")},
		{"P-384", edit(t, privateJWK(t, generateEC(t, elliptic.P384())))},
		{"JWT-3.4-1 P-256: a point off the curve", edit(t, ec, "x", ec["y"])},
		{"P-256: called OKP", edit(t, ec, "kty", "OKP", "crv", "Ed25519")},
		{"Ed25519: another key's seed", edit(t, ed, "d", ed2["d"])},
		{"Ed25519: a seed of 31 octets", edit(t, ed, "d", enc(strings.Repeat("\x01", 31)))},
		{"Ed25519: a seed of 64 octets", edit(t, ed, "d", enc(string(testkit.Ed25519Key(t, "a"))))},
		{"Ed25519: an empty seed", edit(t, ed, "d", "")},
		{"Ed25519: called X25519", edit(t, ed, "crv", "X25519")},
		{"RSA: another key's exponent", edit(t, rs, "d", rs2["d"])},
		{"RSA: another key's primes", edit(t, rs, "p", rs2["p"], "q", rs2["q"])},
		{"RSA: no primes", edit(t, rs, "p", nil, "q", nil)},
		{"RSA: one prime", edit(t, rs, "q", nil)},
		{"RSA: one prime twice", edit(t, rs, "q", rs["p"])},
		{"RSA: primes 1 and n", edit(t, rs, "p", "AQ", "q", rs["n"])},
		{"RSA: prime 0", edit(t, rs, "p", "AA")},
		{"RSA: an empty prime", edit(t, rs, "p", "")},
		{"RSA: an exponent of 0", edit(t, rs, "d", "AA")},
		{"RSA: an exponent of 1", edit(t, rs, "d", "AQ")},
		{"RSA: an exponent of 10 KiB", edit(t, rs, "d", enc(strings.Repeat("\x01", 10<<10)))},
		{"RSA: more than two primes", edit(t, rs, "oth", []any{map[string]any{"r": "Aw", "d": "AQ", "t": "AQ"}})},
		{"RSA: primes that are numbers", edit(t, rs, "p", 3, "q", 5)},
		{"SP-5.4.1-2 RSA of 1024 bits", edit(t, privateJWK(t, generateRSA(t, 1024)))},
		{"JWT-3.5-1 a symmetric key", `{"kty":"oct","k":"AAAA","d":"AAAA"}`},
		{"JWT-3.1-2 a key for RS256", edit(t, rs, "alg", "RS256")},
		{"JWT-3.1-2 a key for another type's algorithm", edit(t, ec, "alg", "PS256")},
		{"JWT-3.1-2 a key for decryption", edit(t, rs, "alg", "RSA-OAEP")},
		{"use enc", edit(t, rs, "use", "enc")},
		{"key_ops without sign", edit(t, rs, "key_ops", []string{"decrypt", "verify"})},
		{"key_ops of another type", edit(t, rs, "key_ops", "sign")},
		{"a member twice", strings.Replace(edit(t, ec), `{`, `{"d":"AAAA",`, 1)},
		{"a member in two cases", strings.Replace(edit(t, ec), `{`, `{"D":"AAAA",`, 1)},
		{"a PEM block", "-----BEGIN EC PRIVATE KEY-----\n" + d + "\n-----END EC PRIVATE KEY-----\n"},
		{"a key set", `{"keys":[` + edit(t, ec) + `]}`},
		{"cut off", edit(t, ec)[:len(edit(t, ec))-1]},
		{"bytes after it", edit(t, ec) + "x"},
		{"nothing", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signer, key, err := jose.ParsePrivateKey([]byte(tc.jwk))
			require.ErrorIs(t, err, jose.ErrKey)
			require.Nil(t, signer)
			require.Nil(t, key)
			for _, jwk := range []map[string]any{ec, ed, rs} {
				for _, secret := range []string{"d", "p", "q"} {
					if s, ok := jwk[secret].(string); ok {
						require.NotContains(t, err.Error(), s[:8], "an error quotes no secret")
					}
				}
			}
		})
	}
}

func TestParsePrivateKeyWithLeadingZeros(t *testing.T) {
	for found := 0; found < 1; {
		key := generateEC(t, elliptic.P256())
		if key.D.BitLen() > 248 {
			continue
		}
		found++
		signer, _, err := jose.ParsePrivateKey([]byte(edit(t, privateJWK(t, key), "d", enc(string(key.D.FillBytes(make([]byte, 32)))))))
		require.NoError(t, err)
		require.True(t, jose.Equal(signer.Public(), key.Public()))
		_, _, err = jose.ParsePrivateKey([]byte(edit(t, privateJWK(t, key), "d", enc(string(key.D.Bytes())))))
		require.ErrorIs(t, err, jose.ErrKey)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	_, _, err = jose.ParsePrivateKey([]byte(`{"kty":"RSA","e":"AQAB","n":"` + enc(string(n.Bytes())) + `","d":"AQ"}`))
	require.ErrorIs(t, err, jose.ErrKey)
}
