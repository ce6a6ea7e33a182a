package tokenbinding

import (
	"errors"

	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	invalidRequest = "invalid_request"
	invalidToken   = "invalid_token"
)

// Errors of tokens, confirmations and requests. An error of this package
// matches exactly one of them, or one of the errors of a [CertificateSource].
// An authorization server reports ErrNotBound, and an API reports the others
// (RFC 6750 §3.1). For the wire form, errors.As finds an interface {
// OAuthError() (code, description string); HTTPStatus() int }. ErrTokenType has
// none.
var (
	// ErrNoToken means that the request has no access token with a supported
	// scheme. The wire form is status 401 without an error code, because the
	// client may not know that it needs a token (RFC 6750 §3.1).
	ErrNoToken = oautherr.New("tokenbinding: no access token", "", 401, "")
	// ErrMultipleMethods means that the request has several Authorization
	// headers, or a token in its body. The wire form is invalid_request with
	// status 400.
	ErrMultipleMethods = oautherr.New("tokenbinding: more than one method to send a token", invalidRequest, 400,
		"Multiple methods used to include access token")
	// ErrTokenInQuery means that the URL has an access token, which logs and
	// histories may record. The wire form is invalid_request with status 400.
	ErrTokenInQuery = oautherr.New("tokenbinding: access token in the query", invalidRequest, 400,
		"Access token in the query")
	// ErrMalformed means that the scheme is not followed by a token of at most
	// 16 KiB. The wire form is invalid_request with status 400.
	ErrMalformed = oautherr.New("tokenbinding: malformed Authorization header", invalidRequest, 400,
		"Malformed Authorization header")
	// ErrUnbound means that the token has no binding that this package can
	// check. The wire form is invalid_token with status 401.
	ErrUnbound = oautherr.New("tokenbinding: token is not sender-constrained", invalidToken, 401,
		"The access token is not sender-constrained")
	// ErrConfirmation means that the member cnf is malformed. The wire form is
	// invalid_token with status 401.
	ErrConfirmation = oautherr.New("tokenbinding: malformed confirmation", invalidToken, 401,
		"The access token is not valid")
	// ErrBearer means that a token that is bound to a DPoP key is presented as
	// Bearer. The wire form is invalid_token with status 401.
	ErrBearer = oautherr.New("tokenbinding: DPoP-bound token presented as Bearer", invalidToken, 401,
		"The access token is bound to a DPoP key")
	// ErrNoProof means that the token is bound to a DPoP key, and that no proof
	// was verified. The wire form is invalid_dpop_proof with status 401.
	ErrNoProof = oautherr.New("tokenbinding: no DPoP proof", "invalid_dpop_proof", 401,
		"DPoP proof is missing")
	// ErrNoCertificate means that the token is bound to a certificate, and that
	// the client presented none. The wire form is invalid_token with status
	// 401.
	ErrNoCertificate = oautherr.New("tokenbinding: no client certificate", invalidToken, 401,
		"Client certificate is missing")
	// ErrMismatch means that the token is bound to another key or certificate.
	// The wire form is invalid_token with status 401.
	ErrMismatch = oautherr.New("tokenbinding: token is bound to another key", invalidToken, 401,
		"Invalid key binding")

	// ErrNotBound means that a token request proves no possession of a key. The
	// authorization server reports invalid_request with status 400.
	ErrNotBound = oautherr.New("tokenbinding: nothing to bind the token to", invalidRequest, 400,
		"Access tokens are sender-constrained: use DPoP or mutual TLS")
	// ErrTokenType means that the authorization server has issued a token of
	// another type. It is an error of the client side and has no wire form.
	ErrTokenType = errors.New("tokenbinding: unexpected token_type")
)

// errRejected is the error of [Challenge.InvalidToken].
var errRejected = oautherr.New("tokenbinding: access token rejected", invalidToken, 401,
	"The access token is not valid")
