package grants

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// retryAfter is what clients are told when the server cannot answer, in seconds.
const retryAfter = "5"

// HandlerConfig configures [NewHandler].
type HandlerConfig struct {
	// Manager has the grants. Required.
	Manager *Manager
	// Path is that of the grant_management_endpoint, without a slash at its end, as it is in requests that arrive: "/grants",
	// say, or "" behind an http.StripPrefix. The grants are below it.
	Path string
	// Authorize checks the access token of a request in full, with its key or certificate and its audience, in which the
	// endpoint has an identifier of its own (RFC 9068 §4), and that it has the scope: grant_management_query or
	// grant_management_revoke. It returns the token's client, and the user whom it stands for, empty
	// if it was issued to the client for itself (as by the client credentials grant). Behind a middleware that has checked the
	// token it takes that from the request's context, and has the scope to check.
	//
	// Its error decides the answer by the methods OAuthError() (code, description string) and HTTPStatus() int, which those of
	// this module's packages have: invalid_token is 401, insufficient_scope 403. Any other error is a failure of the server, 500.
	// Required. Called concurrently.
	Authorize func(r *http.Request, scope string) (clientID, subject string, err error)
	// WriteError answers a request that was refused; scopes are those that it needs. err may be any error that Authorize has
	// returned, or one of this package. The function must not set Cache-Control to anything weaker than no-store. nil: a JSON
	// body, and a DPoP challenge with status 401 and 403. Called concurrently.
	WriteError func(w http.ResponseWriter, r *http.Request, err error, scopes ...string)
}

type handler struct {
	cfg HandlerConfig
}

// NewHandler returns the grant management API (§6): GET and HEAD on the URL of a grant say what it permits, DELETE revokes
// it. There is no list of grants, and nothing shows a token. Safe for concurrent use.
//
// Answers: 200 with the grant, 204 without a body after DELETE, 401 without a good token, 403 if it lacks the scope, 404 for a
// grant that does not exist, has ended, or belongs to somebody else, 405 for other methods, and 503 with Retry-After.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	switch {
	case cfg.Manager == nil:
		return nil, errors.New("grants: HandlerConfig.Manager is required")
	case cfg.Authorize == nil: // GM-10-1: the identifier of a grant is no secret
		return nil, errors.New("grants: HandlerConfig.Authorize is required: without it anybody could revoke any grant")
	case cfg.Path != "" && cfg.Path[0] != '/' || strings.HasSuffix(cfg.Path, "/") || strings.ContainsAny(cfg.Path, "%?#"):
		return nil, errors.New("grants: HandlerConfig.Path is not a plain path without a slash at its end")
	}
	if cfg.WriteError == nil {
		cfg.WriteError = writeError
	}
	return &handler{cfg}, nil
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, no-store") // GM-6.4-1, and for all other answers too
	scope := h.scope(r.Method)
	if scope == "" {
		w.Header().Set("Allow", h.allow())
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	clientID, subject, err := h.cfg.Authorize(r, scope) // GM-6.1-1, GM-6.1-2, GM-6.6-2, GM-6.6-3
	if err == nil && clientID == "" {
		err = ErrClient
	}
	if err != nil {
		h.refuse(w, r, err, scope)
		return
	}
	// GM-6-1: what has no identifier is not found, the endpoint itself included. The path is taken as it was written: an
	// encoded slash or a dot segment is no part of an identifier.
	id, ok := strings.CutPrefix(r.URL.EscapedPath(), h.cfg.Path+"/")
	if !ok || !isGrantID(id) { // GM-6.6-1
		h.refuse(w, r, ErrNotFound, scope)
		return
	}
	if r.Method == http.MethodDelete {
		if err := h.cfg.Manager.revokeFor(r.Context(), clientID, subject, id); err != nil {
			h.refuse(w, r, err, scope)
			return
		}
		w.WriteHeader(http.StatusNoContent) // GM-6.5-1
		return
	}
	g, err := h.cfg.Manager.query(r.Context(), clientID, subject, id)
	if err != nil {
		h.refuse(w, r, err, scope)
		return
	}
	body, err := g.answer()
	if err != nil {
		h.refuse(w, r, err, scope)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body) // nobody to tell if it fails
}

// scope returns what a token needs for a method, "" if the method is not offered.
func (h *handler) scope(method string) string {
	switch {
	case (method == http.MethodGet || method == http.MethodHead) && h.cfg.Manager.offers(actionQuery):
		return "grant_management_query"
	case method == http.MethodDelete && h.cfg.Manager.offers(actionRevoke):
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

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error, scope string) {
	if _, _, status := oautherr.From(err); status == http.StatusServiceUnavailable { // GM-6.4-8
		w.Header().Set("Retry-After", retryAfter)
	}
	h.cfg.WriteError(w, r, err, scope)
}

// writeError is what a handler does that was given no function for it.
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
			challenge += ` error="` + printable(code) + `", scope="` + printable(strings.Join(scopes, " ")) + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if code == "" {
		w.WriteHeader(status)
		return
	}
	body, _ := json.Marshal(struct { // never fails: two strings
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{printable(code), printable(description)})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // nobody to tell if it fails
}

// printable replaces what neither a header nor RFC 6749 §5.2 allows.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// answer is the response to a query (§6.4). GM-6-2: there is no token in it, since there is none in a grant.
func (g Grant) answer() ([]byte, error) {
	members := make(map[string]any, 8+len(g.Extra))
	for _, name := range slices.Sorted(maps.Keys(g.Extra)) { // GM-6.4-7
		members[name] = g.Extra[name]
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
	// GM-6.4-5: the name that draft 04 has settled on.
	members["created_at"] = g.CreatedAt.Unix()
	members["last_updated_at"] = g.UpdatedAt.Unix()
	members["expires_at"] = g.ExpiresAt.Unix()
	members["updated_by"] = g.UpdatedBy // GM-6.4-6
	return json.Marshal(members)
}
