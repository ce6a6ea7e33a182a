package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// The salt has the length of the hash (RFC 7518 §3.5).
var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// SignerOptions configure the header of the tokens of a [Signer].
type SignerOptions struct {
	Type      string // typ, absent if empty
	Algorithm string // the default is AlgorithmFor the key
	KeyID     string // kid, absent if empty
	EmbedKey  bool   // the header has the public key as jwk (DPoP)
}

// A Signer signs tokens of one kind with one key. It is safe for concurrent use
// if the key is.
type Signer struct {
	key        crypto.Signer
	alg, kid   string
	thumbprint string
	header     string // encoded once, with the dot
	sigSize    int
}

// NewSigner returns a Signer. It rejects keys and algorithms that FAPI 2.0 does
// not permit.
func NewSigner(key crypto.Signer, o SignerOptions) (*Signer, error) {
	if err := checkSigner(key); err != nil {
		return nil, err
	}
	// JWT-3.7-1: encoding/json would silently replace the text by U+FFFD.
	if !utf8.ValidString(o.Type) || !utf8.ValidString(o.KeyID) {
		return nil, fmt.Errorf("%w: typ or kid is not UTF-8", ErrMalformed)
	}
	alg := o.Algorithm
	if alg == "" {
		var err error
		if alg, err = AlgorithmFor(key.Public()); err != nil {
			return nil, err
		}
	}
	if !Allowed(alg) {
		return nil, fmt.Errorf("%w: %q", ErrAlgorithm, alg)
	}
	if !KeyFits(key.Public(), alg) {
		return nil, fmt.Errorf("%w: unsuitable key %T for %s", ErrKey, key.Public(), alg)
	}
	thumbprint, err := Thumbprint(key.Public())
	if err != nil {
		return nil, err
	}
	header := struct {
		Type      string          `json:"typ,omitempty"`
		Algorithm string          `json:"alg"`
		KeyID     string          `json:"kid,omitempty"`
		JWK       json.RawMessage `json:"jwk,omitempty"`
	}{Type: o.Type, Algorithm: alg, KeyID: o.KeyID}
	if o.EmbedKey {
		if header.JWK, err = (&Key{Public: key.Public()}).MarshalJSON(); err != nil {
			return nil, err
		}
	}
	encoded, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	s := &Signer{
		key: key, alg: alg, kid: o.KeyID, thumbprint: thumbprint,
		header: base64.RawURLEncoding.EncodeToString(encoded) + ".", sigSize: ecdsaRawSize,
	}
	if k, ok := key.Public().(*rsa.PublicKey); ok {
		s.sigSize = k.Size()
	}
	return s, nil
}

// checkSigner rejects keys of the standard library that would panic, or that
// sign with another key than their public key.
func checkSigner(key crypto.Signer) error {
	ok := key != nil
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		ok = k != nil && k.D != nil && k.X != nil && k.Y != nil
		if ok && k.Curve == elliptic.P256() {
			own, err := fromScalar(k.D)
			ok = err == nil && own.PublicKey.Equal(&k.PublicKey)
		}
	case ed25519.PrivateKey:
		ok = len(k) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(k.Seed()).Equal(k)
	case *rsa.PrivateKey:
		ok = k != nil && k.N != nil && k.D != nil
	}
	if !ok {
		return fmt.Errorf("%w: missing private key, or mismatching halves", ErrKey)
	}
	return nil
}

func (s *Signer) Algorithm() string        { return s.alg }
func (s *Signer) KeyID() string            { return s.kid }
func (s *Signer) Thumbprint() string       { return s.thumbprint }
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// maxPooled bounds the buffers that the pool keeps.
const maxPooled = 16 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Sign signs a payload, which must not be empty. Other errors come from the
// key, for example from an unreachable hardware module.
func (s *Signer) Sign(payload []byte) (string, error) {
	if len(payload) == 0 {
		return "", fmt.Errorf("%w: empty payload", ErrMalformed)
	}
	enc := base64.RawURLEncoding
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	token := slices.Grow((*buffer)[:0], s.Size(len(payload)))
	if cap(token) <= maxPooled {
		*buffer = token
	}
	token = append(token, s.header...)
	token = enc.AppendEncode(token, payload)
	sig, err := s.sign(token)
	if err != nil {
		return "", err
	}
	if len(sig) != s.sigSize {
		return "", fmt.Errorf("%w: signature of %d bytes, want %d", ErrKey, len(sig), s.sigSize)
	}
	token = append(token, '.')
	return string(enc.AppendEncode(token, sig)), nil
}

// Size returns the length of a token with a payload of n bytes.
func (s *Signer) Size(n int) int {
	enc := base64.RawURLEncoding
	return len(s.header) + enc.EncodedLen(n) + 1 + enc.EncodedLen(s.sigSize)
}

func (s *Signer) sign(signed []byte) ([]byte, error) {
	switch s.alg {
	case ES256:
		digest := sha256.Sum256(signed)
		var der []byte
		var err error
		if k, ok := s.key.(*ecdsa.PrivateKey); ok {
			// JWT-3.2-2: crypto/ecdsa mixes the randomness of the system with
			// the key and the digest.
			der, err = ecdsa.SignASN1(rand.Reader, k, digest[:])
		} else {
			der, err = s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		}
		if err != nil {
			return nil, err
		}
		return fromDER(der)
	case PS256:
		digest := sha256.Sum256(signed)
		return s.key.Sign(rand.Reader, digest[:], pssOptions)
	default:
		if _, ok := s.key.(ed25519.PrivateKey); !ok {
			// A key outside this process may read the message after a timeout.
			signed = bytes.Clone(signed)
		}
		return s.key.Sign(rand.Reader, signed, crypto.Hash(0))
	}
}
