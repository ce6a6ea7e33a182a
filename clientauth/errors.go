package clientauth

import (
	"fmt"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// failed is the description of all errors that depend on the registered
// clients. A sender that guesses client identifiers learns nothing from it.
const failed = "client authentication failed"

const invalidClient = "invalid_client" // CA-7521-4.2.1-1: with status 401

// Errors of a [Verifier]. Each matches exactly one of them by errors.Is. With
// errors.As a caller finds the interface { OAuthError() (code, description
// string); HTTPStatus() int } for the response. The wire form is invalid_client
// with status 401 (RFC 7521 §4.2.1) if the comment names no other.
var (
	// ErrNoCredentials means that the request has no client authentication,
	// like a request of a public client.
	ErrNoCredentials = oautherr.New("clientauth: no client authentication", invalidClient, 401,
		"client authentication is required")
	// ErrMultipleMethods means that the request uses several methods of client
	// authentication, or repeats a parameter of one: invalid_request with
	// status 400.
	ErrMultipleMethods = oautherr.New("clientauth: more than one client authentication", "invalid_request", 400,
		"more than one client authentication method")
	// ErrMethod means that the method is not supported, or is not the
	// registered one of the client.
	ErrMethod = oautherr.New("clientauth: authentication method not accepted", invalidClient, 401,
		"client authentication method not supported")
	// ErrMalformed means that the assertion is not a compact JWS with strict
	// JSON inside, or is too long. The JWT may also be of another kind, or have
	// a missing or malformed claim.
	ErrMalformed = oautherr.New("clientauth: malformed assertion", invalidClient, 401,
		"client assertion malformed or incomplete")
	// ErrAlgorithm means that the signature algorithm is not accepted, or is
	// not the registered one of the client.
	ErrAlgorithm = oautherr.New("clientauth: algorithm not accepted", invalidClient, 401,
		"client assertion algorithm not accepted")
	// ErrClient means that iss, sub and client_id are not the same client.
	ErrClient = oautherr.New("clientauth: issuer, subject and client differ", invalidClient, 401,
		"iss, sub and client_id must be the same")
	// ErrAudience means that aud is not the issuer identifier of this server as
	// a JSON string.
	ErrAudience = oautherr.New("clientauth: wrong audience", invalidClient, 401,
		"aud must be the issuer identifier as a string")
	// ErrExpired means that the assertion or the certificate has expired, or
	// that the lifetime of the assertion is too long.
	ErrExpired = oautherr.New("clientauth: expired or too long-lived", invalidClient, 401, "client assertion expired")
	// ErrNotYetValid means that iat or nbf is too far in the future, or that
	// the certificate is not valid yet.
	ErrNotYetValid = oautherr.New("clientauth: not valid yet", invalidClient, 401, "client assertion not valid yet")
	// ErrUnknownClient means that the client is not registered.
	// VerifierConfig.Lookup returns it, wrapped or not. The response is the
	// same as for ErrSignature.
	ErrUnknownClient = oautherr.New("clientauth: unknown client", invalidClient, 401, failed)
	// ErrSignature means that no key of the client verifies the signature.
	ErrSignature = oautherr.New("clientauth: signature does not verify", invalidClient, 401, failed)
	// ErrCertificate means that the certificate is not that of the client, has
	// no required trust anchor, or is not usable for TLS clients. Certificates
	// of certification authorities and those with weak keys are not usable.
	ErrCertificate = oautherr.New("clientauth: certificate not accepted", invalidClient, 401, failed)
	// ErrReplayed means that the assertion has been used before.
	ErrReplayed = oautherr.New("clientauth: assertion replayed", invalidClient, 401, "client assertion used before")
	// ErrUnavailable means that the clients, their keys or the replay store are
	// unavailable. It is also the error for a registration that fails
	// [Client.Validate]. It is server_error with status 503 and wraps the
	// cause. The client can use the assertion again, unless the store has
	// stored it before it failed.
	ErrUnavailable = oautherr.New("clientauth: clients, keys or replay store unavailable", oautherr.ServerError, 503,
		"client authentication is temporarily unavailable")
)

// errRegistration is the error of a client's registration (RFC 7591 §3.2.2).
var errRegistration = oautherr.New("clientauth: unusable registration", "invalid_client_metadata", 400,
	"client authentication metadata not acceptable")

// errKind is the ErrMalformed of a JWT of another kind.
var errKind = oautherr.Describe(fmt.Errorf("%w: JWT of another kind", ErrMalformed),
	"the JWT is not a client assertion")
