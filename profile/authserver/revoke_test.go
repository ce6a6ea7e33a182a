package authserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/stretchr/testify/require"
)

// The revocation of a token that a client has obtained for itself ends soon
// after the token. The withdrawal by the host ends after the longest lifetime
// of a token.
func TestRevocationsOfOneAuthorization(t *testing.T) {
	const short, long = 16 * time.Minute, 90 * 24 * time.Hour
	type call = func(w *world, id, token string)
	revoke := func(w *world, _, token string) { require.Equal(t, http.StatusOK, w.revoke("client-1", token).status) }
	withdraw := func(w *world, id, _ string) { require.NoError(t, w.as.Withdraw(t.Context(), id)) }
	both := func(w *world, id, token string) {
		forms := make(chan func() error, 64)
		for i := range cap(forms) {
			form := w.revokeForm("client-1", token)
			forms <- func() error {
				if i%2 == 0 {
					return w.as.Withdraw(t.Context(), id)
				}
				if got := w.send(w.as.Metadata().RevocationEndpoint, form); got.status != http.StatusOK {
					return errDown
				}
				return nil
			}
		}
		testkit.Hammer(cap(forms), func(int) {
			if err := (<-forms)(); err != nil {
				t.Error(err)
			}
		})
	}
	for name, tc := range map[string]struct {
		calls []call
		long  bool
	}{
		"one ends with its token":                 {[]call{revoke, revoke}, false},
		"a later and shorter one changes nothing": {[]call{withdraw, revoke}, true},
		"a later and longer one counts":           {[]call{revoke, withdraw}, true},
		"64 at once all count":                    {[]call{both}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newSpyWorld(t)
			token := w.own("client-1", "accounts")
			id := w.seen("client-2", token).body["jti"].(string)[:22]
			for _, call := range tc.calls {
				call(w, id, token)
				revoked, err := w.as.Revoked(t.Context(), id)
				require.NoError(t, err)
				require.True(t, revoked, "a revocation is in effect when it returns")
			}
			for _, step := range []struct {
				after time.Duration
				want  bool
			}{{short, tc.long}, {long - short, tc.long}, {time.Hour, false}} {
				w.clock.Advance(step.after)
				revoked, err := w.as.Revoked(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, step.want, revoked, "after another %v", step.after)
			}
		})
	}
}
