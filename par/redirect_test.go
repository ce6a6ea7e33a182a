package par_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/par"
)

func TestCheckRedirectURI(t *testing.T) {
	registered := []string{
		"https://app.example/cb", "https://app.example/cb?tenant=a%20b", "https://app.example", "http://127.0.0.1/cb", "http://[::1]:8080/cb?x=1",
		"com.example.app:/cb", "http://app.example/plain", "javascript:alert(1)", "http://localhost/cb", "https://app.example/f#x", "http://127.0.0.1.evil.example/cb",
	}
	for _, tc := range []struct {
		name, uri string
		ok        bool
	}{
		{"BCP-2.1-1 the registered string", "https://app.example/cb", true},
		{"BCP-2.1-1 with its query", "https://app.example/cb?tenant=a%20b", true},
		{"a native app's own scheme", "com.example.app:/cb", true},
		{"BCP-2.1-1 loopback without port", "http://127.0.0.1/cb", true},
		{"BCP-2.1-1 loopback with any port", "http://127.0.0.1:51004/cb", true},
		{"BCP-2.1-1 IPv6 loopback with another port", "http://[::1]:61000/cb?x=1", true},
		{"IPv6 loopback without port", "http://[::1]/cb?x=1", true},
		{"SP-5.3.2.2-6 missing", "", false},
		{"BCP-2.1-1 not registered", "https://evil.example/cb", false},
		{"BCP-2.1-1 a trailing slash more", "https://app.example/cb/", false},
		{"a path more", "https://app.example/cb/x", false},
		{"a slash where none is", "https://app.example/", false},
		{"host in upper case", "https://APP.example/cb", false},
		{"scheme in upper case", "HTTPS://app.example/cb", false},
		{"default port spelt out", "https://app.example:443/cb", false},
		{"a port for https", "https://app.example:8443/cb", false},
		{"path in upper case", "https://app.example/CB", false},
		{"percent-encoding of the same character", "https://app.example/c%62", false},
		{"other percent-encoding in the query", "https://app.example/cb?tenant=a+b", false},
		{"a query more", "https://app.example/cb?x=1", false},
		{"a bare question mark", "https://app.example/cb?", false},
		{"dot segments", "https://app.example/x/../cb", false},
		{"a fragment", "https://app.example/cb#x", false},
		{"a registered fragment", "https://app.example/f#x", false},
		{"an empty fragment", "https://app.example/cb#", false},
		{"user information", "https://app.example@evil.example/cb", false},
		{"a backslash", `https://app.example\@evil.example/cb`, false},
		{"a space", "https://app.example/cb ", false},
		{"a tab", "https://app.example/\tcb", false},
		{"a newline", "https://app.example/cb\n", false},
		{"non-ASCII", "https://app.example/cb\u00e9", false},
		{"a relative reference", "/cb", false},
		{"no scheme", "//app.example/cb", false},
		{"https without host", "https:///cb", false},
		{"https with a port alone", "https://:443/cb", false},
		{"SP-5.3.2.2-8 BCP-2.6-3 http, though registered", "http://app.example/plain", false},
		{"SP-5.3.2.2-8 localhost by name, though registered", "http://localhost/cb", false},
		{"SP-5.3.2.2-8 a host that begins like loopback, though registered", "http://127.0.0.1.evil.example/cb", false},
		{"loopback as user name", "http://127.0.0.1@evil.example/cb", false},
		{"loopback and port as user name", "http://127.0.0.1:80@evil.example/cb", false},
		{"loopback with another path", "http://127.0.0.1:51004/other", false},
		{"loopback with a query", "http://127.0.0.1:51004/cb?x", false},
		{"the other loopback", "http://[::1]:51004/cb", false},
		{"loopback with https", "https://127.0.0.1:51004/cb", false},
		{"another address of the loopback network", "http://127.0.0.2/cb", false},
		{"loopback in decimal", "http://2130706433/cb", false},
		{"a port that is no number", "http://127.0.0.1:x/cb", false},
		{"an empty port", "http://127.0.0.1:/cb", false},
		{"a port over 65535", "http://127.0.0.1:65536/cb", false},
		{"a port with a leading zero", "http://127.0.0.1:080/cb", false},
		{"a script, though registered", "javascript:alert(1)", false},
		{"data", "data:text/html,x", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := par.CheckRedirectURI(registered, tc.uri)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, par.ErrRedirectURI)
			requireWire(t, err, "invalid_request", 400)
		})
	}
	require.ErrorIs(t, par.CheckRedirectURI(nil, callback), par.ErrRedirectURI, "PAR-2.4-1 an empty list matches nothing")
	require.ErrorIs(t, par.CheckRedirectURI([]string{""}, ""), par.ErrRedirectURI)

	// PAR-7.2-1: without a list, Push refuses at least what is unsafe for
	// everybody.
	r := newRig(t)
	for _, uri := range []string{"http://app.example/plain", "javascript:alert(1)", "https://app.example/f#x", "/cb"} {
		_, err := r.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest("redirect_uri", uri)})
		require.ErrorIs(t, err, par.ErrRedirectURI, "PAR-7.2-1 %s", uri)
	}
}
