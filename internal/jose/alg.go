// Package jose implements the JOSE policy of FAPI 2.0: the permitted algorithms
// and keys, compact JWS and JWE, JWKs, and signing with any crypto.Signer.
//
// It is the only package that imports a JOSE library. Verification (split,
// header, claims, signature) uses only the crypto packages of the standard
// library. General JOSE code accepts duplicate members, private keys in
// headers, unknown critical headers and detached payloads. It also takes longer
// than the whole budget of a proof check.
//
// The package implements the rules of RFC 8725 for libraries: algorithms and
// their keys, points and weak keys, UTF-8, headers, and the comparison of typ.
// The packages that verify a kind of JWT implement the rules for applications:
// iss, sub, aud, and separate rules for each kind.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The algorithms of FAPI 2.0 Security Profile §5.4.1.
const (
	ES256   = "ES256"
	PS256   = "PS256"
	EdDSA   = "EdDSA"   // with Ed25519 only
	Ed25519 = "Ed25519" // the fully specified name for the same (RFC 9864)
)

// Errors of this package. Every error about the input of a peer or a configured
// key matches exactly one of them. The texts follow those of the packages that
// wrap them, and do not repeat them.
var (
	ErrMalformed = errors.New("JOSE")
	ErrAlgorithm = errors.New("unsupported alg")
	ErrSignature = errors.New("no match")
	ErrKey       = errors.New("unusable key")
)

const (
	minRSABits = 2048 // SP-5.4.1-2
	maxRSABits = 8192 // a larger modulus only slows verification down
)

// Algorithms returns the permitted algorithms, the preferred ones first.
func Algorithms() []string { return []string{ES256, PS256, EdDSA, Ed25519} }

// Allowed reports whether alg is permitted. RS256, none and every MAC are not.
func Allowed(alg string) bool {
	// SP-5.4.1-1.1, SP-5.4.1-1.2: an allow list (RFC 8725 §3.1), applied before
	// a key is chosen.
	switch alg {
	case ES256, PS256, EdDSA, Ed25519:
		return true
	}
	// SP-5.4.1-1.3, JWT-3.2-1: among others, none. JWT-3.5-1: without a MAC no
	// password can be a key.
	return false
}

// Same reports whether two names denote one algorithm. EdDSA denotes several
// algorithms, of which only Ed25519 is permitted here (RFC 9864 §2.2). A peer
// may be registered with one of the two names and sign with the other.
func Same(a, b string) bool { return a == b || sameEd25519(a) && sameEd25519(b) }

// Accepts reports whether a list has an algorithm under one of its names.
func Accepts(accepted []string, alg string) bool {
	return slices.ContainsFunc(accepted, func(a string) bool { return Same(a, alg) })
}

// AlgorithmFor returns the default algorithm of a key.
func AlgorithmFor(key crypto.PublicKey) (string, error) {
	for _, alg := range []string{ES256, PS256, EdDSA} {
		if KeyFits(key, alg) {
			return alg, nil
		}
	}
	return "", fmt.Errorf("%w: %T is not a P-256, RSA (%d to %d bits) or Ed25519 key",
		ErrKey, key, minRSABits, maxRSABits)
}

// HasRSABits reports whether a key has at least min bits, if it is an RSA key.
func HasRSABits(key crypto.PublicKey, min int) bool {
	k, ok := key.(*rsa.PublicKey)
	return !ok || k.N.BitLen() >= min
}

// KeyFits reports whether a key may be used with alg.
func KeyFits(key crypto.PublicKey, alg string) bool {
	// JWT-3.1-2: the type of the key decides, so that a token cannot choose
	// another algorithm for it.
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		// SP-5.4.1-3: only P-256. crypto/ecdsa panics for a key without
		// coordinates.
		return alg == ES256 && k != nil && k.Curve == elliptic.P256() && k.X != nil && k.Y != nil
	case ed25519.PublicKey:
		return (alg == EdDSA || alg == Ed25519) && len(k) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		if alg != PS256 || k == nil || k.N == nil {
			return false
		}
		bits := k.N.BitLen() // SP-5.4.1-2
		return minRSABits <= bits && bits <= maxRSABits && k.N.Sign() > 0 && k.N.Bit(0) == 1 &&
			3 <= k.E && k.E <= math.MaxInt32 && k.E%2 == 1
	}
	return false
}
