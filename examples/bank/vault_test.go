package main

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store"
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
		require.NoError(t, w.instances[steps%3].vault.rotate(t.Context()))
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
		w.advance(planned)
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
	w.advance(2 * keyRefresh)
	for range w.instances { // each one
		require.Len(t, w.kids(), 1)
		require.NotEqual(t, before, w.kids())
		w.one.call(http.MethodGet, "/accounts", stolen["access_token"].(string)).do().ok(http.StatusUnauthorized)
		refreshed := w.one.refresh(stolen["refresh_token"].(string)).do().ok(http.StatusOK)
		w.one.call(http.MethodGet, "/accounts", refreshed.str("access_token")).do().ok(http.StatusOK)
	}
}

// vaults returns the vaults of several instances on one store.
func vaults(t *testing.T, instances int, now func() time.Time) (all []*vault) {
	t.Helper()
	memory, err := store.NewMemory(store.MemoryConfig{Now: now})
	require.NoError(t, err)
	for range instances {
		v := &vault{records: &records{memory, "https://bank.example", now}, algorithms: []string{"ES256", "EdDSA"}, period: 90 * 24 * time.Hour}
		all = append(all, v)
	}
	return all
}

func TestOneInstanceMakesAKey(t *testing.T) {
	now := time.Now()
	all := vaults(t, 8, func() time.Time { return now })
	changeAll := func(change func(*vault) error) storedKeys {
		var running sync.WaitGroup
		for _, v := range all {
			running.Go(func() { assert.NoError(t, change(v)) })
		}
		running.Wait()
		for _, v := range all[1:] {
			require.Equal(t, *all[0].known.Load(), *v.known.Load())
		}
		return *all[0].known.Load()
	}
	rotate := func(v *vault) error { return v.rotate(t.Context()) }
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 1, use)
	}
	now = now.Add(all[0].period - planned)
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 2, use)
		require.Equal(t, keys[0].From.Add(all[0].period), keys[1].From, use)
	}
	for use, keys := range changeAll(func(v *vault) error { return v.replace(t.Context()) }) {
		require.Len(t, keys, 2, use)
		require.True(t, now.Add(soon).Equal(keys[1].From), "%s: the next key is used earlier", use)
	}
	now = now.Add(soon)
	require.NoError(t, all[0].replace(t.Context()))
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 3, use)
	}
}

func TestStepsOfARotation(t *testing.T) {
	now := time.Now()
	v := vaults(t, 1, func() time.Time { return now })[0]
	keys := func(use string) []storedKey { return (*v.known.Load())[use] }
	rotate := func() { require.NoError(t, v.rotate(t.Context())) }
	rotate()
	first := v.secrets(useForms)[0]
	now = now.Add(v.period - planned)
	rotate()
	require.Len(t, v.secrets(useForms), 2)
	require.Equal(t, first, v.secrets(useForms)[0], "the next key is accepted, and not used yet")
	now = now.Add(planned)
	require.Equal(t, first, v.secrets(useForms)[1])
	now = now.Add(planned - time.Second)
	rotate()
	require.Len(t, keys("ES256"), 2)
	now = now.Add(time.Second)
	rotate()
	require.Len(t, keys("ES256"), 1, "nothing of the old key is valid any more")
	require.Len(t, keys(useBrowsers), 2, "a browser is known for longer")

	t.Run("all instances were off for a year", func(t *testing.T) {
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 2)
		require.True(t, now.Add(planned).Equal(keys("ES256")[1].From), "the next key is published before it signs")
	})
	t.Run("the operator decides alone", func(t *testing.T) {
		v.period = 0
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 1)
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 1)
	})
	t.Run("a key that has not been used may not be stolen", func(t *testing.T) {
		require.NoError(t, v.replace(t.Context()))
		next := keys("ES256")[1].Key
		require.NoError(t, v.withdraw(t.Context()))
		require.Len(t, keys("ES256"), 1)
		require.Equal(t, next, keys("ES256")[0].Key)
		require.True(t, now.Equal(keys("ES256")[0].From))
	})
	t.Run("attack: an impatient operator", func(t *testing.T) {
		var err error
		for range 20 {
			if err = v.replace(t.Context()); err != nil {
				break
			}
			now = now.Add(soon)
		}
		require.ErrorIs(t, err, errTooManyKeys)
		for use, all := range *v.known.Load() {
			require.LessOrEqual(t, len(all), maxKeys+1, use)
		}
	})
}
