package par

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the server side. Each has a wire code and an HTTP status, which
// [WriteError] sends. Errors.As reads them into an interface with OAuthError()
// (code, description string) and HTTPStatus() int.
//
// The authorization endpoint shows ErrNotPushed, ErrNotFound, ErrExpired,
// ErrWrongClient, ErrRedirectURI and ErrStore to the user as a page, because no
// redirect URI is known to be safe. After ErrStore the same link may work
// again. The client receives any other error of ServerConfig.Check, see
// [Server.Load].
var (
	// ErrInvalidRequest reports that a pushed request is malformed or
	// incomplete (invalid_request). Check may wrap it.
	ErrInvalidRequest = oautherr.New("par: invalid request",
		"invalid_request", http.StatusBadRequest, "the request is malformed or incomplete")
	// ErrUnauthenticated reports that Push was called without an authenticated
	// client (invalid_client, 401).
	ErrUnauthenticated = oautherr.New("par: no authenticated client",
		"invalid_client", http.StatusUnauthorized, "client authentication is required")
	// ErrRequestNotSupported reports that Push received a request object
	// (request_not_supported, RFC 9101 §7). A server that supports request
	// objects verifies them first and pushes their parameters.
	ErrRequestNotSupported = oautherr.New("par: request object not supported",
		"request_not_supported", http.StatusBadRequest, "request objects are not supported")
	// ErrClientID reports that client_id is not the authenticated client
	// (invalid_request).
	ErrClientID = oautherr.New("par: client_id is not the authenticated client",
		"invalid_request", http.StatusBadRequest, "client_id is not the authenticated client")
	// ErrResponseType reports that response_type is not code
	// (unsupported_response_type).
	ErrResponseType = oautherr.New("par: response_type is not code",
		"unsupported_response_type", http.StatusBadRequest, "response_type must be code")
	// ErrRedirectURI reports that redirect_uri is missing, unsafe or not
	// registered (invalid_request, RFC 9126 §2.3).
	ErrRedirectURI = oautherr.New("par: invalid redirect_uri",
		"invalid_request", http.StatusBadRequest, "redirect_uri is missing or not valid for this client")
	// ErrDPoPKey reports that dpop_jkt is malformed, or is not the thumbprint
	// of the DPoP proof in the same request (invalid_request).
	ErrDPoPKey = oautherr.New("par: invalid dpop_jkt",
		"invalid_request", http.StatusBadRequest, "dpop_jkt is malformed or differs from the key of the DPoP proof")

	// ErrNotPushed reports that an authorization request has no usable
	// client_id and request_uri (invalid_request, RFC 9126 §4).
	ErrNotPushed = oautherr.New("par: authorization request was not pushed",
		"invalid_request", http.StatusBadRequest,
		"the authorization request must be pushed first and carry client_id and request_uri once each")
	// ErrNotFound reports that a request_uri is unknown or consumed, or that it
	// expired long ago (invalid_request_uri).
	ErrNotFound = oautherr.New("par: request_uri unknown or used",
		"invalid_request_uri", http.StatusBadRequest, "request_uri is unknown, expired or was used before")
	// ErrExpired reports that a browser or a user was too late
	// (invalid_request_uri).
	ErrExpired = oautherr.New("par: request_uri expired",
		"invalid_request_uri", http.StatusBadRequest, "request_uri has expired")
	// ErrWrongClient reports that another client pushed the request
	// (invalid_request). Nothing was consumed.
	ErrWrongClient = oautherr.New("par: request_uri belongs to another client",
		"invalid_request", http.StatusBadRequest, "request_uri was not issued to this client")
	// ErrStore reports that the store failed or returned a value that was never
	// stored (server_error, 503). It wraps the cause. If one client has as many
	// pending requests as it may, in number or in bytes, Push returns it with
	// other wire values (temporarily_unavailable, 429). Other clients are not
	// affected. [WriteError] sets Retry-After for both.
	ErrStore = oautherr.New("par: store failed",
		oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
)

// errTooMany is an ErrStore that affects only one client.
var errTooMany = fmt.Errorf("%w: %w", oautherr.New("par: too many pending requests of one client",
	"temporarily_unavailable", http.StatusTooManyRequests, "too many pending authorization requests of this client"),
	ErrStore)

// errConsumed is an ErrNotFound for a request that is known.
var errConsumed = fmt.Errorf("%w: consumed before", ErrNotFound)

// ErrResponse reports that an authorization server responded to a push with
// neither the response of RFC 9126 §2.2 nor an error. It originates on the
// client side. Errors that the server sent are *oauth2.RetrieveError.
var ErrResponse = errors.New("par: unusable response from the authorization server")
