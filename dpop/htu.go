package dpop

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A target is an http or https URL without query and fragment. Its origin is
// normalised, its path is not.
type target struct {
	origin string // scheme://host, and the port if it is not the default one
	path   string // starts with a slash
}

var errTarget = errors.New("not an http or https URL")

// parseTarget parses an absolute URL and ignores its query and fragment. Scheme
// and host become lower case, a default port is removed, and an empty path
// becomes "/" (RFC 3986 §6.2.2.1, §6.2.3). It does not use net/url, which
// decodes paths and accepts more than the URLs of requests.
func parseTarget(raw string) (target, error) {
	// DPOP-4.3-9, DPOP-4.2-6, DPOP-4.3-13, CS-17
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] > '~' {
			return target{}, fmt.Errorf("%w: invalid character", errTarget)
		}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return target{}, errTarget
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	authority, path := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, err := normalHost(scheme, authority)
	if err != nil {
		return target{}, err
	}
	return target{scheme + "://" + host, path}, nil
}

// normalHost returns an authority in lower case without the default port of the
// scheme.
func normalHost(scheme, authority string) (string, error) {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
	}
	switch {
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		addr, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", fmt.Errorf("%w: malformed IPv6 address", errTarget)
		}
		host = "[" + addr.String() + "]"
	case host == "" || strings.Trim(host, hostCharacters) != "":
		// This rejects userinfo too, which is not part of the URL of a request
		// (RFC 9110 §4.2.4) and can mislead.
		return "", fmt.Errorf("%w: malformed host", errTarget)
	default:
		host = strings.ToLower(host)
	}
	if port == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || strings.Trim(port, "0123456789") != "":
		return "", fmt.Errorf("%w: malformed port", errTarget)
	case scheme == "https" && n == 443 || scheme == "http" && n == 80:
		return host, nil
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}

const (
	letters        = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	unreserved     = letters + "0123456789-._~"
	subDelims      = "!$&'()*+,;="
	hostCharacters = unreserved + subDelims // no %, which no DNS name needs
	pathCharacters = unreserved + subDelims + ":@/"
)

// class has the classes of the characters of a path.
var class = func() (table [256]uint8) {
	for _, c := range pathCharacters {
		table[c] = inPath
	}
	for _, c := range unreserved {
		table[c] |= isUnreserved
	}
	return table
}()

const (
	inPath uint8 = 1 << iota
	isUnreserved
)

// normal returns a string that is equal for all equivalent URLs. It has
// percent-encoding only where it is required, with upper-case digits, and no
// dot segments (RFC 3986 §6.2.2). The case of the path and a final slash stay,
// because they identify the resource.
func (t target) normal() (string, error) {
	path, err := normalEscapes(t.path) // DPOP-4.3-13
	if err != nil {
		return "", err
	}
	return t.origin + withoutDots(path), nil
}

func normalEscapes(path string) (string, error) {
	plain := true
	for i := range len(path) {
		plain = plain && class[path[i]]&inPath != 0
	}
	if plain {
		return path, nil
	}
	out := make([]byte, 0, len(path)+16)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
				return "", fmt.Errorf("%w: malformed percent-encoding", errTarget)
			}
			c = byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
			i += 2
			if class[c]&isUnreserved == 0 {
				out = appendEscape(out, c)
				continue
			}
		}
		if class[c]&inPath != 0 {
			out = append(out, c)
		} else {
			out = appendEscape(out, c)
		}
	}
	return string(out), nil
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// withoutDots removes dot segments (RFC 3986 §5.2.4) from a path that starts
// with a slash.
func withoutDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if i == len(segments)-1 { // "/a/." is "/a/"
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// An expectation is a URL that a request may have. Its two parts are joined
// only if the first comparison fails.
type expectation struct {
	base string // scheme://host[:port][/prefix]
	path string
}

// accepts returns an error if htu is not equivalent to the URL.
func (e expectation) accepts(htu string) error { // DPOP-4.3-9
	// Equal bytes are equal URLs, even before normalisation.
	if strings.HasPrefix(htu, e.base) && htu[len(e.base):] == e.path {
		return nil
	}
	want, err := normalTarget(e.base + e.path)
	if err != nil {
		return fmt.Errorf("%w: URL of the request %.256q: %w", ErrURL, e.base+e.path, err)
	}
	got, err := normalTarget(htu)
	if err != nil {
		if i := strings.IndexAny(htu, "?#"); i >= 0 {
			htu = htu[:i] // a query may contain secrets
		}
		return fmt.Errorf("%w: htu %.256q: %w", ErrURL, htu, err)
	}
	if got != want {
		return fmt.Errorf("%w: htu is %.256q, this is %.256q", ErrURL, got, want)
	}
	return nil
}

func normalTarget(raw string) (string, error) {
	t, err := parseTarget(raw)
	if err != nil {
		return "", err
	}
	return t.normal()
}
