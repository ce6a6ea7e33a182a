package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for RSA-OAEP
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
)

// A DecryptionKey is a private key of a recipient and the algorithms that the
// recipient has registered for it. The packages that decrypt declare the same
// fields.
type DecryptionKey struct {
	// Key is an *ecdsa.PrivateKey or an *ecdh.PrivateKey on P-256, or a
	// KeyAgreement, or the crypto.Decrypter of an RSA key.
	Key crypto.PrivateKey
	// KeyID is the kid. If empty, the key is tried for every kid.
	KeyID string
	// The default of Algorithm is ECDH-ES or RSA-OAEP-256, by the key. The
	// default of ContentEncryption is A256GCM.
	Algorithm, ContentEncryption string
}

// A KeyAgreement is a private key in a hardware module or a key management
// service. An ecdh.KeyExchanger is one. It must be safe for concurrent use.
type KeyAgreement interface {
	PublicKey() *ecdh.PublicKey
	ECDH(*ecdh.PublicKey) ([]byte, error)
}

// A Decrypter decrypts Nested JWTs with the keys of one recipient. It is safe
// for concurrent use if the keys are.
type Decrypter struct{ keys []recipient }

// A recipient is a DecryptionKey that has been checked. One of its two keys is
// nil.
type recipient struct {
	kid, alg, enc string
	agreement     KeyAgreement
	decrypter     crypto.Decrypter
}

// NewDecrypter checks the keys. Without keys it returns nil.
func NewDecrypter[K ~struct {
	Key                                 crypto.PrivateKey
	KeyID, Algorithm, ContentEncryption string
}](keys []K) (*Decrypter, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	d := &Decrypter{}
	for i, k := range keys {
		r, err := newRecipient(DecryptionKey(k))
		if err != nil {
			return nil, fmt.Errorf("decryption key %d: %w", i, err)
		}
		d.keys = append(d.keys, r)
	}
	return d, nil
}

func newRecipient(k DecryptionKey) (r recipient, err error) {
	r = recipient{kid: k.KeyID, alg: k.Algorithm, enc: k.ContentEncryption}
	if r.agreement, err = keyAgreement(k.Key); err != nil {
		return recipient{}, err
	}
	if r.agreement == nil {
		r.decrypter, _ = k.Key.(crypto.Decrypter)
		if own, ok := k.Key.(*rsa.PrivateKey); ok && checkSigner(own) != nil {
			r.decrypter = nil
		}
		if r.decrypter == nil || !KeyFits(r.decrypter.Public(), PS256) {
			return recipient{}, fmt.Errorf("%w: %T, want a P-256 or RSA key for decryption", ErrKey, k.Key)
		}
	}
	if r.alg == "" {
		if r.alg = RSAOAEP256; r.agreement != nil {
			r.alg = ECDHES
		}
	}
	if r.enc == "" {
		r.enc = A256GCM
	}
	if !supportsEncryption(r.alg, r.enc) || agrees(r.alg) != (r.agreement != nil) { // JWT-3.1-2, JWT-3.2-1
		return recipient{}, fmt.Errorf("%w: unsuitable key %T for %.32q with %.32q", ErrKey, k.Key, r.alg, r.enc)
	}
	return r, nil
}

// keyAgreement returns the key for ECDH. It returns nil if key is of another
// kind.
func keyAgreement(key crypto.PrivateKey) (agreement KeyAgreement, err error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if err := checkSigner(k); err != nil {
			return nil, err
		}
		own, err := k.ECDH()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		agreement = own
	case *ecdh.PrivateKey:
		if k == nil {
			return nil, fmt.Errorf("%w: missing private key", ErrKey)
		}
		agreement = k
	case KeyAgreement:
		agreement = k
	default:
		return nil, nil
	}
	if public := agreement.PublicKey(); public == nil || public.Curve() != ecdh.P256() {
		return nil, fmt.Errorf("%w: %T is not a P-256 key", ErrKey, key)
	}
	return agreement, nil
}

// Accepts reports whether a key is for alg with enc.
func (d *Decrypter) Accepts(alg, enc string) bool {
	for _, r := range d.keys {
		if r.alg == alg && r.enc == enc {
			return true
		}
	}
	return false
}

// Suits reports whether a sender that supports only these algorithms can use a
// key. A nil list permits every algorithm. Suits of a nil Decrypter is true.
func (d *Decrypter) Suits(algs, encs []string) bool {
	return d == nil || slices.ContainsFunc(d.keys, func(r recipient) bool {
		return (algs == nil || slices.Contains(algs, r.alg)) && (encs == nil || slices.Contains(encs, r.enc))
	})
}

// Decrypt returns the content of a Nested JWT of at most max bytes. Only the
// signature of the content proves its origin, because every party can encrypt
// to a public key. The algorithms must be those of a key. Keys are chosen by
// kid, and at most eight of them are tried. A JWE in a JWE is an error.
func (d *Decrypter) Decrypt(token string, max int) (string, error) {
	s, err := parseJWE(token, max, d.Accepts) // JWT-3.3-1, JWE-5.2-1: every failure rejects the whole
	if err != nil {
		return "", err
	}
	// RFC 7519 §5.2 requires a sender to set cty, and some servers do not. The
	// caller accepts only a signed JWT as content in any case.
	if s.cty != "" && !(Header{Type: s.cty}).IsType("JWT") {
		return "", fmt.Errorf("%w: unsupported cty %.32q of a JWE, want JWT", ErrMalformed, s.cty)
	}
	signed, err := d.open(&s)
	if err == nil && IsEncrypted(signed) {
		return "", fmt.Errorf("%w: JWE in a JWE", ErrMalformed)
	}
	return signed, err
}

// open tries the keys.
func (d *Decrypter) open(s *sealed) (string, error) {
	tried := 0
	for _, r := range d.keys {
		if r.alg != s.alg || r.enc != s.enc || s.kid != "" && r.kid != "" && r.kid != s.kid {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		if content, err := s.openWith(r); err == nil {
			return content, nil
		}
	}
	if tried == 0 { // public knowledge, unlike a failure of the decryption
		return "", fmt.Errorf("%w: no key with kid %.64q", ErrDecryption, s.kid)
	}
	return "", ErrDecryption
}

// openWith decrypts with one key. The JOSE library receives the token only
// after its algorithms, sizes and ephemeral key have been checked. It decrypts
// the content, and cannot read the private key.
func (s *sealed) openWith(r recipient) (string, error) {
	content, err := jwe.Decrypt([]byte(s.token), jwe.WithKey(jwa.KeyEncryptionAlgorithm(s.alg), contentKey{s, r}))
	return string(content), err
}

// A contentKey is a private key for the JOSE library.
type contentKey struct {
	message   *sealed
	recipient recipient
}

// DecryptKey implements jwe.KeyDecrypter. If the content key cannot be
// decrypted, or has the wrong length, DecryptKey returns a random key (RFC 7516
// §11.5). The token then fails like one with a damaged ciphertext, and an
// attacker cannot distinguish the two.
func (k contentKey) DecryptKey(jwa.KeyEncryptionAlgorithm, []byte, jwe.Recipient, *jwe.Message) ([]byte, error) {
	cek := make([]byte, contentSizes(k.message.enc).cek) // JWE-11.5-1
	rand.Read(cek)                                       // never fails
	if key, err := k.recipient.contentKey(k.message); err == nil && len(key) == len(cek) {
		cek = key
	}
	return cek, nil
}

var errContentKey = errors.New("content key cannot be decrypted")

// contentKey decrypts the content key, or derives it from the key agreement.
func (r recipient) contentKey(s *sealed) ([]byte, error) {
	switch r.alg {
	case RSAOAEP256:
		return r.decrypter.Decrypt(rand.Reader, s.key, &rsa.OAEPOptions{Hash: crypto.SHA256})
	case RSAOAEP:
		return r.decrypter.Decrypt(rand.Reader, s.key, &rsa.OAEPOptions{Hash: crypto.SHA1})
	}
	ephemeral, err := s.ephemeral.ECDH()
	if err != nil {
		return nil, err
	}
	z, err := r.agreement.ECDH(ephemeral)
	if err != nil || len(z) != ecdsaHalf {
		return nil, errContentKey
	}
	if r.alg == ECDHES {
		return concatKDF(z, r.enc, s.apu, s.apv, contentSizes(r.enc).cek), nil
	}
	return unwrap(concatKDF(z, r.alg, s.apu, s.apv, wrapSize(r.alg)), s.key)
}
