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

// The algorithms of encryption. RSA1_5, passwords and shared keys are not
// supported.
const (
	RSAOAEP256 = "RSA-OAEP-256" // RSA of 2048 bits or more
	ECDHES     = "ECDH-ES"      // P-256, direct key agreement
	A256GCM    = "A256GCM"
)

// ErrDecryption means that no key decrypts a JWE. It has no reason, so that an
// attacker learns nothing from it.
var ErrDecryption = errors.New("JWE cannot be decrypted")

const (
	maxJWEHeader = 8 << 10 // base64url; the JOSE library parses it again
	gcmIVSize    = 12
	gcmTagSize   = 16
	cekSize      = 32
)

// IsEncrypted reports whether token is a compact JWE, which has five segments.
// A JWS has three.
func IsEncrypted(token string) bool { return strings.Count(token, ".") == 4 } // JWT-BIS-1

// EncryptionFits reports whether alg and enc may encrypt to a public key.
func EncryptionFits(key crypto.PublicKey, alg, enc string) bool {
	switch alg { // JWT-3.2-1
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

// DecryptionFits reports whether a private key may decrypt a JWE of alg. The
// key is an *ecdsa.PrivateKey on P-256, or a crypto.Decrypter with an RSA key.
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

// Encrypt returns a Nested JWT (RFC 7519 §5.2): a signed token as compact JWE,
// without compression.
func Encrypt(token, alg, enc string, key crypto.PublicKey, kid string) (string, error) {
	if !EncryptionFits(key, alg, enc) {
		return "", fmt.Errorf("%w: unsuitable key %T for %.32q with %.32q", ErrKey, key, alg, enc)
	}
	if token == "" || !utf8.ValidString(kid) { // JWT-3.7-1
		return "", fmt.Errorf("%w: empty token, or kid that is not UTF-8", ErrMalformed)
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

// Decrypt returns the content of a Nested JWT of at most max bytes. Only the
// signature of the content proves its origin, because every party can encrypt
// to a public key. keys is called with the kid, which may be empty, and a
// permitted alg. At most eight suitable keys are tried. A JWE in a JWE is an
// error.
//
// The JOSE library receives a token only after its algorithms, sizes and
// ephemeral key have been checked.
func Decrypt(token string, max int, keys func(kid, alg string) []crypto.PrivateKey) (string, error) {
	alg, kid, err := checkJWE(token, max) // JWT-3.3-1: every failure rejects the whole
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
			return "", fmt.Errorf("%w: JWE in a JWE", ErrMalformed)
		}
		return string(payload), nil
	}
	return "", ErrDecryption
}

// oaep is an RSA key for the JOSE library, which cannot read the private key.
type oaep struct{ key crypto.Decrypter }

// DecryptKey implements jwe.KeyDecrypter.
func (o oaep) DecryptKey(_ jwa.KeyEncryptionAlgorithm, sealed []byte, _ jwe.Recipient, _ *jwe.Message) ([]byte, error) {
	cek, err := o.key.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA256})
	if err != nil || len(cek) != cekSize {
		return nil, ErrDecryption
	}
	return cek, nil
}

// checkJWE checks a JWE as far as that needs no key.
func checkJWE(token string, max int) (alg, kid string, err error) {
	malformed := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("%w: JWE: %s", ErrMalformed, why)
	}
	if len(token) > max {
		return malformed(fmt.Sprintf("%d bytes, more than %d", len(token), max))
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
			return malformed("malformed base64url")
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
	// RFC 7516 §4.1.13: no extension is supported. JWT-3.6-1, JWT-BIS-1:
	// compressed content may expand without bound, and its length reveals
	// content.
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
	// JWT-3.1-1, JWT-BIS-1: before a key is chosen. A token can therefore not
	// demand iterations of PBES2.
	if alg != RSAOAEP256 && alg != ECDHES || enc != A256GCM {
		return "", "", fmt.Errorf("%w: %.32q with %.32q", ErrAlgorithm, alg, enc)
	}
	if !(Header{Type: cty}).IsType("JWT") { // RFC 7519 §5.2
		return "", "", fmt.Errorf("%w: unsupported cty %.32q of a JWE, want JWT", ErrMalformed, cty)
	}
	if alg == ECDHES {
		err = checkAgreement(h)
	}
	return alg, kid, err
}

// checkAgreement checks the members of RFC 7518 §4.6.1.
func checkAgreement(h strictjson.Object) error {
	// JWT-3.4-1: ephemeral keys off the curve would reveal the private key.
	raw, ok := h.Get("epk")
	if !ok {
		return fmt.Errorf("%w: JWE header without an epk", ErrMalformed)
	}
	epk, err := ParseKey(raw)
	if err != nil {
		return fmt.Errorf("JWE header: epk: %w", err)
	}
	if !KeyFits(epk.Public, ES256) {
		return fmt.Errorf("%w: JWE header: unsupported epk %T, want P-256", ErrKey, epk.Public)
	}
	for _, name := range []string{"apu", "apv"} {
		text, _, err := h.String(name)
		if err == nil {
			_, err = decode(nil, text)
		}
		if err != nil {
			return fmt.Errorf("%w: JWE header: malformed %s", ErrMalformed, name)
		}
	}
	return nil
}

// EncryptionAlgorithms returns the algorithms that encrypt to a public key.
func EncryptionAlgorithms() []string { return []string{ECDHES, RSAOAEP256} }
