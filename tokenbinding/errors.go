package tokenbinding

import (
	"errors"

	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	invalidRequest = "invalid_request"
	invalidToken   = "invalid_token"
)

// Failures. Every error of this package matches exactly one of them by errors.Is. Those of an API (the first ten) and
// ErrNotBound carry what to answer: errors.As finds an interface { OAuthError() (code, description string); HTTPStatus()
// int }. BASE-6750-3.1-1 fixes codes and statuses.
var (
	// ErrNoToken: the request presents no access token by a scheme that is known here. Status 401 and, BASE-6750-3.1-2, no
	// error code: the client may not have known that it needs a token.
	ErrNoToken = oautherr.New("tokenbinding: no access token", "", 401, "")
	// ErrMultipleMethods: the request has more than one Authorization header, or a token in its body. invalid_request,
	// status 400.
	ErrMultipleMethods = oautherr.New("tokenbinding: more than one method to send a token", invalidRequest, 400, "Multiple methods used to include access token")
	// ErrTokenInQuery: there is an access token in the URL, where logs and histories keep it. invalid_request, status 400.
	ErrTokenInQuery = oautherr.New("tokenbinding: access token in the query", invalidRequest, 400, "Access token in the query")
	// ErrMalformed: what follows the scheme is not a token of up to 16 KiB. invalid_request, status 400.
	ErrMalformed = oautherr.New("tokenbinding: malformed Authorization header", invalidRequest, 400, "Malformed Authorization header")
	// ErrUnbound: the token is bound to nothing that can be checked here. invalid_token, status 401.
	ErrUnbound = oautherr.New("tokenbinding: token is not sender-constrained", invalidToken, 401, "The access token is not sender-constrained")
	// ErrConfirmation: the token's cnf is malformed. invalid_token, status 401.
	ErrConfirmation = oautherr.New("tokenbinding: malformed confirmation", invalidToken, 401, "The access token is not valid")
	// ErrBearer: a token bound to a DPoP key is presented as Bearer. invalid_token, status 401.
	ErrBearer = oautherr.New("tokenbinding: DPoP-bound token presented as Bearer", invalidToken, 401, "The access token is bound to a DPoP key")
	// ErrNoProof: the token is bound to a DPoP key and no proof was verified. invalid_dpop_proof, status 401.
	ErrNoProof = oautherr.New("tokenbinding: no DPoP proof", "invalid_dpop_proof", 401, "DPoP proof is missing")
	// ErrNoCertificate: the token is bound to a certificate and the connection has none. invalid_token, status 401.
	ErrNoCertificate = oautherr.New("tokenbinding: no client certificate", invalidToken, 401, "Client certificate is missing")
	// ErrMismatch: the token is bound to another key or certificate. invalid_token, status 401.
	ErrMismatch = oautherr.New("tokenbinding: token is bound to another key", invalidToken, 401, "Invalid key binding")

	// ErrNotBound: at the authorization server, a token request that proves possession of nothing. invalid_request,
	// status 400.
	ErrNotBound = oautherr.New("tokenbinding: nothing to bind the token to", invalidRequest, 400, "Access tokens are sender-constrained: use DPoP or mutual TLS")
	// ErrTokenType: at the client, the authorization server has issued a token of another type. It has no wire form.
	ErrTokenType = errors.New("tokenbinding: unexpected token_type")
)

// errRejected is behind the errors of [Challenge.InvalidToken].
var errRejected = oautherr.New("tokenbinding: access token rejected", invalidToken, 401, "The access token is not valid")
