package jar

import "github.com/gofapi/fapi2/internal/oautherr"

const (
	invalidRequest = "invalid_request"
	invalidObject  = "invalid_request_object"
)

// Errors of a [Verifier]. Each matches exactly one of them by errors.Is. With
// errors.As a caller finds the interface { OAuthError() (code, description
// string); HTTPStatus() int } for the response.
//
// An error in the request object is invalid_request_object with status 400 (RFC
// 9101 §7). An error in the form is invalid_request.
var (
	// ErrUnsigned means that the form has no request object: invalid_request
	// (RFC 9126 §2.3).
	ErrUnsigned = oautherr.New("jar: no request object", invalidRequest, 400, "a signed request object is required")
	// ErrForm means that the form repeats a parameter, has a parameter that is
	// not permitted with a request object, or has the client_id of another
	// client: invalid_request.
	ErrForm = oautherr.New("jar: unexpected parameter in the form", invalidRequest, 400,
		"the form must contain only the request object and client authentication")
	// ErrMalformed means that the object is not a compact JWS with strict JSON
	// inside, or is too long.
	ErrMalformed = oautherr.New("jar: malformed request object", invalidObject, 400, "request object malformed")
	// ErrEncrypted means that the object is encrypted.
	ErrEncrypted = oautherr.New("jar: encrypted request object", invalidObject, 400,
		"encryption of request objects is not supported")
	// ErrAlgorithm means that the signature algorithm is not accepted, or is
	// not the registered one of the client.
	ErrAlgorithm = oautherr.New("jar: algorithm not accepted", invalidObject, 400,
		"request object algorithm not accepted")
	// ErrType means that the JWT is of another kind, or could pass for one of
	// another kind.
	ErrType = oautherr.New("jar: not a request object", invalidObject, 400,
		"the JWT is not a request object, or has the client as its sub")
	// ErrClaims means that client_id, aud, nbf or exp is missing, or that a
	// claim of the JWT is malformed.
	ErrClaims = oautherr.New("jar: claim missing or malformed", invalidObject, 400,
		"the request object needs client_id, aud, nbf and exp")
	// ErrClient means that client_id or iss in the object is not the
	// authenticated client.
	ErrClient = oautherr.New("jar: request object of another client", invalidObject, 400,
		"client_id and iss must be the authenticated client")
	// ErrAudience means that aud does not contain the issuer identifier of this
	// server.
	ErrAudience = oautherr.New("jar: wrong audience", invalidObject, 400,
		"aud must be or contain the issuer identifier")
	// ErrNotYetValid means that nbf or iat is too far in the future.
	ErrNotYetValid = oautherr.New("jar: request object not valid yet", invalidObject, 400,
		"request object not valid yet")
	// ErrTooOld means that nbf is more than VerifierConfig.MaxAge ago.
	ErrTooOld = oautherr.New("jar: request object too old", invalidObject, 400, "nbf is too long ago")
	// ErrExpired means that the object has expired.
	ErrExpired = oautherr.New("jar: request object expired", invalidObject, 400, "request object expired")
	// ErrLifetime means that exp is not after nbf, or more than
	// VerifierConfig.MaxLifetime after it.
	ErrLifetime = oautherr.New("jar: invalid lifetime of the request object", invalidObject, 400,
		"exp must be after nbf, and not by too much")
	// ErrNested means that the object contains request or request_uri.
	ErrNested = oautherr.New("jar: request object refers to another request", invalidObject, 400,
		"request and request_uri must not be inside a request object")
	// ErrCredentials means that the object contains a parameter of client
	// authentication.
	ErrCredentials = oautherr.New("jar: client authentication inside the request object", invalidObject, 400,
		"client authentication must not be inside a request object")
	// ErrParameter means that an authorization parameter has the wrong JSON
	// type, or that there are too many parameters.
	ErrParameter = oautherr.New("jar: invalid parameter in the request object", invalidObject, 400,
		"a parameter in the request object has the wrong type")
	// ErrSignature means that no key of the client verifies the signature.
	ErrSignature = oautherr.New("jar: signature does not verify", invalidObject, 400,
		"no key of the client verifies the request object")
	// ErrReplayed means that the client has used the jti of the object before.
	ErrReplayed = oautherr.New("jar: request object replayed", invalidObject, 400, "request object used before")
	// ErrUnavailable means that the keys of the client are unavailable or that
	// the replay store failed: server_error with status 503. It wraps the
	// cause. The client can use the object again, unless the store has stored
	// the jti before it failed.
	ErrUnavailable = oautherr.New("jar: keys or replay store unavailable", oautherr.ServerError, 503,
		"request objects cannot be checked at the moment")
)
