package par

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// CheckRedirectURI reports whether requested is one of the client's registered redirect URIs and safe to redirect to. It
// returns nil or an error that wraps [ErrRedirectURI]. Call it in [ServerConfig].Check.
//
// URIs are compared as strings, without any normalisation. The one exception is the port of http://127.0.0.1 and
// http://[::1], which a native app gets from its operating system at run time (RFC 8252 §7.3): it may differ. An empty
// registered list matches nothing. A server that lets authenticated clients choose a redirect URI for each request (§2.4)
// does not call it; [Server.Push] still refuses those that are unsafe.
func CheckRedirectURI(registered []string, requested string) error {
	if err := checkRedirectSyntax(requested); err != nil {
		return err
	}
	// PAR-2.4-1: relaxing this is only possible by not calling it, behind client authentication.
	for _, r := range registered {
		if r == requested { // BCP-2.1-1
			return nil
		}
	}
	host, rest, ok := splitLoopback(requested)
	if !ok {
		return fmt.Errorf("%w: not registered", ErrRedirectURI)
	}
	for _, r := range registered { // BCP-2.1-1: the port alone may differ, and only here
		if h, tail, ok := splitLoopback(r); ok && h == host && tail == rest {
			return nil
		}
	}
	return fmt.Errorf("%w: not registered", ErrRedirectURI)
}

// checkRedirectSyntax refuses what no client may use, registered or not.
func checkRedirectSyntax(uri string) error {
	refuse := func(why string) error { return fmt.Errorf("%w: %s", ErrRedirectURI, why) }
	if uri == "" {
		return refuse("missing") // SP-5.3.2.2-6: even with one registered URI there is no default
	}
	// Browsers and servers disagree about spaces, controls, backslashes and non-ASCII: what they disagree about can lead
	// elsewhere than to where it was compared.
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || c == '\\' {
			return refuse("a character that a URI cannot have")
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return refuse("not an absolute URI")
	case strings.Contains(uri, "#"):
		return refuse("a fragment") // RFC 6749 §3.1.2
	case u.User != nil:
		return refuse("user information")
	}
	switch u.Scheme {
	case "https":
		if u.Host == "" || u.Hostname() == "" {
			return refuse("no host")
		}
	case "http":
		// SP-5.3.2.2-8, BCP-2.6-3: whoever reads the network reads the code, except on the user's own machine.
		// The name localhost is not enough: it may resolve to somewhere else (RFC 8252 §8.3).
		if _, _, ok := splitLoopback(uri); !ok {
			return refuse("http is for 127.0.0.1 and [::1] only")
		}
	default:
		// An app's own scheme is a reversed domain name (RFC 8252 §7.1): the dot keeps javascript, data, file and the
		// like out.
		if !strings.Contains(u.Scheme, ".") {
			return refuse("the scheme is neither https nor an app's own")
		}
	}
	return nil
}

// splitLoopback splits http://127.0.0.1:port/rest and http://[::1]:port/rest into what stands before and behind the port.
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
		// Anything else would go on with the authority: http://127.0.0.1.evil.example, http://127.0.0.1@evil.example.
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
