package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

// Errors of an authorization server, in addition to those of the leaf packages.
// Each has the code and the status that the client receives; see
// [Server.WriteError].
var (
	// ErrParameter reports a missing parameter, or a parameter with an invalid
	// value. For a grant_type that this server does not support, for example
	// the password grant, its code is unsupported_grant_type.
	ErrParameter = oautherr.New("authserver: bad parameter", "invalid_request",
		http.StatusBadRequest, "a parameter is missing or malformed")
	// ErrScope reports a scope that this server or this client does not have,
	// or that was not granted (RFC 6749 §5.2).
	ErrScope = oautherr.New("authserver: scope not allowed", "invalid_scope",
		http.StatusBadRequest, "a requested scope is not allowed")
	// ErrTarget reports a resource that is malformed, unknown or was not
	// granted (RFC 8707 §2).
	ErrTarget = oautherr.New("authserver: resource not allowed", "invalid_target",
		http.StatusBadRequest, "a requested resource is not allowed")
	// ErrClientNotAllowed reports a grant_type for which the client is not
	// registered. It also reports a registration that this server does not
	// support, for example another algorithm for ID tokens.
	ErrClientNotAllowed = oautherr.New("authserver: client not allowed", "unauthorized_client",
		http.StatusBadRequest, "the registration of the client does not allow this")

	// ErrCode reports an authorization code that is unknown or expired, belongs
	// to another client or does not fit the request.
	ErrCode = oautherr.New("authserver: authorization code rejected", "invalid_grant",
		http.StatusBadRequest, "the authorization code is not valid for this request")
	// ErrCodeReplayed reports a code that was redeemed before. The server has
	// revoked all tokens of its authorization.
	ErrCodeReplayed = oautherr.New("authserver: authorization code replayed", "invalid_grant",
		http.StatusBadRequest, "the authorization code was used before")
	// ErrRefreshToken reports a refresh token that is unknown, expired or
	// revoked, or belongs to another client.
	ErrRefreshToken = oautherr.New("authserver: refresh token rejected", "invalid_grant",
		http.StatusBadRequest, "the refresh token is not valid")

	// ErrRevocation reports a request to revoke the token of another client
	// (RFC 7009 §2.1), with the code invalid_grant. With the code
	// unsupported_token_type it reports an authentic token that this server
	// cannot revoke, because the host has made it with the server's key.
	ErrRevocation = oautherr.New("authserver: token of another client", "invalid_grant",
		http.StatusBadRequest, "the token was issued to another client")

	// ErrLogin reports an approval of a login that does not satisfy the max_age
	// or the acr_values of the request (RFC 9470 §5). The user has to log in
	// again. A host that cannot ask for that passes the error to
	// [Server.WriteAuthorizationError]; the client receives login_required or
	// unmet_authentication_requirements. A pushed request whose acr_values no
	// login at this server can satisfy is rejected with it.
	ErrLogin = oautherr.New("authserver: login that does not satisfy the request", "login_required",
		http.StatusBadRequest, "the user has to log in again")

	// ErrStore reports that a store or a key failed, with status 503. With
	// status 429 (temporarily_unavailable) it reports that a client keeps as
	// many codes, tokens or revocations as it may; other clients are not
	// affected. The client can use its code, refresh token or request_uri
	// again, with a new assertion and proof. The error wraps the cause. The
	// client never receives it.
	ErrStore = oautherr.New("authserver: storage failed", oautherr.ServerError,
		http.StatusServiceUnavailable, "try again later")
)

// Rows of [ErrLogin].
var (
	errMaxAge = fmt.Errorf("%w: %w", oautherr.New("authserver: login older than max_age", "login_required",
		http.StatusBadRequest, "the user has to log in again"), ErrLogin)
	errACR = fmt.Errorf("%w: %w", oautherr.New("authserver: acr_values not met", "unmet_authentication_requirements",
		http.StatusBadRequest, "the authentication that was asked for is not possible"), ErrLogin)
)

// errTooMany is an [ErrStore] for one client, which keeps as many codes, tokens
// or revocations as it may.
var errTooMany = fmt.Errorf("%w: %w",
	oautherr.New("authserver: too many codes or tokens of one client", "temporarily_unavailable",
		http.StatusTooManyRequests, "too many codes or tokens of this client are valid"),
	ErrStore)

// errGrantTypeNotRegistered is an ErrClientNotAllowed that says more.
var errGrantTypeNotRegistered = oautherr.Describe(
	fmt.Errorf("%w: grant_type not registered", ErrClientNotAllowed), "the client may not use this grant_type")

// writeJSON answers with an uncacheable JSON document (BASE-6749-5.1-1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, _ := json.Marshal(v) // structs of strings do not fail
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the peer is gone
}

type errorResponse struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func newErrorResponse(err error) (errorResponse, int) {
	code, description, status := oautherr.From(err)
	if code == "" {
		code, status = oautherr.ServerError, http.StatusInternalServerError
	}
	if status < 400 || status > 599 { // a host's own error: net/http would panic, or the client take it for success
		status = http.StatusInternalServerError
	}
	return errorResponse{syntax.ErrorText(code), syntax.ErrorText(description)}, status
}

// errTokenType is an [ErrRevocation] (RFC 7009 §2.2.1).
var errTokenType = fmt.Errorf("%w: %w", oautherr.New("authserver: token cannot be revoked", "unsupported_token_type",
	http.StatusBadRequest, "tokens of this kind cannot be revoked"), ErrRevocation)

// errGrantType is an [ErrParameter] (RFC 6749 §5.2).
var errGrantType = fmt.Errorf("%w: %w", oautherr.New("authserver: grant_type not supported", "unsupported_grant_type",
	http.StatusBadRequest, "the grant_type is not supported"), ErrParameter)
