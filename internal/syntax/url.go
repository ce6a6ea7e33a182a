package syntax

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// CheckIssuer returns an error if issuer is not an issuer identifier (RFC 8414
// §2). It does not require https, because a leaf only compares the identifier:
// the code that opens connections checks the scheme with HTTPSProblem.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.ForceQuery ||
		strings.Contains(issuer, "#") {
		return fmt.Errorf("malformed issuer identifier %q, want an absolute URL without query and fragment", issuer)
	}
	return nil
}

// IsResource reports whether a resource identifier is an absolute URI without
// fragment (RFC 8707 §2).
func IsResource(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && u.Host != "" && !strings.Contains(resource, "#")
}

// HTTPSProblem returns why a client cannot connect to a URL over TLS, or "".
func HTTPSProblem(raw string) string {
	// SP-5.2.1-1: the scheme must be in lower case. Code that compares URLs as
	// strings then agrees with code that parses them.
	if !strings.HasPrefix(raw, "https://") {
		return "is not https"
	}
	for i := range len(raw) {
		// Programs read other characters in different ways, and a line break
		// could end a header field that quotes the URL.
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

// URLPath returns the path of a checked https URL in its original spelling.
func URLPath(raw string) string {
	return raw[len("https://")+strings.IndexByte(raw[len("https://"):], '/'):]
}

// Origin returns scheme and host of a URL, or "" if it is malformed.
func Origin(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
