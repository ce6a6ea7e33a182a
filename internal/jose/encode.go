package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// These functions return the parts of a JWK that has only the required members,
// in the order of RFC 7638 §3.2.
func p256JWK(x, y string) []string {
	return []string{`{"crv":"P-256","kty":"EC","x":"`, x, `","y":"`, y, `"}`}
}
func ed25519JWK(x string) []string { return []string{`{"crv":"Ed25519","kty":"OKP","x":"`, x, `"}`} }
func rsaJWK(n, e string) []string  { return []string{`{"e":"`, e, `","kty":"RSA","n":"`, n, `"}`} }

// canonical returns the parts for a key.
func canonical(key crypto.PublicKey) ([]string, error) {
	enc := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if point, err := k.Bytes(); err == nil && KeyFits(k, ES256) {
			return p256JWK(enc(point[1:1+ecdsaHalf]), enc(point[1+ecdsaHalf:])), nil
		}
	case ed25519.PublicKey:
		if KeyFits(k, EdDSA) {
			return ed25519JWK(enc(k)), nil
		}
	case *rsa.PublicKey:
		if KeyFits(k, PS256) {
			return rsaJWK(enc(k.N.Bytes()), enc(big.NewInt(int64(k.E)).Bytes())), nil
		}
	}
	return nil, fmt.Errorf("%w: %T", ErrKey, key)
}

// Thumbprint returns the JWK SHA-256 thumbprint of a key (RFC 7638), 43
// characters.
func Thumbprint(key crypto.PublicKey) (string, error) {
	jwk, err := canonical(key)
	if err != nil {
		return "", err
	}
	return SHA256Base64(jwk...), nil
}

// MarshalJSON returns the public JWK: the members of the key, and kid, alg,
// use, key_ops and x5c if they are set.
func (k *Key) MarshalJSON() ([]byte, error) {
	parts, err := canonical(k.Public)
	if err != nil {
		return nil, err
	}
	jwk := strings.Join(parts, "")
	var chain []string
	for _, cert := range k.Certificates {
		chain = append(chain, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	extra, err := json.Marshal(struct {
		KeyID        string   `json:"kid,omitempty"`
		Algorithm    string   `json:"alg,omitempty"`
		Use          string   `json:"use,omitempty"`
		Operations   []string `json:"key_ops,omitzero"` // an empty list permits nothing, an absent one everything
		Certificates []string `json:"x5c,omitempty"`
	}{k.KeyID, k.Algorithm, k.Use, k.ops, chain})
	if err != nil || len(extra) == len("{}") {
		return []byte(jwk), err
	}
	return append([]byte(jwk[:len(jwk)-1]+","), extra[1:]...), nil
}

// Sum256 returns the SHA-256 hash of the concatenated parts. Parts of usual
// length need no allocation.
func Sum256(parts ...string) [sha256.Size]byte {
	var room [1536]byte
	b := room[:0]
	for _, part := range parts {
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// SHA256Base64 returns base64url(SHA-256(parts)), 43 characters. It is the form
// of ath, jkt, x5t#S256 and PKCE challenges.
func SHA256Base64(parts ...string) string { return Base64(Sum256(parts...)) }

// Base64 returns a hash in base64url, 43 characters.
func Base64(sum [sha256.Size]byte) string {
	var text [43]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return string(text[:])
}

// RandomString returns n random bytes in base64url. Up to 48 bytes need one
// allocation.
func RandomString(n int) string {
	var room [48]byte
	var text [64]byte
	raw := append(room[:0], make([]byte, n)...)
	rand.Read(raw) // never fails
	return string(base64.RawURLEncoding.AppendEncode(text[:0], raw))
}

// EqualString compares in constant time.
func EqualString(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
