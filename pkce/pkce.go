// Package pkce implements Proof Key for Code Exchange (RFC 7636) with the
// method S256.
//
// PKCE binds an authorization code to the client instance that requested it.
// The client generates a secret, the code verifier. It sends the hash of the
// verifier, the code challenge, with the authorization request, and the
// verifier itself with the token request. A code that was stolen, or injected
// into another session, is useless without the verifier. Every client uses
// PKCE, confidential clients included (FAPI 2.0 Security Profile §5.3.2.2).
//
// A client calls [NewVerifier] once for each authorization request and stores
// the verifier in the session of the user agent. It sends [Challenge] and
// [MethodS256] with the authorization request. Clients on golang.org/x/oauth2
// can use oauth2.GenerateVerifier, oauth2.S256ChallengeOption and
// oauth2.VerifierOption instead, unless they push the parameters themselves.
//
// An authorization server calls [CheckRequest] for each authorization request
// and stores the challenge with the code. It calls [Verify] when the code is
// redeemed: after it has authenticated the client, and before it consumes the
// code.
//
// The package does not support the method plain, which sends the secret through
// the browser. A challenge is always required. The package stores nothing, and
// it does not detect a challenge that is used twice.
package pkce

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// MethodS256 is the only code_challenge_method that this package supports:
// BASE64URL(SHA256(ASCII(code_verifier))). A server publishes it as the only
// element of code_challenge_methods_supported.
const MethodS256 = "S256" // PKCE-4.2-2, PKCE-7.2-1: a second method would permit a downgrade

const (
	verifierOctets    = 32
	minVerifierLength = 43
	maxVerifierLength = 128
	challengeLength   = 43 // 32 octets in base64url without padding
)

// NewVerifier returns a new code verifier: 256 random bits as 43 characters of
// base64url (RFC 7636 §4.1). The verifier is a secret. Use a new one for each
// authorization request. NewVerifier is safe for concurrent use.
func NewVerifier() string {
	// PKCE-4.1-2, BCP-2.1.1-2: 32 octets from the generator of the system.
	var octets [verifierOctets]byte
	rand.Read(octets[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(octets[:])
}

// Challenge returns the S256 code challenge of a verifier: 43 characters of
// base64url (RFC 7636 §4.2). If the verifier is empty or malformed, the
// challenge is empty and the error is [ErrVerifierMissing] or
// [ErrVerifierMalformed]. Challenge is safe for concurrent use.
func Challenge(verifier string) (string, error) {
	if err := checkVerifier(verifier); err != nil {
		return "", err
	}
	// PKCE-4.2-1, SP-5.3.3.2-3
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// CheckRequest checks the parameters code_challenge and code_challenge_method
// of an authorization request (RFC 7636 §4.3). An absent parameter is an empty
// string. If the error is nil, the caller stores the challenge with the code.
// Otherwise the error is [ErrChallengeMissing], [ErrMethodUnsupported] or
// [ErrChallengeMalformed].
//
// The caller rejects a form that has a parameter twice. CheckRequest is safe
// for concurrent use.
func CheckRequest(challenge, method string) error {
	// PKCE-4.4.1-1, SP-5.3.2.2-5: every request has a challenge.
	if challenge == "" {
		return ErrChallengeMissing
	}
	// PKCE-4.3-1: an absent method means plain.
	if method == "" {
		return fmt.Errorf("%w: absent, which means plain", ErrMethodUnsupported)
	}
	if method != MethodS256 { // PKCE-4.4.1-2, PKCE-4.2-3: compared with its case
		return fmt.Errorf("%w: %.32q", ErrMethodUnsupported, method)
	}
	return checkChallenge(challenge)
}

// Verify checks the code_verifier of a token request against the challenge that
// is stored with the code (RFC 7636 §4.6). An absent value is an empty string.
// The comparison takes constant time.
//
// The error is [ErrVerifierUnexpected] if there is a verifier without a
// challenge, or [ErrVerifierMissing], [ErrVerifierMalformed] or
// [ErrVerifierMismatch]. Each means invalid_grant with status 400. After an
// error the server does not consume the code: the sender may not be its owner.
// Verify is safe for concurrent use.
func Verify(challenge, verifier string) error {
	// BCP-2.1.1-4: an attacker has removed the challenge from the authorization
	// request.
	if challenge == "" && verifier != "" {
		return ErrVerifierUnexpected
	}
	// PKCE-4.5-1, BCP-2.1.1-3: a verifier is required even if no challenge is
	// stored. CheckRequest did not accept the request of such a code.
	computed, err := Challenge(verifier)
	if err != nil {
		return err
	}
	// PKCE-4.6-1, CS-11
	if subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) != 1 {
		return ErrVerifierMismatch
	}
	return nil
}

// checkVerifier checks the syntax of a verifier (RFC 7636 §4.1). Its errors
// contain a length or a position, and no character of the secret.
func checkVerifier(verifier string) error {
	if verifier == "" {
		return ErrVerifierMissing
	}
	// PKCE-4.1-1: 43 to 128 unreserved characters. The lower bound rejects
	// guessable verifiers. The upper one bounds the work for a stranger.
	if n := len(verifier); n < minVerifierLength || n > maxVerifierLength {
		return fmt.Errorf("%w: %d bytes, must be %d to %d",
			ErrVerifierMalformed, n, minVerifierLength, maxVerifierLength)
	}
	for i := range len(verifier) {
		if c := verifier[i]; !isBase64URL(c) && c != '.' && c != '~' {
			return fmt.Errorf("%w: byte %d is not an unreserved character", ErrVerifierMalformed, i)
		}
	}
	return nil
}

// checkChallenge accepts the values that S256 can produce, and no others.
func checkChallenge(challenge string) error {
	// PKCE-4.2-4: 43 of the 43 to 128 characters that the syntax permits.
	if n := len(challenge); n != challengeLength {
		return fmt.Errorf("%w: %d bytes, must be %d", ErrChallengeMalformed, n, challengeLength)
	}
	for i := range len(challenge) {
		if !isBase64URL(challenge[i]) {
			return fmt.Errorf("%w: byte %d is not a character of base64url", ErrChallengeMalformed, i)
		}
	}
	// The last character carries four bits. If others are set, the challenge is
	// not the encoding of a hash, and no verifier matches it.
	if last := challenge[challengeLength-1]; strings.IndexByte("AEIMQUYcgkosw048", last) < 0 {
		return fmt.Errorf("%w: the last character encodes surplus bits", ErrChallengeMalformed)
	}
	return nil
}

func isBase64URL(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
