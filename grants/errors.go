package grants

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Errors of the authorization server. Each has a wire code and an HTTP status.
// errors.As reads them into an interface { OAuthError() (code, description
// string); HTTPStatus() int }.
var (
	// ErrRequest reports grant management parameters that are inconsistent, or
	// an action that this server does not offer (invalid_request; §5.4).
	ErrRequest = oautherr.New("grants: invalid grant management parameters", "invalid_request", http.StatusBadRequest,
		"this server does not support this combination of grant_management_action and grant_id")
	// ErrClient reports a request for grant management without an authenticated
	// client (unauthorized_client; §5.1).
	ErrClient = oautherr.New("grants: missing client authentication", "unauthorized_client", http.StatusBadRequest,
		"grant management is for confidential clients only")
	// ErrGrantID reports that grant_id does not identify a live grant of this
	// client and this user (invalid_grant_id; §5.4). The client does not learn
	// which of the three conditions failed.
	ErrGrantID = oautherr.New("grants: invalid grant_id", "invalid_grant_id", http.StatusBadRequest,
		"grant_id is unknown, no longer valid, or not for this client and user")
	// ErrInactive reports at the token endpoint that a grant, or one
	// authorization in it, has ended (invalid_grant, RFC 6749 §5.2). It was
	// revoked, it has expired, a later merge or replace superseded it, or its
	// claim came too late.
	ErrInactive = oautherr.New("grants: inactive grant or authorization", "invalid_grant", http.StatusBadRequest,
		"the grant was revoked, has expired or was changed")
	// ErrNotFound reports that the caller has no such grant (404; §6.6). A
	// [Client] returns it for a response with status 404.
	ErrNotFound = oautherr.New("grants: unknown grant", "", http.StatusNotFound, "")
	// ErrStore reports a failed store, a malformed record, or too many
	// concurrent changes (server_error, 503). It wraps the cause. The change
	// may have taken effect. A repeated call finds its own change, except
	// Manager.Update, which edits the grant again.
	ErrStore = oautherr.New("grants: store failed", oautherr.ServerError, http.StatusServiceUnavailable,
		"try again later")
	// ErrTooMany reports that a client has used its share of the store in
	// memory (temporarily_unavailable, 429). It is also an ErrStore. Other
	// clients are not affected.
	ErrTooMany = fmt.Errorf("%w: %w", oautherr.New("grants: too many grants of one client", "temporarily_unavailable",
		http.StatusTooManyRequests, "too many grants of this client exist"), ErrStore)
	// ErrEvent reports that [ManagerConfig].Events or EndAccess failed, or that
	// a listener delays an earlier event (server_error, 503). It wraps the
	// cause. The change is in effect. The event is stored with the grant and is
	// delivered when the call is repeated, by [Manager.DeliverPending], or
	// before the next change.
	ErrEvent = oautherr.New("grants: undelivered event", oautherr.ServerError, http.StatusServiceUnavailable,
		"try again later")
)

// ErrResponse reports that a [Client] received a response that is neither the
// response of the specification nor an error.
var ErrResponse = errors.New("grants: malformed response from the authorization server")
