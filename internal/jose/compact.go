package jose

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

// b64 rejects a last character with stray bits. It skips line breaks, which the
// caller rejects before.
var b64 = base64.RawURLEncoding.Strict()

// decode decodes canonical base64url and appends the octets to dst.
func decode(dst []byte, s string) ([]byte, error) {
	if !syntax.IsBase64url(s) {
		return nil, errors.New("malformed base64url")
	}
	return b64.AppendDecode(dst, []byte(s))
}

// A Compact is an unverified JWS in compact serialization. Its segments are
// base64url.
type Compact struct {
	Header, Payload, Signature string

	signed string // Header.Payload
}

// Split splits a token of at most max bytes into three segments. It checks only
// their alphabet. It rejects JSON serialization, padding, line breaks, empty
// segments and a fourth segment. A token without a signature is an ErrAlgorithm
// if its header names an algorithm that is not permitted, such as none.
func Split(token string, max int) (Compact, error) {
	if len(token) > max {
		return Compact{}, fmt.Errorf("%w: %d bytes, more than %d", ErrMalformed, len(token), max)
	}
	first := strings.IndexByte(token, '.')
	second := first + 1 + strings.IndexByte(token[first+1:], '.')
	if first <= 0 || second <= first+1 || strings.IndexByte(token[second+1:], '.') >= 0 {
		return Compact{}, fmt.Errorf("%w: not three base64url segments", ErrMalformed)
	}
	c := Compact{
		Header: token[:first], Payload: token[first+1 : second], Signature: token[second+1:], signed: token[:second],
	}
	if !syntax.IsBase64url(c.Header) || !syntax.IsBase64url(c.Payload) || !syntax.IsBase64url(c.Signature) {
		return Compact{}, fmt.Errorf("%w: malformed base64url", ErrMalformed)
	}
	if c.Signature == "" {
		// SP-5.4.1-1.3: the error names the algorithm none.
		if _, err := c.ParseHeader(); errors.Is(err, ErrAlgorithm) {
			return Compact{}, err
		}
		return Compact{}, fmt.Errorf("%w: no signature", ErrMalformed)
	}
	return c, nil
}

// A Header has the supported members of a JOSE header. All others are ignored,
// among them jku, x5u and x5c: a key is never fetched from a URL in a token.
// kid is only compared with the kid of known keys. It is never part of a query,
// a path or an error.
type Header struct {
	Algorithm, Type, KeyID string
	JWK                    string // JSON text, empty if absent
}

// ParseHeader parses the header. An algorithm that is not permitted is an
// ErrAlgorithm.
func (c Compact) ParseHeader() (Header, error) {
	o, err := object(c.Header, "header", false)
	if err != nil {
		return Header{}, err
	}
	// RFC 7515 §4.1.11: an unsupported critical extension invalidates the JWS,
	// and none is supported. RFC 7797 §3: b64 changes the signed octets.
	if o.Has("crit") || o.Has("b64") {
		return Header{}, fmt.Errorf("%w: crit or b64 in the header", ErrMalformed)
	}
	text := func(name string) string {
		value, _, wrong := o.String(name)
		err = cmp.Or(err, wrong)
		return value
	}
	// SP-5.4.2-2, JWT-3.10-1: jku, x5u and x5c are ignored.
	h := Header{Algorithm: text("alg"), Type: text("typ"), KeyID: text("kid")}
	// JWT-3.11-1: a typ that is null does not count as absent. A kid that is
	// null does, because keys are also tried without a kid.
	if o.Null("typ") {
		err = cmp.Or(err, errors.New("typ is null"))
	}
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	// JWT-3.1-1: none and other algorithms end here, before a key is chosen.
	if !Allowed(h.Algorithm) {
		return Header{}, fmt.Errorf("%w: %.32q", ErrAlgorithm, h.Algorithm)
	}
	h.JWK, _ = o.Text("jwk")
	return h, nil
}

// IsType compares typ as a media type (RFC 7515 §4.1.9): in any case, with or
// without "application/".
func (h Header) IsType(want string) bool {
	typ := h.Type // JWT-3.11-1
	if len(typ) == len("application/")+len(want) && strings.EqualFold(typ[:len("application/")], "application/") {
		typ = typ[len("application/"):]
	}
	// The lengths are equal, so no letter outside ASCII (the Kelvin sign, the
	// long s) folds to a letter of want.
	return len(typ) == len(want) && strings.EqualFold(typ, want)
}

// Claims parses the payload. It is not authenticated before Verify has
// succeeded.
func (c Compact) Claims() (strictjson.Object, error) {
	return object(c.Payload, "claims", false)
}

// PeerClaims is Claims for an authorization response, an ID token or an access
// token: see [strictjson.ParseClaims].
func (c Compact) PeerClaims() (strictjson.Object, error) {
	return object(c.Payload, "claims", true)
}

// object parses a segment. A function as argument would move the buffer to the
// heap for each token and each proof.
func object(segment, what string, peer bool) (o strictjson.Object, err error) {
	var room [1024]byte
	raw, err := b64.AppendDecode(room[:0], []byte(segment))
	if err != nil {
		return strictjson.Object{}, fmt.Errorf("%w: %s: malformed base64url", ErrMalformed, what)
	}
	if peer {
		o, err = strictjson.ParseClaims(raw)
	} else {
		o, err = strictjson.ParseObject(raw) // JWT-3.7-1: only UTF-8
	}
	if err != nil {
		return strictjson.Object{}, fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return o, nil
}

// Verify checks the signature. A key that does not fit alg is an ErrSignature.
func (c Compact) Verify(alg string, key crypto.PublicKey) error {
	if !KeyFits(key, alg) { // JWT-3.1-2
		return fmt.Errorf("%w: unsuitable key for %.32q", ErrSignature, alg)
	}
	if b64.DecodedLen(len(c.Signature)) > maxRSABits/8 {
		return fmt.Errorf("%w: signature too long", ErrSignature)
	}
	var buf [maxRSABits / 8]byte
	sig, err := b64.AppendDecode(buf[:0], []byte(c.Signature))
	if err != nil {
		return fmt.Errorf("%w: signature: malformed base64url", ErrMalformed)
	}
	ok := false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		digest := Sum256(c.signed)
		var der [ecdsaDERMax]byte
		if len(sig) == ecdsaRawSize {
			ok = ecdsa.VerifyASN1(k, digest[:], appendDER(der[:0], sig))
		}
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, []byte(c.signed), sig)
	case *rsa.PublicKey:
		digest := Sum256(c.signed)
		ok = rsa.VerifyPSS(k, crypto.SHA256, digest[:], sig, pssOptions) == nil
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// maxCandidates bounds the work for one token if many keys have its kid, or if
// it has none.
const maxCandidates = 8

// VerifyAny checks the signature with each key that fits alg until one verifies
// it, and returns that key.
func (c Compact) VerifyAny(alg string, keys []crypto.PublicKey) (crypto.PublicKey, error) {
	var err error
	tried := 0
	for _, key := range keys { // SP-5.4.3-1
		if !KeyFits(key, alg) {
			continue
		}
		if tried++; tried > maxCandidates {
			return nil, fmt.Errorf("%w: none of the first %d suitable keys", ErrSignature, maxCandidates)
		}
		if err = c.Verify(alg, key); err == nil {
			return key, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: no suitable key", ErrSignature)
	}
	return nil, err
}
