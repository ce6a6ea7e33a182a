package accesstoken

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// What [Verifier.Verify] and the checks of a [Token] can find. Each carries its wire code and HTTP status; a peer is told
// no more than the description. All but the last four are invalid_token with status 401 (RFC 6750 §3.1).
var (
	// ErrMalformed says that the token is not a JWS in compact serialization with strict JSON inside, or is too long.
	ErrMalformed error = invalid("malformed token")
	// ErrAlgorithm says that the token is signed by an algorithm that is not allowed.
	ErrAlgorithm error = invalid("algorithm not allowed")
	// ErrType says that the token is a JWT of another kind, or does not say which.
	ErrType error = invalid("not typed as an access token")
	// ErrClaims says that a required claim is missing, or that a claim has not the form it must have.
	ErrClaims error = invalid("claim missing or malformed")
	// ErrIssuer says that the token is of another issuer.
	ErrIssuer error = invalid("wrong issuer")
	// ErrAudience says that the token is for another resource server.
	ErrAudience error = invalid("wrong audience")
	// ErrExpired says that the token has expired.
	ErrExpired error = invalid("token expired")
	// ErrNotYetValid says that the token is from the future.
	ErrNotYetValid error = invalid("token not yet valid")
	// ErrConfirmation says that the token is bound to no key, or in a way that cannot be checked.
	ErrConfirmation error = invalid("no usable confirmation")
	// ErrSignature says that no key of the issuer verifies the token.
	ErrSignature error = invalid("signature does not verify")
	// ErrRevoked says that the token has been revoked.
	ErrRevoked error = invalid("token revoked")

	// ErrUnavailable says that the issuer's keys or the state of the token could not be obtained. It wraps the cause. To
	// the peer it is server_error, status 503.
	ErrUnavailable = oautherr.New("accesstoken: keys or revocation state unavailable", oautherr.ServerError, http.StatusServiceUnavailable, "")
	// ErrInsufficientScope says that a good token does not allow this: insufficient_scope, status 403.
	ErrInsufficientScope = oautherr.New("accesstoken: insufficient scope", "insufficient_scope", http.StatusForbidden,
		"the access token does not have the scope that this needs")
	// ErrInsufficientAuthentication says that the user has to authenticate again, or by other means:
	// insufficient_user_authentication, status 401 (RFC 9470 §3). The challenge also needs what [StepUp.Challenge] returns.
	ErrInsufficientAuthentication = oautherr.New("accesstoken: insufficient user authentication", stepUpCode, http.StatusUnauthorized,
		"a different or more recent authentication is required")

	// ErrTooLong says that an [Issuer] was asked for a token that no [Verifier] takes: server_error, status 500.
	ErrTooLong = oautherr.New("accesstoken: token too long", oautherr.ServerError, http.StatusInternalServerError, "")
)

func invalid(text string) error {
	return oautherr.New("accesstoken: "+text, "invalid_token", http.StatusUnauthorized, "the access token is not valid")
}
