package introspection

import (
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/form"
)

// A Request is an introspection request. Its caller is not authenticated. Its
// String and LogValue do not contain the token.
type Request struct {
	// Token is the token ("token"). Look it up by its hash, or compare it in
	// constant time.
	Token string
	// TokenTypeHint is the supposed type of the token ("token_type_hint"). It
	// is often empty and only helps to find the token. A refresh token is
	// inactive to a resource server, independent of the hint. Otherwise it
	// could be used as an access token.
	TokenTypeHint string
	// WantsJWT reports whether the caller prefers a signed response to plain
	// JSON, by the Accept header.
	WantsJWT bool
	// Form has all parameters, with those of the authentication of the caller.
	Form url.Values
}

// String returns a constant text.
func (Request) String() string { return "introspection.Request{redacted}" }

// GoString returns the text of String.
func (r Request) GoString() string { return r.String() }

// LogValue returns the text of String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// ParseRequest parses an introspection request (RFC 7662 §2.1). It reads the
// body of r. It does not authenticate the caller, which must happen before a
// response. Pass its errors, for example [ErrNoToken], to
// [Responder.WriteError].
func ParseRequest(r *http.Request) (Request, error) {
	params, err := form.Read(r) // INT-7662-2-1: a POST of a form without repeated parameters
	if err != nil {
		return Request{}, err
	}
	token := params.Get("token")
	if token == "" { // INT-7662-2-1
		return Request{}, ErrNoToken
	}
	return Request{
		Token: token, TokenTypeHint: params.Get("token_type_hint"), Form: params,
		WantsJWT: wantsJWT(r.Header.Values("Accept")),
	}, nil
}

// wantsJWT parses Accept (RFC 9110 §12.5.1). A signed response requires its
// media type by name (RFC 9701 §4). A range such as */* means plain JSON. If
// both have the same weight, the signed response is preferred.
func wantsJWT(accept []string) bool {
	signed, plain, precision := -1.0, -1.0, 0
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			mediaRange, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
					continue
				}
			}
			if mediaRange == mediaJWT {
				signed = max(signed, q)
			}
			// The most precise matching range decides about JSON.
			if p := precisionForJSON(mediaRange); p > precision {
				plain, precision = q, p
			} else if p == precision && p > 0 {
				plain = max(plain, q)
			}
		}
	}
	return signed > 0 && signed >= plain
}

func precisionForJSON(mediaRange string) int {
	switch mediaRange {
	case mediaJSON:
		return 3
	case "application/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}
