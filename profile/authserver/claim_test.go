package authserver_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// The Events function of the host may return an error of package grants that is
// about another grant. It consumes no code.
func TestEventsThatFailCostARetry(t *testing.T) {
	for _, cause := range []error{grants.ErrInactive, grants.ErrNotFound, errDown} {
		var failing atomic.Bool
		w := newRichWorld(t, opaque, func(as *authserver.Config, _ *resourceserver.Config) {
			as.Grants.Events = func(context.Context, grants.Event) error {
				if failing.Load() {
					return cause
				}
				return nil
			}
		})
		code := w.code("client-1", with("grant_management_action", "create"))
		failing.Store(true)
		require.Equal(t, http.StatusServiceUnavailable, w.spend(code).status, "%v", cause)
		failing.Store(false)
		tokens := w.spend(code)
		require.Equal(t, http.StatusOK, tokens.status, "%v: %v", cause, tokens.body)
		require.NotEmpty(t, tokens.body["grant_id"])
		w.requireAlive(true, true, tokens, "")
	}
}
