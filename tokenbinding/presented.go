package tokenbinding

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/internal/syntax"
)

// maxToken bounds the length of an access token in bytes. Servers reject longer
// headers.
const maxToken = 16 << 10

// Presented is the access token of a request. It is not verified.
type Presented struct {
	Scheme Scheme // DPoP or Bearer
	Token  string
}

// String returns the scheme without the token.
func (p Presented) String() string { return string(p.Scheme) + " (redacted)" }

// GoString returns String.
func (p Presented) GoString() string { return p.String() }

// LogValue returns String for package log/slog.
func (p Presented) LogValue() slog.Value { return slog.StringValue(p.String()) }

// FromRequest returns the access token of a request to an API. The token is in
// the only Authorization header. The other places of RFC 6750 are not supported
// (FAPI 2.0 Security Profile §5.3.4).
//
// A token in the query is rejected, even if there is an Authorization header. A
// token in the form body is rejected if the caller has parsed the form.
// Otherwise it is ignored, because FromRequest does not read the body. The
// error is [ErrNoToken], [ErrMultipleMethods], [ErrTokenInQuery] or
// [ErrMalformed].
func FromRequest(r *http.Request) (Presented, error) {
	if r.URL != nil && queryHasToken(r.URL.RawQuery) {
		return Presented{}, ErrTokenInQuery // SP-5.3.4-2
	}
	if r.PostForm.Has("access_token") { // BASE-6750-2-1
		return Presented{}, fmt.Errorf("%w: in the body", ErrMultipleMethods)
	}
	values := r.Header["Authorization"] // SP-5.3.4-1
	switch len(values) {
	case 0:
		return Presented{}, ErrNoToken
	case 1:
		return parse(values[0])
	}
	// DPOP-7.2-3: the headers are counted, so that an empty first one does not
	// hide a second one.
	return Presented{}, fmt.Errorf("%w: %d Authorization headers", ErrMultipleMethods, len(values))
}

func parse(header string) (Presented, error) {
	name, rest, _ := strings.Cut(header, " ")
	scheme := canonical(name) // RFC 9110 §11.1: in any case
	if scheme == "" {
		return Presented{}, fmt.Errorf("%w: Authorization scheme %.32q", ErrNoToken, name)
	}
	token := strings.TrimLeft(rest, " ")
	if err := checkToken(token); err != nil {
		return Presented{}, err
	}
	return Presented{Scheme: scheme, Token: token}, nil
}

// checkToken checks the syntax token68 (RFC 9110 §11.2). It has no comma and no
// space, so one header value never contains two tokens.
func checkToken(token string) error {
	if len(token) > maxToken {
		return fmt.Errorf("%w: token of %d bytes, at most %d", ErrMalformed, len(token), maxToken)
	}
	body := strings.TrimRight(token, "=")
	if body == "" {
		return fmt.Errorf("%w: no token after the scheme", ErrMalformed)
	}
	if syntax.IsToken68(body) {
		return nil
	}
	i := 0
	for syntax.IsToken68(body[i : i+1]) {
		i++
	}
	return fmt.Errorf("%w: character %#02x at %d of the token", ErrMalformed, body[i], i)
}

// queryHasToken compares only the names of parameters. url.ParseQuery would
// drop malformed pairs that other readers accept.
func queryHasToken(query string) bool {
	for query != "" {
		pair := query
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == "access_token" {
			return true
		}
	}
	return false
}

// Set makes the token the only one of a request with these headers. With the
// scheme DPoP the request needs a proof, too. The error is [ErrMalformed] for a
// token that FromRequest would reject, and [ErrNoToken] for an unknown scheme.
func (p Presented) Set(h http.Header) error {
	scheme := canonical(string(p.Scheme))
	if scheme == "" {
		return fmt.Errorf("%w: scheme %.32q", ErrNoToken, string(p.Scheme))
	}
	if err := checkToken(p.Token); err != nil {
		return err
	}
	h.Set("Authorization", string(scheme)+" "+p.Token) // SP-5.3.3.1-3
	return nil
}
