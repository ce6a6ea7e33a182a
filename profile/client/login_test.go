package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestLoginInitiation(t *testing.T) {
	p := newPeer(t)
	ours := p.client()
	allowGET := func(c *client.SessionsConfig) { c.AllowGET = true }
	trusted := func(c *client.SessionsConfig) {
		c.CrossOrigin = http.NewCrossOriginProtection()
		require.NoError(t, c.CrossOrigin.AddTrustedOrigin("https://www.client.example"))
	}
	for _, tc := range []struct {
		name   string
		change func(*client.SessionsConfig)
		method string
		header []string
		ok     bool
	}{
		{"SP-5.3.3.1-12 a POST of the same origin", nil, "POST", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"SP-5.3.3.1-12 a POST of an old browser, same origin", nil, "POST", []string{"Origin", "https://client.example"}, true},
		{"SP-5.3.3.1-12 a POST of another site", nil, "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"SP-5.3.3.1-12 a POST of a sibling", nil, "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://www.client.example"}, false},
		{"SP-5.3.3.1-12 a POST of a sibling who is trusted", trusted, "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://www.client.example"}, true},
		{"SP-5.3.3.1-12 a POST of an old browser, another site", nil, "POST", []string{"Origin", "https://evil.example"}, false},
		{"SP-5.3.3.1-12 GET is not for beginning logins", nil, "GET", []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"SP-5.3.3.1-12 GET allowed, a link of ours", allowGET, "GET", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"SP-5.3.3.1-12 GET allowed, typed", allowGET, "GET", []string{"Sec-Fetch-Site", "none"}, true},
		{"SP-5.3.3.1-12 GET allowed, a page of ours", allowGET, "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document"}, true},
		{"SP-5.3.3.1-12 attack: an image that a user has put into a page of ours", allowGET, "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "image"}, false},
		{"SP-5.3.3.1-12 attack: a frame in a page of ours", allowGET, "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "iframe"}, false},
		{"SP-5.3.3.1-12 GET allowed, a link of another site", allowGET, "GET", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"SP-5.3.3.1-12 GET allowed, a sibling's link", allowGET, "GET", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"SP-5.3.3.1-12 GET allowed, nobody says whose", allowGET, "GET", nil, false},
		{"SP-5.3.3.1-12 HEAD", allowGET, "HEAD", []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"SP-5.3.3.1-12 OPTIONS", allowGET, "OPTIONS", []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"SP-5.3.3.1-12 PUT", allowGET, "PUT", []string{"Sec-Fetch-Site", "same-origin"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*client.SessionsConfig)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			app, before := roletest.NewApplication(t, ours, change...), len(p.messages("/par"))
			response := app.Visit(tc.method, "/login", tc.header...)
			if tc.ok {
				require.Equal(t, http.StatusSeeOther, response.StatusCode)
				require.Len(t, app.Cookies, 1)
				return
			}
			require.Empty(t, app.Cookies)
			require.Len(t, p.messages("/par"), before, "nothing is sent")
			if response.StatusCode == http.StatusMethodNotAllowed {
				require.NotEmpty(t, response.Header.Get("Allow"))
				return
			}
			require.ErrorIs(t, app.Failed, client.ErrCrossOrigin)
		})
	}
}

func TestLoginFails(t *testing.T) {
	p := newPeer(t)
	ours := p.client()
	text := func(r *http.Response) string {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return string(body)
	}
	// The answers that users get who have a host without Fail.
	sessions := roletest.NewSessions(t)
	begin := func(r *http.Request) (client.Request, error) { return client.Request{Scopes: []string{"a"}}, nil }
	login := ours.LoginHandler(sessions, begin)
	callback := ours.CallbackHandler(sessions, func(http.ResponseWriter, *http.Request, *client.Session, *oauth2.Token) { t.Error("finished") })
	serve := func(h http.Handler, method, target string, header http.Header) *http.Response {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, nil)
		for name, values := range header {
			r.Header[name] = values
		}
		h.ServeHTTP(w, r)
		return w.Result()
	}
	// begun returns the header of a browser with a session, and its state.
	begun := func() (http.Header, string) {
		session, err := ours.Begin(context.Background(), client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		header := http.Header{}
		for _, c := range putIn(t, sessions, nil, session) {
			header.Add("Cookie", c.Name+"="+c.Value)
		}
		return header, session.State
	}

	response := serve(login, "POST", "/login", http.Header{"Sec-Fetch-Site": {"cross-site"}})
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	response = serve(callback, "GET", "/cb?state=x&code=s3cret", nil)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Contains(t, text(response), "expired")
	for _, method := range []string{"POST", "HEAD"} {
		header, state := begun()
		require.Equal(t, http.StatusMethodNotAllowed, serve(callback, method, "/cb?code=1&state="+state, header).StatusCode)
	}

	header, state := begun()
	response = serve(callback, "GET", "/cb?"+url.Values{"state": {state}, "iss": {p.as.URL}, "error": {"access_denied"}, "error_description": {"<script>"}}.Encode(), header)
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	require.Equal(t, "The login was not granted (access_denied).\n", text(response))
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))

	header, state = begun()
	response = serve(callback, "GET", "/cb?"+url.Values{"state": {state}, "iss": {"https://evil.example"}, "code": {"1"}}.Encode(), header)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)

	p.token = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 500, `{"error":"server_error","error_description":"inside"}`)
	}
	header, state = begun()
	response = serve(callback, "GET", "/cb?"+url.Values{"state": {state}, "iss": {p.as.URL}, "code": {"1"}}.Encode(), header)
	require.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.NotContains(t, text(response), "inside")
	p.push = p.token
	response = serve(login, "POST", "/login", nil)
	require.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.Empty(t, response.Header.Get("Location"), "SP-5.3.3.2-2 no way around")
	require.Empty(t, response.Cookies())

	refuses := errors.New("who are you?")
	app := roletest.NewApplication(t, ours)
	app.Handler = ours.LoginHandler(roletest.NewSessions(t, func(c *client.SessionsConfig) {
		c.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { app.Failed = err }
	}), func(*http.Request) (client.Request, error) { return client.Request{}, refuses })
	app.Visit("POST", "/login")
	require.Equal(t, refuses, app.Failed)

	require.Panics(t, func() { ours.LoginHandler(nil, begin) })
	require.Panics(t, func() { ours.LoginHandler(sessions, nil) })
	require.Panics(t, func() {
		ours.CallbackHandler(nil, func(http.ResponseWriter, *http.Request, *client.Session, *oauth2.Token) {})
	})
	require.Panics(t, func() { ours.CallbackHandler(sessions, nil) })
}

// Two clients share the sessions of one application. The callback of one client
// does not finish a login at the other.
func TestSessionsOfTwoServers(t *testing.T) {
	honest, other := newPeer(t), newPeer(t)
	session, err := honest.client().Begin(context.Background(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	failed := error(nil)
	shared := roletest.NewSessions(t, func(c *client.SessionsConfig) {
		c.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err }
	})
	has := putIn(t, shared, nil, session)
	r := httptest.NewRequest("GET", "/cb?"+url.Values{"state": {session.State}, "iss": {other.as.URL}, "code": {"1"}}.Encode(), nil)
	r.AddCookie(has[0])
	other.client().CallbackHandler(shared, func(http.ResponseWriter, *http.Request, *client.Session, *oauth2.Token) { t.Error("finished") }).
		ServeHTTP(httptest.NewRecorder(), r)
	require.ErrorIs(t, failed, client.ErrAuthorizationResponse, "ISS-2.4-1 AM-5.4b")
	require.Empty(t, other.messages("/token"))
}
