package jarm

import (
	"errors"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// ErrMode means that an authorization request has a response mode that this
// package does not support. It is the only error of this package for a client:
// invalid_request with status 400.
var ErrMode = oautherr.New("jarm: unsupported response mode", "invalid_request", 400,
	"response_mode must be jwt, query.jwt or form_post.jwt, and response_type code")

// Errors of [Verifier.Verify] and of the methods of a [Response]. They have no
// wire form. After an error the client ends the flow and uses no part of the
// response. The response may come from an attacker, even if its issuer is the
// expected authorization server.
var (
	// ErrNoResponse means that the callback does not have exactly one parameter
	// "response", or is not a GET or POST. An unsigned authorization response
	// has this error.
	ErrNoResponse = errors.New("jarm: no single signed response")
	// ErrMalformed means that the response is not a compact JWT with strict
	// JSON inside, or is too long.
	ErrMalformed = errors.New("jarm: malformed response")
	// ErrEncryption means that the response cannot be decrypted, or that it is
	// not encrypted though the client requires it.
	ErrEncryption = errors.New("jarm: encryption missing or failed")
	// ErrAlgorithm means that the algorithm of the signature or of the
	// encryption is not accepted.
	ErrAlgorithm = errors.New("jarm: algorithm not allowed")
	// ErrType means that the JWT is of another kind, for example an ID token.
	ErrType = errors.New("jarm: not an authorization response")
	// ErrClaims means that iss, aud or exp is missing or malformed.
	ErrClaims = errors.New("jarm: claim missing or malformed")
	// ErrIssuer means that the response is from another authorization server
	// than the one that received the request.
	ErrIssuer = errors.New("jarm: wrong issuer")
	// ErrAudience means that the response is not for this client alone.
	ErrAudience = errors.New("jarm: wrong audience")
	// ErrExpired means that the response has expired, or is not valid yet.
	ErrExpired = errors.New("jarm: response expired")
	// ErrSignature means that no key of the issuer verifies the signature.
	ErrSignature = errors.New("jarm: signature does not verify")
	// ErrUnavailable means that the keys of the issuer are unavailable. It
	// wraps the cause.
	ErrUnavailable = errors.New("jarm: keys unavailable")
	// ErrParameters means that the signed parameters are not an authorization
	// response: both code and error, neither of them, or one that is not a
	// string.
	ErrParameters = errors.New("jarm: contradictory response parameters")
	// ErrState means that the state differs from that of the session. The
	// response belongs to another session (CSRF).
	ErrState = errors.New("jarm: wrong state")
)
