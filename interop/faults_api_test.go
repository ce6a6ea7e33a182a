package interop_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// An API with a wrong response gets the token once. No other server gets the
// token.
func TestClientAtFaultyAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.startServer(t, profile.Baseline)
	app, err := client.New(t.Context(), w.clientConfig(t, s.issuer, combination{auth: privateKey}))
	require.NoError(t, err)
	api, err := app.HTTPClient(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "some-token", TokenType: "DPoP"}))
	require.NoError(t, err)
	var elsewhere atomic.Int64
	otherSocket, otherURL := testkit.Listen(t)
	w.authority.Serve(t, otherSocket, false, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	for _, fault := range []struct {
		name     string
		answer   http.HandlerFunc
		status   int
		requests int64
	}{
		{"another nonce, for ever", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.Header().Set("DPoP-Nonce", "again-and-again")
			w.WriteHeader(http.StatusUnauthorized)
		}, http.StatusUnauthorized, 2},
		{"a demand for a nonce without one", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, http.StatusUnauthorized, 1},
		{"a demand for a bearer token", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, http.StatusUnauthorized, 1},
		{"a redirect to another origin", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, otherURL, http.StatusTemporaryRedirect)
		}, http.StatusTemporaryRedirect, 1},
		{"a redirect within the origin", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, http.StatusTemporaryRedirect, 1},
	} {
		t.Run(fault.name, func(t *testing.T) {
			var requests atomic.Int64
			socket, url := testkit.Listen(t)
			w.authority.Serve(t, socket, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				fault.answer(w, r)
			}))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			response, err := api.Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, fault.status, response.StatusCode)
			require.Equal(t, fault.requests, requests.Load())
			require.Zero(t, elsewhere.Load())
		})
	}
}
