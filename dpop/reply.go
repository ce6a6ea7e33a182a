package dpop

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// SetNonce sets the current nonce in the header of a response with any status,
// for the next request of the client (RFC 9449 §8.2). It also forbids caches to
// store the response. Without [VerifierConfig.Nonces] it does nothing.
//
// If every response has a nonce, active clients do not need a second round
// trip.
func (v *Verifier) SetNonce(h http.Header) {
	if v.nonces == nil {
		return
	}
	h.Set("DPoP-Nonce", v.nonces.Nonce()) // DPOP-8-3: replaces another nonce
	h.Set("Cache-Control", "no-store")    // DPOP-8.2-2
}

// Challenge returns the value of WWW-Authenticate for a request that failed
// with err (RFC 9449 §7.1). The error is one of this package, or an error with
// the method OAuthError() (code, description string). If err is nil, the
// challenge has no error code. Use nil only for a request without credentials.
// An unknown or expired token has the code invalid_token (RFC 6750 §3.1), see
// the example of the package.
//
// The caller may append parameters such as realm or scope after a comma, and
// add challenges of other schemes as further values.
func (v *Verifier) Challenge(err error) string {
	algs := `algs="` + strings.Join(v.algorithms, " ") + `"` // DPOP-7.1-5
	if err == nil {
		return "DPoP " + algs // DPOP-7.1-3
	}
	code, description, _ := oautherr.From(err)
	b := "DPoP " + `error="` + quotable(code) + `", ` // DPOP-7.1-4, DPOP-9-1
	if description = quotable(description); description != "" {
		b += `error_description="` + description + `", `
	}
	return b + algs
}

// quotable removes the characters that an error code and description (RFC 6749
// §5.2) or a quoted string cannot contain.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// WriteError writes the response for a request that failed with err, an error
// as for [Verifier.Challenge]. The response has the status of err and a JSON
// object with error and error_description. It has a challenge if the status is
// 401 or 403, and a nonce if Nonces is set. It does not contain the text of
// err. An error without a wire form is server_error with status 500.
//
// The status separates authorization servers (400, RFC 9449 §5) from resource
// servers (401, RFC 9449 §7.1).
func (v *Verifier) WriteError(w http.ResponseWriter, err error) {
	code, description, status := oautherr.From(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	// DPOP-7.1-7: DPoP has no challenges of proxies.
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		h.Add("WWW-Authenticate", v.Challenge(err))
	}
	v.SetNonce(h) // DPOP-8-1, DPOP-9-1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // a failure cannot be reported any more
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{code, quotable(description)})
}
