package dpop

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// SetNonce puts the current nonce into the header of a response, whatever its status, so that the client's next request
// has it (§8.2). Without [VerifierConfig.Nonces] it does nothing. It makes the response uncacheable.
//
// RFC 9449 leaves it open how often to do that. On every response, clients that are in use never need a second round trip.
func (v *Verifier) SetNonce(h http.Header) {
	if v.nonces == nil {
		return
	}
	h.Set("DPoP-Nonce", v.nonces.Nonce()) // DPOP-8-3: replaces what is there
	h.Set("Cache-Control", "no-store")    // DPOP-8.2-2
}

// Challenge returns the value of WWW-Authenticate with which an API answers a request that failed with err (§7.1). It
// takes any error: one of this package, or of the caller's own that has the method OAuthError() (code, description
// string). With nil it has no error code, as is right for a request that came without any credentials, and for no other:
// a token that is unknown or expired is an error with the code invalid_token (RFC 6750 §3.1), as in the package's example.
//
// Parameters such as realm or scope can be appended after a comma, challenges of other schemes added as further values.
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

// quotable drops what may stand neither in an error code and description (RFC 6749 §5.2) nor unescaped in a quoted string.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// WriteError answers a request that failed with err, one of this package's or any other: status, a challenge if it is
// 401 or 403, a nonce if there are any, and a JSON object with error and error_description. The text of err is not shown;
// an error that says nothing about the answer (see Challenge) is a server_error with status 500.
//
// The status alone makes the difference between an authorization server (400, §5) and a resource server (401, §7.1).
func (v *Verifier) WriteError(w http.ResponseWriter, err error) {
	code, description, status := oautherr.From(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	// DPOP-7.1-7: there is nothing like it for proxies.
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		h.Add("WWW-Authenticate", v.Challenge(err))
	}
	v.SetNonce(h) // DPOP-8-1, DPOP-9-1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // who went away needs no answer
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{code, quotable(description)})
}
