package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

const operatorSecret = "a secret of the operator"

// asOperator returns the response of the operator's page.
func (w *world) asOperator(method, path string, form url.Values, change func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = "localhost:9446"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("operator", operatorSecret)
	if change != nil {
		change(r)
	}
	recorder := httptest.NewRecorder()
	w.bank.operatorHandler().ServeHTTP(recorder, r)
	return recorder
}

// filled returns the form with this button, filled in.
func (w *world) filled(button string, values map[string]string) url.Values {
	page := reply{t: w.t, body: w.asOperator(http.MethodGet, "/", nil, nil).Body.Bytes()}
	_, fields := page.form(button)
	for name, value := range values {
		fields.Set(name, value)
	}
	return fields
}

func (w *world) deletion(name string) url.Values {
	return w.filled("delete", map[string]string{"username": name, "confirm": "on"})
}

func operated(changes ...func(cfg object)) []func(cfg object) {
	return append([]func(cfg object){with("auto_approve", nil), with("operator_listen", "localhost:9446"), with("operator_secret", operatorSecret)}, changes...)
}

func TestTheOperatorIsOnThisMachineAndKnowsTheSecret(t *testing.T) {
	w := newWorld(t, operated()...)
	require.Equal(t, http.StatusOK, w.asOperator(http.MethodGet, "/", nil, nil).Code)
	require.Equal(t, http.StatusNotFound, w.asOperator(http.MethodGet, "/apps", nil, nil).Code)
	for _, path := range []string{"/operator", "/delete"} {
		require.Equal(t, http.StatusNotFound, w.get(w.issuer+path).status, "the public address has no such page")
	}
	for name, change := range map[string]func(r *http.Request){
		"no secret":          func(r *http.Request) { r.Header.Del("Authorization") },
		"a wrong secret":     func(r *http.Request) { r.SetBasicAuth("operator", "wrong") },
		"an empty secret":    func(r *http.Request) { r.SetBasicAuth("operator", "") },
		"another host":       func(r *http.Request) { r.Host = "attacker.example:9446" },
		"a user's password":  func(r *http.Request) { r.SetBasicAuth("alice", "correct horse") },
		"a form of a site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a form without key": func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 },
	} {
		code := w.asOperator(http.MethodPost, "/delete", w.deletion("alice"), change).Code
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusMisdirectedRequest}, code, name)
	}
	exists, err := w.bank.users.exists(t.Context(), "alice")
	require.NoError(t, err)
	require.True(t, exists)
	t.Run("attack: guesses are bounded", func(t *testing.T) {
		for range failuresOfAddress {
			w.asOperator(http.MethodGet, "/", nil, func(r *http.Request) { r.SetBasicAuth("", "guess") })
		}
		require.Equal(t, http.StatusUnauthorized, w.asOperator(http.MethodGet, "/", nil, nil).Code)
		w.advance(time.Hour)
		require.Equal(t, http.StatusOK, w.asOperator(http.MethodGet, "/", nil, nil).Code)
	})
}

func TestTheOperatorDeletesAUser(t *testing.T) {
	w := newWorld(t, operated()...)
	b := w.newBrowser()
	managed := param("grant_management_action", "create")
	grant := func(changes ...func(*request)) string {
		page := b.open(w.one.front(w.one.pushed(changes...)))
		if strings.Contains(string(page.body), `id="password"`) {
			page = b.logIn(page, "alice", "correct horse")
		}
		return b.approve(page).Query().Get("code")
	}
	plain := w.one.redeem(grant(details(order))).do().ok(http.StatusOK)
	ofGrant := w.one.redeem(grant(managed)).do().ok(http.StatusOK)
	unredeemed, unredeemedGrant := grant(), grant(managed)
	w.one.pay(plain.str("access_token"), order).ok(http.StatusCreated)
	shown := w.asOperator(http.MethodGet, "/", nil, nil).Body.String()
	for _, text := range []string{"memory", "alice", "bob", "Permissions: 3, Payments: 1", "Permissions: 0, Payments: 0"} {
		require.Contains(t, shown, text)
	}
	bob := w.newBrowser()
	ofBob := w.two.redeem(bob.approve(bob.logIn(bob.open(w.two.front(w.two.pushed())), "bob", "battery staple")).Query().Get("code")).do().ok(http.StatusOK)
	form := w.deletion("alice")
	unconfirmed := maps.Clone(form)
	delete(unconfirmed, "confirm")
	require.Equal(t, http.StatusBadRequest, w.asOperator(http.MethodPost, "/delete", unconfirmed, nil).Code)
	require.Equal(t, http.StatusNotFound, w.asOperator(http.MethodPost, "/delete", w.deletion("carol"), nil).Code)
	require.Equal(t, http.StatusOK, w.asOperator(http.MethodPost, "/delete", form, nil).Code)
	require.Equal(t, http.StatusOK, w.asOperator(http.MethodPost, "/delete", form, nil).Code, "again")

	for _, answer := range []reply{plain, ofGrant} {
		require.Equal(t, http.StatusUnauthorized, w.one.call(http.MethodGet, "/accounts", answer.str("access_token")).do().status)
		w.one.refresh(answer.str("refresh_token")).do().refused(http.StatusBadRequest, "invalid_grant")
	}
	require.Contains(t, string(b.open(w.issuer+"/apps").body), `id="password"`, "the session has ended")
	require.Contains(t, string(w.newBrowser().logInAt(w.issuer, "correct horse").body), `id="password"`)
	require.Empty(t, w.made())
	w.one.redeem(unredeemed).do().refused(http.StatusBadRequest, "invalid_grant")
	w.one.redeem(unredeemedGrant).do().ok(http.StatusServiceUnavailable) // the event of the grant fails until it has ended
	shown = w.asOperator(http.MethodGet, "/", nil, nil).Body.String()
	require.Contains(t, shown, "deleted")
	require.Equal(t, "bob", w.two.call(http.MethodGet, "/accounts", ofBob.str("access_token")).do().ok(http.StatusOK).str("owner"))
	t.Run("the next start does not create the user again", func(t *testing.T) {
		again, err := newBank(t.Context(), w.cfg, w.bank.kept, w.bank.surroundings)
		require.NoError(t, err)
		exists, err := again.users.exists(t.Context(), "alice")
		require.NoError(t, err)
		require.False(t, exists)
		w.cfg.autoApprove = "alice"
		_, err = newBank(t.Context(), w.cfg, w.bank.kept, w.bank.surroundings)
		require.ErrorContains(t, err, "auto_approve")
	})
}

func TestTheUserOfAutoApproveStays(t *testing.T) {
	w := newWorld(t, operated(with("auto_approve", "alice"))...)
	require.Equal(t, http.StatusConflict, w.asOperator(http.MethodPost, "/delete", w.deletion("alice"), nil).Code)
}

// broken is a store whose server has gone.
type broken struct{}

var errBroken = errors.New("the store has gone")

func (broken) Add(context.Context, string, []byte, time.Time) (bool, error) { return false, errBroken }

func (broken) Get(context.Context, string) ([]byte, int64, error) { return nil, 0, errBroken }

func (broken) Swap(context.Context, string, int64, []byte, time.Time) (bool, error) {
	return false, errBroken
}

func TestAGrantAppearsThoughTheStoreHasFailed(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	b := w.newBrowser()
	page := b.open(w.one.front(w.one.pushed(param("grant_management_action", "create"))))
	code := b.approve(b.logIn(page, "alice", "correct horse")).Query().Get("code")
	appears := func(reason string) {
		t.Helper()
		all, err := w.bank.permissionsOf(t.Context(), "alice")
		require.NoError(t, err)
		require.Len(t, all, 1, reason)
	}
	all, err := w.bank.permissionsOf(t.Context(), "alice")
	require.NoError(t, err)
	require.Empty(t, all)
	working := w.bank.permissions.records
	w.bank.permissions.records = &records.Records{Store: broken{}, Owner: w.issuer, Now: w.now}
	w.one.redeem(code).do().ok(http.StatusServiceUnavailable)
	w.bank.permissions.records = working
	appears("the grant exists, and its event is pending")
	w.advance(15 * time.Second)
	w.bank.deliver(t.Context())
	appears("after the event")
	w.bank.deliver(t.Context())
	w.one.redeem(code).do().ok(http.StatusOK)
	appears("the event may come twice")
}

// The event of a grant ends those above the bound, even if the process that
// created the grant crashed.
func TestGrantsAreBounded(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	manager := w.bank.server.Grants()
	create := func() {
		request, err := manager.Check(t.Context(), w.one.id, url.Values{"grant_management_action": {"create"}})
		require.NoError(t, err)
		change, err := manager.Prepare(t.Context(), request, grants.Approval{
			AuthorizationID: newID(), Subject: "alice", Scopes: []grants.Scope{{Scope: "accounts"}},
		})
		require.NoError(t, err)
		_, err = manager.Claim(t.Context(), change)
		require.NoError(t, err)
	}
	for range maxApps + 2 {
		create()
		w.advance(time.Second)
	}
	all, err := w.bank.grantsOf(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, all, maxApps)
	require.True(t, slices.IsSortedFunc(all, func(a, b permission) int { return b.Since.Compare(a.Since) }), "the oldest have ended")
}

func TestReadiness(t *testing.T) {
	w := newWorld(t, operated(with("store", "sqlite:"+t.TempDir()+"/data/bank.db"))...)
	b := w.newBrowser()
	require.Contains(t, string(b.logInAt(w.issuer, "correct horse").ok(http.StatusOK).body), `id="logout"`)
	for _, base := range []string{w.issuer, w.mtls} {
		require.Equal(t, "ready", w.get(base+"/readyz").ok(http.StatusOK).str("status"))
	}
	working := w.bank.kept.main.Store
	w.bank.kept.main.Store = broken{}
	for _, base := range []string{w.issuer, w.mtls} {
		got := w.get(base + "/readyz").ok(http.StatusServiceUnavailable)
		require.Equal(t, "unavailable", got.str("status"))
		require.NotEmpty(t, got.header.Get("Retry-After"))
		w.get(base + "/healthz").ok(http.StatusOK)
	}
	page := b.open(w.issuer + "/apps").ok(http.StatusServiceUnavailable)
	require.NotEmpty(t, page.header.Get("Retry-After"))
	require.NotContains(t, string(page.body), errBroken.Error())
	pushed := w.one.push().do().ok(http.StatusServiceUnavailable)
	require.NotEmpty(t, pushed.header.Get("Retry-After"))
	require.Equal(t, http.StatusServiceUnavailable, w.asOperator(http.MethodGet, "/", nil, nil).Code)
	w.bank.kept.main.Store = working
	w.get(w.issuer + "/readyz").ok(http.StatusOK)
	for name, difference := range map[string]time.Duration{"ahead of": 15 * time.Second, "behind": -15 * time.Second} {
		t.Run("a bank is not ready if its clock is "+name+" the clock of the store", func(t *testing.T) {
			w.advance(difference)
			for range 2 { // the first check leaves nothing that hides the difference
				w.get(w.issuer + "/readyz").ok(http.StatusServiceUnavailable)
			}
			require.Contains(t, w.log.String(), "the clock is more than 10s "+name)
			w.advance(-difference)
			w.get(w.issuer + "/readyz").ok(http.StatusOK)
		})
	}
	t.Run("a bank that ends is not ready, and serves requests meanwhile", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		drained := w.bank.probe.Drain(ctx, time.Hour)
		w.get(w.issuer + "/readyz").ok(http.StatusOK)
		stop()
		require.Eventually(t, func() bool { return w.get(w.issuer+"/readyz").status == http.StatusServiceUnavailable },
			time.Minute, time.Millisecond)
		w.get(w.issuer + "/healthz").ok(http.StatusOK)
		w.one.pushed()
		require.NoError(t, drained.Err())
	})
	require.Contains(t, string(b.open(w.issuer+"/apps").ok(http.StatusOK).body), `id="logout"`, "the session lasts")
}
