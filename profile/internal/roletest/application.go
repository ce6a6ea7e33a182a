// Package roletest has the helpers that the tests of several roles share: an
// application that logs users in, and types of authorization details. Only
// _test.go files import it.
package roletest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/profile/client"
)

// An Application is a client's web application together with the browser of a
// user. It is not safe for concurrent use.
type Application struct {
	// Handler has the login at /login and the callback at /cb.
	Handler http.Handler
	// Cookies are in the browser.
	Cookies []*http.Cookie
	// Finished has the token of each login.
	Finished []*oauth2.Token
	// Keep is the value that the last login kept.
	Keep string
	// Failed is the error of the last request.
	Failed error

	t testing.TB
}

// NewApplication returns an application with new sessions.
func NewApplication(t testing.TB, app *client.Client, change ...func(*client.SessionsConfig)) *Application {
	a := &Application{t: t}
	sessions := NewSessions(t, append(change, func(c *client.SessionsConfig) {
		fail := c.Fail
		c.Fail = func(w http.ResponseWriter, r *http.Request, err error) {
			if a.Failed = err; fail != nil {
				fail(w, r, err)
			}
		}
	})...)
	mux := http.NewServeMux()
	mux.Handle("/login", app.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}, Keep: r.PostFormValue("next")}, nil
	}))
	finish := func(w http.ResponseWriter, r *http.Request, s *client.Session, token *oauth2.Token) {
		a.Finished, a.Keep = append(a.Finished, token), s.Keep
		http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	}
	mux.Handle("/cb", app.CallbackHandler(sessions, finish))
	a.Handler = mux
	return a
}

// NewBrowser returns a browser at the application with a handler.
func NewBrowser(t testing.TB, handler http.Handler) *Application {
	return &Application{t: t, Handler: handler}
}

// Visit sends a request of the browser. The header is names and values in turn.
// Visit fails the test if a cache may store the response.
func (a *Application) Visit(method, target string, header ...string) *http.Response {
	a.t.Helper()
	r := httptest.NewRequest(method, "https://client.example"+target, strings.NewReader("next=%2Fhome"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range a.Cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.Failed = nil
	a.Handler.ServeHTTP(w, r)
	response := w.Result()
	a.Cookies = MergeCookies(a.Cookies, response.Cookies())
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		a.t.Fatalf("roletest: Cache-Control %q", got)
	}
	return response
}

// Login starts a login and returns the address of the authorization endpoint.
func (a *Application) Login() string {
	a.t.Helper()
	response := a.Visit(http.MethodPost, "/login", "Sec-Fetch-Site", "same-origin")
	if response.StatusCode != http.StatusSeeOther {
		a.t.Fatalf("roletest: login with status %d: %v", response.StatusCode, a.Failed)
	}
	return response.Header.Get("Location")
}

// SessionKey returns a new key of sessions.
func SessionKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// NewSessions returns sessions with a new key.
func NewSessions(t testing.TB, change ...func(*client.SessionsConfig)) *client.Sessions {
	cfg := client.SessionsConfig{Keys: [][]byte{SessionKey()}}
	for _, f := range change {
		f(&cfg)
	}
	s, err := client.NewSessions(cfg)
	fatal(t, err)
	return s
}

// MergeCookies returns the cookies of a browser after a response that sets
// cookies.
func MergeCookies(has, set []*http.Cookie) (all []*http.Cookie) {
	for _, c := range set {
		if c.MaxAge >= 0 {
			all = append(all, c)
		}
	}
	for _, old := range has {
		if !slices.ContainsFunc(set, func(c *http.Cookie) bool { return c.Name == old.Name }) {
			all = append(all, old)
		}
	}
	return all
}
