package dpop

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	codeProof = "invalid_dpop_proof"
	codeNonce = "use_dpop_nonce"
	codeToken = "invalid_token"
)

// Errors of a [Verifier], one for each row of the checklist of RFC 9449 §4.3.
// Each error matches exactly one of them by errors.Is. The texts are for
// operators. They contain neither proof nor token.
//
// With errors.As a caller finds the interface { OAuthError() (code, description
// string); HTTPStatus() int } for the response. The code is invalid_dpop_proof
// if the comment names no other. The status is 401 from [Verifier.CheckToken]
// and [Verifier.VerifyToken], and from a Commit after them. Otherwise it is
// 400.
var (
	// ErrMissing means that the request has no DPoP header field. Its code is
	// never use_dpop_nonce, because a client without a proof cannot use a
	// nonce.
	ErrMissing error = proofError("dpop: no proof", "DPoP proof is missing")
	// ErrMalformed means that there is more than one DPoP header field, or that
	// it does not contain one JWT of type dpop+jwt, of at most 8 KiB. A claim
	// may also be missing, of the wrong type or too long.
	ErrMalformed error = proofError("dpop: malformed proof", "DPoP proof is malformed")
	// ErrAlgorithm means that the signature algorithm is not accepted.
	ErrAlgorithm error = proofError("dpop: algorithm not allowed",
		"DPoP proof is signed with an unsupported algorithm")
	// ErrKey means that the header has no public key, or one that is weak or
	// not for the algorithm.
	ErrKey error = proofError("dpop: unusable key", "DPoP proof has no usable public key")
	// ErrMethod means that the proof is for another HTTP method.
	ErrMethod error = proofError("dpop: proof is for another method", "DPoP proof is for another HTTP method")
	// ErrURL means that the proof is for another URL. The text contains both.
	ErrURL error = proofError("dpop: proof is for another URL", "DPoP proof is for another URL")
	// ErrIssuedAt means that the proof is too old or too far in the future. The
	// text contains its time, the current time and the limits.
	ErrIssuedAt error = proofError("dpop: proof not issued now", "DPoP proof was not issued just now")
	// ErrTokenHash means that the proof is not for this access token.
	ErrTokenHash error = proofError("dpop: proof is for another access token",
		"DPoP proof is not for this access token")
	// ErrBinding means that the access token is not bound to the key of the
	// proof: invalid_token with status 401.
	ErrBinding error = oautherr.New("dpop: access token is not bound to the key of the proof", codeToken,
		http.StatusUnauthorized, "Invalid DPoP key binding")
	// ErrSignature means that the signature does not verify.
	ErrSignature error = proofError("dpop: signature does not verify", "DPoP proof has an invalid signature")
	// ErrNonce means that the nonce is missing or not recent, and that all
	// other checks succeeded: use_dpop_nonce. The response must have a nonce.
	// [Verifier.WriteError] and [Verifier.SetNonce] set it.
	ErrNonce error = oautherr.New("dpop: no recent nonce", codeNonce, // DPOP-8-1, DPOP-9-1
		http.StatusBadRequest, "DPoP proof requires a recent nonce")
	// ErrReplayed means that the proof has been used before.
	ErrReplayed error = proofError("dpop: proof replayed", "DPoP proof has been used before")
	// ErrStore means that the [ReplayStore] failed. It wraps the error of the
	// store. The code is server_error, with status 503. The caller rejects the
	// request, because the proof may have been used before.
	ErrStore error = oautherr.New("dpop: replay store failed", oautherr.ServerError,
		http.StatusServiceUnavailable, "Try again later")
)

func proofError(text, description string) error {
	return oautherr.New(text, codeProof, http.StatusBadRequest, description) // DPOP-5-2
}

// fromJOSE wraps an error of package jose with a sentinel of this package.
func fromJOSE(err error) error {
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return fmt.Errorf("%w: %w", ErrAlgorithm, err)
	case errors.Is(err, jose.ErrKey):
		return fmt.Errorf("%w: %w", ErrKey, err)
	case errors.Is(err, jose.ErrSignature):
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// atResource returns err with the status of a resource server. The status of a
// server error stays.
func atResource(err error) error {
	if err == nil || errors.Is(err, ErrStore) {
		return err
	}
	return oautherr.WithStatus(err, http.StatusUnauthorized)
}
