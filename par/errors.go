package par

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the server side. Each carries its wire code and HTTP status, which [WriteError] sends; read them with errors.As
// into an interface { OAuthError() (code, description string); HTTPStatus() int }.
//
// Those of the authorization endpoint (ErrNotPushed, ErrNotFound, ErrExpired, ErrWrongClient) must be shown to the user as a
// page: nothing says where a redirect would be safe. So must ErrStore, after which the same link may work again, and
// ErrRedirectURI. What else ServerConfig.Check refuses there is for the client to hear, see [Server.Load].
var (
	// ErrInvalidRequest says that a pushed request is malformed or lacks something (invalid_request). A Check may wrap it.
	ErrInvalidRequest = oautherr.New("par: invalid request", "invalid_request", http.StatusBadRequest, "the request is malformed or incomplete")
	// ErrUnauthenticated says that Push was called without an authenticated client (invalid_client, 401).
	ErrUnauthenticated = oautherr.New("par: no authenticated client", "invalid_client", http.StatusUnauthorized, "client authentication is required")
	// ErrRequestNotSupported says that Push was given a request object (request_not_supported, RFC 9101 §7). Who supports
	// them verifies the object first and pushes the parameters found in it.
	ErrRequestNotSupported = oautherr.New("par: request object not supported", "request_not_supported", http.StatusBadRequest, "request objects are not supported")
	// ErrClientID says that client_id is not the client that authenticated (invalid_request).
	ErrClientID = oautherr.New("par: client_id is not the authenticated client", "invalid_request", http.StatusBadRequest, "client_id is not the authenticated client")
	// ErrResponseType says that response_type is not code (unsupported_response_type).
	ErrResponseType = oautherr.New("par: response_type is not code", "unsupported_response_type", http.StatusBadRequest, "response_type must be code")
	// ErrRedirectURI says that redirect_uri is missing, unsafe or not registered (invalid_request; §2.3).
	ErrRedirectURI = oautherr.New("par: redirect_uri refused", "invalid_request", http.StatusBadRequest, "redirect_uri is missing or not valid for this client")
	// ErrDPoPKey says that dpop_jkt is no thumbprint, or not that of the key of the DPoP proof beside it (invalid_request).
	ErrDPoPKey = oautherr.New("par: dpop_jkt refused", "invalid_request", http.StatusBadRequest, "dpop_jkt is malformed or differs from the key of the DPoP proof")

	// ErrNotPushed says that an authorization request has no usable client_id and request_uri (invalid_request; §4).
	ErrNotPushed = oautherr.New("par: authorization request was not pushed", "invalid_request", http.StatusBadRequest, "the authorization request must be pushed first and carry client_id and request_uri once each")
	// ErrNotFound reports that a request_uri is unknown or consumed, or that it
	// expired long ago (invalid_request_uri).
	ErrNotFound = oautherr.New("par: request_uri unknown or used", "invalid_request_uri", http.StatusBadRequest, "request_uri is unknown, expired or was used before")
	// ErrExpired says that a request_uri came too late, or that its user took too long (invalid_request_uri).
	ErrExpired = oautherr.New("par: request_uri expired", "invalid_request_uri", http.StatusBadRequest, "request_uri has expired")
	// ErrWrongClient says that a request_uri was pushed by another client (invalid_request). Nothing was consumed.
	ErrWrongClient = oautherr.New("par: request_uri belongs to another client", "invalid_request", http.StatusBadRequest, "request_uri was not issued to this client")
	// ErrStore reports that the store failed or returned a value that was never
	// stored (server_error, 503). It wraps the cause. If one client has as many
	// pending requests as it may, in number or in bytes, Push returns it with other
	// wire values (temporarily_unavailable, 429); other clients are not affected.
	// [WriteError] sets Retry-After for both.
	ErrStore = oautherr.New("par: store failed", oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
)

// errTooMany is an ErrStore that affects only one client.
var errTooMany = fmt.Errorf("%w: %w", oautherr.New("par: too many pending requests of one client", "temporarily_unavailable",
	http.StatusTooManyRequests, "too many pending authorization requests of this client"), ErrStore)

// errConsumed is an ErrNotFound for a request that is known.
var errConsumed = fmt.Errorf("%w: consumed before", ErrNotFound)

// ErrResponse says that an authorization server answered a push with something that is neither the response of §2.2 nor an
// error. It originates on the client side, where everything else that a server said is a *oauth2.RetrieveError.
var ErrResponse = errors.New("par: unusable response from the authorization server")
