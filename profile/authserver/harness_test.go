package authserver_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// An application is a client's web application, and what it has seen.
type application struct {
	t        testing.TB
	handler  http.Handler
	cookies  []*http.Cookie
	finished []*oauth2.Token
	keep     string
	failed   error
}

func newApplication(t testing.TB, app *client.Client, change ...func(*client.SessionsConfig)) *application {
	a := &application{t: t}
	sessions := newSessions(t, append(change, func(c *client.SessionsConfig) {
		fail := c.Fail
		c.Fail = func(w http.ResponseWriter, r *http.Request, err error) {
			if a.failed = err; fail != nil {
				fail(w, r, err)
			}
		}
	})...)
	mux := http.NewServeMux()
	mux.Handle("/login", app.LoginHandler(sessions, func(r *http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"openid", "accounts"}, Keep: r.PostFormValue("next")}, nil
	}))
	mux.Handle("/cb", app.CallbackHandler(sessions, func(w http.ResponseWriter, r *http.Request, s *client.Session, token *oauth2.Token) {
		a.finished, a.keep = append(a.finished, token), s.Keep
		http.Redirect(w, r, "/accounts", http.StatusSeeOther)
	}))
	a.handler = mux
	return a
}

// visit is a request of the application's browser.
func (a *application) visit(method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "https://client.example"+target, strings.NewReader("next=%2Fhome"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range a.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.failed = nil
	a.handler.ServeHTTP(w, r)
	response := w.Result()
	a.cookies = merge(a.cookies, response.Cookies())
	require.Equal(a.t, "no-store", response.Header.Get("Cache-Control"))
	return response
}

func (a *application) login() string {
	response := a.visit(http.MethodPost, "/login", "Sec-Fetch-Site", "same-origin")
	require.Equal(a.t, http.StatusSeeOther, response.StatusCode, "%v", a.failed)
	return response.Header.Get("Location")
}

func want(t testing.TB, registry *rar.Registry, details string) rar.Details {
	d, err := registry.Parse([]byte(details), registry.Types())
	require.NoError(t, err)
	return d
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const everyProfile = profile.Advanced + 1

func secret(t testing.TB) []byte {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return key
}

func newSessions(t testing.TB, change ...func(*client.SessionsConfig)) *client.Sessions {
	cfg := client.SessionsConfig{Keys: [][]byte{secret(t)}}
	for _, f := range change {
		f(&cfg)
	}
	s, err := client.NewSessions(cfg)
	require.NoError(t, err)
	return s
}

func merge(has, set []*http.Cookie) (all []*http.Cookie) {
	for _, c := range set {
		if c.MaxAge >= 0 {
			all = append(all, c)
		}
	}
	for _, old := range has {
		keep := true
		for _, c := range set {
			keep = keep && c.Name != old.Name
		}
		if keep {
			all = append(all, old)
		}
	}
	return all
}
