package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestSigner(t *testing.T) {
	for _, p := range pairs(t) {
		for _, how := range []struct {
			name string
			key  crypto.Signer
		}{{"plain key", p.key}, {"opaque signer", opaque{p.key}}} {
			t.Run(p.alg+" "+how.name, func(t *testing.T) {
				s, err := jose.NewSigner(how.key, jose.SignerOptions{Algorithm: p.alg, Type: "at+jwt", KeyID: "k"})
				require.NoError(t, err)
				thumbprint, err := jose.Thumbprint(p.key.Public())
				require.NoError(t, err)
				require.Equal(t, []string{p.alg, "k", thumbprint}, []string{s.Algorithm(), s.KeyID(), s.Thumbprint()})
				require.True(t, jose.Equal(p.key.Public(), s.Public()))

				token, err := s.Sign([]byte(`{"iss":"https://as.example/?a&b<c>"}`))
				require.NoError(t, err)
				c := split(t, token)
				h, err := c.ParseHeader()
				require.NoError(t, err)
				require.Equal(t, jose.Header{Algorithm: p.alg, Type: "at+jwt", KeyID: "k"}, h)
				o, err := c.Claims()
				require.NoError(t, err)
				iss, _, err := o.String("iss")
				require.NoError(t, err)
				require.Equal(t, "https://as.example/?a&b<c>", iss)
				require.NoError(t, c.Verify(p.alg, p.key.Public()))
			})
		}
	}
}

func TestSignerHeader(t *testing.T) {
	header := func(o jose.SignerOptions) map[string]any {
		raw, err := base64.RawURLEncoding.DecodeString(split(t, sign(t, testkit.RSAKey(t, "a"), o)).Header)
		require.NoError(t, err)
		var h map[string]any
		require.NoError(t, json.Unmarshal(raw, &h))
		return h
	}
	require.Equal(t, map[string]any{"alg": "PS256"}, header(jose.SignerOptions{}))
	t.Run("an embedded key is public and SP-5.4.2-2 no jku or x5u is ever written", func(t *testing.T) {
		h := header(jose.SignerOptions{EmbedKey: true, Type: "dpop+jwt"})
		require.Equal(t, map[string]any{"alg": "PS256", "typ": "dpop+jwt", "jwk": map[string]any{
			"kty": "RSA", "e": "AQAB", "n": enc(string(testkit.RSAKey(t, "a").N.Bytes())),
		}}, h)
	})
	t.Run("JWT-3.2-2 an ES256 signature is never made with the same randomness twice", func(t *testing.T) {
		s, err := jose.NewSigner(testkit.ECKey(t, "a"), jose.SignerOptions{})
		require.NoError(t, err)
		seen := map[string]bool{}
		for range 50 {
			token, err := s.Sign([]byte(claims))
			require.NoError(t, err)
			raw, err := base64.RawURLEncoding.DecodeString(split(t, token).Signature)
			require.NoError(t, err)
			require.Len(t, raw, 64)
			require.False(t, seen[string(raw[:32])])
			seen[string(raw[:32])] = true
		}
	})
}

func TestNewSignerRejects(t *testing.T) {
	ec, ed, rs := testkit.ECKey(t, "a"), testkit.Ed25519Key(t, "a"), testkit.RSAKey(t, "a")
	mixed := append(append(ed25519.PrivateKey{}, ed[:32]...), testkit.Ed25519Key(t, "b")[32:]...)
	for _, tc := range []struct {
		name string
		key  crypto.Signer
		o    jose.SignerOptions
		want error
	}{
		{"no key", nil, jose.SignerOptions{}, jose.ErrKey},
		{"a nil P-256 key", (*ecdsa.PrivateKey)(nil), jose.SignerOptions{}, jose.ErrKey},
		{"a nil RSA key", (*rsa.PrivateKey)(nil), jose.SignerOptions{}, jose.ErrKey},
		{"a nil Ed25519 key", ed25519.PrivateKey(nil), jose.SignerOptions{}, jose.ErrKey},
		{"an empty P-256 key", &ecdsa.PrivateKey{}, jose.SignerOptions{}, jose.ErrKey},
		{"an empty RSA key", &rsa.PrivateKey{}, jose.SignerOptions{}, jose.ErrKey},
		{"an Ed25519 seed", ed[:32], jose.SignerOptions{}, jose.ErrKey},
		{"P-256 without a secret", &ecdsa.PrivateKey{PublicKey: ec.PublicKey}, jose.SignerOptions{}, jose.ErrKey},
		{"RSA without a secret", &rsa.PrivateKey{PublicKey: rs.PublicKey}, jose.SignerOptions{}, jose.ErrKey},
		{"P-256 with another key's secret", &ecdsa.PrivateKey{PublicKey: ec.PublicKey, D: testkit.ECKey(t, "b").D}, jose.SignerOptions{}, jose.ErrKey},
		{"P-256 with too large a secret", &ecdsa.PrivateKey{PublicKey: ec.PublicKey, D: new(big.Int).Lsh(ec.D, 256)}, jose.SignerOptions{}, jose.ErrKey},
		{"Ed25519 with another key's public half, which would give the secret away", mixed, jose.SignerOptions{}, jose.ErrKey},
		{"SP-5.4.1-2 RSA of 1024 bits", generateRSA(t, 1024), jose.SignerOptions{}, jose.ErrKey},
		{"SP-5.4.1-3 P-224", generateEC(t, elliptic.P224()), jose.SignerOptions{}, jose.ErrKey},
		{"P-384", generateEC(t, elliptic.P384()), jose.SignerOptions{}, jose.ErrKey},
		{"an opaque key of no known type", device{public: "key"}, jose.SignerOptions{}, jose.ErrKey},
		{"SP-5.4.1-1.3 none", ec, jose.SignerOptions{Algorithm: "none"}, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 RS256", rs, jose.SignerOptions{Algorithm: "RS256"}, jose.ErrAlgorithm},
		{"JWT-3.1-2 another type's algorithm", ec, jose.SignerOptions{Algorithm: "PS256"}, jose.ErrKey},
		{"JWT-3.7-1 a kid that is not UTF-8", ec, jose.SignerOptions{KeyID: "\xff"}, jose.ErrMalformed},
		{"JWT-3.7-1 a typ that is not UTF-8", ec, jose.SignerOptions{Type: "\xff"}, jose.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.NewSigner(tc.key, tc.o)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, s)
		})
	}
}

func TestSignFails(t *testing.T) {
	ec, ed, rs := testkit.ECKey(t, "a"), testkit.Ed25519Key(t, "a"), testkit.RSAKey(t, "a")
	offline := errors.New("module offline")
	for _, tc := range []struct {
		name string
		key  device
		want error
	}{
		{"the device is offline", device{public: ec.Public(), err: offline}, offline},
		{"ES256: nothing", device{public: ec.Public()}, jose.ErrKey},
		{"ES256: r||s", device{public: ec.Public(), signature: make([]byte, 64)}, jose.ErrKey},
		{"PS256: a signature of another size", device{public: rs.Public(), signature: make([]byte, 255)}, jose.ErrKey},
		{"EdDSA: a signature of another size", device{public: ed.Public(), signature: make([]byte, 63)}, jose.ErrKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.NewSigner(tc.key, jose.SignerOptions{})
			require.NoError(t, err)
			token, err := s.Sign([]byte(claims))
			require.ErrorIs(t, err, tc.want)
			require.Empty(t, token)
		})
	}
	s, err := jose.NewSigner(ec, jose.SignerOptions{})
	require.NoError(t, err)
	_, err = s.Sign(nil)
	require.ErrorIs(t, err, jose.ErrMalformed, "an empty payload makes a token that nobody reads")
}

func TestSignerIsSafeForConcurrentUse(t *testing.T) {
	key := testkit.ECKey(t, "a")
	s, err := jose.NewSigner(key, jose.SignerOptions{EmbedKey: true})
	require.NoError(t, err)
	tokens := make([]string, 64)
	testkit.Hammer(len(tokens), func(i int) { tokens[i], _ = s.Sign([]byte(claims)) })
	for _, token := range tokens {
		require.NoError(t, split(t, token).Verify("ES256", key.Public()))
	}
}

func TestShortSignatures(t *testing.T) {
	// One signature in 128 has an r or s with a zero in front: both directions keep the size.
	key := testkit.ECKey(t, "a")
	s, err := jose.NewSigner(key, jose.SignerOptions{})
	require.NoError(t, err)
	for short := 0; short < 3; {
		token, err := s.Sign([]byte(claims))
		require.NoError(t, err)
		c := split(t, token)
		raw, err := base64.RawURLEncoding.DecodeString(c.Signature)
		require.NoError(t, err)
		require.Len(t, raw, 64)
		if raw[0] != 0 && raw[32] != 0 {
			continue
		}
		short++
		require.NoError(t, c.Verify("ES256", key.Public()))
		digest := sha256.Sum256([]byte(c.Header + "." + c.Payload))
		require.True(t, ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])))
	}
}

func TestStrings(t *testing.T) {
	require.True(t, jose.EqualString("a", "a"))
	require.False(t, jose.EqualString("a", "b"))
	require.False(t, jose.EqualString("a", "ab"))
	require.False(t, jose.EqualString("", "a"))
	require.Len(t, jose.RandomString(16), 22)
	require.Len(t, jose.RandomString(32), 43)
	require.NotEqual(t, jose.RandomString(16), jose.RandomString(16))
	require.False(t, strings.ContainsAny(jose.RandomString(300), "+/="))
	// RFC 7636 appendix B
	require.Equal(t, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", jose.SHA256Base64("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
}
