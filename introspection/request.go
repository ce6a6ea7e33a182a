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

// A Request is a question about a token. Nothing in it says who asks. Printed or logged it does not show the token.
type Request struct {
	// Token is the token in question, as it came from whoever presented it ("token"). Compare it in constant time or look
	// it up by its hash.
	Token string
	// TokenTypeHint is what the resource server takes it for ("token_type_hint"), often empty. It helps to look in the right
	// place first and decides nothing. A refresh token is inactive to a resource server, whatever the hint: who has one must
	// not be able to use it as an access token.
	TokenTypeHint string
	// WantsJWT reports whether the caller prefers a signed answer to a plain one, by the Accept header.
	WantsJWT bool
	// Form has all parameters, those of the caller's authentication among them.
	Form url.Values
}

// String does not show the token.
func (Request) String() string { return "introspection.Request{redacted}" }

// GoString does not show the token.
func (r Request) GoString() string { return r.String() }

// LogValue does not show the token.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// ParseRequest reads a question (RFC 7662 §2.1). It uses up the body of r. It does not authenticate the caller, without
// which nothing may be answered. Errors have wire form, see [Responder.WriteError]; one is [ErrNoToken].
func ParseRequest(r *http.Request) (Request, error) {
	params, err := form.Read(r) // INT-7662-2-1: a POST of a form, without room for two tokens
	if err != nil {
		return Request{}, err
	}
	token := params.Get("token")
	if token == "" { // INT-7662-2-1
		return Request{}, ErrNoToken
	}
	return Request{
		Token: token, TokenTypeHint: params.Get("token_type_hint"), WantsJWT: wantsJWT(r.Header.Values("Accept")), Form: params,
	}, nil
}

// wantsJWT reads Accept (RFC 9110 §12.5.1). The signed form must be asked for by its name, as RFC 9701 §4 has it: who
// accepts anything gets what RFC 7662 says. Of two that are equally welcome the signed one is better.
func wantsJWT(accept []string) bool {
	jwt, json, precision := -1.0, -1.0, 0
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
				jwt = max(jwt, q)
			}
			// The most precise range that fits decides about JSON.
			if p := precisionForJSON(mediaRange); p > precision {
				json, precision = q, p
			} else if p == precision && p > 0 {
				json = max(json, q)
			}
		}
	}
	return jwt > 0 && jwt >= json
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
