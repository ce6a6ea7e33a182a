package clientauth

import "github.com/gofapi/fapi2/internal/oautherr"

// failed is all that a peer is told by everything that depends on which clients exist and what is registered for them:
// whoever guesses client identifiers learns nothing.
const failed = "client authentication failed"

const invalidClient = "invalid_client"

// Reasons for which a client is not authenticated. Every error of a [Verifier] matches exactly one of them by errors.Is,
// and carries what to answer: errors.As finds an interface { OAuthError() (code, description string); HTTPStatus() int }.
//
// CA-7521-4.2.1-1: an assertion that is not accepted is invalid_client with status 401.
var (
	// ErrNoCredentials: the request has no client authentication at all, as one of a public client has none.
	ErrNoCredentials = oautherr.New("clientauth: no client authentication", invalidClient, 401, "client authentication is required")
	// ErrMultipleMethods: the request authenticates the client in more than one way, or repeats a parameter of it.
	// invalid_request, status 400.
	ErrMultipleMethods = oautherr.New("clientauth: more than one client authentication", "invalid_request", 400, "more than one client authentication method")
	// ErrMethod: the method is not supported, or is not the one registered for the client.
	ErrMethod = oautherr.New("clientauth: authentication method refused", invalidClient, 401, "client authentication method not supported")
	// ErrMalformed: what is presented is no client assertion: no compact JWS over well-formed JSON, too long, a JWT of another
	// kind, or one that lacks a claim or has one of the wrong type.
	ErrMalformed = oautherr.New("clientauth: malformed assertion", invalidClient, 401, "client assertion malformed or incomplete")
	// ErrAlgorithm: the signature algorithm is not accepted, or is not the one registered for the client.
	ErrAlgorithm = oautherr.New("clientauth: signature algorithm refused", invalidClient, 401, "client assertion algorithm not accepted")
	// ErrClient: iss, sub and client_id do not name one and the same client.
	ErrClient = oautherr.New("clientauth: issuer, subject and client differ", invalidClient, 401, "iss, sub and client_id must be the same")
	// ErrAudience: aud is not the issuer identifier of this server as a JSON string.
	ErrAudience = oautherr.New("clientauth: wrong audience", invalidClient, 401, "aud must be the issuer identifier as a string")
	// ErrExpired: exp, or the end of the certificate's validity, has passed; or the assertion was made to live longer than
	// the server allows.
	ErrExpired = oautherr.New("clientauth: expired or too long-lived", invalidClient, 401, "client assertion expired")
	// ErrNotYetValid: iat or nbf lies in the future, further than clocks may differ; or the certificate's validity has yet
	// to begin.
	ErrNotYetValid = oautherr.New("clientauth: not valid yet", invalidClient, 401, "client assertion not valid yet")
	// ErrUnknownClient: there is no such client. VerifierConfig.Lookup returns it, wrapped or not. The peer sees what it
	// sees for ErrSignature.
	ErrUnknownClient = oautherr.New("clientauth: unknown client", invalidClient, 401, failed)
	// ErrSignature: no key of the client verifies the signature.
	ErrSignature = oautherr.New("clientauth: bad signature", invalidClient, 401, failed)
	// ErrCertificate: the certificate is not the client's, no trust anchor vouches for it where one has to, or it is not one
	// for TLS clients: that of a certification authority, or with a weak key.
	ErrCertificate = oautherr.New("clientauth: certificate refused", invalidClient, 401, failed)
	// ErrReplayed: the assertion has been used before.
	ErrReplayed = oautherr.New("clientauth: assertion replayed", invalidClient, 401, "client assertion used before")
	// ErrUnavailable: the clients, their keys or the replay store could not be asked, or what is registered for the client
	// fails [Client.Validate]; the cause is wrapped. server_error, status 503. Nothing has been used up, except that a replay store may have stored what it then failed to confirm.
	ErrUnavailable = oautherr.New("clientauth: cannot decide", oautherr.ServerError, 503, "client authentication is temporarily unavailable")
)

// errRegistration is about a client's registration, which RFC 7591 §3.2.2 has an error code for.
var errRegistration = oautherr.New("clientauth: unusable registration", "invalid_client_metadata", 400, "client authentication metadata not acceptable")
