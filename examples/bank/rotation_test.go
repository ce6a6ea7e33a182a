package main

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/vault"
)

// kids returns the published keys.
func (w *world) kids() (kids []string) {
	w.t.Helper()
	for _, key := range w.get(w.issuer + "/jwks").ok(http.StatusOK).json()["keys"].([]any) {
		kids = append(kids, key.(object)["kid"].(string))
	}
	return kids
}

// kid returns the kid of the key that signed a token.
func (w *world) kid(token string) string {
	w.t.Helper()
	head, _ := unseal(w.t, token)
	return head["kid"].(string)
}

func shared(t *testing.T) func(cfg object) {
	return with("store", "sqlite:"+filepath.Join(t.TempDir(), "data", "bank.db"))
}

func TestThreeInstancesRotateKeysUnderRunningFlows(t *testing.T) {
	w := newInstances(t, 3, operated(shared(t), with("key_days", 10))...)
	b := w.newBrowser()
	code := b.approve(b.logIn(b.open(w.one.front(w.one.pushed())), "alice", "correct horse")).Query().Get("code")
	kept := w.one.redeem(code).do().ok(http.StatusOK)
	first := w.kids()
	require.Len(t, first, 1)
	steps := 0
	step := func() {
		w.advance(20 * time.Second)
		steps++
		require.NoError(t, w.instances[steps%3].vault.Rotate(t.Context()))
	}
	w.flow(step)
	require.Equal(t, first, w.kids())
	require.Equal(t, http.StatusOK, w.asOperator(http.MethodPost, "/keys", w.filled("replace", nil), nil).Code)
	signed := map[string]int{}
	for begin := w.now(); w.now().Sub(begin) < 20*time.Minute; {
		w.flow(step)
		token := w.one.refresh(kept.str("refresh_token")).do().ok(http.StatusOK).str("access_token")
		step() // another instance checks it, which may not have signed with this key
		w.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
		signed[w.kid(token)]++
	}
	published := w.kids()
	require.Len(t, published, 2)
	require.ElementsMatch(t, published, slices.Collect(maps.Keys(signed)), "both keys have signed")
	require.Contains(t, published, first[0])

	t.Run("the old key goes", func(t *testing.T) {
		w.advance(vault.Planned)
		step()
		w.advance(time.Minute) // each instance reads the keys again
		for range w.instances {
			w.flow(step)
		}
		require.NotContains(t, w.kids(), first[0])
		require.Len(t, w.kids(), 1)
	})
	t.Run("a client that was off meanwhile goes on", func(t *testing.T) {
		before := w.kids()
		for range 70 {
			w.advance(24 * time.Hour)
			step()
		}
		w.advance(time.Minute)
		for range w.instances {
			token := w.one.refresh(kept.str("refresh_token")).do().ok(http.StatusOK).str("access_token")
			step()
			w.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
		}
		require.NotContains(t, w.kids(), before[0])
	})
}

func TestAStolenKeyEndsAtOnce(t *testing.T) {
	w := newInstances(t, 2, operated(shared(t), with("auto_approve", "alice"))...)
	stolen := w.one.tokens()
	before := w.kids()
	form := w.filled("replace", map[string]string{"stolen": "on"})
	require.Equal(t, http.StatusOK, w.asOperator(http.MethodPost, "/keys", form, nil).Code)
	w.advance(2 * vault.Refresh)
	for range w.instances { // each one
		require.Len(t, w.kids(), 1)
		require.NotEqual(t, before, w.kids())
		w.one.call(http.MethodGet, "/accounts", stolen["access_token"].(string)).do().ok(http.StatusUnauthorized)
		refreshed := w.one.refresh(stolen["refresh_token"].(string)).do().ok(http.StatusOK)
		w.one.call(http.MethodGet, "/accounts", refreshed.str("access_token")).do().ok(http.StatusOK)
	}
}
