package profile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

type wellKnownVector struct {
	Name, Issuer, OAuth, OpenID string
}

func TestWellKnownURLs(t *testing.T) {
	for _, v := range testkit.LoadVectors[wellKnownVector](t, "testdata/rfc8414-wellknown.json") {
		t.Run("MD-3-1 "+v.Name, func(t *testing.T) {
			require.NoError(t, profile.CheckIssuer(v.Issuer))
			oauth, openid, err := profile.WellKnownURLs(v.Issuer)
			require.NoError(t, err)
			require.Equal(t, v.OAuth, oauth)
			require.Equal(t, v.OpenID, openid)
		})
	}
}

func TestIssuersThatAreNone(t *testing.T) {
	for _, tc := range []struct{ name, issuer string }{
		{"MD-2-1 empty", ""},
		{"MD-2-1 no scheme", "as.example"},
		{"SP-5.2.1-1 http", "http://as.example"},
		{"SP-5.2.1-1 http on the loopback interface", "http://127.0.0.1:8080"},
		{"SP-5.2.1-1 http on localhost", "http://localhost"},
		{"MD-2-1 another scheme", "ftp://as.example"},
		{"MD-2-1 the scheme in upper case", "HTTPS://as.example"},
		{"MD-2-1 no host", "https://"},
		{"MD-2-1 no host but a path", "https:///t"},
		{"MD-2-1 no host but a port", "https://:443"},
		{"MD-2-1 an empty port", "https://as.example:"},
		{"MD-2-1 a port out of range", "https://as.example:65536"},
		{"MD-2-1 port zero", "https://as.example:0"},
		{"MD-2-1 opaque", "https:as.example"},
		{"MD-2-1 user information", "https://u@as.example"},
		{"MD-2-1, ISS-2-2 a query", "https://as.example?t=1"},
		{"MD-2-1, ISS-2-2 an empty query", "https://as.example/?"},
		{"MD-2-1, ISS-2-2 a fragment", "https://as.example#t"},
		{"MD-2-1, ISS-2-2 an empty fragment", "https://as.example#"},
		{"MD-2-1 a space", "https://as.example/a b"},
		{"MD-2-1 a line break", "https://as.example/\r\nX: y"},
		{"MD-2-1 a quotation mark", `https://as.example/"`},
		{"MD-2-1 a backslash", `https://as.example\@evil.example`},
		{"MD-4-1 not ASCII", "https://äs.example"},
		{"MD-2-1 a broken escape", "https://as.example/%zz"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.ErrorIs(t, profile.CheckIssuer(tc.issuer), profile.ErrIssuer)
			oauth, openid, err := profile.WellKnownURLs(tc.issuer)
			require.ErrorIs(t, err, profile.ErrIssuer)
			require.Empty(t, oauth+openid)
		})
	}
}

func get(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestMetadataHandler(t *testing.T) {
	for _, v := range testkit.LoadVectors[wellKnownVector](t, "testdata/rfc8414-wellknown.json") {
		m := publishable(v.Issuer)
		h := m.Handler()
		path := func(raw string) string {
			u, err := url.Parse(raw)
			require.NoError(t, err)
			return u.EscapedPath()
		}
		t.Run("SP-5.3.2.1-1, MD-3-1 both documents: "+v.Name, func(t *testing.T) {
			oauth, openid := get(t, h, "GET", v.OAuth), get(t, h, "GET", path(v.OpenID))
			for _, w := range []*httptest.ResponseRecorder{oauth, openid} {
				require.Equal(t, 200, w.Code, "MD-3.2-1")
				require.Equal(t, []string{"application/json"}, w.Header().Values("Content-Type"), "MD-3.2-1")
				require.Equal(t, "public, max-age=300", w.Header().Get("Cache-Control"))
				read := new(profile.ServerMetadata)
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), read))
				require.NoError(t, read.Validate(v.Issuer))
				require.Equal(t, m, read)
			}
			require.Equal(t, oauth.Body.Bytes(), openid.Body.Bytes(), "MD-9068-1 the two are the same")
		})
		t.Run("other methods and paths: "+v.Name, func(t *testing.T) {
			w := get(t, h, "HEAD", path(v.OAuth))
			require.Equal(t, 200, w.Code)
			require.Zero(t, w.Body.Len())
			require.NotEmpty(t, w.Header().Get("Content-Length"))
			for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
				w := get(t, h, method, path(v.OpenID))
				require.Equal(t, 405, w.Code)
				require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
			}
			for _, other := range []string{"/", "/x", path(v.OAuth) + "/x", path(v.OpenID) + "/", "/x" + path(v.OpenID)} {
				require.Equal(t, 404, get(t, h, "GET", other).Code, other)
			}
		})
	}
	t.Run("MD-3.2-1 a member without elements is left out, false too where that is the default", func(t *testing.T) {
		m := publishable("https://as.example")
		m.UILocalesSupported = []string{}
		w := get(t, m.Handler(), "GET", "/.well-known/openid-configuration")
		var members map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &members))
		for name, value := range members {
			require.NotEqual(t, []any{}, value, name)
			require.NotNil(t, value, name)
			require.NotEqual(t, "", value, name)
			require.True(t, value != false || name == "request_uri_parameter_supported", name)
		}
		require.NotContains(t, members, "ui_locales_supported")
		require.Equal(t, false, members["request_uri_parameter_supported"], "absent would mean true")
	})
	t.Run("the handler serves what was there when it was made", func(t *testing.T) {
		m := publishable("https://as.example")
		h := m.Handler()
		m.Issuer = "https://evil.example"
		require.Contains(t, get(t, h, "GET", "/.well-known/openid-configuration").Body.String(), `"issuer":"https://as.example"`)
	})
	t.Run("a document that must not be published is not", func(t *testing.T) {
		m := publishable("https://as.example")
		m.CodeChallengeMethodsSupported = append(m.CodeChallengeMethodsSupported, "plain")
		w := get(t, m.Handler(), "GET", "/.well-known/openid-configuration")
		require.Equal(t, 500, w.Code)
		require.NotContains(t, w.Body.String(), "as.example")
	})
}
