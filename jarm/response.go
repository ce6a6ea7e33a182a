// Package jarm implements the JWT Secured Authorization Response Mode for OAuth 2.0 (JARM), for both sides: the
// parameters that an authorization server sends through the browser, code, state and error among them, come as one signed
// JWT. What FAPI 2.0 Message Signing calls signed authorization responses is this.
//
// # Authorization servers
//
// [ParseMode] reads the response_mode of the authorization request, [Issuer.Response] makes the JWT, for success and for
// errors alike, and [Mode.Write] sends it. A server that builds redirects elsewhere uses [RedirectURL] instead. For most
// the mode is "jwt"; form_post.jwt is for responses that are too long for a URL.
//
// # Clients
//
// Send response_mode=jwt ([ModeJWT]) with the authorization request, keep in the session which server was asked, and give
// the callback to that server's [Verifier]. Then, and in this order: [Response.CheckState], [Response.Err],
// [Response.Code]. Nothing that stands beside the JWT is read, so a code that somebody has added to the URL is not there.
//
// An authorization response protected in this way needs no separate iss parameter (ISS-4-3): the issuer is inside.
//
// # What it does not do
//
// Responses are encrypted only when both sides are configured to: FAPI advises against it (MS-6.1-1), and with PKCE a
// code is of no use to who reads it. fragment.jwt, and the response types that need it, are not supported. The package
// remembers nothing: that a session accepts one response is for the one who keeps the session, and PKCE binds the code to
// it.
package jarm

import (
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// The names of parameters, in the JWT and beside it.
const (
	paramResponse = "response" // JARM-2.3-1
	paramCode     = "code"
	paramState    = "state"
	paramError    = "error"
	paramExpires  = "expires_in"
)

// maxResponse bounds a response, which mostly comes in a URL.
const maxResponse = 64 << 10

// A Response is a verified authorization response: the authorization server's answer to this client, good or bad. It
// comes from a [Verifier] only, never changes, and is safe for concurrent use. Printed or logged it names the issuer and
// not what it says.
type Response struct {
	issuer  string
	expires time.Time
	params  map[string]string
	dropped []string
}

// Issuer returns the authorization server that has answered ("iss").
func (r *Response) Issuer() string { return r.issuer }

// ExpiresAt returns when the response expires ("exp"). It says nothing about the code.
func (r *Response) ExpiresAt() time.Time { return r.expires }

// Code returns the authorization code, or "" if the response is an error.
func (r *Response) Code() string { return r.params[paramCode] }

// State returns the state, or "". [Response.CheckState] is the way to compare it.
func (r *Response) State() string { return r.params[paramState] }

// CheckState compares the state with that of the session, in constant time. The error matches [ErrState]; an empty
// expectation fits nothing.
func (r *Response) CheckState(expected string) error {
	state, ok := r.params[paramState]
	switch {
	case expected == "":
		return fmt.Errorf("%w: none is expected", ErrState)
	case !ok:
		return fmt.Errorf("%w: none", ErrState)
	case !jose.EqualString(state, expected):
		return fmt.Errorf("%w: not that of the session", ErrState)
	}
	return nil
}

// Err returns nil, or what the authorization server refused the request with: a *oauth2.RetrieveError always comes from the
// authorization server. Its Response and Body are empty.
func (r *Response) Err() error {
	code := r.params[paramError]
	if code == "" {
		return nil
	}
	return &oauth2.RetrieveError{
		ErrorCode: code, ErrorDescription: r.params["error_description"], ErrorURI: r.params["error_uri"],
	}
}

// Param returns a response parameter by its name, or "". A number comes as it was written. What is neither a string nor
// a number is no parameter.
func (r *Response) Param(name string) string { return r.params[name] }

// Dropped returns the names of the claims that are neither strings nor numbers,
// in a fresh slice. They count as absent.
func (r *Response) Dropped() []string { return slices.Clone(r.dropped) }

// Params returns all response parameters, in a fresh map; iss, aud and exp are none.
func (r *Response) Params() url.Values {
	values := make(url.Values, len(r.params))
	for name, value := range r.params {
		values.Set(name, value)
	}
	return values
}

// String names the issuer.
func (r *Response) String() string { return fmt.Sprintf("authorization response of %.256q", r.issuer) }

// GoString is String.
func (r *Response) GoString() string { return r.String() }

// LogValue is String for slog, as a group.
func (r *Response) LogValue() slog.Value {
	failed := r.params[paramError] != ""
	return slog.GroupValue(slog.String("iss", r.issuer), slog.Time("exp", r.expires), slog.Bool("error", failed))
}

// envelope are the claims that make the JWT and are no response parameters.
var envelope = []string{"iss", "aud", "exp"}

// readParams takes over the parameters. It is called for verified responses only.
func readParams(claims strictjson.Object) (params map[string]string, dropped []string, err error) {
	params, optional := map[string]string{}, claims.Lenient()
	for _, name := range claims.Names() {
		if slices.Contains(envelope, name) {
			continue
		}
		value, present, err := claims.String(name)
		raw, _ := claims.Get(name)
		switch {
		case err == nil && !present: // null
			continue
		case err == nil:
		case mustBeString(name):
			return nil, nil, fmt.Errorf("%w: %s is not a string", ErrParameters, name)
		case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9': // JARM-2.1-4
			value = string(raw)
		default:
			optional.Drop(name) // JARM-2.1-6
			continue
		}
		// JARM-2.1-6: a claim that means nothing to anybody is there for who asks for it by name, and harms nobody.
		params[name] = value
	}
	if err := checkOutcome(params); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrParameters, err)
	}
	return params, optional.Dropped(), nil
}

// mustBeString names the parameters that decide what becomes of the session.
func mustBeString(name string) bool {
	return slices.Contains([]string{paramCode, paramState, paramError}, name)
}

// checkOutcome demands that a response is either good or bad.
func checkOutcome(params map[string]string) error {
	code, failure := params[paramCode], params[paramError]
	switch {
	case code != "" && failure != "":
		return fmt.Errorf("both %s and %s", paramCode, paramError)
	case code == "" && failure == "":
		return fmt.Errorf("neither %s nor %s among %.256q", paramCode, paramError, slices.Sorted(maps.Keys(params)))
	}
	return nil
}
