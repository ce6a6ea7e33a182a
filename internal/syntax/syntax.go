// Package syntax checks the syntax of scopes, resource identifiers and URLs.
package syntax

import (
	"net/url"
	"strconv"
	"strings"
)

// IsResource reports whether a resource identifier is an absolute URI without
// fragment (RFC 8707 §2).
func IsResource(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && u.Host != "" && u.Fragment == "" && !strings.Contains(resource, "#")
}

// IsScope reports whether scope is a single scope-token (RFC 6749 §3.3).
func IsScope(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}

// HTTPSProblem returns why a client cannot connect to a URL over TLS, or "".
func HTTPSProblem(raw string) string {
	// SP-5.2.1-1: only TLS. The scheme must be in lower case, so that parsing
	// and comparison as a string agree.
	if !strings.HasPrefix(raw, "https://") {
		return "is not https"
	}
	for i := range len(raw) {
		// A character that a URI cannot contain can be parsed in different
		// ways, or can end a header field that quotes it.
		if c := raw[i]; c <= ' ' || c > '~' || strings.IndexByte(`"<>\^{|}`+"`", c) >= 0 {
			return "has a character that a URI cannot have"
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "is not a URL"
	case strings.Contains(raw, "#"):
		return "has a fragment"
	case u.User != nil:
		return "has user information"
	case u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return "has no host or an empty port"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "has an impossible port"
		}
	}
	return ""
}

// URLPath returns the path of a checked https URL as it is spelt.
func URLPath(raw string) string {
	return raw[len("https://")+strings.IndexByte(raw[len("https://"):], '/'):]
}

// Origin returns scheme and host of a URL, or "" if it does not parse.
func Origin(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
