package main

import (
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// A world is a bank and an application with its database.
type world struct {
	t      *testing.T
	clock  *profiletest.Clock
	bank   *profiletest.Server
	denied bool // by the user
	db     *sqlstore.Store
	app    *httptest.Server
	start  func() // a new process of the application with the same database
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: profiletest.NewClock()}
	w.bank = profiletest.NewServer(t, profiletest.ServerConfig{
		Now: w.clock.Now,
		Decide: func(a *authserver.Authorization) (authserver.Approval, error) {
			if w.denied {
				return authserver.Approval{}, errors.New("denied")
			}
			return authserver.Approval{Subject: "alice", Scopes: a.Scopes()}, nil
		},
	})
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "client.db")+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	w.db, err = sqlstore.Open(t.Context(), sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	t.Cleanup(func() { w.db.Close() })
	var handler http.Handler
	w.app = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(w.app.Close)
	cfg := w.bank.ClientConfig(t, w.app.URL+"/callback")
	jwk, err := jwks.MarshalPrivateKey(cfg.Key, jwks.Key{KeyID: cfg.KeyID})
	require.NoError(t, err)
	cfg.Key, cfg.KeyID = nil, ""
	w.start = func() {
		handler, err = newApp(cfg, jwk, w.db, w.bank.Resource)
		require.NoError(t, err)
	}
	w.start()
	return w
}

// open sends a request of a browser and returns the page at the end.
func (w *world) open(browser *http.Client, method, path string) (int, string) {
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.app.URL+path, nil)
	require.NoError(w.t, err)
	response, err := browser.Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response.StatusCode, string(body)
}

func (w *world) requireLoginPage(browser *http.Client) {
	w.t.Helper()
	_, page := w.open(browser, http.MethodGet, "/accounts")
	require.Contains(w.t, page, "Connect a bank")
}

func TestClient(t *testing.T) {
	w := newWorld(t)
	alice, stranger := w.bank.Browser(t), w.bank.Browser(t)
	_, page := w.open(alice, http.MethodGet, "/")
	require.Contains(t, page, "Connect a bank")
	status, accounts := w.open(alice, http.MethodPost, "/login")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", accounts, "the response of the API")

	t.Run("after a restart and a refresh", func(t *testing.T) {
		w.start()
		w.clock.Advance(10 * time.Minute)
		_, accounts := w.open(alice, http.MethodGet, "/accounts")
		require.Equal(t, "alice", accounts)
	})
	t.Run("attack: a browser without the cookie, or with another", func(t *testing.T) {
		w.requireLoginPage(stranger)
		address, err := url.Parse(w.app.URL)
		require.NoError(t, err)
		guessed := &http.Cookie{Name: "__Host-user", Value: "alice", Path: "/", Secure: true}
		stranger.Jar.SetCookies(address, []*http.Cookie{guessed})
		w.requireLoginPage(stranger)
	})
	t.Run("attack: a login that another site begins", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.app.URL+"/login", nil)
		require.NoError(t, err)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := stranger.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusForbidden, response.StatusCode)
	})
	t.Run("attack: the callback of another browser", func(t *testing.T) {
		var callback string
		mallory := w.bank.Browser(t)
		mallory.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/callback" {
				callback = r.URL.RequestURI()
				return http.ErrUseLastResponse
			}
			return nil
		}
		w.open(mallory, http.MethodPost, "/login")
		require.NotEmpty(t, callback)
		status, _ := w.open(stranger, http.MethodGet, callback)
		require.Equal(t, http.StatusBadRequest, status)
	})
	t.Run("a user who denies", func(t *testing.T) {
		w.denied = true
		status, page := w.open(w.bank.Browser(t), http.MethodPost, "/login")
		require.GreaterOrEqual(t, status, 400)
		require.Contains(t, page, "access_denied")
	})
}
