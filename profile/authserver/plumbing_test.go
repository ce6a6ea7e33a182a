package authserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// A host with codes of its own uses the checks alone; what it keeps with a code survives encoding/json.
func TestPlumbing(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	post := func(target string, form url.Values, proofs ...string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Dpop"] = proofs
		return r
	}
	pushed, err := w.as.PushedRequest(post(w.parURL(), w.pushForm("client-1")))
	require.NoError(t, err)
	reference, err := w.as.Push(ctx, pushed)
	require.NoError(t, err)
	authorization, err := w.as.Authorization(ctx, url.Values{"client_id": {"client-1"}, "request_uri": {reference.RequestURI}})
	require.NoError(t, err)

	kept, err := json.Marshal(authorization.Binding())
	require.NoError(t, err)
	const code = "a code of the host's own"
	require.NotContains(t, code, authorization.Binding().CodeChallenge, "PKCE-4.4-1")
	response, err := w.as.Complete(ctx, authorization, code)
	require.NoError(t, err)
	location, err := url.Parse(response.URL())
	require.NoError(t, err)
	require.Equal(t, code, location.Query().Get("code"))
	require.Equal(t, w.as.Metadata().Issuer, location.Query().Get("iss"), "ISS-2.3-1")
	_, err = w.as.Complete(ctx, authorization, "another code")
	require.Error(t, err, "PAR-4-2 the request_uri was used up")
	for _, bad := range []*authserver.Authorization{nil, {}} {
		_, err = w.as.Complete(ctx, bad, code)
		require.Error(t, err)
	}

	form := w.codeForm("client-1", code)
	request, err := w.as.TokenRequest(post(w.tokenURL(), form, w.tokenProof("d")))
	require.NoError(t, err)
	require.Equal(t, code, request.Param("code"))
	var binding authserver.Binding
	require.NoError(t, json.Unmarshal(kept, &binding))
	require.NoError(t, request.CheckBinding(binding))
	for name, change := range map[string]func(*authserver.Binding){
		"another client":        func(b *authserver.Binding) { b.ClientID = "client-2" },
		"no client":             func(b *authserver.Binding) { b.ClientID = "" },
		"another redirect URI":  func(b *authserver.Binding) { b.RedirectURI = "https://client.example/other" },
		"another challenge":     func(b *authserver.Binding) { b.CodeChallenge = strings.Repeat("A", 43) },
		"no challenge":          func(b *authserver.Binding) { b.CodeChallenge = "" },
		"bound to another key":  func(b *authserver.Binding) { b.DPoPThumbprint = w.jkt("other") },
		"nothing is bound":      func(b *authserver.Binding) { *b = authserver.Binding{} },
		"a binding without URI": func(b *authserver.Binding) { b.RedirectURI = "" },
	} {
		other := binding
		change(&other)
		require.Error(t, request.CheckBinding(other), name)
	}
	confirmation, err := request.Commit(ctx)
	require.NoError(t, err)
	require.Equal(t, w.jkt("d"), confirmation.JKT)
	confirmation, err = request.Commit(ctx)
	require.Error(t, err, "used up")
	require.Zero(t, confirmation, "a rejected request binds nothing")

	recorder := httptest.NewRecorder()
	response.ServeHTTP(recorder, nil)
	require.Equal(t, http.StatusSeeOther, recorder.Code, "SP-5.3.2.2-10 SP-5.3.2.2-11 BCP-2.1-5")
	require.Equal(t, response.URL(), recorder.Header().Get("Location"))
	require.Equal(t, "no-store", recorder.Header().Get("Cache-Control"))
	require.Equal(t, "no-referrer", recorder.Header().Get("Referrer-Policy"))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", response, response, response, response.LogValue()), code)
	recorder = httptest.NewRecorder()
	new(authserver.AuthorizationResponse).ServeHTTP(recorder, nil)
	require.Equal(t, http.StatusInternalServerError, recorder.Code, "one that nobody has made")
	recorder = httptest.NewRecorder()
	w.as.WriteAuthorizationError(recorder, httptest.NewRequest(http.MethodGet, "/", nil), nil, authserver.ErrCode)
	require.Equal(t, http.StatusBadRequest, recorder.Code)
	require.Contains(t, recorder.Body.String(), "invalid_grant")
	keys, err := w.as.Keys().MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(keys), `"kid":"as-1"`)
}

func TestForwardParams(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	form.Set("response_mode", "query.jwt")
	form.Set("dpop_jkt", w.jkt("d"))
	form.Set("prompt", "login")
	a := w.load("client-1", form)
	forwarded, all := a.ForwardParams(), a.Params()
	require.True(t, all.Has("response_mode") && all.Has("prompt"))
	for name := range forwarded {
		require.Contains(t, []string{"client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt"}, name)
	}
	require.Equal(t, "client-1", forwarded.Get("client_id"))
	require.Equal(t, "login", forwarded.Get("prompt"))
	require.Len(t, forwarded, 9)
}

// A host's own rules come between the check and the push. A request that they
// reject has consumed nothing.
func TestPushedRequestWritesNothing(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	check := func() *authserver.PushedRequest {
		r := httptest.NewRequest(http.MethodPost, w.parURL(), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		p, err := w.as.PushedRequest(r)
		require.NoError(t, err)
		return p
	}
	first, second := check(), check()
	_, err := w.as.Push(t.Context(), first)
	require.NoError(t, err)
	_, err = w.as.Push(t.Context(), second)
	require.ErrorContains(t, err, "replayed", "CA-7523-3-7 only one of them can be pushed")
}

// A host with tokens of its own writes the response that the handler writes.
func TestWriteTokenResponse(t *testing.T) {
	w := newWorld(t, func(c *authserver.Config, _ *resourceserver.Config) {
		c.Nonces = testkit.Must(dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: [][]byte{[]byte(strings.Repeat("k", 32))}}))
	})
	recorder := httptest.NewRecorder()
	w.as.WriteTokenResponse(recorder, &authserver.TokenResponse{AccessToken: "own", TokenType: "DPoP", ExpiresIn: 60, Scope: "accounts"})
	require.Equal(t, http.StatusOK, recorder.Code)
	require.JSONEq(t, `{"access_token":"own","token_type":"DPoP","expires_in":60,"scope":"accounts"}`, recorder.Body.String())
	require.Equal(t, "no-store", recorder.Header().Get("Cache-Control"), "BASE-6749-5.1-1")
	require.NotEmpty(t, recorder.Header().Get("DPoP-Nonce"), "DPOP-8.2-1")
}
