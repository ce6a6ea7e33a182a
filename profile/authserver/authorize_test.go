package authserver_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

// postForm sends a form to the authorization endpoint as a browser does, without
// following redirects.
func (w *world) postForm(target, mediaType, body string) *http.Response {
	browser := &http.Client{Transport: w.http.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Post(target, mediaType, strings.NewReader(body))
	require.NoError(w.t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response
}

func TestPostedAuthorizationRequest(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	w := newWorld(t)
	endpoint := w.asHTTP.URL + "/authorize"
	reference := func() string {
		return strings.TrimPrefix(w.authorizationURL("client-1", w.pushForm("client-1")), endpoint+"?")
	}
	t.Run("C9 the reference in the body, as in the URL", func(t *testing.T) {
		params := reference()
		got := w.postForm(endpoint, form, params+"&scope=openid&response_type=code")
		require.Equal(t, http.StatusSeeOther, got.StatusCode, "SP-5.3.2.2-10 SP-5.3.2.2-11")
		location, err := got.Location()
		require.NoError(t, err)
		require.Equal(t, endpoint+"?"+params, location.String(), "JAR-5-3 nothing beside the reference")
		require.NotEmpty(t, w.browse(location.String()).Get("code"))
	})
	t.Run("C9 further parameters of the URL stay", func(t *testing.T) {
		params := reference()
		location, err := w.postForm(endpoint+"?theme=dark", form+"; charset=UTF-8", params).Location()
		require.NoError(t, err)
		require.Equal(t, "theme=dark&"+params, location.RawQuery)
	})
	t.Run("C9 a form of the host at the URL of the request", func(t *testing.T) {
		got := w.postForm(endpoint+"?"+reference(), form, "client_id=other&client_id=third&password=x")
		require.Equal(t, http.StatusSeeOther, got.StatusCode)
		location, err := got.Location()
		require.NoError(t, err)
		require.NotEmpty(t, location.Query().Get("code"), "Interact was called, and the URL decided")
	})
	for _, tc := range []struct{ name, query, mediaType, body string }{
		{"BASE-6749-3.1-1 client_id twice", "", form, "client_id=client-1&client_id=client-1&request_uri=urn:x"},
		{"BASE-6749-3.1-1 request_uri twice", "", form, "client_id=client-1&request_uri=urn:x&request_uri=urn:y"},
		{"no request_uri", "", form, "client_id=client-1&scope=openid"},
		{"one in the URL, the other in the body", "?client_id=client-1", form, "request_uri=urn:x"},
		{"the other way round", "?request_uri=urn:x", form, "client_id=client-1"},
		{"another media type", "", "application/json", `{"client_id":"client-1","request_uri":"urn:x"}`},
		{"nothing", "", form, ""},
		{"more than a form may have", "", form, "client_id=client-1&request_uri=urn:x&x=" + strings.Repeat("x", 300<<10)},
	} {
		t.Run("C9 "+tc.name, func(t *testing.T) {
			got := w.postForm(endpoint+tc.query, tc.mediaType, tc.body)
			require.Equal(t, http.StatusBadRequest, got.StatusCode)
			require.Empty(t, got.Header.Get("Location"))
		})
	}
	t.Run("C9 the body cannot break out of the header", func(t *testing.T) {
		got := w.postForm(endpoint, form, "client_id="+url.QueryEscape("a\r\nSet-Cookie: x=1")+"&request_uri=urn:x")
		require.Equal(t, http.StatusSeeOther, got.StatusCode)
		require.Empty(t, got.Header.Get("Set-Cookie"))
		location, err := got.Location()
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, w.visit(location.String()).StatusCode)
	})
}

// A host's page posts its form to the URL that it was shown at.
func TestHostFormAtTheAuthorizationEndpoint(t *testing.T) {
	w := newWorld(t)
	var seen []string
	w.onInteract = func(r *http.Request) { seen = append(seen, r.Method+" "+r.PostFormValue("password")) }
	w.decide = func(*authserver.Authorization) (*authserver.AuthorizationResponse, error) { return nil, nil }
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	w.visit(target)
	w.postForm(target, "application/x-www-form-urlencoded", "password=secret")
	require.Equal(t, []string{"GET ", "POST secret"}, seen, "C9 the host reads its own form")
}
