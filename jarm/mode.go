package jarm

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Mode is a value of response_mode for signed responses. It is safe for
// concurrent use.
type Mode string

// The supported modes, for response_modes_supported. The response has one
// parameter, "response" (JARM §2.3).
const (
	// ModeJWT is the default of the response type, which is query.jwt for code.
	// A client sends this mode.
	ModeJWT Mode = "jwt"
	// ModeQueryJWT is a redirect with the response in the query.
	ModeQueryJWT Mode = "query.jwt"
	// ModeFormPostJWT is a page from which the browser posts the response to
	// the client. The browser sends the client's session cookie with this
	// cross-site POST only if the cookie is SameSite=None.
	ModeFormPostJWT Mode = "form_post.jwt"
)

// ParseMode returns [ModeQueryJWT] or [ModeFormPostJWT] for the response_mode
// and response_type of an authorization request. It rejects a missing
// response_mode and a mode without signature. The error matches [ErrMode].
//
// Call it for each request that requires a signed response.
func ParseMode(responseMode, responseType string) (Mode, error) {
	// JARM-2.3.1-1, MS-5.4.1-1: only code, because a response in the query must
	// not contain tokens.
	if responseType != "code" {
		return "", fmt.Errorf("%w: response_type is %.64q", ErrMode, responseType)
	}
	switch mode := Mode(responseMode); mode {
	case ModeJWT: // JARM-2.3.4-1
		return ModeQueryJWT, nil
	case ModeQueryJWT, ModeFormPostJWT:
		return mode, nil
	}
	// JARM-2.3-1: fragment.jwt is not supported, because scripts can read a
	// fragment and it survives redirects.
	return "", fmt.Errorf("%w: response_mode is %.64q", ErrMode, responseMode)
}

// Check checks that a response can be sent to a redirect URI in this mode. A
// redirect URI must be absolute, without a fragment and without a parameter
// "response". [ModeFormPostJWT] requires an http or https URI, because an app
// with a scheme of its own cannot receive a form. An authorization server calls
// Check before it asks the user.
func (m Mode) Check(redirectURI string) error {
	u, err := checkRedirectURI(redirectURI)
	if err == nil && m == ModeFormPostJWT && !isWeb(u) {
		err = errors.New("jarm: redirect URI of an app, which cannot receive a form")
	}
	return err
}

// Write sends the browser to the client with a response of [Issuer]. It writes
// a redirect with status 303 or, for [ModeFormPostJWT], a page that posts
// itself. The host has checked that the redirect URI is the registered one. If
// Write returns an error, it has written nothing, unless the error comes from
// w.
func (m Mode) Write(w http.ResponseWriter, redirectURI, response string) error {
	switch m {
	case ModeJWT, ModeQueryJWT:
		target, err := RedirectURL(redirectURI, response)
		if err != nil {
			return err
		}
		noStore(w.Header())
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	case ModeFormPostJWT:
		return writeFormPost(w, redirectURI, response)
	}
	return fmt.Errorf("%w: %.64q", ErrMode, string(m))
}

// RedirectURL appends a response of [Issuer] to a redirect URI and keeps the
// query of the URI. It appends no other parameter. It returns an error for a
// URI that is not absolute, has a fragment or has a parameter "response", and
// for a response that is not a JWT.
func RedirectURL(redirectURI, response string) (string, error) {
	if err := check(redirectURI, response); err != nil {
		return "", err
	}
	separator := "?"
	if _, query, ok := strings.Cut(redirectURI, "?"); ok {
		separator = "&"
		if query == "" || strings.HasSuffix(query, "&") {
			separator = ""
		}
	}
	// MS-5.4.1-N: no other parameter. Parsing and formatting might change the
	// registered URI.
	return redirectURI + separator + paramResponse + "=" + response, nil
}

// check checks the values that are written into a header or a page.
func check(redirectURI, response string) error {
	// These characters need no escaping in a URL, a header or a page.
	if n := strings.Count(response, "."); n != 2 && n != 4 || strings.ContainsFunc(response, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return errors.New("jarm: malformed response, want a JWT")
	}
	_, err := checkRedirectURI(redirectURI)
	return err
}

func checkRedirectURI(redirectURI string) (*url.URL, error) {
	for i := range len(redirectURI) {
		if c := redirectURI[i]; c <= ' ' || c > '~' || c == '\\' || c == '#' {
			return nil, errors.New("jarm: redirect URI with a fragment or an invalid character")
		}
	}
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return nil, errors.New("jarm: relative redirect URI")
	case isWeb(u) && u.Host == "":
		return nil, errors.New("jarm: redirect URI without a host")
	case !isWeb(u) && !strings.Contains(u.Scheme, "."): // RFC 8252 §7.1: neither javascript nor data
		return nil, errors.New("jarm: redirect URI with a scheme that is neither https nor private to an app")
	case u.Query().Has(paramResponse): // the client would reject two
		return nil, fmt.Errorf("jarm: redirect URI with the parameter %q", paramResponse)
	}
	return u, nil
}

func isWeb(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" }

// noStore keeps the response out of caches, and the URL of the page out of the
// logs of the client.
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-cache, no-store") // JARM-2.3.3-1
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
}

const (
	submit = `document.forms[0].submit()`

	// page has a button, so that it works without scripts. Its two verbs are in
	// double quotes and receive the results of html.EscapeString. html/template
	// would rewrite the URI, which must not change.
	page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="robots" content="noindex"><title>Returning to the application</title></head>
<body>
<form method="post" action="%s">
<input type="hidden" name="` + paramResponse + `" value="%s">
<button type="submit">Continue</button>
</form>
<script>` + submit + `</script>
</body>
</html>
`
)

// policy permits this script and nothing else. It has no form-action, because
// browsers apply form-action also to redirects of the client after the post.
var policy = func() string {
	sum := sha256.Sum256([]byte(submit))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	return "default-src 'none'; script-src 'sha256-" + hash + "'; base-uri 'none'; frame-ancestors 'none'"
}()

func writeFormPost(w http.ResponseWriter, redirectURI, response string) error {
	if err := check(redirectURI, response); err != nil {
		return err
	}
	if err := ModeFormPostJWT.Check(redirectURI); err != nil {
		return err
	}
	h := w.Header()
	noStore(h) // JARM-2.3.3-1
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, fmt.Sprintf(page, html.EscapeString(redirectURI), html.EscapeString(response)))
	return err
}
