package jwt

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// IsScope reports whether s is empty or a scope (RFC 6749 §3.3): scope-token *(
// SP scope-token ).
func IsScope(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == ' ' && last == ' ' || c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
		last = c
	}
	return s == "" || last != ' '
}

// IsThumbprint reports whether s has the form of a SHA-256 hash in base64url.
//
// The last character may carry surplus bits, as it does in the example of RFC
// 8705 §3.1. Thumbprints are compared as strings, so such a value matches no
// key.
func IsThumbprint(s string) bool {
	if len(s) != 43 { // MTLS-3.1-2: no padding, no white space
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// UTF8 reports whether each value is UTF-8. encoding/json would replace invalid
// bytes without an error, so two different values would become equal
// (JWT-3.7-1). Values are checked one by one, because two invalid ones can be
// valid if they are joined.
func UTF8(values ...string) bool {
	return !slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) })
}

// CheckIssuer returns an error if issuer is not an issuer identifier (RFC 8414
// §2). It does not require https, because the identifier is only compared here:
// the code that opens connections checks the scheme.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.ForceQuery ||
		strings.Contains(issuer, "#") {
		return fmt.Errorf("malformed issuer identifier %q, want an absolute URL without query and fragment", issuer)
	}
	return nil
}

// MaxClientID is the maximum length of a client identifier in bytes. It leaves
// room for identifiers that are URLs.
const MaxClientID = 1024

// CheckClientID returns an error if id is not 1 to MaxClientID characters of
// printable ASCII (RFC 6749 Appendix A.1).
func CheckClientID(id string) error {
	if id == "" || len(id) > MaxClientID {
		return fmt.Errorf("client identifier of %d bytes, want 1 to %d", len(id), MaxClientID)
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return fmt.Errorf("malformed client identifier: byte %d is not printable ASCII", i)
		}
	}
	return nil
}

// IsObjectArray reports whether raw is strict JSON and an array of objects.
func IsObjectArray(raw json.RawMessage) bool {
	if strictjson.Valid(raw) != nil {
		return false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return false
	}
	return !slices.ContainsFunc(items, func(item json.RawMessage) bool { return item[0] != '{' })
}
