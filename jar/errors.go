package jar

import "github.com/gofapi/fapi2/internal/oautherr"

const (
	invalidRequest = "invalid_request"
	invalidObject  = "invalid_request_object"
)

// Reasons for which a signed request is refused. Every error about a request matches exactly one of them by errors.Is, and
// carries what to answer: errors.As finds an interface { OAuthError() (code, description string); HTTPStatus() int }.
//
// JAR-7-1: what is wrong with the object itself is invalid_request_object, with status 400. What is wrong around it is
// invalid_request.
var (
	// ErrUnsigned: the form has no request object. invalid_request, as RFC 9126 §2.3 has it for servers that demand one.
	ErrUnsigned = oautherr.New("jar: no request object", invalidRequest, 400, "a signed request object is required")
	// ErrForm: the form repeats a parameter or has one, beside the request object, that is not for client authentication,
	// or its client_id is not the client that has authenticated. invalid_request.
	ErrForm = oautherr.New("jar: parameter beside the request object refused", invalidRequest, 400, "only client authentication may stand beside the request object")
	// ErrMalformed: the object is no compact JWS over well-formed JSON, or is too long.
	ErrMalformed = oautherr.New("jar: malformed request object", invalidObject, 400, "request object malformed")
	// ErrEncrypted: the object is encrypted.
	ErrEncrypted = oautherr.New("jar: encrypted request object", invalidObject, 400, "encryption of request objects is not supported")
	// ErrAlgorithm: the signature algorithm is not accepted, or is not the one registered for the client.
	ErrAlgorithm = oautherr.New("jar: signature algorithm refused", invalidObject, 400, "request object algorithm not accepted")
	// ErrType: the JWT is of another kind than a request object, or could pass for one of another kind.
	ErrType = oautherr.New("jar: JWT of another kind", invalidObject, 400, "the JWT is not a request object, or has the client as its sub")
	// ErrClaims: one of client_id, aud, nbf and exp is missing, or a claim of the JWT itself is not what it must be.
	ErrClaims = oautherr.New("jar: claim missing or malformed", invalidObject, 400, "the request object needs client_id, aud, nbf and exp")
	// ErrClient: client_id or iss in the object is not the client that has authenticated.
	ErrClient = oautherr.New("jar: request object of another client", invalidObject, 400, "client_id and iss must be the authenticated client")
	// ErrAudience: aud is not, and does not contain, the issuer identifier of this server.
	ErrAudience = oautherr.New("jar: wrong audience", invalidObject, 400, "aud must be or contain the issuer identifier")
	// ErrNotYetValid: nbf or iat lies in the future, further than clocks may differ.
	ErrNotYetValid = oautherr.New("jar: request object not valid yet", invalidObject, 400, "request object not valid yet")
	// ErrTooOld: nbf is more than 60 minutes ago.
	ErrTooOld = oautherr.New("jar: request object too old", invalidObject, 400, "nbf is more than 60 minutes ago")
	// ErrExpired: exp has passed.
	ErrExpired = oautherr.New("jar: request object expired", invalidObject, 400, "request object expired")
	// ErrLifetime: exp is more than 60 minutes after nbf, or not after it at all.
	ErrLifetime = oautherr.New("jar: lifetime of the request object refused", invalidObject, 400, "exp must be after nbf by at most 60 minutes")
	// ErrNested: there is a request or a request_uri inside the object.
	ErrNested = oautherr.New("jar: request object refers to another request", invalidObject, 400, "request and request_uri must not be inside a request object")
	// ErrCredentials: there is a parameter of client authentication inside the object.
	ErrCredentials = oautherr.New("jar: client authentication inside the request object", invalidObject, 400, "client authentication must not be inside a request object")
	// ErrParameter: the value of an authorization parameter has not the JSON type that it must have, or there are too many.
	ErrParameter = oautherr.New("jar: parameter in the request object refused", invalidObject, 400, "a parameter in the request object has the wrong type")
	// ErrSignature: no key of the client verifies the signature.
	ErrSignature = oautherr.New("jar: bad signature", invalidObject, 400, "no key of the client verifies the request object")
	// ErrReplayed: the client has used the object's jti before.
	ErrReplayed = oautherr.New("jar: request object replayed", invalidObject, 400, "request object used before")
	// ErrUnavailable: the client's keys or the replay store could not be asked; the cause is wrapped. server_error, status
	// 503. Nothing has been used up, except that a replay store may have stored what it then failed to confirm.
	ErrUnavailable = oautherr.New("jar: cannot decide", oautherr.ServerError, 503, "request objects cannot be checked at the moment")
)
