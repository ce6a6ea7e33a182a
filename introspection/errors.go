package introspection

import (
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the authorization server's side. [Responder.WriteError] sends what they carry.
var (
	// ErrNoToken says that the question has no token in it: invalid_request, status 400 (RFC 7662 §2.1).
	ErrNoToken = oautherr.New("introspection: no token parameter", "invalid_request", http.StatusBadRequest, "the parameter token is missing")
	// ErrUnauthenticated says that nobody knows who asks: invalid_client. Its status is 401; a [Responder] that signs makes
	// 400 of that (RFC 9701 §5).
	ErrUnauthenticated = oautherr.New("introspection: caller not authenticated", "invalid_client", http.StatusUnauthorized,
		"resource server authentication is required")
)

// What [Client.Introspect] and the checks of a [Token] can find. Each carries what to tell to the one who presented the
// token. All but the last two are invalid_token with status 401 (RFC 6750 §3.1): an answer that cannot be believed counts
// as one that says the token is inactive.
var (
	// ErrInactive says that the authorization server declares the token inactive: it is unknown to it, expired, revoked, or
	// for another resource server; or that it cannot be a token at all, in which case nobody was asked.
	ErrInactive error = invalid("token inactive")
	// ErrUnsigned says that the answer is not a signed one although it has to be.
	ErrUnsigned error = invalid("response not signed")
	// ErrMalformed says that the answer is not strict JSON, or no JWS in compact serialization, or is too long.
	ErrMalformed error = invalid("malformed response")
	// ErrAlgorithm says that the answer is signed by an algorithm that is not allowed.
	ErrAlgorithm error = invalid("response algorithm not allowed")
	// ErrType says that the answer is a JWT of another kind.
	ErrType error = invalid("response not typed as a token introspection response")
	// ErrIssuer says that the answer, or the token it is about, is of another issuer.
	ErrIssuer error = invalid("wrong issuer")
	// ErrAudience says that the answer was made for another resource server.
	ErrAudience error = invalid("response for another resource server")
	// ErrStale says that the answer was not made just now.
	ErrStale error = invalid("response too old or from the future")
	// ErrSignature says that no key of the authorization server verifies the answer.
	ErrSignature error = invalid("response signature does not verify")
	// ErrClaims says that a member of the answer is missing, or has not the form that it must have.
	ErrClaims error = invalid("member missing or malformed")
	// ErrExpired says that the token has expired, whatever else the answer says.
	ErrExpired error = invalid("token expired")
	// ErrNotYetValid says that the token is from the future.
	ErrNotYetValid error = invalid("token not yet valid")
	// ErrResource says that the token is for another resource server.
	ErrResource error = invalid("token for another resource server")
	// ErrConfirmation says that the token is bound to no key, or in a way that cannot be checked.
	ErrConfirmation error = invalid("no usable confirmation")

	// ErrUnavailable says that the authorization server did not answer the question, or that its keys could not be had. It
	// wraps the cause, a *oauth2.RetrieveError if the server said something. To the peer it is server_error, status 503.
	ErrUnavailable = oautherr.New("introspection: no answer", oautherr.ServerError, http.StatusServiceUnavailable, "")
	// ErrInsufficientScope says that a good token does not allow this: insufficient_scope, status 403.
	ErrInsufficientScope = oautherr.New("introspection: insufficient scope", "insufficient_scope", http.StatusForbidden,
		"the access token does not have the scope that this needs")
)

func invalid(text string) error {
	return oautherr.New("introspection: "+text, "invalid_token", http.StatusUnauthorized, "the access token is not valid")
}
