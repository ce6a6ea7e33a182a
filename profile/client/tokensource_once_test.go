package client_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A lateCaller has loaded a token that must be refreshed, and continues only after
// others have refreshed it. The clock, which the client reads in between, waits.
type lateCaller struct {
	*peer
	client *client.Client
	hold   atomic.Bool // the next reading of the clock waits
	held   chan struct{}
	goOn   chan struct{}
}

func newLateCaller(t *testing.T) *lateCaller {
	l := &lateCaller{peer: newPeer(t), held: make(chan struct{}), goOn: make(chan struct{})}
	cfg := l.config()
	cfg.Hooks.Now = func() time.Time {
		if l.hold.CompareAndSwap(true, false) {
			close(l.held)
			<-l.goOn
		}
		return l.peer.clock.Now()
	}
	app, err := client.New(context.Background(), cfg)
	require.NoError(t, err)
	l.client = app
	return l
}

// late starts to request a token of source. The returned function continues it.
func (l *lateCaller) late(source oauth2.TokenSource) func() (*oauth2.Token, error) {
	var token *oauth2.Token
	var err error
	ended := make(chan struct{})
	l.hold.Store(true)
	go func() {
		defer close(ended)
		token, err = source.Token()
	}()
	<-l.held
	return func() (*oauth2.Token, error) {
		close(l.goOn)
		<-ended
		return token, err
	}
}

func TestLateCallers(t *testing.T) {
	t.Run("CASES B2: a caller that comes when a refresh ends does not send the old refresh token again", func(t *testing.T) {
		l := newLateCaller(t)
		l.token = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, `{"access_token":"new","token_type":"DPoP","expires_in":3600,"refresh_token":"rt-2"}`)
		}
		source := l.client.TokenSource(context.Background(), stale(l.peer, "rt-1"))
		late := l.late(source)
		_, err := source.Token()
		require.NoError(t, err)
		token, err := late()
		require.NoError(t, err)
		require.Equal(t, "rt-2", token.RefreshToken)
		require.Len(t, l.messages("/token"), 1)
	})
	t.Run("CASES B4: REV-2.1-8 a caller that comes when a refresh fails does not repeat it", func(t *testing.T) {
		l := newLateCaller(t)
		l.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 400, `{"error":"invalid_grant"}`) }
		source := l.client.TokenSource(context.Background(), stale(l.peer, "rt-1"))
		late := l.late(source)
		_, err := source.Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		_, err = late()
		require.ErrorIs(t, err, client.ErrReauthorize)
		require.Len(t, l.messages("/token"), 1)
	})
}

// A caller may stop to wait before a slow server rejects the refresh.
func TestFailedRefreshesThatNoCallerWaitedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
	}{
		"CASES B4: REV-2.1-8 invalid_grant is final":  {400, `{"error":"invalid_grant"}`},
		"CASES B4: a failing server is left in peace": {503, `{"error":"temporarily_unavailable"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			entered, leave := make(chan struct{}, 8), make(chan struct{})
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				entered <- struct{}{}
				<-leave
				reply(w, tc.status, tc.body)
			}
			app := p.client()
			source := app.TokenSource(context.Background(), stale(p, "rt-1"))
			api, err := app.HTTPClient(source)
			require.NoError(t, err)
			giveUp(t, api, p.api.URL, entered)
			// A further source for the same token waits for the same refresh: when it
			// has the failure, the refresh has ended.
			other := make(chan error)
			go func() {
				_, err := app.TokenSource(context.Background(), stale(p, "rt-1")).Token()
				other <- err
			}()
			close(leave)
			require.Error(t, <-other)
			before := len(p.messages("/token"))
			_, err = source.Token()
			require.Error(t, err)
			require.Len(t, p.messages("/token"), before)
		})
	}
}
