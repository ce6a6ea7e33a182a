package syntax

import "strings"

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// The alphabets of tokens, without padding.
var (
	base64url = newAlphabet(letters + digits + "-_")     // RFC 4648 §5
	token68   = newAlphabet(letters + digits + "-._~+/") // RFC 9110 §11.2
)

// IsBase64url reports whether s has only characters of base64url.
func IsBase64url(s string) bool { return base64url.has(s) }

// IsToken68 reports whether s has only characters of a token68.
func IsToken68(s string) bool { return token68.has(s) }

// An alphabet has a 1 for each byte that it excludes.
type alphabet [256]byte

func newAlphabet(characters string) (a alphabet) {
	for i := range a {
		if strings.IndexByte(characters, byte(i)) < 0 {
			a[i] = 1
		}
	}
	return a
}

// has reports whether all bytes of s are in the alphabet. It checks eight bytes
// at once and does not stop at an invalid byte. Each of these makes it three
// times as fast.
func (a *alphabet) has(s string) bool {
	var bad byte
	for ; len(s) >= 8; s = s[8:] {
		bad |= a[s[0]] | a[s[1]] | a[s[2]] | a[s[3]] | a[s[4]] | a[s[5]] | a[s[6]] | a[s[7]]
	}
	for i := range len(s) {
		bad |= a[s[i]]
	}
	return bad == 0
}
