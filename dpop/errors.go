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

// The failures of a check, a row of the checklist of §4.3 each. An error of a [Verifier] matches exactly one of them with
// errors.Is; its text is for the operator, and contains neither proof nor token.
//
// What to tell the client is in the methods OAuthError() (code, description string) and HTTPStatus() int, found with
// errors.As. The status is 400 from Check, Verify and a Commit after them, 401 from CheckToken, VerifyToken and a Commit
// after them; the exceptions are named.
//
// DPOP-5-2: all of them are invalid_dpop_proof except where it is said.
var (
	// ErrMissing says that the request has no DPoP header field. It is never use_dpop_nonce: a client that sends no
	// proof would not know what to do with a nonce.
	ErrMissing error = proofError("dpop: no proof", "DPoP proof is missing")
	// ErrMalformed says that there is more than one DPoP header field, that it does not hold one JWT of type dpop+jwt in
	// at most 8 KiB, or that one of its claims is missing, of the wrong type or too long.
	ErrMalformed error = proofError("dpop: malformed proof", "DPoP proof is malformed")
	// ErrAlgorithm says that the proof is signed with an algorithm that is not allowed.
	ErrAlgorithm error = proofError("dpop: algorithm not allowed", "DPoP proof is signed with an unsupported algorithm")
	// ErrKey says that the header has no key, a private one, or one that is too weak or not for the algorithm.
	ErrKey error = proofError("dpop: unusable key", "DPoP proof has no usable public key")
	// ErrMethod says that the proof is for another HTTP method.
	ErrMethod error = proofError("dpop: proof is for another method", "DPoP proof is for another HTTP method")
	// ErrURL says that the proof is for another URL. The text shows both.
	ErrURL error = proofError("dpop: proof is for another URL", "DPoP proof is for another URL")
	// ErrIssuedAt says that the proof is too old, or dated too far ahead. The text shows its time, ours and the limits.
	ErrIssuedAt error = proofError("dpop: proof is not of now", "DPoP proof was not issued just now")
	// ErrTokenHash says that the proof is not for this access token.
	ErrTokenHash error = proofError("dpop: proof is for another access token", "DPoP proof is not for this access token")
	// ErrBinding says that the access token is not bound to the key of the proof. It is an invalid_token with status 401.
	ErrBinding error = oautherr.New("dpop: access token is not bound to the key of the proof", codeToken,
		http.StatusUnauthorized, "Invalid DPoP key binding")
	// ErrSignature says that the signature does not verify.
	ErrSignature error = proofError("dpop: signature does not verify", "DPoP proof has an invalid signature")
	// ErrNonce says that all is well but for the nonce, which is missing or not a recent one. It is a use_dpop_nonce: the
	// answer must carry a nonce, which [Verifier.WriteError] and [Verifier.SetNonce] see to.
	ErrNonce error = oautherr.New("dpop: no recent nonce", codeNonce, // DPOP-8-1, DPOP-9-1
		http.StatusBadRequest, "DPoP proof requires a recent nonce")
	// ErrReplayed says that the proof has been used before.
	ErrReplayed error = proofError("dpop: proof replayed", "DPoP proof has been used before")
	// ErrStore says that the [ReplayStore] failed, whose error it wraps. The request must be refused, as nobody knows
	// whether the proof is new. It is a server_error with status 503.
	ErrStore error = oautherr.New("dpop: replay store failed", oautherr.ServerError,
		http.StatusServiceUnavailable, "Try again later")
)

func proofError(text, description string) error {
	return oautherr.New(text, codeProof, http.StatusBadRequest, description)
}

// fromJOSE says in this package's terms what is wrong with a JWT.
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

// atResource gives a failure the status that it has at a resource server. A failure of ours stays one.
func atResource(err error) error {
	if err == nil || errors.Is(err, ErrStore) {
		return err
	}
	return oautherr.WithStatus(err, http.StatusUnauthorized)
}
