package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

// What an authorization server refuses, beside what the leaf packages refuse.
// Each carries the code and status that go to the client; see
// [Server.WriteError].
var (
	// ErrUnknownClient is what [Config.Clients] returns for a client_id that is
	// not registered.
	ErrUnknownClient = oautherr.New("authserver: unknown client", "invalid_client", http.StatusUnauthorized, "client authentication failed")

	// ErrParameter: a parameter is missing or has a value that can never be
	// right.
	ErrParameter = oautherr.New("authserver: bad parameter", "invalid_request", http.StatusBadRequest, "a parameter is missing or malformed")
	// ErrScope: RFC 6749 §5.2, a scope that this server or this client does not
	// have, or that was not granted.
	ErrScope = oautherr.New("authserver: scope not allowed", "invalid_scope", http.StatusBadRequest, "a requested scope is not allowed")
	// ErrTarget: RFC 8707 §2, a resource that is malformed, unknown or was not
	// granted.
	ErrTarget = oautherr.New("authserver: resource not allowed", "invalid_target", http.StatusBadRequest, "a requested resource is not allowed")
	// ErrGrantType: a grant_type that this server does not serve, the password
	// grant among them.
	ErrGrantType = oautherr.New("authserver: grant_type not supported", "unsupported_grant_type", http.StatusBadRequest, "the grant_type is not supported")
	// ErrClientNotAllowed: a grant_type that the client did not register, or a
	// registration for what this server does not have, say another algorithm
	// for its ID tokens.
	ErrClientNotAllowed = oautherr.New("authserver: client not allowed", "unauthorized_client", http.StatusBadRequest, "the registration of the client does not allow this")

	// ErrCode: the authorization code is unknown, expired, another client's, or
	// not for this request.
	ErrCode = oautherr.New("authserver: authorization code refused", "invalid_grant", http.StatusBadRequest, "the authorization code is not valid for this request")
	// ErrCodeReplayed: the code was redeemed before. Everything that was issued
	// for it has been revoked.
	ErrCodeReplayed = oautherr.New("authserver: authorization code replayed", "invalid_grant", http.StatusBadRequest, "the authorization code was used before")
	// ErrRefreshToken: the refresh token is unknown, expired, revoked or
	// another client's.
	ErrRefreshToken = oautherr.New("authserver: refresh token refused", "invalid_grant", http.StatusBadRequest, "the refresh token is not valid")

	// ErrForeignToken: RFC 7009 §2.1, a client asks to revoke a token that was
	// issued to another one.
	ErrForeignToken = oautherr.New("authserver: token of another client", "invalid_grant", http.StatusBadRequest, "the token was issued to another client")
	// ErrTokenType: RFC 7009 §2.2.1, a token that is authentic and has nothing
	// by which this server could revoke it: one that the host has made with the
	// server's key.
	ErrTokenType = oautherr.New("authserver: token cannot be revoked", "unsupported_token_type", http.StatusBadRequest, "tokens of this kind cannot be revoked")

	// ErrMaxAge is an approval of a login that is older than the max_age of the
	// request allows. The user has to log in again; it carries login_required
	// for a host that cannot make them.
	ErrMaxAge = oautherr.New("authserver: login older than max_age", "login_required", http.StatusBadRequest, "the user has to log in again")
	// ErrACR is an approval of a login that met none of the acr_values that
	// were asked for (RFC 9470 §5). The user has to log in by other means; it
	// carries unmet_authentication_requirements for a host that has none. A
	// pushed request of which no login here can meet any is rejected with it.
	ErrACR = oautherr.New("authserver: acr_values not met", "unmet_authentication_requirements", http.StatusBadRequest, "the authentication that was asked for is not possible")

	// ErrTooMany reports that a client keeps as many codes, tokens or
	// revocations as it may, in number or in bytes (temporarily_unavailable,
	// 429 with Retry-After). Other clients are not affected.
	ErrTooMany = oautherr.New("authserver: too many codes or tokens of one client", "temporarily_unavailable", http.StatusTooManyRequests, "too many codes or tokens of this client are valid")
	// ErrStore: a store or a key failed. The code, refresh token or request_uri
	// can be used again, with a new assertion and proof. The cause is wrapped
	// and never shown to the peer.
	ErrStore = oautherr.New("authserver: storage failed", oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
)

// errGrantTypeNotRegistered is an ErrClientNotAllowed that says more.
var errGrantTypeNotRegistered = oautherr.Describe(fmt.Errorf("%w: grant_type not registered", ErrClientNotAllowed), "the client may not use this grant_type")

// writeJSON answers with an uncacheable JSON document (BASE-6749-5.1-1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the peer is gone
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
