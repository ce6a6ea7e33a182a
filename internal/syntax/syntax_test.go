package syntax_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/syntax"
)

func TestGrammar(t *testing.T) {
	x := strings.Repeat("x", 42)
	for _, rule := range []struct {
		name         string
		holds        func(string) bool
		valid, wrong []string
	}{
		{"a scope token, an error code, a nonce", syntax.IsScope,
			[]string{"a", "a:b/c", "!", "~", "[]"}, []string{"", "a b", " ", `a"`, `a\`, "ä", "a\n", "\x7f", "\xff"}},
		{"scope tokens with one space between them", syntax.IsScopeList,
			[]string{"", "a", "a b"}, []string{"a  b", " a", "a ", " ", `a"`, `a\`, "ä", "a\tb"}},
		{"visible characters", syntax.IsVisible, []string{"", "a", `"\`}, []string{" ", "a\n", "ä", "\x7f"}},
		{"MTLS-3.1-2 a thumbprint", syntax.IsThumbprint,
			[]string{x + "-", x + "_", x + "9"}, []string{"", x, x + "xx", x + "=", x + "\n", x + "+"}},
		{"a client identifier", func(s string) bool { return syntax.CheckClientID(s) == nil },
			[]string{"c", "a b", strings.Repeat("c", 1024)}, []string{"", "a\n", "ä", strings.Repeat("c", 1025)}},
		{"an issuer", func(s string) bool { return syntax.CheckIssuer(s) == nil },
			[]string{"https://as.example", "http://localhost:1/x"},
			[]string{"", "as.example", "https://a?b", "https://a?", "https://a#", "urn:x"}},
		{"a resource", syntax.IsResource,
			[]string{"https://api.example", "https://api.example/a?b"}, []string{"", "/a", "urn:x", "https://a#", "https://a#b"}},
		{"SP-5.2.1-1 an https URL", func(s string) bool { return syntax.HTTPSProblem(s) == "" },
			[]string{"https://a", "https://a:1/b?c", "https://[::1]/"},
			[]string{"", "http://a", "HTTPS://a", "https://", "https://u@a", "https://a#", "https://a:", "https://a:0", "https://a:65536",
				"https://a/ ", "https://a/\n", "https://a/ä", `https://a/"`, "https://a/%zz"}},
	} {
		t.Run(rule.name, func(t *testing.T) {
			for _, s := range rule.valid {
				require.True(t, rule.holds(s), "%q", s)
			}
			for _, s := range rule.wrong {
				require.False(t, rule.holds(s), "%q", s)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	require.Equal(t, "a b?c??d?", syntax.ErrorText("a b\"c\\\nd\xff"))
	require.Equal(t, "", syntax.ErrorText(""))
}

func TestURLParts(t *testing.T) {
	require.Equal(t, "/%7Ea/b?c", syntax.URLPath("https://a.example/%7Ea/b?c"))
	require.Equal(t, "https://a.example:1", syntax.Origin("https://a.example:1/b?c"))
	require.Equal(t, "", syntax.Origin("https://a/%zz"))
}

func TestAlphabets(t *testing.T) {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for name, tc := range map[string]struct {
		is         func(string) bool
		characters string
	}{
		"base64url": {syntax.IsBase64url, alphanumeric + "-_"},
		"token68":   {syntax.IsToken68, alphanumeric + "-._~+/"},
	} {
		require.True(t, tc.is(""), name)
		for length := 1; length <= 17; length++ {
			for place := range length {
				for c := range 256 {
					text := []byte(strings.Repeat("A", length))
					text[place] = byte(c)
					want := strings.IndexByte(tc.characters, byte(c)) >= 0
					if tc.is(string(text)) != want {
						t.Fatalf("%s: %q", name, text)
					}
				}
			}
		}
	}
}
