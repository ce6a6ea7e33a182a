package par

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// CheckRedirectURI checks that requested is a registered redirect URI of the
// client and is safe. Otherwise it returns an error that wraps
// [ErrRedirectURI]. Call it in [ServerConfig].Check.
//
// It compares URIs as strings without normalisation. Only the port of
// http://127.0.0.1 and http://[::1] may differ, because a native app receives
// its port at run time (RFC 8252 §7.3). An empty list matches nothing. A server
// that permits unregistered redirect URIs (RFC 9126 §2.4) does not call
// CheckRedirectURI. [Server.Push] still rejects unsafe URIs.
func CheckRedirectURI(registered []string, requested string) error {
	if err := checkRedirectSyntax(requested); err != nil {
		return err
	}
	// PAR-2.4-1: a server relaxes this only if it does not call the function.
	for _, r := range registered {
		if r == requested { // BCP-2.1-1
			return nil
		}
	}
	host, rest, ok := splitLoopback(requested)
	if !ok {
		return fmt.Errorf("%w: not registered", ErrRedirectURI)
	}
	for _, r := range registered { // BCP-2.1-1: only the port may differ
		if h, tail, ok := splitLoopback(r); ok && h == host && tail == rest {
			return nil
		}
	}
	return fmt.Errorf("%w: not registered", ErrRedirectURI)
}

// checkRedirectSyntax rejects URIs that are unsafe even if registered.
func checkRedirectSyntax(uri string) error {
	reject := func(why string) error { return fmt.Errorf("%w: %s", ErrRedirectURI, why) }
	if uri == "" {
		return reject("missing") // SP-5.3.2.2-6: one registered URI is not a default
	}
	// Browsers and servers parse spaces, controls, backslashes and non-ASCII
	// characters differently, so the browser could follow another URI.
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || c == '\\' {
			return reject("a character that a URI cannot have")
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return reject("not an absolute URI")
	case strings.Contains(uri, "#"):
		return reject("a fragment") // RFC 6749 §3.1.2
	case u.User != nil:
		return reject("user information")
	}
	switch u.Scheme {
	case "https":
		if u.Host == "" || u.Hostname() == "" {
			return reject("no host")
		}
	case "http":
		// SP-5.3.2.2-8, BCP-2.6-3: the network can read a code that is sent
		// over http. The name localhost may resolve to another host (RFC 8252
		// §8.3).
		if _, _, ok := splitLoopback(uri); !ok {
			return reject("http is for 127.0.0.1 and [::1] only")
		}
	default:
		// The scheme of an app is a reversed domain name (RFC 8252 §7.1). The
		// dot excludes schemes like javascript, data and file.
		if !strings.Contains(u.Scheme, ".") {
			return reject("the scheme is neither https nor an app's own")
		}
	}
	return nil
}

// splitLoopback splits http://127.0.0.1:port/rest and http://[::1]:port/rest
// into the parts before and after the port.
func splitLoopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if after, ok := strings.CutPrefix(rest, ":"); ok {
			end := strings.IndexAny(after, "/?")
			if end < 0 {
				end = len(after)
			}
			if !isPort(after[:end]) {
				return "", "", false
			}
			rest = after[end:]
		}
		// Other characters continue the authority, as in
		// http://127.0.0.1.evil.example and http://127.0.0.1@evil.example.
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", "", false
		}
		return host, rest, true
	}
	return "", "", false
}

func isPort(s string) bool {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return false
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
