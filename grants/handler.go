package grants

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"

	"github.com/gofapi/fapi2/internal/syntax"
)

// retryAfter is the Retry-After header of a response with status 503, in
// seconds.
const retryAfter = "5"

// HandlerConfig configures [NewHandler]. Its functions are called concurrently.
type HandlerConfig struct {
	// Manager has the grants. Required.
	Manager *Manager
	// Path is the path of the grant_management_endpoint in requests that
	// arrive, without a trailing slash. It is "/grants", for example, or ""
	// behind http.StripPrefix. Grants are below it.
	Path string
	// Authorize checks the access token of a request: its signature or entry,
	// its binding, its audience and the scope. The endpoint is an audience of
	// its own (RFC 9068 §4). The scope is grant_management_query or
	// grant_management_revoke. Authorize returns the client and the user of the
	// token. The subject is empty if the client obtained the token for itself.
	// Behind a middleware that verifies tokens, Authorize reads the token from
	// the context and checks the scope.
	//
	// An error with the methods OAuthError() (code, description string) and
	// HTTPStatus() int determines the response. The errors of this module have
	// both. invalid_token is 401, insufficient_scope 403. Any other error is
	// 500. Required.
	Authorize func(r *http.Request, scope string) (clientID, subject string, err error)
	// WriteError writes the response to a rejected request. scopes are the
	// scopes that the request requires. err is an error of Authorize or of this
	// package. WriteError must not weaken the header Cache-Control. If nil, the
	// response is a JSON object, with a DPoP challenge for 401 and 403.
	WriteError func(w http.ResponseWriter, r *http.Request, err error, scopes ...string)
}

type handler struct {
	cfg HandlerConfig
}

// NewHandler returns the grant management API (§6). GET and HEAD on the URL of
// a grant return its permissions, and DELETE revokes it. The API does not list
// grants and does not return tokens. The handler is safe for concurrent use.
//
// The status is 200 with a grant, and 204 after DELETE. It is 401 without a
// valid token, and 403 without the scope. It is 404 for a grant that does not
// exist, has ended, or belongs to another client or user. Other methods receive
// 405. After a failure of the server, the status is 503 with Retry-After.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	var problems []error
	if cfg.Manager == nil {
		problems = append(problems, errors.New("grants: missing Manager"))
	}
	if cfg.Authorize == nil { // GM-10-1: any client could revoke any grant
		problems = append(problems, errors.New("grants: missing Authorize"))
	}
	if p := cfg.Path; p != "" && p[0] != '/' || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "%?#") {
		problems = append(problems, errors.New("grants: malformed Path, want a plain path without a trailing slash"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.WriteError == nil {
		cfg.WriteError = writeError
	}
	return &handler{cfg}, nil
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, no-store") // GM-6.4-1: for errors as well
	scope := h.scope(r.Method)
	if scope == "" {
		w.Header().Set("Allow", h.allow())
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := h.serve(r, scope)
	switch {
	case err != nil:
		if _, _, status := oautherr.From(err); status == http.StatusServiceUnavailable { // GM-6.4-8
			w.Header().Set("Retry-After", retryAfter)
		}
		h.cfg.WriteError(w, r, err, scope)
	case body == nil:
		w.WriteHeader(http.StatusNoContent) // GM-6.5-1
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the client may have disconnected
	}
}

// serve returns the body of a successful response, nil after a revocation.
func (h *handler) serve(r *http.Request, scope string) ([]byte, error) {
	clientID, subject, err := h.cfg.Authorize(r, scope) // GM-6.1-1, GM-6.1-2; its errors: GM-6.6-2, GM-6.6-3
	if err != nil {
		return nil, err
	}
	if clientID == "" {
		return nil, ErrClient
	}
	// GM-6-1, GM-6.6-1: only the exact URL of a grant is found. The path is
	// compared as it was sent, because IDs contain neither encoded slashes nor
	// dot segments.
	id, ok := strings.CutPrefix(r.URL.EscapedPath(), h.cfg.Path+"/")
	if !ok || !isGrantID(id) {
		return nil, ErrNotFound
	}
	if r.Method == http.MethodDelete {
		return nil, h.cfg.Manager.revokeFor(r.Context(), clientID, subject, id)
	}
	g, err := h.cfg.Manager.query(r.Context(), clientID, subject, id)
	if err != nil {
		return nil, err
	}
	return g.response()
}

// scope returns the scope that a method requires, "" for an unsupported method.
func (h *handler) scope(method string) string {
	switch {
	case (method == http.MethodGet || method == http.MethodHead) && h.cfg.Manager.supports(actionQuery):
		return "grant_management_query"
	case method == http.MethodDelete && h.cfg.Manager.supports(actionRevoke):
		return "grant_management_revoke"
	}
	return ""
}

func (h *handler) allow() string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
		if h.scope(method) != "" {
			methods = append(methods, method)
		}
	}
	return strings.Join(methods, ", ")
}

// writeError is the default of [HandlerConfig].WriteError.
func writeError(w http.ResponseWriter, _ *http.Request, err error, scopes ...string) {
	code, description, status := oautherr.From(err)
	switch code {
	case "invalid_token", "invalid_dpop_proof", "use_dpop_nonce", "invalid_client":
		status = http.StatusUnauthorized
	case "insufficient_scope", "unauthorized_client":
		status = http.StatusForbidden
	}
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		challenge := "DPoP"
		if code != "" {
			scope := strings.Join(scopes, " ")
			challenge += ` error="` + syntax.ErrorText(code) + `", scope="` + syntax.ErrorText(scope) + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if code == "" {
		w.WriteHeader(status)
		return
	}
	body, _ := json.Marshal(struct { // two strings, which never fail
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{syntax.ErrorText(code), syntax.ErrorText(description)})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have disconnected
}

// response returns the response to a query (§6.4). GM-6-2: a grant contains no
// tokens.
func (g Grant) response() ([]byte, error) {
	members := make(map[string]any, 8+len(g.Extra))
	for name, value := range g.Extra { // GM-6.4-7
		members[name] = value
	}
	if len(g.Scopes) > 0 { // GM-6.4-2
		members["scopes"] = g.Scopes
	}
	if len(g.Claims) > 0 { // GM-6.4-3
		members["claims"] = g.Claims
	}
	if len(g.AuthorizationDetails) > 0 { // GM-6.4-4
		members["authorization_details"] = g.AuthorizationDetails
	}
	members["created_at"] = g.CreatedAt.Unix()
	members["last_updated_at"] = g.UpdatedAt.Unix() // GM-6.4-5: the name of draft 04
	members["expires_at"] = g.ExpiresAt.Unix()
	members["updated_by"] = g.UpdatedBy // GM-6.4-6
	return json.Marshal(members)
}
