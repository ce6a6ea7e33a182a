package tokenbinding

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"

	"github.com/gofapi/fapi2/internal/syntax"
)

// A Challenge configures the WWW-Authenticate headers with which an API rejects
// a request. The zero value challenges the client to use DPoP and suffices for
// most APIs. A Challenge is safe for concurrent use if no caller changes it.
//
// The fields and error descriptions cannot inject headers. Characters that RFC
// 6750 §3 does not permit are replaced by question marks, among them quotation
// marks and backslashes.
type Challenge struct {
	// Schemes are the schemes that the API accepts, in order. Unknown schemes
	// are ignored. The default is DPoP.
	Schemes []Scheme
	// Algorithms are the signature algorithms of DPoP proofs, for the parameter
	// algs. If nil, the challenge has no algs.
	Algorithms []string
	// Realm is the parameter realm. If empty, the challenge has no realm.
	Realm string
	// Scope is the scope that the request requires, separated by spaces. If
	// empty, the challenge has no scope.
	Scope string
	// ResourceMetadata is the URL of the API's metadata (RFC 9728 §5.1). If
	// empty, the challenge has no resource_metadata.
	ResourceMetadata string
	// Parameters are additional parameters of the challenge that has the error,
	// for example acr_values and max_age (RFC 9470 §3). A name is ignored if it
	// is not an HTTP token, or if it is a parameter of another field.
	Parameters map[string]string
}

// WriteError responds to a request that failed with err. It writes the status
// and a challenge for each scheme. It writes a JSON body with error and
// error_description, except for [ErrNoToken]. An error of the server, and an
// error that other credentials cannot correct, have no challenge.
//
// An error without a wire form is server_error with status 500, because only
// the host knows its origin. The package's errors and those of packages dpop
// and accesstoken have one. Use [Challenge.InvalidToken] for the errors of
// another token library.
//
// WriteError keeps headers that are already set, for example DPoP-Nonce. It
// replaces its own headers and those that describe another body.
func (c Challenge) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	status := c.SetHeader(h, r, err)
	code, description, _ := oautherr.From(err)
	if code == "" { // BASE-6750-3.1-2
		w.WriteHeader(status)
		return
	}
	body, _ := json.Marshal(struct { // strings are never an error
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{syntax.ErrorText(code), syntax.ErrorText(description)})
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // an error means that the client is gone
}

// SetHeader returns the status of a response to a request that failed with err,
// and sets its headers in h. It is [Challenge.WriteError] without the body, for
// hosts that do not have an http.ResponseWriter.
func (c Challenge) SetHeader(h http.Header, r *http.Request, err error) (status int) {
	code, description, status := oautherr.From(err)
	status = resourceStatus(code, status)
	// These headers belong to another response.
	for _, name := range []string{"WWW-Authenticate", "Content-Length", "Content-Encoding", "Etag"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	if status == 400 || status == 401 || status == 403 {
		for _, value := range c.values(r, code, description) {
			h.Add("WWW-Authenticate", value)
		}
	}
	return status
}

// InvalidToken returns an error for which [Challenge.WriteError] responds with
// invalid_token and status 401. It wraps cause, whose text the client never
// receives. Hosts use it for the errors of a JWT or session library, which have
// no wire form. InvalidToken never returns nil, even if cause is nil, so that
// no token is accepted by mistake.
//
// Do not wrap an error of the host itself, for example an unavailable key
// server. The client would discard a valid token.
func (c Challenge) InvalidToken(cause error) error {
	if cause == nil {
		return errRejected
	}
	return fmt.Errorf("%w: %w", errRejected, cause)
}

// resourceStatus returns the status of an error at an API. Some codes have
// another status at an authorization server (RFC 9449 §7.1 and §9).
func resourceStatus(code string, status int) int {
	switch code { // BASE-6750-3.1-1
	case invalidToken, "invalid_dpop_proof", "use_dpop_nonce":
		return http.StatusUnauthorized
	case "insufficient_scope":
		return http.StatusForbidden
	}
	if status < 400 || status > 599 { // an error of another package
		return http.StatusInternalServerError
	}
	return status
}

// values returns one header value for each scheme. Separate headers and a list
// are equivalent (RFC 9110 §5.3), and some clients do not split lists.
func (c Challenge) values(r *http.Request, code, description string) []string {
	schemes := c.schemes()
	used := usedSchemes(r)
	// DPOP-7.2-3: the error belongs to the scheme of the request. If the API
	// does not accept that scheme, every challenge has the error.
	anywhere := !slices.ContainsFunc(schemes, func(s Scheme) bool { return slices.Contains(used, s) })
	var out []string
	for _, scheme := range schemes {
		var p params
		p.add("realm", c.Realm)
		if code != "" && (anywhere || slices.Contains(used, scheme)) { // DPOP-7.2-2: without credentials, no error
			p.add("error", code)
			p.add("error_description", description)
			for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
				if extension(name) {
					p.add(name, c.Parameters[name])
				}
			}
		}
		p.add("scope", c.Scope)
		p.add("resource_metadata", c.ResourceMetadata)
		if scheme == DPoP {
			p.add("algs", strings.Join(c.Algorithms, " "))
		}
		out = append(out, strings.TrimSuffix(string(scheme)+" "+strings.Join(p, ", "), " "))
	}
	return out
}

// schemes returns each known scheme once, and at least one.
func (c Challenge) schemes() (known []Scheme) {
	for _, s := range c.Schemes {
		if s = canonical(string(s)); s != "" && !slices.Contains(known, s) {
			known = append(known, s)
		}
	}
	if known == nil {
		return []Scheme{DPoP} // RFC 9110 §15.5.2: a 401 has a challenge
	}
	return known
}

// usedSchemes returns the schemes of all Authorization headers of a request.
func usedSchemes(r *http.Request) (used []Scheme) {
	for _, value := range r.Header.Values("Authorization") {
		name, _, _ := strings.Cut(value, " ")
		if s := canonical(name); s != "" {
			used = append(used, s)
		}
	}
	return used
}

type params []string

func (p *params) add(name, value string) {
	if value != "" {
		*p = append(*p, name+`="`+syntax.ErrorText(value)+`"`)
	}
}

// extension reports whether a name may be an additional parameter.
func extension(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	ours := []string{"", "realm", "error", "error_description", "scope", "resource_metadata", "algs"}
	return !slices.Contains(ours, strings.ToLower(name))
}
