package authserver_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
)

// The listener of a host fails forever, also for an event before the revocation.
// All tokens end at once, and another instance delivers both events.
func TestAListenerThatFails(t *testing.T) {
	for kind, options := range map[string][]worldOption{"JWT": nil, "opaque": {opaque}} {
		t.Run(kind, func(t *testing.T) {
			var second authserver.Config
			var heard []string
			failing := false
			w := newRichWorld(t, append(options, func(as *authserver.Config, _ *resourceserver.Config) {
				shared, err := store.NewMemory(store.MemoryConfig{Now: as.Hooks.Now})
				require.NoError(t, err)
				as.Store, as.Grants = shared, &grants.ManagerConfig{Events: func(_ context.Context, e grants.Event) error {
					if failing {
						return errDown
					}
					heard = append(heard, e.Kind)
					return nil
				}}
				second = *as
			})...)
			if kind == "opaque" {
				w.introspect()
			}
			tokens, id := w.create("scope", "accounts")
			raw := tokens.body["access_token"].(string)
			require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)

			failing = true
			merge := w.code("client-1", with("grant_management_action", "merge", "grant_id", id, "scope", "payments"))
			require.Equal(t, http.StatusServiceUnavailable, w.spend(merge).status)
			for range 2 {
				require.Equal(t, http.StatusNoContent, w.end(id).status, "GM-6.5-1")
			}
			w.requireAlive(false, false, tokens, "GM-6.5-2 GM-6.5-3 at introspection and at the token endpoint")
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "GM-6.5-3 at the API")
			require.Equal(t, http.StatusNotFound, w.query(id).status)
			require.Equal(t, "invalid_grant", w.spend(merge).code)
			require.Equal(t, []string{"created"}, heard)

			failing = false
			w.clock.Advance(time.Minute)
			other, err := authserver.New(second)
			require.NoError(t, err)
			n, err := other.Grants().DeliverPending(t.Context(), 100)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, []string{"created", "merged", "revoked"}, heard)
			require.Equal(t, http.StatusNotFound, w.end(id).status)

			page, next, err := other.Grants().List(t.Context(), "alice", "", 10)
			require.NoError(t, err)
			require.Empty(t, next)
			require.Len(t, page, 1)
			require.Equal(t, "revoked", page[0].Status)
		})
	}
}
