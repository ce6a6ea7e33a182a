package profile

import (
	"net/url"
	"strconv"
	"strings"
)

func validResource(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && u.Host != "" && u.Fragment == "" && !strings.Contains(resource, "#")
}

func validScope(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}

// httpsProblem says what keeps a URL from being one to connect to over TLS, "" if nothing does.
func httpsProblem(raw string) string {
	// SP-5.2.1-1: nothing but TLS. The scheme is wanted as it is always written, so that what compares URLs as strings and
	// what parses them agree.
	if !strings.HasPrefix(raw, "https://") {
		return "is not https"
	}
	for i := range len(raw) {
		// What is no character of a URI is read in different ways, or ends a header field that quotes it.
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

// urlPath returns the path of a checked https URL as it is spelt.
func urlPath(raw string) string {
	return raw[len("https://")+strings.IndexByte(raw[len("https://"):], '/'):]
}

func origin(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return "" // validResource has parsed it
	}
	return u.Scheme + "://" + u.Host
}
