// Package pkce implements Proof Key for Code Exchange by OAuth public clients (RFC 7636), with the method S256 only.
//
// PKCE ties an authorization code to the client instance that asked for it: the client makes up a secret, the code
// verifier, sends its hash, the code challenge, with the authorization request, and the verifier itself with the token
// request. A code that has been stolen or slipped into another session is then of no use. Despite its name it is for
// every client, confidential ones included.
//
// A client calls [NewVerifier] once for each authorization request, keeps the verifier with the user agent's session,
// sends [Challenge] and [MethodS256], and later the verifier. With golang.org/x/oauth2 that is oauth2.GenerateVerifier
// (which makes the same kind of verifier), oauth2.S256ChallengeOption and oauth2.VerifierOption; a client on that
// library needs nothing from here, unless it pushes the parameters itself.
//
// An authorization server calls [CheckRequest] with the parameters of the authorization request, stores the challenge
// with the code, and calls [Verify] when the code is redeemed, after client authentication and before the code is used up.
//
// There is no method "plain" and no switch for it: it sends the secret itself through the browser. Whether a challenge is
// required is no option either. The package neither stores anything nor looks for challenges that come twice.
package pkce

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// MethodS256 is the only code_challenge_method: BASE64URL(SHA256(ASCII(code_verifier))). Servers publish it as the only
// element of code_challenge_methods_supported.
//
// PKCE-4.2-2, PKCE-7.2-1: with no other method in this package nobody can fall back to one.
const MethodS256 = "S256"

const (
	verifierOctets    = 32
	minVerifierLength = 43
	maxVerifierLength = 128
	challengeLength   = 43 // 32 octets in base64url without padding
)

// NewVerifier returns a fresh code verifier: 256 random bits as 43 characters of base64url. It is a secret; make one for
// each authorization request (section 4.1). Safe for concurrent use.
func NewVerifier() string {
	// PKCE-4.1-2, BCP-2.1.1-2: 32 octets from the system's generator, never to be used in a second transaction.
	var octets [verifierOctets]byte
	rand.Read(octets[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(octets[:])
}

// Challenge returns the S256 code challenge of a verifier: 43 characters of base64url (section 4.2). It returns
// [ErrVerifierMissing] or [ErrVerifierMalformed], with an empty challenge, for what is no verifier by section 4.1.
// Safe for concurrent use.
func Challenge(verifier string) (string, error) {
	if err := checkVerifier(verifier); err != nil {
		return "", err
	}
	// PKCE-4.2-1, SP-5.3.3.2-3
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// CheckRequest checks code_challenge and code_challenge_method of an authorization request (section 4.3), empty when
// absent. It returns nil when the challenge is one for S256; store it then with the code. It returns [ErrChallengeMissing],
// [ErrMethodUnsupported] or [ErrChallengeMalformed]. Safe for concurrent use.
//
// Parameters that occur twice are for the caller to refuse, who sees the form.
func CheckRequest(challenge, method string) error {
	// PKCE-4.4.1-1, SP-5.3.2.2-5: no request goes without.
	if challenge == "" {
		return ErrChallengeMissing
	}
	// PKCE-4.3-1: an absent method means plain, so it is refused like every other one that is not S256.
	// PKCE-4.4.1-2, PKCE-4.2-3: the name is compared with its case.
	if method == "" {
		return fmt.Errorf("%w: absent, which means plain", ErrMethodUnsupported)
	}
	if method != MethodS256 {
		return fmt.Errorf("%w: %.32q", ErrMethodUnsupported, method)
	}
	return checkChallenge(challenge)
}

// Verify checks the code_verifier of a token request against the challenge that was stored with the code (section 4.6);
// either is empty when absent. The comparison takes constant time. Safe for concurrent use.
//
// It returns [ErrVerifierUnexpected] when there is a verifier but no challenge, [ErrVerifierMissing],
// [ErrVerifierMalformed] or [ErrVerifierMismatch]: each of them invalid_grant with status 400. A failure is no reason to
// use up the code, for the one who presents it may not be its owner.
func Verify(challenge, verifier string) error {
	// BCP-2.1.1-4: somebody has taken the challenge out of the authorization request on its way.
	if challenge == "" && verifier != "" {
		return ErrVerifierUnexpected
	}
	// PKCE-4.5-1, BCP-2.1.1-3: a missing verifier is refused like a wrong one, even where no challenge is stored: such
	// a code did not come from a request that CheckRequest has passed.
	computed, err := Challenge(verifier)
	if err != nil {
		return err
	}
	// PKCE-4.6-1, CS-11: a stored challenge of another form equals no computed one.
	if subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) != 1 {
		return ErrVerifierMismatch
	}
	return nil
}

// checkVerifier holds a verifier against the syntax of section 4.1. Errors tell the length and a position, never a
// character of the secret.
func checkVerifier(verifier string) error {
	if verifier == "" {
		return ErrVerifierMissing
	}
	// PKCE-4.1-1: 43 to 128 unreserved characters. The lower bound keeps a guessable verifier out, the upper one
	// bounds what is hashed for a stranger.
	if n := len(verifier); n < minVerifierLength || n > maxVerifierLength {
		return fmt.Errorf("%w: %d bytes, must be %d to %d", ErrVerifierMalformed, n, minVerifierLength, maxVerifierLength)
	}
	for i := range len(verifier) {
		if c := verifier[i]; !isBase64URL(c) && c != '.' && c != '~' {
			return fmt.Errorf("%w: byte %d is not an unreserved character", ErrVerifierMalformed, i)
		}
	}
	return nil
}

// checkChallenge accepts exactly what S256 can yield.
func checkChallenge(challenge string) error {
	// PKCE-4.2-4: 43 to 128 characters in general, and 43 for S256.
	if n := len(challenge); n != challengeLength {
		return fmt.Errorf("%w: %d bytes, must be %d", ErrChallengeMalformed, n, challengeLength)
	}
	for i := range len(challenge) {
		if !isBase64URL(challenge[i]) {
			return fmt.Errorf("%w: byte %d is not a character of base64url", ErrChallengeMalformed, i)
		}
	}
	// The last character carries four bits; with others set it encodes no hash, and no verifier would ever match.
	if last := challenge[challengeLength-1]; strings.IndexByte("AEIMQUYcgkosw048", last) < 0 {
		return fmt.Errorf("%w: the last character encodes surplus bits", ErrChallengeMalformed)
	}
	return nil
}

func isBase64URL(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
