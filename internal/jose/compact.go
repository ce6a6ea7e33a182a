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
)

// b64 refuses a last character with stray bits. It skips line breaks, which have to be refused beforehand.
var b64 = base64.RawURLEncoding.Strict()

// decode reads canonical base64url and appends it to dst.
func decode(dst []byte, s string) ([]byte, error) {
	if !isBase64url(s) {
		return nil, errors.New("not base64url")
	}
	return b64.AppendDecode(dst, []byte(s))
}

// A Compact is a JWS in compact serialization, split but not believed. The segments are still base64url.
type Compact struct {
	Header, Payload, Signature string

	signed string // Header.Payload
}

// Split cuts a token of at most max bytes into its three segments. It looks at nothing but the alphabet: a JWS in JSON
// serialization, padding, line breaks, an empty segment or a fourth one are refused. A token without a signature is an
// ErrAlgorithm if its header names an algorithm that is not allowed, as none is.
func Split(token string, max int) (Compact, error) {
	if len(token) > max {
		return Compact{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(token), max)
	}
	first := strings.IndexByte(token, '.')
	second := first + 1 + strings.IndexByte(token[first+1:], '.')
	if first <= 0 || second <= first+1 || strings.IndexByte(token[second+1:], '.') >= 0 {
		return Compact{}, fmt.Errorf("%w: not three base64url segments", ErrMalformed)
	}
	c := Compact{
		Header: token[:first], Payload: token[first+1 : second], Signature: token[second+1:], signed: token[:second],
	}
	if !isBase64url(c.Header) || !isBase64url(c.Payload) || !isBase64url(c.Signature) {
		return Compact{}, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	if c.Signature == "" {
		// SP-5.4.1-1.3: the operator reads what is wrong with a token of alg none.
		if _, err := c.ParseHeader(); errors.Is(err, ErrAlgorithm) {
			return Compact{}, err
		}
		return Compact{}, fmt.Errorf("%w: no signature", ErrMalformed)
	}
	return c, nil
}

// isBase64url looks at the alphabet only. It goes by eight and does not stop at the first bad byte, each of which makes it
// three times as fast.
func isBase64url(s string) bool {
	var bad byte
	for ; len(s) >= 8; s = s[8:] {
		bad |= notBase64url[s[0]] | notBase64url[s[1]] | notBase64url[s[2]] | notBase64url[s[3]] |
			notBase64url[s[4]] | notBase64url[s[5]] | notBase64url[s[6]] | notBase64url[s[7]]
	}
	for i := range len(s) {
		bad |= notBase64url[s[i]]
	}
	return bad == 0
}

var notBase64url = func() (table [256]byte) {
	for i := range table {
		table[i] = 1
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		table[c] = 0
	}
	return table
}()

// A Header is what a JOSE header may say that means anything to us.
//
// SP-5.4.2-2, JWT-3.10-1: everything else in it is ignored, jku, x5u and x5c above all: a key is never fetched from where
// the token says. kid is compared with the kid of keys at hand and never becomes part of a query, a path or an error.
type Header struct {
	Algorithm, Type, KeyID string
	JWK                    string // as it was written, "" if absent
}

// ParseHeader reads the header. An algorithm that is not allowed is an ErrAlgorithm.
func (c Compact) ParseHeader() (Header, error) {
	o, err := object(c.Header, "header", false)
	if err != nil {
		return Header{}, err
	}
	// RFC 7515 §4.1.11: an extension marked critical that is not understood invalidates the JWS; none is understood.
	// RFC 7797 §3: b64 changes what is signed.
	if o.Has("crit") || o.Has("b64") {
		return Header{}, fmt.Errorf("%w: crit or b64 in the header", ErrMalformed)
	}
	text := func(name string) string {
		value, _, wrong := o.String(name)
		err = cmp.Or(err, wrong)
		return value
	}
	h := Header{Algorithm: text("alg"), Type: text("typ"), KeyID: text("kid")}
	// JWT-3.11-1: a typ that is null must not pass for an absent one. A kid that is null is an absent one, because keys
	// are tried without a kid as well.
	if o.Null("typ") {
		err = cmp.Or(err, errors.New("typ is null"))
	}
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	// JWT-3.1-1: none and its like end here, before a key is looked for.
	if !Allowed(h.Algorithm) {
		return Header{}, fmt.Errorf("%w: %.32q", ErrAlgorithm, h.Algorithm)
	}
	h.JWK, _ = o.Text("jwk")
	return h, nil
}

// IsType compares typ as the media type it is: JWT-3.11-1, RFC 7515 §4.1.9, whatever the case, with or without
// "application/".
func (h Header) IsType(want string) bool {
	typ := h.Type
	if len(typ) == len("application/")+len(want) && strings.EqualFold(typ[:len("application/")], "application/") {
		typ = typ[len("application/"):]
	}
	// Of equal length, so that no letter outside ASCII (the Kelvin sign, the long s) folds to one of want's.
	return len(typ) == len(want) && strings.EqualFold(typ, want)
}

// Claims reads the payload. Nothing in it is authenticated before Verify has succeeded.
func (c Compact) Claims() (strictjson.Object, error) {
	return object(c.Payload, "claims", false)
}

// PeerClaims is Claims for an authorization response, an ID token or an access
// token: see [strictjson.ParseClaims].
func (c Compact) PeerClaims() (strictjson.Object, error) {
	return object(c.Payload, "claims", true)
}

// object takes no function that parses: the buffer would escape to the heap with
// it, for every token and every proof.
func object(segment, what string, peer bool) (o strictjson.Object, err error) {
	var room [1024]byte
	raw, err := b64.AppendDecode(room[:0], []byte(segment))
	if err != nil {
		return strictjson.Object{}, fmt.Errorf("%w: %s: not canonical base64url", ErrMalformed, what)
	}
	if peer {
		o, err = strictjson.ParseClaims(raw)
	} else {
		o, err = strictjson.ParseObject(raw) // JWT-3.7-1: which rejects what is not UTF-8
	}
	if err != nil {
		return strictjson.Object{}, fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return o, nil
}

// Verify checks the signature. A key that does not fit alg is an ErrSignature, as the token is not that key's.
func (c Compact) Verify(alg string, key crypto.PublicKey) error {
	if !KeyFits(key, alg) { // JWT-3.1-2
		return fmt.Errorf("%w: the key is not one for %.32q", ErrSignature, alg)
	}
	if b64.DecodedLen(len(c.Signature)) > maxRSABits/8 {
		return fmt.Errorf("%w: longer than any signature", ErrSignature)
	}
	var buf [maxRSABits / 8]byte
	sig, err := b64.AppendDecode(buf[:0], []byte(c.Signature))
	if err != nil {
		return fmt.Errorf("%w: signature: not canonical base64url", ErrMalformed)
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

// maxCandidates bounds the work that one token can cause when many keys share its kid or it has none. With more, the
// issuer has to use kid as it is meant.
const maxCandidates = 8

// VerifyAny checks the signature with each key that fits alg until one verifies
// it, and returns that key (SP-5.4.3-1).
func (c Compact) VerifyAny(alg string, keys []crypto.PublicKey) (crypto.PublicKey, error) {
	err := fmt.Errorf("%w: no key for it", ErrSignature)
	tried := 0
	for _, key := range keys {
		if !KeyFits(key, alg) {
			continue
		}
		if tried++; tried > maxCandidates {
			return nil, fmt.Errorf("%w: not with the first %d keys that fit", ErrSignature, maxCandidates)
		}
		if err = c.Verify(alg, key); err == nil {
			return key, nil
		}
	}
	return nil, err
}
