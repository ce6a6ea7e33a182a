package par_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/par"
)

func TestParseAuthorizationRequest(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		ok          bool
	}{
		{"CS-8 PAR-5-2 client_id and request_uri are enough", "client_id=app&request_uri=urn:x:y", true},
		{"in the other order", "request_uri=urn:x:y&client_id=app", true},
		{"JAR-5-3 all else is ignored", "state=evil&redirect_uri=https://evil.example&client_id=app&scope=all&request_uri=urn:x:y&response_type=token&request=a.b.c", true},
		{"JAR-5-3 be it repeated", "redirect_uri=a&redirect_uri=b&client_id=app&request_uri=urn:x:y&state=1&state=2", true},
		{"SP-5.3.2.2-3 PAR-4-5 a request that was not pushed", "client_id=app&response_type=code&redirect_uri=https://app.example/cb&scope=x", false},
		{"SP-5.3.2.2-3 a request object that was not pushed", "client_id=app&request=a.b.c", false},
		{"nothing", "", false},
		{"no client_id", "request_uri=urn:x:y", false},
		{"an empty client_id", "client_id=&request_uri=urn:x:y", false},
		{"an empty request_uri", "client_id=app&request_uri=", false},
		{"BASE-6749-3.1-1 client_id twice", "client_id=app&client_id=other&request_uri=urn:x:y", false},
		{"BASE-6749-3.1-1 client_id twice, the same", "client_id=app&client_id=app&request_uri=urn:x:y", false},
		{"BASE-6749-3.1-1 request_uri twice", "client_id=app&request_uri=urn:x:y&request_uri=urn:x:z", false},
		{"BASE-6749-3.1-1 request_uri twice, once empty", "client_id=app&request_uri=urn:x:y&request_uri=", false},
		{"other case", "Client_ID=app&Request_URI=urn:x:y", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			query, err := url.ParseQuery(tc.query)
			require.NoError(t, err)
			clientID, requestURI, err := par.ParseAuthorizationRequest(query)
			if tc.ok {
				require.NoError(t, err)
				require.Equal(t, "app", clientID)
				require.Equal(t, "urn:x:y", requestURI)
				return
			}
			require.ErrorIs(t, err, par.ErrNotPushed)
			requireWire(t, err, "invalid_request", 400)
			require.Empty(t, clientID+requestURI)
		})
	}
}

func TestAuthorizationURL(t *testing.T) {
	const uri = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
	for _, tc := range []struct{ name, endpoint, clientID, requestURI, want string }{
		{"SP-5.3.3.2-6 exactly two parameters", "https://as.example/authorize", "s6BhdRkqt3", uri,
			"https://as.example/authorize?client_id=s6BhdRkqt3&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A6esc_11ACC5bwc014ltc14eY22c"},
		{"the endpoint's query is kept", "https://as.example/authorize?tenant=a%20b&x", "app", "urn:x:y", "https://as.example/authorize?tenant=a%20b&x&client_id=app&request_uri=urn%3Ax%3Ay"},
		{"special characters", "https://as.example", "https://app.example/é?a=b&c", "https://as.example/r?a&b=+", "https://as.example?client_id=https%3A%2F%2Fapp.example%2F%C3%A9%3Fa%3Db%26c&request_uri=https%3A%2F%2Fas.example%2Fr%3Fa%26b%3D%2B"},
		{"PAR-2-1 http", "http://as.example/authorize", "app", "urn:x:y", ""},
		{"no host", "https:///authorize", "app", "urn:x:y", ""},
		{"a relative endpoint", "/authorize", "app", "urn:x:y", ""},
		{"a fragment", "https://as.example/authorize#x", "app", "urn:x:y", ""},
		{"an empty fragment", "https://as.example/authorize#", "app", "urn:x:y", ""},
		{"user information", "https://u:p@as.example/authorize", "app", "urn:x:y", ""},
		{"client_id in the endpoint", "https://as.example/authorize?client_id=x", "app", "urn:x:y", ""},
		{"request_uri in the endpoint", "https://as.example/authorize?request_uri=x", "app", "urn:x:y", ""},
		{"a malformed query", "https://as.example/authorize?a=%zz", "app", "urn:x:y", ""},
		{"no client_id", "https://as.example/authorize", "", "urn:x:y", ""},
		{"no request_uri", "https://as.example/authorize", "app", "", ""},
		{"request_uri with a newline", "https://as.example/authorize", "app", "urn:x:y\n", ""},
		{"request_uri of 2049 characters", "https://as.example/authorize", "app", "urn:" + strings.Repeat("x", 2045), ""},
		{"a relative request_uri", "https://as.example/authorize", "app", "xyz", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := par.AuthorizationURL(tc.endpoint, tc.clientID, tc.requestURI)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.want == "", err != nil)
		})
	}
}
