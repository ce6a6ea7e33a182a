package par

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

// A Request is an authorization request that was pushed, checked and stored. It
// comes from [Server.Load] and [Server.Resume] only. If it comes with an error,
// reject it, see Load. The zero Request belongs to no client. It is safe for
// concurrent use.
type Request struct {
	clientID, requestURI, key, thumbprint string

	params  params
	expires time.Time
	data    json.RawMessage
	version int64 // of the row: 1 before the first visit
}

// ClientID returns the client that authenticated when the request was pushed.
func (r Request) ClientID() string { return r.clientID }

// Params returns a copy of the pushed parameters. They have client_id and no
// authentication parameters, and only resource may have more than one value.
func (r Request) Params() url.Values { return r.params.values() }

// Get returns the first value of a parameter, or "".
func (r Request) Get(name string) string { return r.params.get(name) }

// RequestURI returns the reference to the request.
func (r Request) RequestURI() string { return r.requestURI }

// ExpiresAt returns the time at which Load starts to reject the request.
func (r Request) ExpiresAt() time.Time { return r.expires }

// DPoPThumbprint returns the thumbprint of the key that the authorization code
// must be bound to (RFC 9449 §10), or "". It comes from dpop_jkt or from the
// DPoP proof of the push.
func (r Request) DPoPThumbprint() string { return r.thumbprint }

// Data returns a copy of PushRequest.Data.
func (r Request) Data() json.RawMessage { return slices.Clone(r.data) }

// String returns only the client ID, because the request contains personal
// data.
func (r Request) String() string { return fmt.Sprintf("pushed request of %q", r.clientID) }

// GoString is String.
func (r Request) GoString() string { return r.String() }

// LogValue is String for package log/slog.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// storeKey returns the key of a request. It returns false if requestURI is not
// a reference of this package.
func (s *Server) storeKey(requestURI string) (string, bool) {
	// JAR-5.2-2, JAR-10.4-1: the server would have to fetch an https
	// request_uri.
	reference, ok := strings.CutPrefix(requestURI, urnPrefix)
	if !ok || len(reference) != 43 || strings.Trim(reference, base64URL) != "" {
		return "", false
	}
	return jose.SHA256Base64("pushed request\x00", s.issuer, "\x00", reference), true // a reference has no NUL
}

// A CheckedRequest is a pushed authorization request that [Server.Check] has
// accepted. [Server.Store] stores it. It never changes.
type CheckedRequest struct {
	server  *Server
	request Request // without a reference
	content []byte  // of the row

	lifetime time.Duration
}

// Params returns a copy of the parameters that will be stored. They have
// client_id and no authentication parameters.
func (c *CheckedRequest) Params() url.Values { return c.request.params.values() }

// DPoPThumbprint returns the thumbprint of the key that the authorization code
// must be bound to, or "". It comes from dpop_jkt or from the DPoP proof.
func (c *CheckedRequest) DPoPThumbprint() string { return c.request.thumbprint }

// String returns only the client ID, because the request may contain secrets.
func (c *CheckedRequest) String() string {
	return fmt.Sprintf("checked request of %q", c.request.clientID)
}

// GoString is String.
func (c *CheckedRequest) GoString() string { return c.String() }

// LogValue is String for package log/slog.
func (c *CheckedRequest) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Pushed is the response to a pushed request (RFC 9126 §2.2). [Server.Push] and
// [Client.Push] return it.
type Pushed struct {
	// RequestURI is the reference to the request.
	RequestURI string
	// ExpiresIn is the time in which the browser must arrive at the
	// authorization endpoint. On the wire it is in whole seconds.
	ExpiresIn time.Duration
}

// String omits the reference, because its holder can start the authorization.
func (p Pushed) String() string { return fmt.Sprintf("request_uri for %v", p.ExpiresIn) }

// GoString is String.
func (p Pushed) GoString() string { return p.String() }

// LogValue is String for package log/slog.
func (p Pushed) LogValue() slog.Value { return slog.StringValue(p.String()) }

// ServeHTTP writes the response of the pushed authorization request endpoint.
// It does not read the request. For the zero Pushed it writes a server_error.
func (p Pushed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p.RequestURI == "" || p.ExpiresIn < time.Second {
		WriteError(w, errors.New("par: invalid Pushed, want a result of Push"))
		return
	}
	// PAR-2.2-1: 201, not 200.
	writeJSON(w, http.StatusCreated, struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int64  `json:"expires_in"`
	}{p.RequestURI, int64(p.ExpiresIn / time.Second)})
}

// WriteError writes the error response of the pushed authorization request
// endpoint (RFC 9126 §2.3): JSON with error and error_description. It takes
// code, description and status from an error of any package of this module. Any
// other error is a server_error without a description.
//
// WriteError keeps the headers that are set, except those about the body. A
// server with Basic authentication sets WWW-Authenticate before it (RFC 6749
// §5.2).
func WriteError(w http.ResponseWriter, err error) {
	code, description, status := oautherr.From(err)
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if status == http.StatusMethodNotAllowed { // PAR-2.3-5
		w.Header().Set("Allow", http.MethodPost)
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	writeJSON(w, status, struct { // PAR-2.3-1
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{syntax.ErrorText(code), syntax.ErrorText(description)})
}

// retryAfter is in seconds.
const retryAfter = "5"

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, _ := json.Marshal(v)       // structs of strings and numbers do not fail
	w.Header().Del("Content-Length") // of the response that was planned before
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store") // PAR-2.2-5
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if it fails
}
