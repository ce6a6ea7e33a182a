// Package jarm implements the JWT Secured Authorization Response Mode for OAuth
// 2.0 (JARM), both sides. FAPI 2.0 Message Signing calls these responses signed
// authorization responses.
//
// The parameters of an authorization response, for example code, state and
// error, are claims of one signed JWT. Such a response needs no separate
// parameter iss (RFC 9207 §4), because the JWT contains the issuer.
//
// An authorization server calls [ParseMode] with the response_mode of the
// request. It calls [Issuer.Response] for success and for errors, and
// [Mode.Write] to send the result. A server with its own redirects calls
// [RedirectURL] instead of Write. Most clients use the mode jwt. The mode
// form_post.jwt is for responses that are too long for a URL.
//
// A client sends response_mode=jwt ([ModeJWT]) and stores in its session which
// server receives the request. It passes the callback to the [Verifier] of that
// server. Then it calls [Response.CheckState], [Response.Err] and
// [Response.Code], in this order. The Verifier ignores the parameters outside
// the JWT, so an attacker cannot add a code to the URL.
//
// Responses are encrypted only if both sides configure it. FAPI advises against
// encryption, and with PKCE a code is useless without the verifier. The package
// does not support fragment.jwt. It stores nothing: the client ensures that a
// session accepts one response, and PKCE binds the code to the session.
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

// Names of parameters and claims.
const (
	paramResponse = "response" // JARM-2.3-1
	paramCode     = "code"
	paramState    = "state"
	paramError    = "error"
	paramExpires  = "expires_in"
)

// maxResponse bounds a response, which usually comes in a URL.
const maxResponse = 64 << 10

// A Response is a verified authorization response: a code or an error. Only a
// [Verifier] returns one. It is immutable and safe for concurrent use. Its
// String and LogValue contain the issuer and no parameters.
type Response struct {
	issuer  string
	expires time.Time
	params  map[string]string
	dropped []string
}

// Issuer returns the authorization server that signed the response ("iss").
func (r *Response) Issuer() string { return r.issuer }

// ExpiresAt returns when the response expires ("exp"). The code may expire at
// another time.
func (r *Response) ExpiresAt() time.Time { return r.expires }

// Code returns the authorization code, or "" if the response is an error.
func (r *Response) Code() string { return r.params[paramCode] }

// State returns the state, or "". Use [Response.CheckState] to compare it.
func (r *Response) State() string { return r.params[paramState] }

// CheckState compares the state with the expected one of the session, in
// constant time. The error matches [ErrState]. If expected is empty, the check
// fails.
func (r *Response) CheckState(expected string) error {
	state, ok := r.params[paramState]
	switch {
	case expected == "":
		return fmt.Errorf("%w: missing in the session", ErrState)
	case !ok:
		return fmt.Errorf("%w: missing in the response", ErrState)
	case !jose.EqualString(state, expected):
		return fmt.Errorf("%w: different value", ErrState)
	}
	return nil
}

// Err returns nil, or the error of the authorization server as an
// *oauth2.RetrieveError, whose Response and Body are empty. No other error of
// this package has that type.
func (r *Response) Err() error {
	code := r.params[paramError]
	if code == "" {
		return nil
	}
	return &oauth2.RetrieveError{
		ErrorCode: code, ErrorDescription: r.params["error_description"], ErrorURI: r.params["error_uri"],
	}
}

// Param returns a response parameter by its name, or "". A number is returned
// as it was written. A claim that is neither a string nor a number counts as
// absent.
func (r *Response) Param(name string) string { return r.params[name] }

// Dropped returns the names of the claims that are neither strings nor numbers,
// in a fresh slice. They count as absent.
func (r *Response) Dropped() []string { return slices.Clone(r.dropped) }

// Params returns a copy of all response parameters. iss, aud and exp are not
// among them.
func (r *Response) Params() url.Values {
	values := make(url.Values, len(r.params))
	for name, value := range r.params {
		values.Set(name, value)
	}
	return values
}

// String returns a text with the issuer.
func (r *Response) String() string { return fmt.Sprintf("authorization response of %.256q", r.issuer) }

// GoString returns the text of String.
func (r *Response) GoString() string { return r.String() }

// LogValue returns a group with iss, exp and whether the response is an error.
func (r *Response) LogValue() slog.Value {
	failed := r.params[paramError] != ""
	return slog.GroupValue(slog.String("iss", r.issuer), slog.Time("exp", r.expires), slog.Bool("error", failed))
}

// envelope has the claims that are not response parameters.
var envelope = []string{"iss", "aud", "exp"}

// readParams returns the parameters of a verified response.
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
		// JARM-2.1-6: an unknown claim has no effect. Param returns it.
		params[name] = value
	}
	if err := checkOutcome(params); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrParameters, err)
	}
	return params, optional.Dropped(), nil
}

// mustBeString reports whether a parameter decides about the session.
func mustBeString(name string) bool {
	return slices.Contains([]string{paramCode, paramState, paramError}, name)
}

// checkOutcome requires either a code or an error.
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
