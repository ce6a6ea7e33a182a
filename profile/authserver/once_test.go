package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/store"
)

// A countingStore counts the operations of each kind.
type countingStore struct {
	store.Store
	adds, gets, swaps int
}

func (c *countingStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	c.adds++
	return c.Store.Add(ctx, key, value, expires)
}

func (c *countingStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	c.gets++
	return c.Store.Get(ctx, key)
}

func (c *countingStore) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (bool, error) {
	c.swaps++
	return c.Store.Swap(ctx, key, version, value, expires)
}

// A pushed request is checked, sealed and read once at each endpoint. Each
// operation of a shared store is a round trip.
func TestPushedRequestIsReadOnce(t *testing.T) {
	checks, lookups := 0, 0
	type payment struct {
		rar.Common
		Amount string `json:"amount"`
	}
	checked, err := rar.TypeOf("payment", rar.TypeConfig[payment]{Check: func(payment) error { checks++; return nil }})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{checked}})
	require.NoError(t, err)
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	counted := &countingStore{Store: memory}
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store, as.Replay = counted, memory
		as.AuthorizationDetails, as.Grants = registry, new(grants.ManagerConfig)
		ask := as.Clients
		as.Clients = func(ctx context.Context, id string) (*profile.ClientMetadata, error) {
			lookups++
			return ask(ctx, id)
		}
	})
	w.register("client-1", testkit.ECKey(t, "client-1").Public()).AuthorizationDetailsTypes = []string{"payment"}
	form := w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"payment","amount":"1.00"}]`)
	approved := false
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		require.Equal(t, 1, checks, "details are read once when the user arrives")
		require.Equal(t, 1, lookups, "so is the registration")
		require.Equal(t, countingStore{counted.Store, 0, 1, 1}, *counted, "and the request, which is kept for the login")
		approved = true
		return w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), Details: a.Details()})
	}

	target := w.authorizationURL("client-1", form)
	require.Equal(t, 1, checks, "details are read once at the push")
	require.Equal(t, countingStore{counted.Store, 1, 0, 0}, *counted)
	checks, lookups, counted.adds = 0, 0, 0
	require.NotEmpty(t, w.browse(target).Get("code"))
	require.True(t, approved)
	require.Equal(t, countingStore{counted.Store, 1, 1, 2}, *counted, "approval adds the code and consumes the request")

	// A second visit, a reload for example, writes nothing.
	target = w.authorizationURL("client-1", w.pushForm("client-1"))
	w.decide = func(*authserver.Authorization) (*authserver.AuthorizationResponse, error) { return nil, nil }
	require.Equal(t, http.StatusSeeOther, w.visit(target).StatusCode)
	counted.adds, counted.gets, counted.swaps = 0, 0, 0
	require.Equal(t, http.StatusSeeOther, w.visit(target).StatusCode)
	query, err := url.Parse(target)
	require.NoError(t, err)
	_, err = w.as.Resume(t.Context(), "client-1", query.Query().Get("request_uri"))
	require.NoError(t, err)
	require.Equal(t, countingStore{counted.Store, 0, 2, 0}, *counted)
}
