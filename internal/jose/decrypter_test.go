package jose_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// agreeing hides the private key, like a hardware module.
type agreeing struct{ key *ecdh.PrivateKey }

func (a agreeing) PublicKey() *ecdh.PublicKey                { return a.key.PublicKey() }
func (a agreeing) ECDH(with *ecdh.PublicKey) ([]byte, error) { return a.key.ECDH(with) }

// broken is a module that fails, or whose results have the wrong length.
type broken struct {
	agreeing
	secret []byte
	err    error
}

func (b broken) ECDH(*ecdh.PublicKey) ([]byte, error) { return b.secret, b.err }

func ecdhKey(t testing.TB, key *ecdsa.PrivateKey) *ecdh.PrivateKey {
	t.Helper()
	own, err := key.ECDH()
	require.NoError(t, err)
	return own
}

// A way is a pair of algorithms with the keys for them.
type way struct {
	alg, enc string
	private  crypto.PrivateKey
	public   crypto.PublicKey
}

func ways(t testing.TB) (all []way) {
	for _, alg := range jose.EncryptionAlgorithms() {
		for _, enc := range jose.ContentEncryptions() {
			w := way{alg, enc, testkit.RSAKey(t, "recipient"), testkit.RSAKey(t, "recipient").Public()}
			if strings.HasPrefix(alg, "ECDH") {
				w.private, w.public = testkit.ECKey(t, "recipient"), testkit.ECKey(t, "recipient").Public()
			}
			all = append(all, w)
		}
	}
	return all
}

func (w way) key() jose.DecryptionKey {
	return jose.DecryptionKey{Key: w.private, KeyID: "k", Algorithm: w.alg, ContentEncryption: w.enc}
}

func (w way) seal(t testing.TB, token string) string {
	t.Helper()
	sealed, err := jose.Encryption{Key: w.public, KeyID: "k", Algorithm: w.alg, ContentEncryption: w.enc}.Seal(token, maxJWE)
	require.NoError(t, err)
	return sealed
}

// damage changes the first octet of a segment.
func damage(t testing.TB, token string, segment int) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[segment])
	require.NoError(t, err)
	raw[0] ^= 0x40
	parts[segment] = base64.RawURLEncoding.EncodeToString(raw)
	return strings.Join(parts, ".")
}

// The JOSE library encrypts, and this package decrypts the content key. Each
// pair of algorithms is accepted by a recipient that is configured for it, and
// by no other.
func TestEncryptionAlgorithms(t *testing.T) {
	all := ways(t)
	require.Len(t, all, 20)
	for _, w := range all {
		t.Run("JWT-3.1-1 JWE-5.2-1 "+w.alg+" "+w.enc, func(t *testing.T) {
			sealed := w.seal(t, claims)
			got, err := recipient(t, w.key()).Decrypt(sealed, maxJWE)
			require.NoError(t, err)
			require.Equal(t, claims, got)
			for _, other := range all {
				if other.alg == w.alg && other.enc == w.enc {
					continue
				}
				got, err := recipient(t, other.key()).Decrypt(sealed, maxJWE)
				require.ErrorIs(t, err, jose.ErrAlgorithm)
				require.Empty(t, got)
			}
			t.Run("JWE-11.5-1 one error for a damaged key, IV, ciphertext and tag", func(t *testing.T) {
				for segment := 1; segment < 5; segment++ {
					if w.alg == jose.ECDHES && segment == 1 {
						continue
					}
					got, err := recipient(t, w.key()).Decrypt(damage(t, sealed, segment), maxJWE)
					require.Equal(t, jose.ErrDecryption, err, "not even its text differs")
					require.Empty(t, got)
				}
			})
			stranger := w.key()
			stranger.KeyID = "other"
			_, err = recipient(t, stranger).Decrypt(sealed, maxJWE)
			require.ErrorIs(t, err, jose.ErrDecryption)
			require.ErrorContains(t, err, `no key with kid "k"`)
		})
	}
	t.Run("two keys of a recipient during a change", func(t *testing.T) {
		for _, w := range all {
			both := recipient(t, all[0].key(), w.key())
			for _, sealed := range []string{all[0].seal(t, claims), w.seal(t, claims)} {
				got, err := both.Decrypt(sealed, maxJWE)
				require.NoError(t, err)
				require.Equal(t, claims, got)
			}
		}
		mixed := way{all[0].alg, "A128CBC-HS256", all[0].private, all[0].public} // alg of the one, enc of the other
		_, err := recipient(t, all[0].key(), way{"ECDH-ES+A256KW", "A128CBC-HS256", all[0].private, all[0].public}.key()).Decrypt(mixed.seal(t, claims), maxJWE)
		require.ErrorIs(t, err, jose.ErrAlgorithm)
	})
	t.Run("no more than max bytes", func(t *testing.T) {
		w := all[0]
		sealed := w.seal(t, claims)
		to := jose.Encryption{Key: w.public, KeyID: "k", Algorithm: w.alg, ContentEncryption: w.enc}
		_, err := to.Seal(claims, len(sealed)-1)
		require.ErrorIs(t, err, jose.ErrMalformed)
		_, err = recipient(t, w.key()).Decrypt(sealed, len(sealed)-1)
		require.ErrorIs(t, err, jose.ErrMalformed)
	})
}

// An attacker who replaces the encrypted key does not choose the content key.
func TestContentKeySubstitution(t *testing.T) {
	zero := make([]byte, 32)
	garbage := enc(strings.Repeat("x", 256))
	parts := strings.Split(sealCEK(t, claims, zero), ".")
	_, err := recipient(t).Decrypt(strings.Join(parts, "."), maxJWE)
	require.NoError(t, err)
	parts[1] = garbage
	_, err = recipient(t).Decrypt(strings.Join(parts, "."), maxJWE)
	require.Equal(t, jose.ErrDecryption, err)
}

func TestKeysInHardware(t *testing.T) {
	own := ecdhKey(t, testkit.ECKey(t, "recipient"))
	for _, w := range ways(t) {
		if !strings.HasPrefix(w.alg, "ECDH") {
			w.private = decrypter{testkit.RSAKey(t, "recipient")}
			got, err := recipient(t, w.key()).Decrypt(w.seal(t, claims), maxJWE)
			require.NoError(t, err, w.alg)
			require.Equal(t, claims, got)
			continue
		}
		for _, key := range []crypto.PrivateKey{own, agreeing{own}} {
			w.private = key
			got, err := recipient(t, w.key()).Decrypt(w.seal(t, claims), maxJWE)
			require.NoError(t, err, w.alg)
			require.Equal(t, claims, got)
		}
		for _, key := range []broken{
			{agreeing{own}, nil, errors.New("PIN 1234 was wrong")}, {agreeing{own}, make([]byte, 31), nil}, {agreeing{own}, nil, nil},
		} {
			w.private = key
			_, err := recipient(t, w.key()).Decrypt(w.seal(t, claims), maxJWE)
			require.Equal(t, jose.ErrDecryption, err, "without the text of the module")
		}
	}
}

func TestNewDecrypterRejects(t *testing.T) {
	ec, rsaKey := testkit.ECKey(t, "recipient"), testkit.RSAKey(t, "recipient")
	p384, x25519 := ecdhKey(t, generateEC(t, elliptic.P384())), func() *ecdh.PrivateKey {
		key, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
		require.NoError(t, err)
		return key
	}()
	for _, tc := range []struct {
		name string
		key  jose.DecryptionKey
	}{
		{"no key", jose.DecryptionKey{}},
		{"a nil EC key", jose.DecryptionKey{Key: (*ecdsa.PrivateKey)(nil)}},
		{"a nil ECDH key", jose.DecryptionKey{Key: (*ecdh.PrivateKey)(nil)}},
		{"a nil RSA key", jose.DecryptionKey{Key: (*rsa.PrivateKey)(nil)}},
		{"a public key", jose.DecryptionKey{Key: ec.Public()}},
		{"a secret", jose.DecryptionKey{Key: []byte("password")}},
		{"P-384", jose.DecryptionKey{Key: generateEC(t, elliptic.P384())}},
		{"P-384 of crypto/ecdh", jose.DecryptionKey{Key: p384}},
		{"P-384 in hardware", jose.DecryptionKey{Key: agreeing{p384}}},
		{"X25519", jose.DecryptionKey{Key: x25519}},
		{"Ed25519", jose.DecryptionKey{Key: ed25519.NewKeyFromSeed(make([]byte, 32))}},
		{"RSA 1024", jose.DecryptionKey{Key: decrypter{&rsa.PrivateKey{PublicKey: rsa.PublicKey{N: generateRSA(t, 2048).N.Rsh(generateRSA(t, 2048).N, 1024), E: 65537}}}}},
		{"halves that do not belong together", jose.DecryptionKey{Key: &ecdsa.PrivateKey{PublicKey: testkit.ECKey(t, "other").PublicKey, D: ec.D}}},
		{"JWT-3.1-2 an EC key for RSA-OAEP-256", jose.DecryptionKey{Key: ec, Algorithm: "RSA-OAEP-256"}},
		{"JWT-3.1-2 an RSA key for ECDH-ES", jose.DecryptionKey{Key: rsaKey, Algorithm: "ECDH-ES"}},
		{"JWT-3.2-1 RSA1_5", jose.DecryptionKey{Key: rsaKey, Algorithm: "RSA1_5"}},
		{"JWT-3.2-1 dir", jose.DecryptionKey{Key: ec, Algorithm: "dir"}},
		{"JWT-3.5-1 PBES2", jose.DecryptionKey{Key: ec, Algorithm: "PBES2-HS256+A128KW"}},
		{"JWT-3.2-1 ECDH-ES+A192KW", jose.DecryptionKey{Key: ec, Algorithm: "ECDH-ES+A192KW"}},
		{"JWT-3.2-1 A192GCM", jose.DecryptionKey{Key: ec, ContentEncryption: "A192GCM"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := jose.NewDecrypter([]jose.DecryptionKey{{Key: ec}, tc.key})
			require.ErrorIs(t, err, jose.ErrKey)
			require.ErrorContains(t, err, "decryption key 1")
			require.Nil(t, d)
		})
	}
}

func TestSuits(t *testing.T) {
	d := recipient(t, jose.DecryptionKey{Key: testkit.ECKey(t, "recipient")}, jose.DecryptionKey{
		Key: testkit.RSAKey(t, "recipient"), Algorithm: "RSA-OAEP", ContentEncryption: "A128CBC-HS256",
	})
	for _, tc := range []struct {
		algs, encs []string
		want       bool
	}{
		{nil, nil, true},
		{[]string{"dir", "ECDH-ES"}, nil, true},
		{[]string{"RSA-OAEP"}, []string{"A128CBC-HS256"}, true},
		{[]string{"RSA-OAEP"}, []string{"A256GCM"}, false},
		{[]string{"RSA-OAEP-256"}, nil, false},
		{nil, []string{"A128GCM"}, false},
		{[]string{}, nil, false},
	} {
		require.Equal(t, tc.want, d.Suits(tc.algs, tc.encs), "%q %q", tc.algs, tc.encs)
	}
	none, err := jose.NewDecrypter[jose.DecryptionKey](nil)
	require.NoError(t, err)
	require.Nil(t, none)
	require.True(t, none.Suits([]string{}, nil))
}

// A token is rejected with one class of error, or it has the content that was
// encrypted.
func FuzzDecrypt(f *testing.F) {
	var keys []jose.DecryptionKey
	for _, w := range ways(f) {
		keys = append(keys, w.key())
		f.Add(w.seal(f, claims))
	}
	f.Add(sealEC(f, claims, "alg", "ECDH-ES+A256KW", "enc", "A256CBC-HS512"))
	f.Add("....")
	d := recipient(f, keys...)
	f.Fuzz(func(t *testing.T, token string) {
		got, err := d.Decrypt(token, maxJWE)
		if err == nil {
			require.Equal(t, claims, got)
			return
		}
		require.Empty(t, got)
		classes := 0
		for _, class := range []error{jose.ErrMalformed, jose.ErrAlgorithm, jose.ErrKey, jose.ErrDecryption} {
			if errors.Is(err, class) {
				classes++
			}
		}
		require.Equal(t, 1, classes, "%v", err)
	})
}

func TestPublishedEncryption(t *testing.T) {
	classes := map[string]error{"algorithm": jose.ErrAlgorithm, "key": jose.ErrKey}
	for _, v := range testkit.LoadVectors[struct {
		ID      string          `json:"id"`
		Spec    string          `json:"spec"`
		Alg     string          `json:"alg"`
		Enc     string          `json:"enc"`
		JWK     json.RawMessage `json:"jwk"`
		JWE     string          `json:"jwe"`
		Payload string          `json:"payload_utf8"`
		Fails   string          `json:"fails"` // class
	}](t, "testdata/jwe.json") {
		t.Run(v.ID, func(t *testing.T) {
			key := jose.DecryptionKey{Key: testkit.ECKey(t, "recipient"), Algorithm: v.Alg, ContentEncryption: v.Enc}
			if v.JWK != nil {
				private, _, err := jose.ParsePrivateKey(v.JWK)
				require.NoError(t, err)
				key.Key = private
			}
			d := recipient(t, key)
			if v.Fails != "" {
				_, err := d.DecryptAny(v.JWE, maxJWE)
				require.ErrorIs(t, err, classes[v.Fails])
				return
			}
			got, err := d.DecryptAny(v.JWE, maxJWE)
			require.NoError(t, err)
			require.Equal(t, v.Payload, got)
			for i := range 63 {
				_, err := d.DecryptAny(testkit.MutateJWS(v.JWE, 11*i), maxJWE)
				require.Error(t, err)
			}
		})
	}
}

func TestPublishedAgreement(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID      string          `json:"id"`
		Spec    string          `json:"spec"`
		Enc     string          `json:"enc"`
		APU     string          `json:"apu"`
		APV     string          `json:"apv"`
		EPK     json.RawMessage `json:"epk"`
		JWK     json.RawMessage `json:"jwk"`
		Derived string          `json:"derived"`
	}](t, "testdata/agreement.json") {
		t.Run(v.ID, func(t *testing.T) {
			epk, err := jose.ParseKey(v.EPK)
			require.NoError(t, err)
			public, err := epk.Public.(*ecdsa.PublicKey).ECDH()
			require.NoError(t, err)
			private, _, err := jose.ParsePrivateKey(v.JWK)
			require.NoError(t, err)
			z, err := ecdhKey(t, private.(*ecdsa.PrivateKey)).ECDH(public)
			require.NoError(t, err)
			octets := func(text string) []byte {
				raw, err := base64.RawURLEncoding.DecodeString(text)
				require.NoError(t, err)
				return raw
			}
			want := octets(v.Derived)
			require.Equal(t, want, jose.ConcatKDF(z, v.Enc, octets(v.APU), octets(v.APV), len(want)))
		})
	}
}

func TestPublishedKeyWrap(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct{ ID, Spec, KEK, Key, Wrapped string }](t, "testdata/keywrap.json") {
		t.Run(v.ID, func(t *testing.T) {
			var octets [3][]byte
			for i, text := range []string{v.KEK, v.Key, v.Wrapped} {
				var err error
				octets[i], err = hex.DecodeString(text)
				require.NoError(t, err)
			}
			got, err := jose.Unwrap(octets[0], octets[2])
			require.NoError(t, err)
			require.Equal(t, octets[1], got)
			for i := range octets[2] {
				octets[2][i] ^= 1
				_, err := jose.Unwrap(octets[0], octets[2])
				require.Error(t, err)
				octets[2][i] ^= 1
			}
			for _, wrapped := range [][]byte{nil, octets[2][:16], octets[2][:len(octets[2])-1]} {
				_, err := jose.Unwrap(octets[0], wrapped)
				require.Error(t, err)
			}
			_, err = jose.Unwrap(octets[0][:15], octets[2])
			require.Error(t, err)
		})
	}
}
