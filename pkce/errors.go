package pkce

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of [CheckRequest]. Each is invalid_request with status 400 on the wire
// (RFC 7636 §4.4.1).
var (
	// ErrChallengeMissing means that the authorization request has no
	// code_challenge.
	ErrChallengeMissing = oautherr.New("pkce: code_challenge missing",
		"invalid_request", http.StatusBadRequest, "code_challenge is required")
	// ErrMethodUnsupported means that code_challenge_method is not S256. An
	// absent method means plain.
	ErrMethodUnsupported = oautherr.New("pkce: code_challenge_method not supported",
		"invalid_request", http.StatusBadRequest, "code_challenge_method must be S256")
	// ErrChallengeMalformed means that the code_challenge is not the base64url
	// encoding of a SHA-256 hash.
	ErrChallengeMalformed = oautherr.New("pkce: code_challenge malformed",
		"invalid_request", http.StatusBadRequest, "code_challenge must be 43 characters of base64url without padding")
)

// Errors of [Verify]. Each is invalid_grant with status 400 on the wire (RFC
// 7636 §4.6). [Challenge] returns the second and the third.
var (
	// ErrVerifierUnexpected means that the token request has a code_verifier
	// and the authorization request had no code_challenge. That is a PKCE
	// downgrade (RFC 9700 §2.1.1).
	ErrVerifierUnexpected = oautherr.New("pkce: code_verifier without code_challenge",
		"invalid_grant", http.StatusBadRequest, "the authorization request had no code_challenge")
	// ErrVerifierMissing means that the token request has no code_verifier.
	ErrVerifierMissing = oautherr.New("pkce: code_verifier missing",
		"invalid_grant", http.StatusBadRequest, "code_verifier is required")
	// ErrVerifierMalformed means that the code_verifier is not 43 to 128
	// unreserved characters.
	ErrVerifierMalformed = oautherr.New("pkce: code_verifier malformed",
		"invalid_grant", http.StatusBadRequest, "code_verifier must be 43 to 128 unreserved characters")
	// ErrVerifierMismatch means that the code_verifier does not match the
	// code_challenge.
	ErrVerifierMismatch = oautherr.New("pkce: code_verifier does not match",
		"invalid_grant", http.StatusBadRequest, "code_verifier does not match the code_challenge")
)
