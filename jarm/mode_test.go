package jarm_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

const jwt = "aaaa.bbbb.cccc"

func TestParseMode(t *testing.T) {
	for _, tc := range []struct {
		name, mode, responseType string
		want                     jarm.Mode
	}{
		{"JARM-2.3.4-1 jwt for code is the query", "jwt", "code", jarm.ModeQueryJWT},
		{"JARM-2.3-1 query.jwt", "query.jwt", "code", jarm.ModeQueryJWT},
		{"JARM-2.3-1 form_post.jwt", "form_post.jwt", "code", jarm.ModeFormPostJWT},
		{"JARM-2.3-1 fragment.jwt", "fragment.jwt", "code", ""},
		{"JARM-2.3-1 an unknown mode", "web_message.jwt", "code", ""},
		{"JARM-2.3-1 another case", "JWT", "code", ""},
		{"MS-5.4.1-1 no mode", "", "code", ""},
		{"MS-5.4.1-1 query", "query", "code", ""},
		{"MS-5.4.1-1 fragment", "fragment", "code", ""},
		{"MS-5.4.1-1 form_post", "form_post", "code", ""},
		{"JARM-2.3.1-1 query.jwt with a token", "query.jwt", "token", ""},
		{"JARM-2.3.1-1 query.jwt with an ID token", "query.jwt", "id_token", ""},
		{"JARM-2.3.1-1 query.jwt with both", "query.jwt", "code id_token token", ""},
		{"JARM-2.3.4-1 jwt with a token would be a fragment", "jwt", "token", ""},
		{"JARM-2.3.1-1 no response type", "jwt", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := jarm.ParseMode(tc.mode, tc.responseType)
			require.Equal(t, tc.want, got)
			if tc.want != "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, jarm.ErrMode)
			code, description, status := testkit.Wire(t, err)
			require.Equal(t, "invalid_request", code)
			require.NotEmpty(t, description)
			require.Equal(t, 400, status)
		})
	}
	t.Run("MS-5.4.2-1 what a client sends is what a server expects", func(t *testing.T) {
		request, err := url.Parse((&oauth2.Config{ClientID: client}).AuthCodeURL(state, oauth2.SetAuthURLParam("response_mode", string(jarm.ModeJWT))))
		require.NoError(t, err)
		require.Equal(t, "jwt", request.Query().Get("response_mode"))
		_, err = jarm.ParseMode(request.Query().Get("response_mode"), request.Query().Get("response_type"))
		require.NoError(t, err)
	})
}

func TestRedirectURL(t *testing.T) {
	for _, tc := range []struct{ name, uri, want string }{
		{"JARM-2.3-1 one parameter, response", "https://c.example/cb", "https://c.example/cb?response=" + jwt},
		{"a query of its own", "https://c.example/cb?a=b&c=%2F", "https://c.example/cb?a=b&c=%2F&response=" + jwt},
		{"an empty query", "https://c.example/cb?", "https://c.example/cb?response=" + jwt},
		{"a query that ends with &", "https://c.example/cb?a=b&", "https://c.example/cb?a=b&response=" + jwt},
		{"not normalised", "HTTPS://C.example:443/%7e/../cb", "HTTPS://C.example:443/%7e/../cb?response=" + jwt},
		{"no path", "https://c.example", "https://c.example?response=" + jwt},
		{"a native app", "com.example.app:/cb", "com.example.app:/cb?response=" + jwt},
		{"loopback", "http://127.0.0.1:5000/cb", "http://127.0.0.1:5000/cb?response=" + jwt},
	} {
		t.Run("MS-5.4.1-N "+tc.name, func(t *testing.T) {
			got, err := jarm.RedirectURL(tc.uri, jwt)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			u, err := url.Parse(got)
			require.NoError(t, err)
			require.Equal(t, []string{jwt}, u.Query()["response"])
			require.NotContains(t, u.Query(), "iss")

			for _, mode := range []jarm.Mode{jarm.ModeJWT, jarm.ModeQueryJWT} {
				w := httptest.NewRecorder()
				require.NoError(t, mode.Write(w, tc.uri, jwt))
				require.Equal(t, http.StatusSeeOther, w.Code)
				require.Equal(t, []string{tc.want}, w.Header().Values("Location"))
				require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
				require.Zero(t, w.Body.Len())
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ uri, response string }{
		"a fragment":                         {"https://c.example/cb#x", jwt},
		"an empty fragment":                  {"https://c.example/cb#", jwt},
		"no scheme":                          {"//c.example/cb", jwt},
		"no host":                            {"https:///cb", jwt},
		"nothing":                            {"", jwt},
		"javascript":                         {"javascript:alert(1)", jwt},
		"data":                               {"data:text/html,x", jwt},
		"a line break":                       {"https://c.example/cb\r\nSet-Cookie: a=b", jwt},
		"a space":                            {"https://c.example/c b", jwt},
		"a backslash":                        {`https:\\c.example/cb`, jwt},
		"a bad escape in the host":           {"https://c.ex%zzample/cb", jwt},
		"a response of its own":              {"https://c.example/cb?response=x", jwt},
		"a response of its own, escaped":     {"https://c.example/cb?re%73ponse=x", jwt},
		"a response that is no JWT":          {"https://c.example/cb", "aaaa"},
		"a response with four segments":      {"https://c.example/cb", "a.b.c.d"},
		"a response with other parameters":   {"https://c.example/cb", "a.b.c&code=evil"},
		"a response that ends the attribute": {"https://c.example/cb", `a.b.c"><script>`},
		"no response":                        {"https://c.example/cb", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jarm.RedirectURL(tc.uri, tc.response)
			require.Error(t, err)
			for _, mode := range []jarm.Mode{jarm.ModeJWT, jarm.ModeQueryJWT, jarm.ModeFormPostJWT} {
				w := httptest.NewRecorder()
				require.Error(t, mode.Write(w, tc.uri, tc.response))
				require.Empty(t, w.Header())
				require.Zero(t, w.Body.Len())
			}
		})
	}
	t.Run("JARM-2.3-1 an unknown mode", func(t *testing.T) {
		w := httptest.NewRecorder()
		require.ErrorIs(t, jarm.Mode("fragment.jwt").Write(w, callback, jwt), jarm.ErrMode)
		require.Empty(t, w.Header())
	})
	t.Run("a form to an app", func(t *testing.T) {
		w := httptest.NewRecorder()
		require.Error(t, jarm.ModeFormPostJWT.Write(w, "com.example.app:/cb", jwt))
		require.Empty(t, w.Header())
	})
}

var (
	action = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	inputs = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	script = regexp.MustCompile(`<script>([^<]*)</script>`)
	button = regexp.MustCompile(`<button type="submit">[^<]+</button>`)
)

func TestFormPost(t *testing.T) {
	for _, uri := range []string{
		callback, "https://c.example/cb?a=b&c=%2F", `https://c.example/(S(x))/'?q="><script>alert(1)</script>&amp;`, "http://127.0.0.1:5000/cb",
	} {
		t.Run("JARM-2.3.3-1 "+uri, func(t *testing.T) {
			w := httptest.NewRecorder()
			require.NoError(t, jarm.ModeFormPostJWT.Write(w, uri, jwt))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			require.Equal(t, []string{"no-cache, no-store"}, w.Header().Values("Cache-Control"))
			require.Equal(t, "no-cache", w.Header().Get("Pragma"))
			require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))

			body := w.Body.String()
			to := action.FindAllStringSubmatch(body, -1)
			require.Len(t, to, 1)
			require.Equal(t, uri, html.UnescapeString(to[0][1]))
			fields := inputs.FindAllStringSubmatch(body, -1)
			require.Len(t, fields, 1)
			require.Equal(t, []string{"response", jwt}, fields[0][1:])
			require.Equal(t, 1, strings.Count(body, "<form"))
			require.Len(t, button.FindAllString(body, -1), 1) // without script too

			scripts := script.FindAllStringSubmatch(body, -1)
			require.Len(t, scripts, 1)
			require.Equal(t, 1, strings.Count(body, "<script"))
			sum := sha256.Sum256([]byte(scripts[0][1]))
			policy := w.Header().Get("Content-Security-Policy")
			require.Contains(t, policy, "default-src 'none'")
			require.Contains(t, policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
			require.Contains(t, policy, "frame-ancestors 'none'")
			require.NotContains(t, policy, "unsafe")
		})
	}
}
