package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// The algorithms of encryption. JWT-3.2-1: no RSA1_5, no password, no shared key, and authenticated content in one way.
const (
	RSAOAEP256 = "RSA-OAEP-256" // RSA of 2048 bits or more
	ECDHES     = "ECDH-ES"      // P-256, direct key agreement
	A256GCM    = "A256GCM"
)

// ErrDecryption says that no key decrypts a JWE. It never says why: whoever sends such tokens learns nothing from it.
var ErrDecryption = errors.New("JWE cannot be decrypted")

const (
	maxJWEHeader = 8 << 10 // base64url; the JOSE library reads it once more
	gcmIVSize    = 12
	gcmTagSize   = 16
	cekSize      = 32
)

// IsEncrypted tells a compact JWE, which has five segments, from a JWS, which has three (JWT-BIS-1).
func IsEncrypted(token string) bool { return strings.Count(token, ".") == 4 }

// EncryptionFits reports whether a public key may be encrypted to with alg and enc.
func EncryptionFits(key crypto.PublicKey, alg, enc string) bool {
	switch alg {
	case RSAOAEP256:
		return enc == A256GCM && KeyFits(key, PS256)
	case ECDHES:
		if enc != A256GCM || !KeyFits(key, ES256) {
			return false
		}
		_, err := key.(*ecdsa.PublicKey).ECDH()
		return err == nil // JWT-3.4-1: a point off the curve
	}
	return false
}

// DecryptionFits reports whether a private key may decrypt what was encrypted with alg: an *ecdsa.PrivateKey of P-256, or a
// crypto.Decrypter, in hardware or not, of an RSA key.
func DecryptionFits(key crypto.PrivateKey, alg string) bool {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return alg == ECDHES && checkSigner(k) == nil && KeyFits(k.Public(), ES256)
	case *rsa.PrivateKey:
		return alg == RSAOAEP256 && checkSigner(k) == nil && KeyFits(k.Public(), PS256)
	case crypto.Decrypter:
		return alg == RSAOAEP256 && KeyFits(k.Public(), PS256)
	}
	return false
}

// Encrypt makes a compact JWE of a signed token: a Nested JWT (RFC 7519 §5.2), never compressed.
func Encrypt(token, alg, enc string, key crypto.PublicKey, kid string) (string, error) {
	if !EncryptionFits(key, alg, enc) {
		return "", fmt.Errorf("%w: %T is not one for %.32q with %.32q", ErrKey, key, alg, enc)
	}
	if token == "" || !utf8.ValidString(kid) { // JWT-3.7-1
		return "", fmt.Errorf("%w: nothing to encrypt, or a kid that is not UTF-8", ErrMalformed)
	}
	header := jwe.NewHeaders()
	for name, value := range map[string]string{jwe.ContentTypeKey: "JWT", jwe.KeyIDKey: kid} {
		if value == "" {
			continue
		}
		if err := header.Set(name, value); err != nil {
			return "", fmt.Errorf("%w: header: %w", ErrMalformed, err)
		}
	}
	sealed, err := jwe.Encrypt([]byte(token), jwe.WithKey(jwa.KeyEncryptionAlgorithm(alg), key),
		jwe.WithContentEncryption(jwa.ContentEncryptionAlgorithm(enc)), jwe.WithProtectedHeaders(header))
	if err != nil {
		return "", fmt.Errorf("%w: encrypting: %w", ErrKey, err)
	}
	return string(sealed), nil
}

// Decrypt returns what is inside a Nested JWT of at most max bytes, which nothing but its own signature proves to be from
// anybody: anyone can encrypt to a public key. keys is called with the kid (empty if there is none) and an allowed alg; of
// the keys that fit, at most eight are tried.
//
// The JOSE library sees a token only when all that it would choose by itself has been checked: algorithms, sizes, the
// ephemeral key. JWT-3.3-1: any failure refuses the whole, and a JWE inside a JWE is one.
func Decrypt(token string, max int, keys func(kid, alg string) []crypto.PrivateKey) (string, error) {
	alg, kid, err := checkJWE(token, max)
	if err != nil {
		return "", err
	}
	tried := 0
	for _, key := range keys(kid, alg) {
		if !DecryptionFits(key, alg) {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		var usable any = key
		if k, ok := key.(crypto.Decrypter); ok {
			usable = oaep{k}
		}
		payload, err := jwe.Decrypt([]byte(token), jwe.WithKey(jwa.KeyEncryptionAlgorithm(alg), usable))
		if err != nil {
			continue
		}
		if IsEncrypted(string(payload)) {
			return "", fmt.Errorf("%w: a JWE inside a JWE", ErrMalformed)
		}
		return string(payload), nil
	}
	return "", ErrDecryption
}

// oaep lets the JOSE library use an RSA key that it cannot see.
type oaep struct{ key crypto.Decrypter }

// DecryptKey implements jwe.KeyDecrypter.
func (o oaep) DecryptKey(_ jwa.KeyEncryptionAlgorithm, sealed []byte, _ jwe.Recipient, _ *jwe.Message) ([]byte, error) {
	cek, err := o.key.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA256})
	if err != nil || len(cek) != cekSize {
		return nil, ErrDecryption
	}
	return cek, nil
}

// checkJWE reads as much of a JWE as can be read without a key.
func checkJWE(token string, max int) (alg, kid string, err error) {
	malformed := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("%w: JWE: %s", ErrMalformed, why)
	}
	if len(token) > max {
		return malformed(fmt.Sprintf("%d bytes, at most %d are read", len(token), max))
	}
	if !IsEncrypted(token) {
		return malformed("not five segments")
	}
	var segments [5][]byte
	for i, text := range strings.Split(token, ".") {
		if i == 0 && len(text) > maxJWEHeader {
			return malformed("header too long")
		}
		if segments[i], err = decode(nil, text); err != nil {
			return malformed("not canonical base64url")
		}
	}
	sealedKey, iv, ciphertext, tag := segments[1], segments[2], segments[3], segments[4]
	h, err := strictjson.ParseObject(segments[0])
	if err != nil {
		return "", "", fmt.Errorf("%w: JWE header: %w", ErrMalformed, err)
	}
	if alg, kid, err = checkJWEHeader(h); err != nil {
		return "", "", err
	}
	switch {
	case len(iv) != gcmIVSize || len(tag) != gcmTagSize || len(ciphertext) == 0:
		return malformed("segments of wrong length")
	case alg == ECDHES && len(sealedKey) != 0,
		alg == RSAOAEP256 && (len(sealedKey) < minRSABits/8 || len(sealedKey) > maxRSABits/8):
		return malformed("encrypted key of wrong length")
	}
	return alg, kid, nil
}

func checkJWEHeader(h strictjson.Object) (alg, kid string, err error) {
	// RFC 7516 §4.1.13: no extension is understood. JWT-3.6-1, JWT-BIS-1: what is compressed may be of any size when it is
	// not, and its length tells of its content.
	if h.Has("crit") || h.Has("zip") {
		return "", "", fmt.Errorf("%w: crit or zip in the header of a JWE", ErrMalformed)
	}
	var enc, cty, typ string
	for _, field := range []struct {
		name string
		to   *string
	}{{"alg", &alg}, {"enc", &enc}, {"kid", &kid}, {"cty", &cty}, {"typ", &typ}} {
		if *field.to, _, err = h.String(field.name); err != nil {
			return "", "", fmt.Errorf("%w: JWE header: %w", ErrMalformed, err)
		}
	}
	// JWT-3.1-1, JWT-BIS-1: before a key is looked at; the iterations of PBES2 thereby cannot be asked for.
	if alg != RSAOAEP256 && alg != ECDHES || enc != A256GCM {
		return "", "", fmt.Errorf("%w: %.32q with %.32q", ErrAlgorithm, alg, enc)
	}
	if !(Header{Type: cty}).IsType("JWT") { // RFC 7519 §5.2
		return "", "", fmt.Errorf("%w: cty of a JWE is %.32q, want JWT", ErrMalformed, cty)
	}
	if alg == ECDHES {
		err = checkAgreement(h)
	}
	return alg, kid, err
}

// checkAgreement is RFC 7518 §4.6.1. JWT-3.4-1: an ephemeral key off the curve would draw the private one out bit by bit.
func checkAgreement(h strictjson.Object) error {
	raw, ok := h.Get("epk")
	if !ok {
		return fmt.Errorf("%w: JWE header without an epk", ErrMalformed)
	}
	epk, err := ParseKey(raw)
	if err != nil {
		return fmt.Errorf("JWE header: epk: %w", err)
	}
	if !KeyFits(epk.Public, ES256) {
		return fmt.Errorf("%w: JWE header: epk is a %T, want one of P-256", ErrKey, epk.Public)
	}
	for _, name := range []string{"apu", "apv"} {
		text, _, err := h.String(name)
		if err == nil {
			_, err = decode(nil, text)
		}
		if err != nil {
			return fmt.Errorf("%w: JWE header: %s is not base64url", ErrMalformed, name)
		}
	}
	return nil
}

// EncryptionAlgorithms returns the names of the algorithms that encrypt for a
// public key.
func EncryptionAlgorithms() []string { return []string{ECDHES, RSAOAEP256} }
