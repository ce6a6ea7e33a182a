package accesstoken

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of [Verifier.Verify]. On the wire each is invalid_token with status
// 401 (RFC 6750 §3.1) and a description without details.
var (
	// ErrMalformed means that the token is not a compact JWS with strict JSON
	// inside, or is too long.
	ErrMalformed error = invalid("malformed token")
	// ErrAlgorithm means that the signature algorithm is not accepted.
	ErrAlgorithm error = invalid("algorithm not allowed")
	// ErrType means that the token is a JWT of another kind, or has no typ.
	ErrType error = invalid("not typed as an access token")
	// ErrClaims means that a required claim is missing, or that a claim is
	// malformed.
	ErrClaims error = invalid("claim missing or malformed")
	// ErrIssuer means that another issuer issued the token.
	ErrIssuer error = invalid("wrong issuer")
	// ErrAudience means that the token is for another resource server.
	ErrAudience error = invalid("wrong audience")
	// ErrExpired means that the token has expired.
	ErrExpired error = invalid("token expired")
	// ErrNotYetValid means that "iat" or "nbf" is in the future.
	ErrNotYetValid error = invalid("token not yet valid")
	// ErrConfirmation means that the token is not bound to a key, or that its
	// binding cannot be checked.
	ErrConfirmation error = invalid("no usable confirmation")
	// ErrSignature means that no key of the issuer verifies the signature.
	ErrSignature error = invalid("signature does not verify")
	// ErrRevoked means that the token has been revoked.
	ErrRevoked error = invalid("token revoked")
)

// Errors with another wire code than invalid_token.
var (
	// ErrUnavailable means that [Verifier.Verify] could not get the keys of the
	// issuer or the revocation state. It wraps the cause. On the wire it is
	// server_error with status 503.
	ErrUnavailable = oautherr.New("accesstoken: keys or revocation state unavailable", oautherr.ServerError,
		http.StatusServiceUnavailable, "")
	// ErrInsufficientScope means that a valid token lacks a scope value:
	// insufficient_scope with status 403. [Token.CheckScope] returns it.
	ErrInsufficientScope = oautherr.New("accesstoken: insufficient scope", "insufficient_scope",
		http.StatusForbidden, "the access token does not have the required scope")
	// ErrInsufficientAuthentication means that the user must authenticate
	// again, or by another method: insufficient_user_authentication with status
	// 401 (RFC 9470 §3). [Token.CheckStepUp] returns it. The response also
	// contains the parameters of [StepUp.Challenge].
	ErrInsufficientAuthentication = oautherr.New("accesstoken: insufficient user authentication", stepUpCode,
		http.StatusUnauthorized, "a different or more recent authentication is required")
	// ErrTooLong means that the claims make a token that every [Verifier]
	// rejects as too long. [Issuer.Issue] returns it. On the wire it is
	// server_error with status 500.
	ErrTooLong = oautherr.New("accesstoken: token too long", oautherr.ServerError,
		http.StatusInternalServerError, "")
)

func invalid(text string) error {
	return oautherr.New("accesstoken: "+text, "invalid_token", http.StatusUnauthorized, "the access token is not valid")
}
