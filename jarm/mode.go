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

// A Mode is how a signed response travels: a value of response_mode. It is a string, safe for concurrent use.
type Mode string

// The modes that exist here, for response_modes_supported. All carry one parameter, "response" (JARM-2.3-1).
const (
	// ModeJWT is the default way of the response type, for code the query (JARM-2.3.4-1). It is what a client sends
	// (MS-5.4.2-1).
	ModeJWT Mode = "jwt"
	// ModeQueryJWT is a redirect with the response in the query.
	ModeQueryJWT Mode = "query.jwt"
	// ModeFormPostJWT is a page from which the browser posts the response to the client. That is a cross-site POST: the
	// client's session cookie comes along only if it is SameSite=None.
	ModeFormPostJWT Mode = "form_post.jwt"
)

// ParseMode reads response_mode and response_type of an authorization request and returns [ModeQueryJWT] or
// [ModeFormPostJWT]. The error matches [ErrMode].
//
// Call it for every request that has to be answered by a signed response. Those without a response_mode, or with one that
// is not signed, are refused: MS-5.4.1-1.
func ParseMode(responseMode, responseType string) (Mode, error) {
	// JARM-2.3.1-1: a response type that brings tokens may not be answered in the query. None other than code is.
	if responseType != "code" {
		return "", fmt.Errorf("%w: response_type is %.64q", ErrMode, responseType)
	}
	switch mode := Mode(responseMode); mode {
	case ModeJWT: // JARM-2.3.4-1
		return ModeQueryJWT, nil
	case ModeQueryJWT, ModeFormPostJWT:
		return mode, nil
	}
	// JARM-2.3-1: fragment.jwt is among these. A fragment is left to scripts and survives redirects.
	return "", fmt.Errorf("%w: response_mode is %.64q", ErrMode, responseMode)
}

// Write sends the browser to the client with a response of [Issuer]: a redirect with status 303 or, for
// [ModeFormPostJWT], a page that posts itself. The redirect URI must be the registered one; the host has checked that. On
// an error nothing has been written, unless it is w's own.
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

// RedirectURL appends a response of [Issuer] to a redirect URI, whose own query stays as it is. Nothing else is appended:
// MS-5.4.1-N. It refuses a URI that is not absolute, has a fragment or has a parameter "response" already, and anything
// that is not a JWT.
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
	// Text to text: taking the URI apart and putting it together might change what was registered.
	return redirectURI + separator + paramResponse + "=" + response, nil
}

// check guards what is about to be written into a header and a page.
func check(redirectURI, response string) error {
	// So that it needs no escaping, anywhere.
	if n := strings.Count(response, "."); n != 2 && n != 4 || strings.ContainsFunc(response, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return errors.New("jarm: the response is not a JWT")
	}
	for i := range len(redirectURI) {
		if c := redirectURI[i]; c <= ' ' || c > '~' || c == '\\' || c == '#' {
			return errors.New("jarm: redirect URI with a fragment or a character that a URI cannot have")
		}
	}
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || u.Scheme == "":
		return errors.New("jarm: redirect URI is not absolute")
	case isWeb(u) && u.Host == "":
		return errors.New("jarm: redirect URI without a host")
	case !isWeb(u) && !strings.Contains(u.Scheme, "."): // RFC 8252 §7.1; keeps javascript and data out
		return errors.New("jarm: redirect URI whose scheme is neither https nor an app's own")
	case u.Query().Has(paramResponse): // the client would refuse two
		return fmt.Errorf("jarm: redirect URI with a parameter %q of its own", paramResponse)
	}
	return nil
}

func isWeb(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" }

// noStore keeps the response out of caches, and the page it came from out of the client's logs.
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-cache, no-store") // JARM-2.3.3-1
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
}

const (
	submit = `document.forms[0].submit()`

	// page works without script too: the button is always there. Its two gaps are in double quotes and filled by
	// html.EscapeString; html/template would rewrite the URI, which has to arrive as it was registered.
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

// policy lets this one script run and nothing else happen. There is no form-action in it: browsers apply it to where the
// client redirects to after the post as well.
var policy = func() string {
	sum := sha256.Sum256([]byte(submit))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	return "default-src 'none'; script-src 'sha256-" + hash + "'; base-uri 'none'; frame-ancestors 'none'"
}()

// writeFormPost is JARM-2.3.3-1.
func writeFormPost(w http.ResponseWriter, redirectURI, response string) error {
	if err := check(redirectURI, response); err != nil {
		return err
	}
	if u, err := url.Parse(redirectURI); err != nil || !isWeb(u) {
		return errors.New("jarm: a form can be posted to a website only")
	}
	h := w.Header()
	noStore(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, fmt.Sprintf(page, html.EscapeString(redirectURI), html.EscapeString(response)))
	return err
}
