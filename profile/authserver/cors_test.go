package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// allowOrigin lets scripts of one origin call an API.
func allowOrigin(origin string, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, WWW-Authenticate, x-fapi-interaction-id")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", "Authorization, DPoP, Content-Type, x-fapi-interaction-id")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

func TestCodeInBrowsers(t *testing.T) {
	page, err := os.ReadFile("../../docs/browser-code.md")
	require.NoError(t, err)
	source, err := os.ReadFile("cors_test.go")
	require.NoError(t, err)
	from := strings.Index(string(source), "// allowOrigin")
	to := from + strings.Index(string(source)[from:], "\n}\n") + len("\n}\n")
	require.Contains(t, string(page), "```go\n"+string(source)[from:to]+"```", "the page has this function")

	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{})
	require.NoError(t, err)
	w := newWorld(t)
	guard, err := w.as.ResourceServer(resourceserver.Config{Resource: w.rsHTTP.URL, Nonces: nonces})
	require.NoError(t, err)
	const app = "https://app.example"
	api := allowOrigin(app, guard.Require("accounts")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let through") })))
	visit := func(method, origin string) *http.Response {
		r := httptest.NewRequest(method, w.rsHTTP.URL, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "GET")
		if method != http.MethodOptions {
			r.Header.Set("Authorization", "DPoP x")
		}
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, r)
		return recorder.Result()
	}
	for _, exposed := range []string{"DPoP-Nonce", "WWW-Authenticate", "x-fapi-interaction-id"} {
		got := visit(http.MethodGet, app)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Contains(t, got.Header.Get("Access-Control-Expose-Headers"), exposed, "CASES E11")
	}
	require.Equal(t, http.StatusNoContent, visit(http.MethodOptions, app).StatusCode, "CASES E11: the browser asks without a token")
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		got := visit(method, "https://evil.example")
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Empty(t, got.Header.Get("Access-Control-Allow-Origin"))
	}
}
