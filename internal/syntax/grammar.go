// Package syntax has the grammar of OAuth parameters: the characters of
// scopes, identifiers, thumbprints and error texts, and the forms of URLs. Each
// rule is here once. The callers have their own bounds and error texts.
package syntax

import (
	"fmt"
	"strings"
)

// IsNQChar reports whether r is an NQCHAR of RFC 6749 Appendix A: printable
// ASCII except space, quotation mark and backslash.
func IsNQChar(r rune) bool { return r > ' ' && r <= '~' && r != '"' && r != '\\' }

// IsScope reports whether s is a scope-token (RFC 6749 §3.3), one or more
// NQCHAR. An error code and a DPoP nonce have the same syntax.
func IsScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !IsNQChar(r) })
}

// IsScopeList reports whether s is empty or a scope (RFC 6749 §3.3): scope
// tokens with one space between them.
func IsScopeList(s string) bool {
	for token := range strings.SplitSeq(s, " ") {
		if !IsScope(token) && s != "" {
			return false
		}
	}
	return true
}

// IsVisible reports whether s has only visible ASCII characters.
func IsVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ErrorText returns text with "?" in place of each character that RFC 6749 §5.2
// excludes from error and error_description. The result needs no escape in a
// quoted string of a header.
func ErrorText(text string) string {
	return strings.Map(func(r rune) rune {
		if r != ' ' && !IsNQChar(r) {
			return '?'
		}
		return r
	}, text)
}

// IsThumbprint reports whether s has the form of a SHA-256 hash in base64url.
//
// The last character may carry surplus bits, as it does in the example of RFC
// 8705 §3.1. Thumbprints are compared as strings, so such a value matches no
// key.
func IsThumbprint(s string) bool {
	return len(s) == 43 && IsBase64url(s) // MTLS-3.1-2: no padding, no white space
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
		if id[i] < ' ' || id[i] > '~' {
			return fmt.Errorf("malformed client identifier: byte %d is not printable ASCII", i)
		}
	}
	return nil
}
