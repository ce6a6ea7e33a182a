package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/store"
)

// jws matches the begin of a header that starts with "alg", and a header that
// ends. Random text contains three letters of it by chance.
var jws = regexp.MustCompile(`eyJhbGciOi|eyJ[A-Za-z0-9_-]{10,}\.`)

// again returns another instance with the configuration of the pages.
func (w *world) again() http.Handler {
	c, err := loadConfig(w.configFile())
	require.NoError(w.t, err)
	return w.newInstance(c)
}

// A restart comes between all steps of a user.
func TestARestartLosesNothing(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", nonces: true, grants: true})
	b := w.servePages("offline_access")
	restart := func() {
		require.NoError(t, w.kept.Close())
		w.pages = w.again()
	}
	w.interact = restarting(w, restart) // while the user is at the bank
	require.Equal(t, "/accounts", b.post("/connect", nil).path)
	restart()
	require.Contains(t, b.get("/accounts").text, "Checking")
	files, err := filepath.Glob(filepath.Join(w.dir, "fintech.data", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(t, jws, string(content), "attack: a token in a copy of the store")
	}
	restart()
	require.Contains(t, b.post("/payment", order).text, `<strong class="good">Paid</strong>`)
	restart()
	require.Contains(t, b.get("/payments").text, "12.50 EUR to Blumen Meyer")
	require.Contains(t, b.get("/grants").text, "see your accounts")
	restart()
	b.post("/disconnect", nil)
	restart()
	require.Contains(t, b.get("/").text, "Connect your bank")
	info, err := os.Stat(filepath.Join(w.dir, "fintech.data", "fintech.db"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// restarting restarts the application before the bank responds.
func restarting(w *world, restart func()) func(http.ResponseWriter, *http.Request, *authserver.Authorization) {
	return func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		restart()
		w.approve(rw, r, a)
	}
}

func TestTwoInstancesServeOneUser(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", grants: true})
	b := w.servePages("offline_access")
	all, requests := []http.Handler{w.pages, w.again()}, atomic.Int64{}
	w.pages = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		all[requests.Add(1)%2].ServeHTTP(rw, r)
	})
	for range 2 { // the number of requests is odd in one of the two
		require.Equal(t, "/accounts", b.post("/connect", nil).path)
		require.Contains(t, b.get("/accounts").text, "Checking")
		require.Contains(t, b.post("/payment", order).text, `<strong class="good">Paid</strong>`)
		require.Contains(t, b.get("/grants").text, "see your accounts")
		w.interact = w.deny
		require.Contains(t, b.post("/connect", nil).text, "did not agree", "the other instance knows the failure")
		w.interact = w.approve
		b.get("/")
	}
}

func TestAPaymentOutlivesACrash(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	var keys []string
	crashed := false
	w.tampers["/payments"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") == "" { // the page, not the API
			next.ServeHTTP(rw, r)
			return
		}
		if keys = append(keys, r.Header.Get("Idempotency-Key")); !crashed {
			panic(http.ErrAbortHandler) // the response is lost
		}
		next.ServeHTTP(rw, r)
	}
	b.post("/payment", order)
	require.NoError(t, w.kept.Close())
	w.pages, crashed = w.again(), true
	page := b.get("/payments")
	require.Contains(t, page.text, "We do not know whether the payment was made")
	id := regexp.MustCompile(`name="id" value="([A-Z0-9]+)"`).FindStringSubmatch(page.text)[1]
	require.Contains(t, b.post("/payments/retry", url.Values{"id": {id}}).text, `<strong class="good">Paid</strong>`)
	for _, key := range keys {
		require.Equal(t, keys[0], key, "one payment, one key")
	}
}

func TestARefreshedTokenIsKept(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages("offline_access")
	first := true
	w.tampers["/token"] = edit(func(m map[string]any) {
		if first {
			m["expires_in"], first = 1, false
		}
	})
	b.post("/connect", nil)
	require.Eventually(t, func() bool {
		before := w.count("/token")
		require.Contains(t, b.get("/accounts").text, "Checking")
		return w.count("/token") == before && before == 2
	}, 10*time.Second, 100*time.Millisecond, "after one refresh the new token is in use")
	require.NoError(t, w.kept.Close())
	w.pages = w.again()
	require.Contains(t, b.get("/accounts").text, "Checking")
	require.Equal(t, 2, w.count("/token"), "by the next instance as well")
}

func TestSessionsEnd(t *testing.T) {
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	now := time.Now()
	s := users{&records.Records{Store: memory, Owner: "test", Now: func() time.Time { return now }}}
	recorder := httptest.NewRecorder()
	_, _, err = s.enter(recorder, httptest.NewRequest(http.MethodGet, "/", nil), connection{Subject: "alice"}, nil)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(recorder.Result().Cookies()[0])
	u, err := s.read(r)
	require.NoError(t, err)
	require.Equal(t, "alice", u.subject(""))
	now = now.Add(userLifetime)
	u, err = s.read(r)
	require.NoError(t, err)
	require.Nil(t, u)
}

// Two tabs of a browser return from the bank at the same time.
func TestTwoTabsKeepBothConnections(t *testing.T) {
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	s := users{&records.Records{Store: memory, Owner: "test", Now: time.Now}}
	enter := func(u *user, id string) *user {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r = r.WithContext(context.WithValue(r.Context(), userKey{}, u))
		entered, _, err := s.enter(httptest.NewRecorder(), r, connection{ID: id, Subject: "alice"}, nil)
		require.NoError(t, err)
		return entered
	}
	first := enter(nil, "1")
	seen := *first // by both tabs
	enter(first, "2")
	require.Len(t, enter(&seen, "3").Connections, 3)
}

// enterWith has a browser with the cookies return from a bank.
func enterWith(t *testing.T, s users, c connection, cookies []*http.Cookie) (*user, []*http.Cookie) {
	recorder, r := httptest.NewRecorder(), asks(cookies)
	u, err := s.read(r)
	require.NoError(t, err)
	u, _, err = s.enter(recorder, r.WithContext(context.WithValue(r.Context(), userKey{}, u)), c, nil)
	require.NoError(t, err)
	all := recorder.Result().Cookies()
	return u, all[len(all)-1:] // an earlier one ends the old session
}

func asks(cookies []*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r
}

// An attacker who has two sessions plants one of them in the browser of a
// victim.
func TestASecondSessionDoesNotSeeANewBank(t *testing.T) {
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	s := users{&records.Records{Store: memory, Owner: "test", Now: time.Now}}
	first, planted := enterWith(t, s, connection{ID: "1", Issuer: "one", Subject: "mallory"}, nil)
	other := []*http.Cookie{{Name: cookieName, Value: "another tab"}}
	require.NoError(t, s.create(t.Context(), "session", other[0].Value, session{User: first.ID, Expires: time.Now().Add(time.Hour)}, time.Hour))
	u, err := s.read(asks(other))
	require.NoError(t, err)
	require.Equal(t, first.ID, u.ID)
	victim, cookies := enterWith(t, s, connection{ID: "2", Issuer: "two", Subject: "alice"}, planted)
	require.Len(t, victim.Connections, 2)
	for _, attack := range [][]*http.Cookie{planted, other} {
		u, err := s.read(asks(attack))
		require.NoError(t, err)
		require.Nil(t, u, "attack: a session from before")
	}
	again, _ := enterWith(t, s, connection{ID: "3", Issuer: "two", Subject: "alice"}, cookies)
	require.Equal(t, victim.ID, again.ID)
	require.Len(t, again.Connections, 3)
}

// broken is a store whose server has gone.
type broken struct{}

var errBroken = errors.New("the store has gone")

func (broken) Add(context.Context, string, []byte, time.Time) (bool, error) { return false, errBroken }

func (broken) Get(context.Context, string) ([]byte, int64, error) { return nil, 0, errBroken }

func (broken) Swap(context.Context, string, int64, []byte, time.Time) (bool, error) {
	return false, errBroken
}

func TestAStoreThatFails(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	b.post("/connect", nil)
	require.Equal(t, http.StatusOK, b.get("/readyz").status)
	working := w.kept.Store
	w.kept.Store = broken{}
	for _, path := range []string{"/", "/accounts", "/readyz"} {
		page := b.get(path)
		require.Equal(t, http.StatusServiceUnavailable, page.status, path)
		require.NotEmpty(t, page.header.Get("Retry-After"), path)
		require.NotContains(t, page.text, "<h1>Your accounts", path)
	}
	require.Equal(t, http.StatusOK, b.get("/healthz").status)
	w.kept.Store = working
	require.Equal(t, "/accounts", b.get("/accounts").path)
}
