package tokenbinding

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// A Challenge is what an API says of itself when it refuses a request, in the WWW-Authenticate headers of the response.
// The zero value challenges to use DPoP, and is good enough. Safe for concurrent use as long as nobody changes it.
//
// Whatever its fields and an error's description contain, no header but the intended one comes out: characters that
// RFC 6750 §3 does not allow, quotation marks and backslashes among them, are replaced by question marks.
type Challenge struct {
	// Schemes are those that the API accepts, in order. Unknown ones are left out; none means DPoP only.
	Schemes []Scheme
	// Algorithms are the signature algorithms accepted in DPoP proofs, for the algs parameter. Empty: none is sent.
	Algorithms []string
	// Realm, Scope (space-separated, what the request needs) and ResourceMetadata (an URL, RFC 9728 §5.1) are sent when set.
	Realm, Scope, ResourceMetadata string
	// Parameters are further ones for the challenge that has the error, such as acr_values and max_age (RFC 9470 §3). A
	// name that is not an HTTP token, or one of the others here, is left out.
	Parameters map[string]string
}

// WriteError answers a request that failed with err: the status, a challenge for each scheme, and a JSON body with error
// and error_description unless err is [ErrNoToken]. err may be any error. An
// error without a wire form (see the package's errors) is a server_error with
// status 500, because only the host knows its origin. Mark the errors of
// another token library with [Challenge.InvalidToken]. A failure of the server,
// and an error that credentials cannot correct, have no challenge. WriteError
// keeps headers that are already set, such as DPoP-Nonce. It replaces its own
// headers and those that describe another body.
func (c Challenge) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	code, description, status := oautherr.From(err)
	status = resourceStatus(code, status)
	h := w.Header()
	for _, name := range []string{"WWW-Authenticate", "Content-Length", "Content-Encoding", "Etag"} { // of another response
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	if status == 400 || status == 401 || status == 403 {
		for _, value := range c.values(r, code, description) {
			h.Add("WWW-Authenticate", value)
		}
	}
	if code == "" { // BASE-6750-3.1-2
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{clean(code), clean(description)})
	if err != nil { // never: two strings
		body = nil
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // nobody to tell if it fails
}

// InvalidToken returns an error for which [Challenge.WriteError] responds with
// invalid_token and status 401. It wraps cause. Hosts use it for the errors of
// a JWT or session library, which have no wire form. The peer never sees the
// text of cause. InvalidToken never returns nil, even if cause is nil, so that
// a token is never accepted by mistake.
//
// Do not wrap a failure of the host itself, such as an unreachable key server.
// The client would discard a valid token.
func (c Challenge) InvalidToken(cause error) error {
	if cause == nil {
		return errRejected
	}
	return fmt.Errorf("%w: %w", errRejected, cause)
}

// resourceStatus returns the status of an error at an API. Some codes have another one at an authorization server, where
// the same packages are used. BASE-6750-3.1-1; RFC 9449 §7.1 and §9.
func resourceStatus(code string, status int) int {
	switch code {
	case invalidToken, "invalid_dpop_proof", "use_dpop_nonce":
		return http.StatusUnauthorized
	case "insufficient_scope":
		return http.StatusForbidden
	}
	if status < 400 || status > 599 { // a foreign error's
		return http.StatusInternalServerError
	}
	return status
}

// values returns one header value for each scheme. Separate header fields mean the same as a list (RFC 9110 §5.3), and
// are understood by clients that do not take lists apart.
func (c Challenge) values(r *http.Request, code, description string) []string {
	schemes := c.schemes()
	used := usedSchemes(r)
	// DPOP-7.2-3: the error belongs to the scheme that was used; if that is none that we offer, it has to be somewhere.
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

// schemes returns what to offer: each known scheme once, and never none.
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
		*p = append(*p, name+`="`+clean(value)+`"`)
	}
}

// extension reports whether a name is that of a parameter besides ours.
func extension(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return name != "" && !slices.Contains([]string{"realm", "error", "error_description", "scope", "resource_metadata", "algs"}, strings.ToLower(name))
}

// clean keeps what RFC 6750 §3 allows in error and error_description, which is also what needs no escape in a quoted string.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
