package authserver_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

var errLost = errors.New("db: connection lost after the commit")

// lossy counts the writes of all stores of a server. The write that is due takes
// effect and then returns an error, as when a connection is lost.
type lossy struct {
	left atomic.Int32
	lost atomic.Value // the name of the write
}

func (l *lossy) wrote(name string, err error) error {
	if err == nil && l.left.Add(-1) == 0 {
		l.lost.Store(name)
		return errLost
	}
	return err
}

func newLossyWorld(t testing.TB) (*world, *lossy) {
	l := new(lossy)
	w := newRichWorld(t, opaque, func(as *authserver.Config, _ *resourceserver.Config) {
		spy := newSpy(as.Hooks.Now)
		spy.lost = func(call string) error { return l.wrote(call, nil) }
		as.Store = spy
	})
	return w, l
}

// Whichever write is lost, the same request succeeds when the client repeats it
// with a new assertion and proof.
func TestWritesWhoseResponseIsLost(t *testing.T) {
	seen := map[string]bool{}
	for _, action := range []string{"", "create", "merge", "replace"} {
		for step := int32(1); ; step++ {
			w, l := newLossyWorld(t)
			fields := []string{"scope", "openid accounts", "authorization_details", payACME}
			var earlier answer
			if action != "" {
				fields = append(fields, "grant_management_action", action)
			}
			if action == "merge" || action == "replace" {
				var id string
				earlier, id = w.create()
				fields = append(fields, "grant_id", id)
			}
			l.left.Store(step)
			again := func(status int, try func() answer) answer {
				got := try()
				if got.status != status {
					require.Equal(t, http.StatusServiceUnavailable, got.status, "%s: %v", l.lost.Load(), got.body)
					require.NotContains(t, got.told("error_description"), "db")
					got = try()
				}
				require.Equal(t, status, got.status, "%s %s: %v", action, l.lost.Load(), got.body)
				return got
			}
			pushed := again(http.StatusCreated, func() answer {
				form := w.pushForm("client-1")
				with(fields...)(form)
				return w.send(w.parURL(), form)
			})
			a, err := w.as.Authorization(t.Context(), map[string][]string{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}})
			if err != nil {
				require.ErrorIs(t, err, errLost)
				a, err = w.as.Authorization(t.Context(), map[string][]string{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}})
			}
			require.NoError(t, err, "%s", l.lost.Load())
			response, err := w.agree(a, nil)
			if err != nil {
				require.ErrorIs(t, err, errLost)
				response, err = w.agree(a, nil)
			}
			require.NoError(t, err, "%s", l.lost.Load())
			tokens := again(http.StatusOK, func() answer { return w.spend(codeOf(t, response)) })
			require.NotEmpty(t, tokens.body["refresh_token"])
			require.NotEmpty(t, tokens.body["id_token"])
			require.Equal(t, action != "", tokens.body["grant_id"] != nil)
			refreshed := again(http.StatusOK, func() answer { return w.renew(tokens) })
			done := l.left.Load() > 0
			l.left.Store(0)
			w.requireAlive(true, true, refreshed, action)
			if earlier.status != 0 {
				require.Equal(t, "invalid_grant", w.renew(earlier).code, "GM-5.2-6 GM-5.2-8")
				require.Equal(t, action == "merge", w.seen("client-2", earlier.body["access_token"].(string)).body["active"], "GM-10-2 %s", l.lost.Load())
			}
			require.Equal(t, http.StatusOK, w.send(w.as.Metadata().RevocationEndpoint, w.authenticated("client-1", map[string][]string{"token": {tokens.body["refresh_token"].(string)}})).status)
			w.requireAlive(false, false, refreshed, action)
			if done {
				break
			}
			seen[l.lost.Load().(string)] = true
		}
	}
	require.Len(t, seen, 10, "%v", seen)
}
