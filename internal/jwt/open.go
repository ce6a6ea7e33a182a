// Package jwt holds the steps that all verifiers and issuers of JSON Web Tokens
// (JWT, RFC 7519) in this module share.
//
// A verifier opens a token by its [Rules]: size, algorithm, typ and JSON. It
// reads the claims with a [Reader], which keeps the first error, and checks the
// values. It calls [Token.Verify] last, so that no key is looked up for a token
// that is rejected anyway. Every error wraps a sentinel of the calling package.
//
// An issuer checks its input with the functions for syntax, writes the claims
// with [Encode] and signs them with the result of [NewSigner].
//
// The package does not compare issuer, audience or times: each kind of token
// has its own rules for them.
package jwt

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// Rules say which tokens a verifier opens. They are safe for concurrent use.
type Rules struct {
	// MaxBytes is the maximum length of a token.
	MaxBytes int
	// MaxKeyID is the maximum length of a kid. If 0, MaxBytes alone bounds it.
	MaxKeyID int
	// Algorithms are the accepted algorithms: see [Algorithms].
	Algorithms []string
	// Type is the typ of the kind of token, without "application/". If empty,
	// the kind has no typ.
	Type string
	// Untyped accepts tokens whose typ is absent or JWT.
	Untyped bool
	// Peer reads the claims with [strictjson.ParseClaims].
	Peer bool
	// Headers keeps the parsed headers of verified tokens, because a sender
	// uses one header for all of its tokens. If nil, each header is parsed.
	Headers *expiring.Cache[jose.Header]
	// Decrypter decrypts encrypted tokens. If nil, an encrypted token is
	// rejected. Otherwise a token that is not encrypted is rejected, except
	// with AllowUnencrypted.
	Decrypter        *jose.Decrypter
	AllowUnencrypted bool
	// Errors are the sentinels of the calling package.
	Errors Errors
}

const (
	maxHeaders    = 1 << 12
	maxKeptHeader = 1 << 10 // bytes
)

// NewHeaders returns a bounded cache of headers.
func NewHeaders() *expiring.Cache[jose.Header] { return expiring.NewCache[jose.Header](maxHeaders) }

// header parses the header of a token, unless it is known.
func (r *Rules) header(jws jose.Compact) (h jose.Header, known bool, err error) {
	if r.Headers != nil {
		if h, known = r.Headers.Get(jws.Header); known {
			return h, true, nil
		}
	}
	h, err = jws.ParseHeader()
	return h, false, err
}

// Errors are the sentinels of a package for the steps of this one.
type Errors struct {
	Malformed   error // not a compact JWS with strict JSON inside, or too long
	Algorithm   error // the algorithm is not accepted
	Type        error // a JWT of another kind
	Signature   error // no key verifies the signature
	Unavailable error // the key source failed
	// Encryption is missing, unexpected or failed. If nil, the kind of token is
	// never encrypted, and an encrypted one is malformed.
	Encryption error
}

// Algorithms returns a copy of the configured algorithms. If configured is nil,
// it returns all algorithms of FAPI 2.0. It returns an error for an empty list,
// which would accept nothing, and for an algorithm that FAPI 2.0 does not
// permit.
func Algorithms(configured []string) ([]string, error) {
	if configured == nil {
		return jose.Algorithms(), nil
	}
	if len(configured) == 0 {
		return nil, errors.New("empty Algorithms")
	}
	for _, alg := range configured {
		if !jose.Allowed(alg) { // SP-5.4.1-1.2, SP-5.4.1-1.3
			return nil, fmt.Errorf("unsupported algorithm %q, want some of %q", alg, jose.Algorithms())
		}
	}
	return slices.Clone(configured), nil
}

// A Token is a token that follows the rules and whose signature is not
// verified.
type Token struct {
	Header jose.Header
	Claims strictjson.Object
	Signed string // the compact JWS, decrypted

	jws   jose.Compact
	rules *Rules
	known bool // the header is in Rules.Headers
}

// Open splits a token and checks everything that needs no key, except the
// claims themselves.
func (r *Rules) Open(raw string) (t Token, err error) {
	t.rules = r
	if r.Errors.Encryption != nil {
		if raw, err = r.decrypt(raw); err != nil {
			return Token{}, err
		}
	}
	t.Signed = raw
	if t.jws, err = jose.Split(raw, r.MaxBytes); err == nil {
		t.Header, t.known, err = r.header(t.jws)
	}
	switch {
	case errors.Is(err, jose.ErrAlgorithm): // CS-3: RS256, HS256 and none
		return Token{}, fmt.Errorf("%w: %w", r.Errors.Algorithm, err)
	case err != nil:
		return Token{}, fmt.Errorf("%w: %w", r.Errors.Malformed, err)
	case !jose.Accepts(r.Algorithms, t.Header.Algorithm): // JWT-3.1-1
		return Token{}, fmt.Errorf("%w: %.32q", r.Errors.Algorithm, t.Header.Algorithm)
	case r.MaxKeyID > 0 && len(t.Header.KeyID) > r.MaxKeyID:
		return Token{}, fmt.Errorf("%w: kid of %d bytes, want at most %d", r.Errors.Malformed, len(t.Header.KeyID),
			r.MaxKeyID)
	case !r.accepts(t.Header): // JWT-3.12-1: an explicit typ of another kind is never accepted
		return Token{}, fmt.Errorf("%w: typ is %.64q", r.Errors.Type, t.Header.Type)
	}
	if r.Peer {
		t.Claims, err = t.jws.PeerClaims()
	} else {
		t.Claims, err = t.jws.Claims()
	}
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", r.Errors.Malformed, err)
	}
	return t, nil
}

// decrypt returns the signed token. It returns raw if it is not encrypted and
// encryption is not required.
func (r *Rules) decrypt(raw string) (string, error) {
	encrypted := jose.IsEncrypted(raw)
	switch {
	case !encrypted && r.Decrypter != nil && !r.AllowUnencrypted:
		return "", fmt.Errorf("%w: token is not encrypted, this client requires encryption", r.Errors.Encryption)
	case !encrypted:
		return raw, nil
	case r.Decrypter == nil:
		return "", fmt.Errorf("%w: encrypted token, this client has no decryption key", r.Errors.Encryption)
	}
	signed, err := r.Decrypter.Decrypt(raw, r.MaxBytes)
	switch {
	case err == nil:
		return signed, nil
	case errors.Is(err, jose.ErrMalformed):
		return "", fmt.Errorf("%w: %w", r.Errors.Malformed, err)
	case errors.Is(err, jose.ErrAlgorithm):
		return "", fmt.Errorf("%w: %w", r.Errors.Algorithm, err)
	}
	return "", fmt.Errorf("%w: %w", r.Errors.Encryption, err)
}

func (r *Rules) accepts(h jose.Header) bool {
	return r.Type != "" && h.IsType(r.Type) || r.Untyped && (h.Type == "" || h.IsType("JWT"))
}

// Typed reports whether the token has the typ of the rules, and not merely none
// or JWT.
func (t Token) Typed() bool { return t.rules.Type != "" && t.Header.IsType(t.rules.Type) }

// A KeySource returns the keys that may have made a signature. It is called
// with an accepted algorithm.
type KeySource = func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)

// Verify looks up the keys, checks the signature and returns the key that
// verifies it. If keys is nil, the error is that of the signature.
func (t Token) Verify(ctx context.Context, keys KeySource) (crypto.PublicKey, error) {
	sentinels := &t.rules.Errors
	if keys == nil {
		return nil, fmt.Errorf("%w: no keys", sentinels.Signature)
	}
	candidates, err := keys(ctx, t.Header.KeyID, t.Header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: keys: %w", sentinels.Unavailable, err)
	}
	key, err := t.jws.VerifyAny(t.Header.Algorithm, candidates)
	if err != nil {
		return nil, fmt.Errorf("%w: kid %.64q, %d keys: %w", sentinels.Signature, t.Header.KeyID, len(candidates), err)
	}
	// No sender fills the cache with headers that no key has signed.
	if headers := t.rules.Headers; headers != nil && !t.known && len(t.jws.Header) <= maxKeptHeader {
		headers.Put(t.jws.Header, t.Header)
	}
	return key, nil
}
