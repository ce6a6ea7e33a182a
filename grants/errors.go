package grants

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the server side. Each carries its wire code and HTTP status; read them with errors.As into an interface
// { OAuthError() (code, description string); HTTPStatus() int }. A failure that is not the client's has code server_error.
var (
	// ErrRequest says that the grant management parameters of an authorization request do not go together, or ask for what
	// this server does not offer (invalid_request; §5.4).
	ErrRequest = oautherr.New("grants: grant management parameters refused", "invalid_request", http.StatusBadRequest, "grant_management_action and grant_id are not a request that this server supports")
	// ErrClient says that grant management was asked for without an authenticated client (unauthorized_client; §5.1).
	ErrClient = oautherr.New("grants: no authenticated client", "unauthorized_client", http.StatusBadRequest, "grant management is for confidential clients only")
	// ErrGrantID says that grant_id names no live grant of this client and this user (invalid_grant_id; §5.4). It does not say
	// to the client which of the three it was.
	ErrGrantID = oautherr.New("grants: grant_id refused", "invalid_grant_id", http.StatusBadRequest, "grant_id is unknown, no longer valid, or not for this client and user")
	// ErrInactive says at the token endpoint that a grant, or what a code or refresh token stands for in it, is over
	// (invalid_grant, RFC 6749 §5.2): revoked, expired, superseded by a later merge or replace, or claimed too late.
	ErrInactive = oautherr.New("grants: grant or authorization is over", "invalid_grant", http.StatusBadRequest, "the grant was revoked, has expired or was changed")
	// ErrNotFound says that there is no such grant for the caller of the API (404; §6.6). A [Store] returns it, or an error
	// that wraps it, when it has no live entry for a key. A [Client] returns it when the server has answered 404.
	ErrNotFound = oautherr.New("grants: grant not found", "", http.StatusNotFound, "")
	// ErrStore says that the store failed, returned what was never stored, or is contended beyond patience (server_error, 503).
	// It wraps the cause. Whether a change was made is unknown. Calls can be repeated: they find what they have changed
	// themselves, but for Manager.Update, which edits the grant once more.
	ErrStore = oautherr.New("grants: store failed", oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
	// ErrTooMany says that a client keeps as many grants as it may, in number or in bytes (temporarily_unavailable, 429). It is
	// an ErrStore too. Other clients are not affected. A [Store] may return it from Create and Update.
	ErrTooMany = fmt.Errorf("%w: %w", oautherr.New("grants: too many grants of one client", "temporarily_unavailable", http.StatusTooManyRequests, "too many grants of this client exist"), ErrStore)
	// ErrEvent says that [ManagerConfig].Events failed (server_error, 503). It wraps the cause. The change is in effect, and the
	// event waits in the grant to be delivered when the call is repeated, or at the next change.
	ErrEvent = oautherr.New("grants: event not delivered", oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
)

// Errors that a [Store] returns.
var (
	// ErrExists says that Create found a live entry under its key.
	ErrExists = errors.New("grants: key exists")
	// ErrConflict says that Update found another version than the one that it was to replace.
	ErrConflict = errors.New("grants: version conflict")
)

// ErrResponse says that an authorization server answered a [Client] with something that is neither the response of the
// specification nor an error.
var ErrResponse = errors.New("grants: unusable response from the authorization server")
