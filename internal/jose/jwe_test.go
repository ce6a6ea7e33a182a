package jose_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const maxJWE = 1 << 16

// agree implements ECDH-ES (RFC 7518 §4.6.2) with the standard library: one round
// of the Concat KDF for A256GCM.
func agree(t testing.TB, private *ecdh.PrivateKey, public *ecdh.PublicKey, apu, apv string) []byte {
	t.Helper()
	z, err := private.ECDH(public)
	require.NoError(t, err)
	field := func(b *bytes.Buffer, s string) {
		require.NoError(t, binary.Write(b, binary.BigEndian, uint32(len(s))))
		b.WriteString(s)
	}
	b := bytes.NewBuffer([]byte{0, 0, 0, 1})
	b.Write(z)
	field(b, "A256GCM")
	field(b, apu)
	field(b, apv)
	b.Write([]byte{0, 0, 1, 0})
	sum := sha256.Sum256(b.Bytes())
	return sum[:]
}

func gcm(t testing.TB, cek []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(cek)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return aead
}

// assemble returns a JWE with any header.
func assemble(t testing.TB, header string, sealedKey, cek []byte, payload string) string {
	t.Helper()
	iv := make([]byte, 12)
	rand.Read(iv)
	sealed := gcm(t, cek).Seal(nil, iv, []byte(payload), []byte(enc(header)))
	tag := len(sealed) - 16
	return strings.Join([]string{enc(header), enc(string(sealedKey)), enc(string(iv)), enc(string(sealed[:tag])), enc(string(sealed[tag:]))}, ".")
}

func headerText(t testing.TB, members map[string]any) string {
	t.Helper()
	text, err := json.Marshal(members)
	require.NoError(t, err)
	return string(text)
}

// sealRSA and sealEC encrypt to the recipient's keys with changed headers.
func sealRSA(t testing.TB, payload string, changes ...any) string {
	cek := make([]byte, 32)
	rand.Read(cek)
	return sealCEK(t, payload, cek, changes...)
}

func sealCEK(t testing.TB, payload string, cek []byte, changes ...any) string {
	t.Helper()
	sealedKey, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &testkit.RSAKey(t, "recipient").PublicKey, cek, nil)
	require.NoError(t, err)
	header := edit(t, map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": "r"}, changes...)
	return assemble(t, header, sealedKey, append(cek, make([]byte, 32)...)[:32], payload)
}

func sealEC(t testing.TB, payload string, changes ...any) string {
	t.Helper()
	ephemeral := generateEC(t, elliptic.P256())
	header := edit(t, map[string]any{
		"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT", "kid": "e", "epk": publicJWK(t, &ephemeral.PublicKey),
	}, changes...)
	private, err := ephemeral.ECDH()
	require.NoError(t, err)
	public, err := testkit.ECKey(t, "recipient").PublicKey.ECDH()
	require.NoError(t, err)
	var parties struct{ APU, APV string }
	if json.Unmarshal([]byte(header), &parties) != nil {
		parties = struct{ APU, APV string }{}
	}
	apu, _ := base64.RawURLEncoding.DecodeString(parties.APU)
	apv, _ := base64.RawURLEncoding.DecodeString(parties.APV)
	return assemble(t, header, nil, agree(t, private, public, string(apu), string(apv)), payload)
}

func recipient(t testing.TB, keys ...jose.DecryptionKey) *jose.Decrypter {
	t.Helper()
	if keys == nil {
		keys = []jose.DecryptionKey{{Key: testkit.RSAKey(t, "recipient")}, {Key: testkit.ECKey(t, "recipient")}}
	}
	d, err := jose.NewDecrypter(keys)
	require.NoError(t, err)
	return d
}

// decrypter hides the type of an RSA key.
type decrypter struct{ key *rsa.PrivateKey }

func (d decrypter) Public() crypto.PublicKey { return d.key.Public() }
func (d decrypter) Decrypt(random io.Reader, sealed []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return d.key.Decrypt(random, sealed, opts)
}

func TestEncrypt(t *testing.T) {
	signed := sign(t, testkit.ECKey(t, "signer"), jose.SignerOptions{})
	for alg, key := range map[string]crypto.PublicKey{
		"RSA-OAEP-256": testkit.RSAKey(t, "recipient").Public(), "ECDH-ES": testkit.ECKey(t, "recipient").Public(),
	} {
		t.Run("JWT-3.6-1 "+alg, func(t *testing.T) {
			token, err := jose.Encryption{Key: key, KeyID: "k", Algorithm: alg, ContentEncryption: jose.A256GCM}.Seal(signed, maxJWE)
			require.NoError(t, err)
			require.True(t, jose.IsEncrypted(token))
			require.False(t, jose.IsEncrypted(signed))
			parts := strings.Split(token, ".")
			raw, err := base64.RawURLEncoding.DecodeString(parts[0])
			require.NoError(t, err)
			var header struct {
				Alg, Enc, Cty, Kid string
				Zip                *string
				EPK                json.RawMessage
			}
			require.NoError(t, json.Unmarshal(raw, &header))
			require.Equal(t, []string{alg, "A256GCM", "JWT", "k"}, []string{header.Alg, header.Enc, header.Cty, header.Kid})
			require.Nil(t, header.Zip)
			require.Equal(t, alg == jose.ECDHES, parts[1] == "")

			var cek []byte
			if alg == jose.ECDHES { // by the standard library, to tell whether others will understand
				epk, err := jose.ParseKey(header.EPK)
				require.NoError(t, err)
				public, err := epk.Public.(*ecdsa.PublicKey).ECDH()
				require.NoError(t, err)
				private, err := testkit.ECKey(t, "recipient").ECDH()
				require.NoError(t, err)
				cek = agree(t, private, public, "", "")
			} else {
				sealed, err := base64.RawURLEncoding.DecodeString(parts[1])
				require.NoError(t, err)
				cek, err = rsa.DecryptOAEP(sha256.New(), nil, testkit.RSAKey(t, "recipient"), sealed, nil)
				require.NoError(t, err)
			}
			var rest [3][]byte
			for i := range rest {
				rest[i], err = base64.RawURLEncoding.DecodeString(parts[2+i])
				require.NoError(t, err)
			}
			payload, err := gcm(t, cek).Open(nil, rest[0], append(rest[1], rest[2]...), []byte(parts[0]))
			require.NoError(t, err)
			require.Equal(t, signed, string(payload))

			got, err := recipient(t).Decrypt(token, maxJWE)
			require.NoError(t, err)
			require.Equal(t, signed, got)
		})
	}
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: testkit.ECKey(t, "a").X, Y: testkit.ECKey(t, "b").Y}
	for _, tc := range []struct {
		name, alg, enc string
		key            crypto.PublicKey
	}{
		{"JWT-3.2-1 RSA1_5", "RSA1_5", "A256GCM", testkit.RSAKey(t, "recipient").Public()},
		{"JWT-3.2-1 RSA-OAEP-512", "RSA-OAEP-512", "A256GCM", testkit.RSAKey(t, "recipient").Public()},
		{"JWT-3.2-1 A192GCM", "RSA-OAEP-256", "A192GCM", testkit.RSAKey(t, "recipient").Public()},
		{"JWT-3.2-1 ECDH-ES+A192KW", "ECDH-ES+A192KW", "A256GCM", testkit.ECKey(t, "recipient").Public()},
		{"JWT-3.5-1 dir", "dir", "A256GCM", make([]byte, 32)},
		{"JWT-3.5-1 a password", "PBES2-HS256+A128KW", "A256GCM", []byte("password")},
		{"an RSA key with ECDH-ES", "ECDH-ES", "A256GCM", testkit.RSAKey(t, "recipient").Public()},
		{"a P-256 key with RSA-OAEP-256", "RSA-OAEP-256", "A256GCM", testkit.ECKey(t, "recipient").Public()},
		{"an Ed25519 key", "ECDH-ES", "A256GCM", testkit.Ed25519Key(t, "recipient").Public()},
		{"P-384", "ECDH-ES", "A256GCM", &generateEC(t, elliptic.P384()).PublicKey},
		{"JWT-3.4-1 a point off the curve", "ECDH-ES", "A256GCM", offCurve},
		{"RSA 1024", "RSA-OAEP-256", "A256GCM", &rsa.PublicKey{N: generateRSA(t, 2048).N.Rsh(generateRSA(t, 2048).N, 1024), E: 65537}},
		{"no key", "ECDH-ES", "A256GCM", nil},
		{"a nil key", "RSA-OAEP-256", "A256GCM", (*rsa.PublicKey)(nil)},
		{"no algorithms", "", "", testkit.ECKey(t, "recipient").Public()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token, err := jose.Encryption{Key: tc.key, Algorithm: tc.alg, ContentEncryption: tc.enc}.Seal(signed, maxJWE)
			require.ErrorIs(t, err, jose.ErrKey)
			require.Empty(t, token)
			require.False(t, jose.EncryptionFits(tc.key, tc.alg, tc.enc))
		})
	}
	for _, tc := range []struct{ name, token, kid string }{{"nothing", "", "k"}, {"JWT-3.7-1 a kid that is no UTF-8", signed, "\xff"}} {
		t.Run(tc.name, func(t *testing.T) {
			to := jose.Encryption{Key: testkit.ECKey(t, "recipient").Public(), KeyID: tc.kid, Algorithm: jose.ECDHES, ContentEncryption: jose.A256GCM}
			_, err := to.Seal(tc.token, maxJWE)
			require.ErrorIs(t, err, jose.ErrMalformed)
		})
	}
}

func TestDecryptAccepts(t *testing.T) {
	for _, tc := range []struct{ name, token string }{
		{"RSA-OAEP-256", sealRSA(t, claims)},
		{"ECDH-ES", sealEC(t, claims)},
		{"ECDH-ES with the parties' names", sealEC(t, claims, "apu", enc("Alice"), "apv", enc("Bob"))},
		{"no kid", sealEC(t, claims, "kid", nil)},
		{"no cty, and typ", sealEC(t, claims, "cty", nil, "typ", "JWT")},
		{"a cty that is null", sealRSA(t, claims, "cty", json.RawMessage("null"))},
		{"an unknown member in the header", sealRSA(t, claims, "iss", "https://as.example", "x", []int{1})},
		{"cty as a media type", sealRSA(t, claims, "cty", "application/jwt")},
		{"p2c is nothing where there is no password", sealRSA(t, claims, "p2c", 1e9)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := recipient(t).Decrypt(tc.token, len(tc.token))
			require.NoError(t, err)
			require.Equal(t, claims, got)
			_, err = recipient(t).Decrypt(tc.token, len(tc.token)-1)
			require.ErrorIs(t, err, jose.ErrMalformed)
		})
	}
	t.Run("a key in hardware", func(t *testing.T) {
		keys := []jose.DecryptionKey{{Key: decrypter{testkit.RSAKey(t, "other")}}, {Key: decrypter{testkit.RSAKey(t, "recipient")}}}
		got, err := recipient(t, keys...).Decrypt(sealRSA(t, claims), maxJWE)
		require.NoError(t, err)
		require.Equal(t, claims, got)
	})
}

func TestDecryptRejects(t *testing.T) {
	good := sealRSA(t, claims)
	part := strings.Split(good, ".")
	with := func(i int, text string) string {
		changed := append([]string{}, part...)
		changed[i] = text
		return strings.Join(changed, ".")
	}
	ec := strings.Split(sealEC(t, claims), ".")
	epk := func(changes ...any) map[string]any {
		var jwk map[string]any
		require.NoError(t, json.Unmarshal([]byte(edit(t, publicJWK(t, &generateEC(t, elliptic.P256()).PublicKey), changes...)), &jwk))
		return jwk
	}
	zero := enc(strings.Repeat("\x00", 32))
	header := headerText(t, map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"})
	jwx, err := jwe.Encrypt([]byte(claims), jwe.WithJSON(), jwe.WithKey(jwa.RSA_OAEP_256, testkit.RSAKey(t, "recipient").Public()))
	require.NoError(t, err)
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"nothing", "", jose.ErrMalformed},
		{"JWT-BIS-1 a JWS", compact(`{"alg":"ES256"}`, claims), jose.ErrMalformed},
		{"four segments", strings.Join(part[:4], "."), jose.ErrMalformed},
		{"six segments", good + ".AA", jose.ErrMalformed},
		{"JSON serialization", string(jwx), jose.ErrMalformed},
		{"a line break", good + "\n", jose.ErrMalformed},
		{"padding", with(2, part[2]+"=="), jose.ErrMalformed},
		{"no header", with(0, ""), jose.ErrMalformed},
		{"a header of 8 KiB", sealRSA(t, claims, "x", strings.Repeat("x", 8<<10)), jose.ErrMalformed},
		{"a header that is no object", with(0, enc(`["x"]`)), jose.ErrMalformed},
		{"a duplicate in the header", with(0, enc(header[:len(header)-1]+`,"alg":"dir"}`)), jose.ErrMalformed},
		{"a duplicate of another case", with(0, enc(header[:len(header)-1]+`,"ALG":"dir"}`)), jose.ErrMalformed},
		{"bytes after the header", with(0, enc(header+"{}")), jose.ErrMalformed},
		{"an alg that is no string", sealRSA(t, claims, "alg", 1), jose.ErrMalformed},
		{"a kid that is no string", sealRSA(t, claims, "kid", []string{"r"}), jose.ErrMalformed},
		{"a typ that is no string", sealRSA(t, claims, "typ", 1), jose.ErrMalformed},
		{"JWE-4.1.13-1 crit", sealRSA(t, claims, "crit", []string{"exp"}, "exp", 1), jose.ErrMalformed},
		{"JWT-3.6-1 JWT-BIS-1 zip", sealRSA(t, claims, "zip", "DEF"), jose.ErrMalformed},
		{"JWT-3.6-1 an empty zip", sealRSA(t, claims, "zip", ""), jose.ErrMalformed},
		{"another cty", sealRSA(t, claims, "cty", "text/plain"), jose.ErrMalformed},
		{"JWT-3.2-1 RSA1_5", sealRSA(t, claims, "alg", "RSA1_5"), jose.ErrAlgorithm},
		{"JWT-3.2-1 RSA-OAEP with SHA-1", sealRSA(t, claims, "alg", "RSA-OAEP"), jose.ErrAlgorithm},
		{"JWT-3.5-1 dir", sealRSA(t, claims, "alg", "dir"), jose.ErrAlgorithm},
		{"JWT-BIS-1 PBES2 with a billion iterations", sealRSA(t, claims, "alg", "PBES2-HS256+A128KW", "p2s", "AAAA", "p2c", 1e9), jose.ErrAlgorithm},
		{"ECDH-ES with key wrap", sealEC(t, claims, "alg", "ECDH-ES+A256KW"), jose.ErrAlgorithm},
		{"no alg", sealRSA(t, claims, "alg", nil), jose.ErrAlgorithm},
		{"JWT-3.2-1 A128CBC-HS256", sealRSA(t, claims, "enc", "A128CBC-HS256"), jose.ErrAlgorithm},
		{"A128GCM", sealRSA(t, claims, "enc", "A128GCM"), jose.ErrAlgorithm},
		{"no enc", sealRSA(t, claims, "enc", nil), jose.ErrAlgorithm},
		{"no encrypted key", with(1, ""), jose.ErrMalformed},
		{"a short encrypted key", with(1, part[1][:100]), jose.ErrMalformed},
		{"an encrypted key of 2 KiB", with(1, strings.Repeat("A", 2732)), jose.ErrMalformed},
		{"an encrypted key where none may be", strings.Join([]string{ec[0], "AAAA", ec[2], ec[3], ec[4]}, "."), jose.ErrMalformed},
		{"a short IV", with(2, "AAAA"), jose.ErrMalformed},
		{"a long IV", with(2, enc(strings.Repeat("x", 16))), jose.ErrMalformed},
		{"a short tag", with(4, part[4][:16]), jose.ErrMalformed},
		{"no ciphertext", with(3, ""), jose.ErrMalformed},
		{"no epk", sealEC(t, claims, "epk", nil), jose.ErrMalformed},
		{"an epk that is a string", sealEC(t, claims, "epk", "x"), jose.ErrKey},
		{"an epk with a private member", sealEC(t, claims, "epk", epk("d", zero)), jose.ErrKey},
		{"JWT-3.4-1 an epk off the curve", sealEC(t, claims, "epk", epk("y", zero)), jose.ErrKey},
		{"JWT-3.4-1 an epk at infinity", sealEC(t, claims, "epk", epk("x", zero, "y", zero)), jose.ErrKey},
		{"an epk of P-384", sealEC(t, claims, "epk", epk("crv", "P-384")), jose.ErrKey},
		{"an epk of X25519", sealEC(t, claims, "epk", map[string]any{"kty": "OKP", "crv": "X25519", "x": zero}), jose.ErrKey},
		{"an epk of Ed25519", sealEC(t, claims, "epk", publicJWK(t, testkit.Ed25519Key(t, "x").Public())), jose.ErrKey},
		{"an epk of RSA", sealEC(t, claims, "epk", publicJWK(t, testkit.RSAKey(t, "recipient").Public())), jose.ErrKey},
		{"an apu that is no base64url", sealEC(t, claims, "apu", "+/"), jose.ErrMalformed},
		{"an apv that is no string", sealEC(t, claims, "apv", 1), jose.ErrMalformed},
		{"another ephemeral key", sealEC(t, claims, "epk", epk()), jose.ErrDecryption},
		{"a content key of 16 bytes", sealCEK(t, claims, make([]byte, 16)), jose.ErrDecryption},
		{"another encrypted key", with(1, strings.Split(sealRSA(t, claims), ".")[1]), jose.ErrDecryption},
		{"JWT-3.3-1 a JWE inside a JWE", sealRSA(t, sealRSA(t, claims)), jose.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := recipient(t).Decrypt(tc.token, maxJWE)
			require.ErrorIs(t, err, tc.want)
			require.Empty(t, got)
		})
	}
}

func TestDecryptKeys(t *testing.T) {
	forEC, forRSA := sealEC(t, claims), sealRSA(t, claims)
	refuse := func(name, token string, keys ...crypto.PrivateKey) {
		t.Run(name, func(t *testing.T) {
			var list []jose.DecryptionKey
			for _, key := range keys {
				list = append(list, jose.DecryptionKey{Key: key})
			}
			got, err := recipient(t, list...).Decrypt(token, maxJWE)
			require.ErrorIs(t, err, jose.ErrDecryption)
			require.Empty(t, got)
		})
	}
	many := make([]crypto.PrivateKey, 8, 9)
	for i := range many {
		many[i] = testkit.ECKey(t, "other")
	}
	refuse("another key", forEC, testkit.ECKey(t, "other"))
	refuse("another RSA key", forRSA, testkit.RSAKey(t, "other"), decrypter{testkit.RSAKey(t, "other")})
	refuse("a ninth key", forEC, append(many, testkit.ECKey(t, "recipient"))...)
	t.Run("an eighth key", func(t *testing.T) {
		var keys []jose.DecryptionKey
		for _, key := range append(many[:7:7], testkit.ECKey(t, "recipient")) {
			keys = append(keys, jose.DecryptionKey{Key: key})
		}
		_, err := recipient(t, keys...).Decrypt(forEC, maxJWE)
		require.NoError(t, err)
	})
	t.Run("a key of another kind", func(t *testing.T) {
		_, err := recipient(t, jose.DecryptionKey{Key: testkit.RSAKey(t, "recipient")}).Decrypt(forEC, maxJWE)
		require.ErrorIs(t, err, jose.ErrAlgorithm)
	})
}

// A changed token does not decrypt.
func FuzzMutatedJWE(f *testing.F) {
	tokens := []string{sealRSA(f, claims), sealEC(f, claims)}
	for i := range 32 {
		f.Add(i*len(tokens[0])/32, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, i int, first bool) {
		token := tokens[1]
		if first {
			token = tokens[0]
		}
		got, err := recipient(t).Decrypt(testkit.MutateJWS(token, i), maxJWE)
		require.Error(t, err)
		require.Empty(t, got)
	})
}

// FuzzJWEHeader encrypts with any header. An accepted token follows the policy.
func FuzzJWEHeader(f *testing.F) {
	for _, token := range []string{sealRSA(f, claims), sealEC(f, claims), sealRSA(f, claims, "zip", "DEF"), sealEC(f, claims, "apu", "AA", "jwk", map[string]any{"kty": "oct"})} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
		require.NoError(f, err)
		f.Add(string(raw))
	}
	cek := make([]byte, 32)
	sealedKey, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &testkit.RSAKey(f, "recipient").PublicKey, cek, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, header string) {
		for _, sealed := range [][]byte{sealedKey, nil} {
			got, err := recipient(t).Decrypt(assemble(t, header, sealed, cek, claims), maxJWE)
			if err != nil {
				require.Empty(t, got)
				continue
			}
			require.Equal(t, claims, got)
			var h map[string]any
			require.NoError(t, json.Unmarshal([]byte(header), &h))
			require.Equal(t, []any{"RSA-OAEP-256", "A256GCM"}, []any{h["alg"], h["enc"]})
			require.NotContains(t, h, "zip")
			require.NotContains(t, h, "crit")
		}
	})
}
