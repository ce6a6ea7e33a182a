package vault_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/examples/internal/vault"
	"github.com/gofapi/fapi2/store"
)

func load(t *testing.T, v *vault.Vault) vault.Keys {
	t.Helper()
	keys, err := v.Load(t.Context())
	require.NoError(t, err)
	return keys
}

// vaults returns the vaults of several instances on one store.
func vaults(t *testing.T, instances int, now func() time.Time) (all []*vault.Vault) {
	t.Helper()
	memory, err := store.NewMemory(store.MemoryConfig{Now: now})
	require.NoError(t, err)
	for range instances {
		all = append(all, &vault.Vault{Config: vault.Config{
			Records: &records.Records{Store: memory, Owner: "https://bank.example", Now: now}, Period: 90 * 24 * time.Hour,
			Uses: []vault.Use{
				{Name: "ES256", Algorithm: "ES256", Kept: vault.Planned}, {Name: "EdDSA", Algorithm: "EdDSA", Kept: vault.Planned},
				{Name: "forms", Kept: vault.Planned}, {Name: "browsers", Kept: 180 * 24 * time.Hour, DropsOldest: true},
			},
		}})
	}
	return all
}

func TestOneInstanceMakesAKey(t *testing.T) {
	now := time.Now()
	all := vaults(t, 8, func() time.Time { return now })
	changeAll := func(change func(*vault.Vault) error) vault.Keys {
		var running sync.WaitGroup
		for _, v := range all {
			running.Go(func() { assert.NoError(t, change(v)) })
		}
		running.Wait()
		return load(t, all[0])
	}
	rotate := func(v *vault.Vault) error { return v.Rotate(t.Context()) }
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 1, use)
	}
	now = now.Add(all[0].Period - vault.Planned)
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 2, use)
		require.Equal(t, keys[0].From.Add(all[0].Period), keys[1].From, use)
	}
	for use, keys := range changeAll(func(v *vault.Vault) error { return v.Replace(t.Context()) }) {
		require.Len(t, keys, 2, use)
		require.True(t, now.Add(vault.Soon).Equal(keys[1].From), "%s: the next key is used earlier", use)
	}
	now = now.Add(vault.Soon)
	require.NoError(t, all[0].Replace(t.Context()))
	for use, keys := range changeAll(rotate) {
		require.Len(t, keys, 3, use)
	}
}

func TestStepsOfARotation(t *testing.T) {
	now := time.Now()
	v := vaults(t, 1, func() time.Time { return now })[0]
	keys := func(use string) []vault.Key { return load(t, v)[use] }
	rotate := func() { require.NoError(t, v.Rotate(t.Context())) }
	rotate()
	first := v.Secrets("forms")[0]
	now = now.Add(v.Period - vault.Planned)
	rotate()
	require.Len(t, v.Secrets("forms"), 2)
	require.Equal(t, first, v.Secrets("forms")[0], "the next key is accepted, and not used yet")
	now = now.Add(vault.Planned)
	require.Equal(t, first, v.Secrets("forms")[1])
	now = now.Add(vault.Planned - time.Second)
	rotate()
	require.Len(t, keys("ES256"), 2)
	now = now.Add(time.Second)
	rotate()
	require.Len(t, keys("ES256"), 1, "nothing of the old key is valid any more")
	require.Len(t, keys("browsers"), 2, "a browser is known for longer")

	t.Run("all instances were off for a year", func(t *testing.T) {
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 2)
		require.True(t, now.Add(vault.Planned).Equal(keys("ES256")[1].From), "the next key is published before it signs")
	})
	t.Run("the operator decides alone", func(t *testing.T) {
		v.Period = 0
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 1)
		now = now.Add(365 * 24 * time.Hour)
		rotate()
		require.Len(t, keys("ES256"), 1)
	})
	t.Run("a key that has not been used may not be stolen", func(t *testing.T) {
		require.NoError(t, v.Replace(t.Context()))
		next := keys("ES256")[1].Key
		require.NoError(t, v.Withdraw(t.Context()))
		require.Len(t, keys("ES256"), 1)
		require.Equal(t, next, keys("ES256")[0].Key)
		require.True(t, now.Equal(keys("ES256")[0].From))
	})
	t.Run("attack: an impatient operator", func(t *testing.T) {
		var err error
		for range 20 {
			if err = v.Replace(t.Context()); err != nil {
				break
			}
			now = now.Add(vault.Soon)
		}
		require.ErrorIs(t, err, vault.ErrTooManyKeys)
		for use, all := range load(t, v) {
			require.LessOrEqual(t, len(all), vault.MaxKeys+1, use)
		}
	})
}
