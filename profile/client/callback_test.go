package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A slowBank is a server whose token endpoint waits, and a browser with an
// unfinished login.
type slowBank struct {
	*peer
	t              *testing.T
	entered, leave chan struct{}
	clock          *testkit.Clock
	header         http.Header // of the browser
	target         string      // of the callback
	callback       http.Handler
	done           chan *oauth2.Token
}

func newSlowBank(t *testing.T) *slowBank {
	b := &slowBank{
		peer: newPeer(t), t: t, entered: make(chan struct{}, 64), leave: make(chan struct{}), header: http.Header{}, done: make(chan *oauth2.Token, 64),
	}
	b.token = func(w http.ResponseWriter, _ *http.Request) {
		b.entered <- struct{}{}
		<-b.leave
		reply(w, 200, `{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}`)
	}
	app, sessions := b.client(), roletest.NewSessions(t)
	b.clock = b.peer.clock
	session, err := app.Begin(context.Background(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	for _, c := range putIn(t, sessions, nil, session) {
		b.header.Add("Cookie", c.Name+"="+c.Value)
	}
	b.target = "/cb?" + callback(session).Encode()
	b.callback = app.CallbackHandler(sessions, func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
		require.NoError(t, r.Context().Err(), "what the host does is not interrupted")
		b.done <- token
		w.WriteHeader(http.StatusNoContent)
	})
	return b
}

// visit sends a request of the browser.
func (b *slowBank) visit(ctx context.Context, more http.Header) *http.Response {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, b.target, nil)
	for _, h := range []http.Header{b.header, more} {
		for name, values := range h {
			r.Header[name] = values
		}
	}
	w := httptest.NewRecorder()
	b.callback.ServeHTTP(w, r)
	return w.Result()
}

func (b *slowBank) requireOneRedemption() { require.Len(b.t, b.messages("/token"), 1) }

func TestCallbackOfABrowserThatWentAway(t *testing.T) {
	gone := func(b *slowBank) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.visit(ctx, nil)
		}()
		<-b.entered
		cancel()
		close(b.leave)
		<-ended
		require.Equal(b.t, "at", (<-b.done).AccessToken, "the exchange goes on without the browser")
	}
	t.Run("CASES B2: the browser that comes again gets the result", func(t *testing.T) {
		b := newSlowBank(t)
		gone(b)
		response := b.visit(context.Background(), nil)
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.Equal(t, "rt", (<-b.done).RefreshToken)
		require.Len(t, response.Cookies(), 1)
		require.Negative(t, response.Cookies()[0].MaxAge)
		b.requireOneRedemption()
	})
	t.Run("AM-5.4a attack: a copy of URL and cookie after the browser has got its result", func(t *testing.T) {
		b := newSlowBank(t)
		gone(b)
		require.Equal(t, http.StatusNoContent, b.visit(context.Background(), nil).StatusCode)
		<-b.done
		require.Equal(t, http.StatusBadRequest, b.visit(context.Background(), nil).StatusCode)
		require.Empty(t, b.done)
		b.requireOneRedemption()
	})
	t.Run("CASES B2: it may go away again", func(t *testing.T) {
		b := newSlowBank(t)
		gone(b)
		again, cancel := context.WithCancel(context.Background())
		cancel()
		b.visit(again, nil)
		require.Equal(t, http.StatusNoContent, b.visit(context.Background(), nil).StatusCode)
		b.requireOneRedemption()
	})
	t.Run("attack: forged cookies take no room from the results of others", func(t *testing.T) {
		b := newSlowBank(t)
		forged, cancel := context.WithCancel(context.Background())
		cancel()
		target, header := b.target, b.header
		b.header = http.Header{"Cookie": {header.Get("Cookie") + "x"}}
		for i := range 1100 {
			b.target = target + "&n=" + strconv.Itoa(i)
			b.visit(forged, nil)
		}
		b.target, b.header = target, header
		gone(b)
		require.Equal(t, http.StatusNoContent, b.visit(context.Background(), nil).StatusCode)
		b.requireOneRedemption()
	})
	t.Run("CASES B2: for a minute", func(t *testing.T) {
		b := newSlowBank(t)
		gone(b)
		b.clock.Advance(time.Minute)
		require.Equal(t, http.StatusBadRequest, b.visit(context.Background(), nil).StatusCode)
		require.Empty(t, b.done)
		b.requireOneRedemption()
	})
	for name, change := range map[string]func(b *slowBank){
		"AM-5.4a attack: another browser with the URL":      func(b *slowBank) { b.header = nil },
		"AM-5.4a attack: with a cookie of its own":          func(b *slowBank) { b.header.Set("Cookie", b.header.Get("Cookie")+"x") },
		"AM-5.4a attack: another code":                      func(b *slowBank) { b.target = strings.Replace(b.target, "code-1", "code-2", 1) },
		"AM-5.4a attack: another issuer, the rest the same": func(b *slowBank) { b.target = strings.Replace(b.target, "iss=", "iss=x", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newSlowBank(t)
			gone(b)
			change(b)
			require.Equal(t, http.StatusBadRequest, b.visit(context.Background(), nil).StatusCode)
			require.Empty(t, b.done)
			b.requireOneRedemption()
		})
	}
	t.Run("CASES B2: a browser that got its response gets no second one", func(t *testing.T) {
		b := newSlowBank(t)
		close(b.leave)
		require.Equal(t, http.StatusNoContent, b.visit(context.Background(), nil).StatusCode)
		<-b.done
		require.Equal(t, http.StatusBadRequest, b.visit(context.Background(), nil).StatusCode, "a copy of the cookies")
		b.requireOneRedemption()
	})
}

func TestCallbacksAtOnce(t *testing.T) {
	t.Run("CASES B2: 16 at once are one redemption", func(t *testing.T) {
		b := newSlowBank(t)
		go func() {
			<-b.entered
			close(b.leave)
		}()
		good := make([]int, 16)
		testkit.Hammer(len(good), func(i int) { good[i] = b.visit(context.Background(), nil).StatusCode })
		require.Contains(t, good, http.StatusNoContent)
		for i := range len(b.done) {
			token := <-b.done
			require.Equal(t, "at", token.AccessToken, i)
			token.AccessToken = "changed by the host"
		}
		for _, status := range good { // one that came after the last had its response is too late
			require.Contains(t, []int{http.StatusNoContent, http.StatusBadRequest}, status)
		}
		b.requireOneRedemption()
	})
	t.Run("one that waits and goes away gets nothing", func(t *testing.T) {
		b := newSlowBank(t)
		first := make(chan struct{})
		go func() {
			defer close(first)
			b.visit(context.Background(), nil)
		}()
		<-b.entered
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.Equal(t, http.StatusBadGateway, b.visit(ctx, nil).StatusCode)
		close(b.leave)
		<-first
		require.Len(t, b.done, 1)
		b.requireOneRedemption()
	})
}

func TestSpeculativeCallbacks(t *testing.T) {
	b := newSlowBank(t)
	close(b.leave)
	for name, value := range map[string]string{
		"Sec-Purpose": "prefetch", "Purpose": "prefetch", "X-Purpose": "preview", "X-Moz": "prefetch",
	} {
		response := b.visit(context.Background(), http.Header{name: {value}})
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, name)
		require.Empty(t, response.Cookies())
	}
	require.Equal(t, http.StatusServiceUnavailable, b.visit(context.Background(), http.Header{"Sec-Purpose": {"prefetch;prerender"}}).StatusCode)
	require.Empty(t, b.messages("/token"))
	require.Equal(t, http.StatusNoContent, b.visit(context.Background(), nil).StatusCode, "it has used up nothing")

	p := newPeer(t)
	login := p.client().LoginHandler(roletest.NewSessions(t, func(c *client.SessionsConfig) { c.AllowGET = true }), func(*http.Request) (client.Request, error) {
		return client.Request{Scopes: []string{"a"}}, nil
	})
	r := httptest.NewRequest(http.MethodGet, "/login", nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Purpose", "prefetch")
	w := httptest.NewRecorder()
	login.ServeHTTP(w, r)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Empty(t, p.messages("/par"), "no login begins in advance")
}

func TestFinishIsNotInterrupted(t *testing.T) {
	b := newSlowBank(t)
	app := b.client()
	begin := func() *client.Session {
		session, err := app.Begin(context.Background(), client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		return session
	}
	for name, call := range map[string]func(context.Context) (*oauth2.Token, error){
		"CASES B2: a redemption": func(ctx context.Context) (*oauth2.Token, error) {
			session := begin()
			return app.Finish(ctx, session, callback(session))
		},
		"CASES B2: a refresh": func(ctx context.Context) (*oauth2.Token, error) { return app.Refresh(ctx, "rt", client.Request{}) },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-b.entered
			cancel()
			b.leave <- struct{}{}
		}()
		token, err := call(ctx)
		require.NoError(t, err, name)
		require.Equal(t, "at", token.AccessToken)

		before := len(b.messages("/token"))
		_, err = call(ctx)
		require.ErrorIs(t, err, context.Canceled, "%s that has not begun", name)
		require.Len(t, b.messages("/token"), before)
	}
}

// CASES A6: the consent must not remain at the server after a failed login.
func TestRejectedLoginsAreRevoked(t *testing.T) {
	for name, tc := range map[string]struct {
		body    string
		revoked url.Values
	}{
		"no ID token":            {`{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}`, url.Values{"token": {"rt"}, "token_type_hint": {"refresh_token"}}},
		"an ID token of another": {`{"access_token":"at","token_type":"DPoP","id_token":"e30.e30.AA"}`, url.Values{"token": {"at"}, "token_type_hint": {"access_token"}}},
	} {
		t.Run("CASES A6: "+name, func(t *testing.T) {
			p, ctx := newPeer(t), context.Background()
			p.metadata = func(m map[string]any) { m["revocation_endpoint"] = p.as.URL + "/revoke" }
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, tc.body) }
			app := p.client()
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
			require.NoError(t, err)
			_, err = app.Finish(ctx, session, callback(session))
			require.ErrorIs(t, err, client.ErrTokenResponse)
			sent := p.messages("/revoke")
			require.Len(t, sent, 1)
			for member, want := range tc.revoked {
				require.Equal(t, want, sent[0].form[member])
			}
		})
	}
}

func TestCookiesOfManyLogins(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app, clock := p.client(), testkit.NewClock(time.Now())
	sessions := roletest.NewSessions(t, func(c *client.SessionsConfig) { c.Now = clock.Now })
	var has []*http.Cookie
	for range 8 {
		clock.Advance(time.Second)
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}, Keep: strings.Repeat("k", 1024)})
		require.NoError(t, err)
		has = putIn(t, sessions, has, session)
		total := 0
		for _, c := range has {
			total += len(c.Name) + len(c.Value) + 3
		}
		require.LessOrEqual(t, total, 6<<10, "CASES B13: with what the application has of its own less than 8 KiB")
		_, _, err = takeFrom(sessions, has, "state="+session.State)
		require.NoError(t, err, "the latest login is always there")
	}
	require.GreaterOrEqual(t, len(has), 3)
}

func TestCookiesOfLoginsWithKeys(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	app, sessions := w.replica(), roletest.NewSessions(t)
	var has []*http.Cookie
	for range 6 {
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}, Keep: strings.Repeat("k", 100)})
		require.NoError(t, err)
		has = putIn(t, sessions, has, session)
	}
	require.Len(t, has, 6, "CASES B13: the keys leave room for six logins")
}
