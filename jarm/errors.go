package jarm

import (
	"errors"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// ErrMode says that an authorization request asks for a response mode in which this package does not answer. It is the
// one error here that a client is told (invalid_request, 400): errors.As finds an interface
// { OAuthError() (code, description string); HTTPStatus() int }.
var ErrMode = oautherr.New("jarm: response mode refused", "invalid_request", 400,
	"response_mode must be jwt, query.jwt or form_post.jwt, and response_type code")

// What a [Verifier] can find. All are local, nothing is answered to a peer. A client that meets one of them ends the flow,
// uses no part of what came, and does not believe that the authorization server which it had asked has said anything.
var (
	// ErrNoResponse says that there is no parameter "response", or more than one, or that the request is not one that could
	// have it. An unsigned authorization response ends here.
	ErrNoResponse = errors.New("jarm: no single signed response")
	// ErrMalformed says that the response is not a JWT in compact serialization with strict JSON inside, or is too long.
	ErrMalformed = errors.New("jarm: malformed response")
	// ErrEncryption says that the response is encrypted for a client without a key for that, is not encrypted for one that
	// demands it, or cannot be decrypted.
	ErrEncryption = errors.New("jarm: encryption of the response refused")
	// ErrAlgorithm says that the response is signed or encrypted by an algorithm that is not allowed.
	ErrAlgorithm = errors.New("jarm: algorithm not allowed")
	// ErrType says that the JWT is of another kind, an ID token above all.
	ErrType = errors.New("jarm: not an authorization response")
	// ErrClaims says that one of iss, aud and exp is missing or has not the form it must have.
	ErrClaims = errors.New("jarm: claim missing or malformed")
	// ErrIssuer says that the response is of another authorization server than the one that was asked.
	ErrIssuer = errors.New("jarm: wrong issuer")
	// ErrAudience says that the response is not for this client, or not for it alone.
	ErrAudience = errors.New("jarm: wrong audience")
	// ErrExpired says that the response has expired, or is not valid yet.
	ErrExpired = errors.New("jarm: response expired")
	// ErrSignature says that no key of the issuer verifies the response.
	ErrSignature = errors.New("jarm: signature does not verify")
	// ErrUnavailable says that the issuer's keys could not be obtained. It wraps the cause.
	ErrUnavailable = errors.New("jarm: keys unavailable")
	// ErrParameters says that the authorization server has signed what is no authorization response: both a code and an error,
	// neither of them, or one that is no string.
	ErrParameters = errors.New("jarm: contradictory response parameters")
	// ErrState says that the state is not that of the session: the response belongs to another one (CSRF).
	ErrState = errors.New("jarm: wrong state")
)
