// Package jose holds the JOSE policy of FAPI 2.0: which algorithms and keys exist, how a compact JWS is read before
// anything in it is believed, how a JWK becomes a key, and how a token is signed with any crypto.Signer.
//
// It is the only package that may import a JOSE library. The hot path (split, header, claims, signature) stands on the
// standard library's crypto packages alone: general-purpose JOSE code accepts duplicate members, private keys in headers,
// unknown critical headers and detached payloads, and costs more than the whole time budget of a proof check.
//
// SP-5.4.1-1.1: what RFC 8725 asks of a library is held here: algorithms and their keys, points and weak keys, UTF-8, what a
// header may make us do, how a typ is compared. What it asks of an application (iss, sub, aud, one set of rules per kind of
// token) is held by the packages that verify that kind.
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

// Failures. Every error about a peer's input or a configured key matches exactly one of them. Their texts come after those
// of the packages that wrap them, and repeat none.
var (
	ErrMalformed = errors.New("JOSE")
	ErrAlgorithm = errors.New("unsupported alg")
	ErrSignature = errors.New("no match")
	ErrKey       = errors.New("key refused")
)

const (
	minRSABits = 2048 // SP-5.4.1-2
	maxRSABits = 8192 // A larger modulus only serves to make verification slow.
)

// Algorithms returns what Allowed allows, most preferred first.
func Algorithms() []string { return []string{ES256, PS256, EdDSA, Ed25519} }

// Allowed reports whether alg may be used at all.
//
// SP-5.4.1-1.2, JWT-3.1-1, JWT-3.2-1: an allow list, so that RS256 and every MAC are refused before a key is looked at.
// SP-5.4.1-1.3: none is not in it. JWT-3.5-1: without a MAC no password can be anyone's key.
func Allowed(alg string) bool {
	switch alg {
	case ES256, PS256, EdDSA, Ed25519:
		return true
	}
	return false
}

// Same reports whether two names denote the same algorithm. EdDSA denotes
// several algorithms, of which only Ed25519 is allowed here (RFC 9864 §2.2). A
// peer may be registered with one of the two names and sign with the other.
func Same(a, b string) bool { return a == b || sameEd25519(a) && sameEd25519(b) }

// Accepts reports whether an algorithm is in a list, under either of its names.
func Accepts(accepted []string, alg string) bool {
	return slices.ContainsFunc(accepted, func(a string) bool { return Same(a, alg) })
}

// AlgorithmFor returns the algorithm a key is used with when nothing else was agreed.
func AlgorithmFor(key crypto.PublicKey) (string, error) {
	for _, alg := range []string{ES256, PS256, EdDSA} {
		if KeyFits(key, alg) {
			return alg, nil
		}
	}
	return "", fmt.Errorf("%w: %T is no P-256, RSA (%d to %d bits) or Ed25519 key", ErrKey, key, minRSABits, maxRSABits)
}

// KeyFits reports whether a key may be used with alg.
//
// JWT-3.1-2: the key's type decides, so that no token can have a key used with another algorithm than its own.
func KeyFits(key crypto.PublicKey, alg string) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		// SP-5.4.1-3: P-256 alone. A key without coordinates makes crypto/ecdsa panic.
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
