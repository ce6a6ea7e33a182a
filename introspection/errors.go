package introspection

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the authorization server. [Responder.WriteError] writes their wire
// form.
var (
	// ErrNoToken means that the request has no token: invalid_request with
	// status 400 (RFC 7662 §2.1).
	ErrNoToken = oautherr.New("introspection: no token parameter", "invalid_request", http.StatusBadRequest,
		"the parameter token is missing")
	// ErrUnauthenticated means that the caller is not authenticated:
	// invalid_client with status 401. A [Responder] with a key changes the
	// status to 400 (RFC 9701 §5).
	ErrUnauthenticated = oautherr.New("introspection: caller not authenticated", "invalid_client",
		http.StatusUnauthorized, "resource server authentication is required")
)

// Errors of [Client.Introspect]. On the wire each is invalid_token with status
// 401 (RFC 6750 §3.1). A response that is not authentic counts like the
// response for an inactive token.
var (
	// ErrInactive means that the token is inactive: unknown to the
	// authorization server, expired, revoked or for another resource server. It
	// also means that the value does not have the syntax of a token. No request
	// is sent in that case.
	ErrInactive error = invalid("token inactive")
	// ErrUnprotected means that the response is not signed or not encrypted
	// though it must be, or that it cannot be decrypted.
	ErrUnprotected error = invalid("response not protected as registered")
	// ErrMalformed means that the response is not a compact JWS or strict JSON,
	// or is too long.
	ErrMalformed error = invalid("malformed response")
	// ErrAlgorithm means that the algorithm of the signature or of the
	// encryption is not accepted.
	ErrAlgorithm error = invalid("response algorithm not allowed")
	// ErrType means that the response is a JWT of another kind.
	ErrType error = invalid("response not typed as a token introspection response")
	// ErrIssuer means that the response, or the token, is from another issuer.
	ErrIssuer error = invalid("wrong issuer")
	// ErrAudience means that the response is for another resource server.
	ErrAudience error = invalid("response for another resource server")
	// ErrStale means that the response is too old or from the future.
	ErrStale error = invalid("response too old or from the future")
	// ErrSignature means that no key of the authorization server verifies the
	// signature.
	ErrSignature error = invalid("response signature does not verify")
	// ErrClaims means that a member of the response is missing or malformed.
	ErrClaims error = invalid("member missing or malformed")
	// ErrExpired means that the token has expired, though the response says
	// that it is active.
	ErrExpired error = invalid("token expired")
	// ErrNotYetValid means that "iat" or "nbf" of the token is in the future.
	ErrNotYetValid error = invalid("token not yet valid")
	// ErrResource means that the token is for another resource server.
	ErrResource error = invalid("token for another resource server")
	// ErrConfirmation means that the token is not bound to a key, or that its
	// binding cannot be checked.
	ErrConfirmation error = invalid("no usable confirmation")
)

// Errors with another wire code than invalid_token.
var (
	// ErrUnavailable means that there is no response of the authorization
	// server, or that its keys are unavailable. It wraps the cause, which is an
	// *oauth2.RetrieveError for an error response. On the wire it is
	// server_error with status 503.
	ErrUnavailable = oautherr.New("introspection: response or keys unavailable", oautherr.ServerError,
		http.StatusServiceUnavailable, "")
	// ErrInsufficientScope means that a valid token lacks a scope value:
	// insufficient_scope with status 403. [Token.CheckScope] returns it.
	ErrInsufficientScope = oautherr.New("introspection: insufficient scope", "insufficient_scope",
		http.StatusForbidden, "the access token does not have the required scope")
)

func invalid(text string) error {
	return oautherr.New("introspection: "+text, "invalid_token", http.StatusUnauthorized,
		"the access token is not valid")
}
