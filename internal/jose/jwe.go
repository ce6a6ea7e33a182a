package jose

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// The algorithms of encryption. RSA1_5, passwords and shared keys are not
// supported.
const (
	ECDHES       = "ECDH-ES"        // P-256, direct key agreement
	ECDHESA128KW = "ECDH-ES+A128KW" // P-256, agreed key that wraps
	ECDHESA256KW = "ECDH-ES+A256KW"
	RSAOAEP256   = "RSA-OAEP-256" // RSA of 2048 bits or more
	RSAOAEP      = "RSA-OAEP"     // with SHA-1, which does not weaken OAEP

	A256GCM      = "A256GCM"
	A128GCM      = "A128GCM"
	A256CBCHS512 = "A256CBC-HS512"
	A128CBCHS256 = "A128CBC-HS256"
)

// EncryptionAlgorithms returns the algorithms that encrypt to a public key, the
// preferred ones first.
func EncryptionAlgorithms() []string {
	return []string{ECDHES, ECDHESA256KW, ECDHESA128KW, RSAOAEP256, RSAOAEP}
}

// ContentEncryptions returns the algorithms that encrypt content, the preferred
// ones first.
func ContentEncryptions() []string { return []string{A256GCM, A128GCM, A256CBCHS512, A128CBCHS256} }

// ErrDecryption means that no key decrypts a JWE. It does not name the step
// that failed, so that an attacker learns nothing from it.
var ErrDecryption = errors.New("JWE cannot be decrypted")

const maxJWEHeader = 8 << 10 // base64url; the JOSE library parses it again

// sizes are the lengths of a content encryption in octets (RFC 7518 §5).
type sizes struct {
	cek, iv, tag int
	block        int // the ciphertext is a multiple of it
}

// contentSizes returns the sizes of a content encryption. If it is not
// supported, they are 0.
func contentSizes(enc string) (s sizes) {
	switch enc {
	case A128GCM:
		return sizes{16, 12, 16, 1}
	case A256GCM:
		return sizes{32, 12, 16, 1}
	case A128CBCHS256:
		return sizes{32, 16, 16, 16}
	case A256CBCHS512:
		return sizes{64, 16, 32, 16}
	}
	return s
}

// agrees reports whether alg is a key agreement. The other algorithms encrypt a
// key.
func agrees(alg string) bool { return alg == ECDHES || wrapSize(alg) > 0 }

// wrapSize returns the length of the agreed key that wraps the content key. It
// is 0 for other algorithms.
func wrapSize(alg string) int {
	switch alg {
	case ECDHESA128KW:
		return 16
	case ECDHESA256KW:
		return 32
	}
	return 0
}

// IsEncrypted reports whether token is a compact JWE, which has five segments.
// A JWS has three.
func IsEncrypted(token string) bool { return strings.Count(token, ".") == 4 } // JWT-BIS-1

// EncryptionFits reports whether alg and enc may encrypt to a public key.
func EncryptionFits(key crypto.PublicKey, alg, enc string) bool {
	switch { // JWT-3.2-1
	case contentSizes(enc) == sizes{}:
		return false
	case agrees(alg):
		if !KeyFits(key, ES256) {
			return false
		}
		_, err := key.(*ecdsa.PublicKey).ECDH()
		return err == nil // JWT-3.4-1: a point off the curve
	}
	return (alg == RSAOAEP256 || alg == RSAOAEP) && KeyFits(key, PS256)
}

// An Encryption names a public key of a recipient and the algorithms that the
// recipient has registered for it.
type Encryption struct {
	Key                                 crypto.PublicKey
	KeyID, Algorithm, ContentEncryption string
}

// Seal returns a Nested JWT (RFC 7519 §5.2): a signed token as compact JWE of
// at most max bytes, without compression.
func (to Encryption) Seal(token string, max int) (string, error) {
	if !EncryptionFits(to.Key, to.Algorithm, to.ContentEncryption) {
		return "", fmt.Errorf("%w: unsuitable key %T for %.32q with %.32q", ErrKey, to.Key, to.Algorithm,
			to.ContentEncryption)
	}
	if token == "" || !utf8.ValidString(to.KeyID) { // JWT-3.7-1
		return "", fmt.Errorf("%w: empty token, or kid that is not UTF-8", ErrMalformed)
	}
	header := jwe.NewHeaders()
	for name, value := range map[string]string{jwe.ContentTypeKey: "JWT", jwe.KeyIDKey: to.KeyID} {
		if value == "" {
			continue
		}
		if err := header.Set(name, value); err != nil {
			return "", fmt.Errorf("%w: header: %w", ErrMalformed, err)
		}
	}
	sealed, err := jwe.Encrypt([]byte(token), jwe.WithKey(jwa.KeyEncryptionAlgorithm(to.Algorithm), to.Key),
		jwe.WithContentEncryption(jwa.ContentEncryptionAlgorithm(to.ContentEncryption)),
		jwe.WithProtectedHeaders(header))
	if err != nil {
		return "", fmt.Errorf("%w: encrypting: %w", ErrKey, err)
	}
	if len(sealed) > max {
		return "", fmt.Errorf("%w: JWE of %d bytes, more than %d", ErrMalformed, len(sealed), max)
	}
	return string(sealed), nil
}

// A sealed is a JWE that has passed all checks that need no key.
type sealed struct {
	token         string
	alg, enc, kid string
	cty           string
	ephemeral     *ecdsa.PublicKey // for a key agreement
	apu, apv      []byte
	key           []byte // encrypted
}

// openable reports whether a recipient accepts alg with enc. It is called
// before any other check that depends on the algorithms.
type openable func(alg, enc string) bool

// parseJWE parses a JWE of at most max bytes.
func parseJWE(token string, max int, accepted openable) (s sealed, err error) {
	malformed := func(why string) (sealed, error) { return sealed{}, fmt.Errorf("%w: JWE: %s", ErrMalformed, why) }
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
	h, err := strictjson.ParseObject(segments[0])
	if err != nil {
		return sealed{}, fmt.Errorf("%w: JWE header: %w", ErrMalformed, err)
	}
	s = sealed{token: token, key: segments[1]}
	if err := s.readHeader(h, accepted); err != nil {
		return sealed{}, err
	}
	iv, ciphertext, tag, want := segments[2], segments[3], segments[4], contentSizes(s.enc)
	if len(iv) != want.iv || len(tag) != want.tag || len(ciphertext) == 0 || len(ciphertext)%want.block != 0 {
		return malformed("segments of wrong length")
	}
	ok := len(s.key) == 0 // ECDH-ES
	switch {
	case wrapSize(s.alg) > 0:
		ok = len(s.key) == want.cek+wrapBlock
	case !agrees(s.alg):
		ok = minRSABits/8 <= len(s.key) && len(s.key) <= maxRSABits/8
	}
	if !ok {
		return malformed("encrypted key of wrong length")
	}
	return s, nil
}

func (s *sealed) readHeader(h strictjson.Object, accepted openable) (err error) {
	// JWE-4.1.13-1: no extension is supported. JWT-3.6-1, JWT-BIS-1: compressed
	// content may expand without bound, and its length reveals content.
	if h.Has("crit") || h.Has("zip") {
		return fmt.Errorf("%w: crit or zip in the header of a JWE", ErrMalformed)
	}
	var typ string
	for _, field := range []struct {
		name string
		to   *string
	}{{"alg", &s.alg}, {"enc", &s.enc}, {"kid", &s.kid}, {"cty", &s.cty}, {"typ", &typ}} {
		if *field.to, _, err = h.String(field.name); err != nil {
			return fmt.Errorf("%w: JWE header: %w", ErrMalformed, err)
		}
	}
	// JWT-3.1-1, JWE-5.2-1: before a key is chosen. The configuration of the
	// recipient decides. A token therefore cannot demand iterations of PBES2.
	if !accepted(s.alg, s.enc) {
		return fmt.Errorf("%w: %.32q with %.32q", ErrAlgorithm, s.alg, s.enc)
	}
	if agrees(s.alg) {
		return s.readAgreement(h)
	}
	return nil
}

// readAgreement reads the members of RFC 7518 §4.6.1.
func (s *sealed) readAgreement(h strictjson.Object) error {
	// JWT-3.4-1: ephemeral keys off the curve would reveal the private key.
	raw, ok := h.Get("epk")
	if !ok {
		return fmt.Errorf("%w: JWE header without an epk", ErrMalformed)
	}
	epk, err := ParseKey(raw)
	if err != nil {
		return fmt.Errorf("JWE header: epk: %w", err)
	}
	if s.ephemeral, ok = epk.Public.(*ecdsa.PublicKey); !ok || !KeyFits(epk.Public, ES256) {
		return fmt.Errorf("%w: JWE header: unsupported epk %T, want P-256", ErrKey, epk.Public)
	}
	for name, to := range map[string]*[]byte{"apu": &s.apu, "apv": &s.apv} {
		text, _, err := h.String(name)
		if err == nil {
			*to, err = decode(nil, text)
		}
		if err != nil {
			return fmt.Errorf("%w: JWE header: malformed %s", ErrMalformed, name)
		}
	}
	return nil
}

// supportsEncryption reports whether this package supports alg with enc.
func supportsEncryption(alg, enc string) bool {
	return slices.Contains(EncryptionAlgorithms(), alg) && slices.Contains(ContentEncryptions(), enc)
}
