package pkce

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of [CheckRequest]. On the wire each is invalid_request with status 400 (section 4.4.1).
var (
	// ErrChallengeMissing: the authorization request has no code_challenge.
	ErrChallengeMissing = oautherr.New("pkce: code_challenge missing",
		"invalid_request", http.StatusBadRequest, "code_challenge is required")
	// ErrMethodUnsupported: code_challenge_method is absent, which means plain, or is not S256.
	ErrMethodUnsupported = oautherr.New("pkce: code_challenge_method not supported",
		"invalid_request", http.StatusBadRequest, "code_challenge_method must be S256")
	// ErrChallengeMalformed: the code_challenge is not the base64url form of a SHA-256 hash.
	ErrChallengeMalformed = oautherr.New("pkce: code_challenge malformed",
		"invalid_request", http.StatusBadRequest, "code_challenge must be 43 characters of base64url without padding")
)

// Errors of [Verify], the second and third also of [Challenge]. On the wire each is invalid_grant with status 400
// (section 4.6).
var (
	// ErrVerifierUnexpected: the token request has a code_verifier although the authorization request had no
	// code_challenge: a PKCE downgrade (RFC 9700 section 2.1.1).
	ErrVerifierUnexpected = oautherr.New("pkce: code_verifier without code_challenge",
		"invalid_grant", http.StatusBadRequest, "the authorization request had no code_challenge")
	// ErrVerifierMissing: there is no code_verifier.
	ErrVerifierMissing = oautherr.New("pkce: code_verifier missing",
		"invalid_grant", http.StatusBadRequest, "code_verifier is required")
	// ErrVerifierMalformed: the code_verifier is not 43 to 128 unreserved characters.
	ErrVerifierMalformed = oautherr.New("pkce: code_verifier malformed",
		"invalid_grant", http.StatusBadRequest, "code_verifier must be 43 to 128 unreserved characters")
	// ErrVerifierMismatch: the code_verifier does not belong to the code_challenge.
	ErrVerifierMismatch = oautherr.New("pkce: code_verifier does not match",
		"invalid_grant", http.StatusBadRequest, "code_verifier does not match the code_challenge")
)
