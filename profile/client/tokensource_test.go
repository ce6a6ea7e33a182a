package client_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const freshToken = `{"access_token":"new","token_type":"DPoP","expires_in":3600}`

// stale returns a token that must be refreshed.
func stale(p *peer, refreshToken string) *oauth2.Token {
	return &oauth2.Token{AccessToken: "old", TokenType: "DPoP", RefreshToken: refreshToken, Expiry: p.clock.Now().Add(-time.Second)}
}

// Some web applications make a source of the stored token for each request.
func TestRefreshIsShared(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	entered, leave := make(chan struct{}, 64), make(chan struct{})
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		reply(w, 200, `{"access_token":"new","token_type":"DPoP","expires_in":3600,"refresh_token":"rt-2"}`)
	}
	got := make([]*oauth2.Token, 32)
	go func() { // the others come while the first one waits; if one comes later the test is none, but not wrong
		<-entered
		close(leave)
	}()
	testkit.Hammer(len(got), func(i int) { got[i], _ = app.TokenSource(ctx, stale(p, "rt-1")).Token() })
	for _, token := range got {
		require.NotNil(t, token)
		require.Equal(t, "new", token.AccessToken)
		require.Equal(t, "rt-2", token.RefreshToken, "SP-5.3.3.1-6")
	}
	_, err := app.TokenSource(ctx, stale(p, "rt-of-another-user")).Token()
	require.NoError(t, err)
	sent := p.messages("/token")
	require.Equal(t, "rt-of-another-user", sent[len(sent)-1].form.Get("refresh_token"))
}

// giveUp cancels a request after its refresh has entered the token endpoint.
func giveUp(t *testing.T, api *http.Client, url string, entered <-chan struct{}) {
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		_, err := api.Do(r)
		failed <- err
	}()
	<-entered
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
}

func TestRefreshWaiters(t *testing.T) {
	p := newPeer(t)
	app := p.client()
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	p.token = func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-leave:
			reply(w, 200, freshToken)
		case <-r.Context().Done():
		}
	}
	t.Run("a request that is given up does not wait, and takes nothing from the others", func(t *testing.T) {
		source := app.TokenSource(context.Background(), stale(p, "rt-1"))
		api, err := app.HTTPClient(source)
		require.NoError(t, err)
		giveUp(t, api, p.api.URL, entered)
		patient := make(chan *oauth2.Token)
		go func() {
			token, _ := source.Token()
			patient <- token
		}()
		leave <- struct{}{}
		token := <-patient
		require.NotNil(t, token)
		require.Equal(t, "new", token.AccessToken)
	})
	t.Run("what everybody has given up waiting for is kept", func(t *testing.T) {
		source := app.TokenSource(context.Background(), stale(p, "rt-3"))
		api, err := app.HTTPClient(source)
		require.NoError(t, err)
		giveUp(t, api, p.api.URL, entered)
		before := len(p.messages("/token"))
		leave <- struct{}{}
		token, err := source.Token() // in time, or afterwards
		require.NoError(t, err)
		require.Equal(t, "new", token.AccessToken)
		require.Len(t, p.messages("/token"), before, "it is not asked for again")
	})
	t.Run("CASES B2: a refresh outlives its source, and the next one gets its result", func(t *testing.T) {
		before := len(p.messages("/token"))
		hasty, cancel := context.WithCancel(context.Background())
		first, second := make(chan error), make(chan error)
		go func() {
			_, err := app.TokenSource(hasty, stale(p, "rt-2")).Token()
			first <- err
		}()
		<-entered
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		go func() {
			_, err := app.TokenSource(context.Background(), stale(p, "rt-2")).Token()
			second <- err
		}()
		close(leave)
		require.NoError(t, <-second)
		// The second source may come after the refresh has ended. It has the old
		// token then, and refreshes that.
		require.LessOrEqual(t, len(p.messages("/token")), before+2)
	})
}

// Callers send no requests to a server that has just failed.
func TestRefreshPauses(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	status, header := 503, http.Header{}
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		reply(w, status, map[bool]string{true: freshToken, false: `{"error":"temporarily_unavailable"}`}[status == 200])
	}
	source := app.TokenSource(ctx, stale(p, "rt-1"))
	asked := func(advance time.Duration) bool {
		p.clock.Advance(advance)
		before := len(p.messages("/token"))
		token, err := source.Token()
		if status == 200 && err == nil {
			require.Equal(t, "new", token.AccessToken)
			return true
		}
		said := (*oauth2.RetrieveError)(nil)
		require.ErrorAs(t, err, &said)
		require.Equal(t, "temporarily_unavailable", said.ErrorCode)
		return len(p.messages("/token")) > before
	}
	require.True(t, asked(0))
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		require.False(t, asked(0))
		require.False(t, asked(pause*time.Second-time.Millisecond))
		require.True(t, asked(time.Millisecond))
	}
	header.Set("Retry-After", "300")
	require.True(t, asked(time.Minute))
	require.False(t, asked(299*time.Second))
	header.Set("Retry-After", p.clock.Now().Add(100*time.Second).UTC().Format(http.TimeFormat))
	require.True(t, asked(time.Second))
	require.False(t, asked(90*time.Second))
	header.Set("Retry-After", "4000000000")
	require.True(t, asked(time.Hour))
	require.False(t, asked(9*time.Minute))
	status = 200
	require.True(t, asked(time.Minute), "10 minutes are the most that a server can ask for")

	t.Run("all who waited get the failure, which counts once", func(t *testing.T) {
		status, header = 503, http.Header{}
		source = app.TokenSource(ctx, stale(p, "rt-1"))
		testkit.Hammer(32, func(int) {
			_, err := source.Token()
			said := (*oauth2.RetrieveError)(nil)
			if errors.As(err, &said) {
				io.ReadAll(said.Response.Body)
			}
		})
		require.False(t, asked(999*time.Millisecond))
		require.True(t, asked(time.Millisecond))
	})
}

func TestRetryAfter(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0, "3600": 10 * time.Minute,
		"Mon, 01 Jan 2001 00:00:00 GMT": 0, "Fri, 01 Jan 2100 00:00:00 GMT": 10 * time.Minute,
	} {
		p.token = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			reply(w, 429, `{"error":"slow_down"}`)
		}
		p.push = p.token
		_, err := app.Refresh(ctx, "rt", client.Request{})
		require.Equal(t, want, app.RetryAfter(fmt.Errorf("wrapped: %w", err)), value)
		before := len(p.messages("/par"))
		_, err = app.Begin(ctx, client.Request{Scopes: []string{"a"}})
		require.Equal(t, want, app.RetryAfter(err), value)
		require.Len(t, p.messages("/par"), before+1, "nothing is repeated for it")
	}
	require.Zero(t, app.RetryAfter(nil))
	require.Zero(t, app.RetryAfter(&oauth2.RetrieveError{ErrorCode: "access_denied"}))
}

// panicking is a key that panics.
type panicking struct{ crypto.Signer }

func (panicking) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	panic("the module is gone")
}

func TestRefreshPanics(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	cfg := p.config()
	cfg.Key = panicking{cfg.Key}
	app, err := client.New(ctx, cfg)
	require.NoError(t, err)
	source := app.TokenSource(ctx, stale(p, "rt"))
	for range 2 {
		require.PanicsWithValue(t, "the module is gone", func() { source.Token() }, "where net/http can recover from it")
	}
}
