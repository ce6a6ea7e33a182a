package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// unsaved lets a process refresh the token of alice and fail to save it. The
// process retries only once in half a second by then.
func (w *storedWorld) unsaved(change ...func(*client.Config)) *client.Client {
	reported := make(chan error, 1024)
	app := w.replica(append(change, func(c *client.Config) {
		if c.Tokens.Report == nil {
			c.Tokens.Report = func(_ context.Context, err error) { reported <- err }
		}
	})...)
	w.login(app, "alice")
	w.clock.Advance(time.Hour)
	w.token = func(rw http.ResponseWriter, r *http.Request) {
		w.store.set(func(operation string) error {
			if operation == "Swap" {
				return errors.New("connection refused")
			}
			return nil
		})
		w.serveToken(rw, r)
		w.token = w.serveToken
	}
	_, err := app.StoredToken("alice").Token()
	require.NoError(w.peer.t, err)
	for range 6 {
		<-reported
	}
	return app
}

func TestUnsavedStoredTokens(t *testing.T) {
	t.Run("an API that rejects an unsaved token receives it once more", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.unsaved()
		w.access = "revoked"
		api, err := app.HTTPClient(app.StoredToken("alice"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.URL, nil)
		require.NoError(t, err)
		response, err := api.Do(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
		require.NoError(t, ctx.Err(), "the request does not wait for the store")
		w.store.set(nil)
	})
	t.Run("an unsaved token that has expired is not used", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.unsaved()
		w.clock.Advance(300 * time.Second)
		_, err := app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrStore)
		w.store.set(nil)
		require.Eventually(t, func() bool {
			token, err := app.StoredToken("alice").Token()
			return err == nil && token.AccessToken == "at-2"
		}, 10*time.Second, 10*time.Millisecond)
	})
	t.Run("an unsaved token is not used after a deletion", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.unsaved()
		other := w.replica(func(c *client.Config) { c.Tokens.Store = w.store.Store })
		require.NoError(t, other.StoredToken("alice").Delete(t.Context()))
		_, err := app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		w.store.set(nil)
	})
	t.Run("a process that returns after an outage saves its token before another refresh", func(t *testing.T) {
		w := newStoredWorld(t, true)
		w.unsaved()
		w.clock.Advance(time.Minute) // longer than the lease
		w.store.set(nil)
		app := w.replica()
		status, err := w.get(app, app.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, 1, w.refreshes())
		require.False(t, w.killed, "the server would have ended the family")
	})
	t.Run("a panic of Report or the store does not lose the token", func(t *testing.T) {
		w := newStoredWorld(t, true)
		panics := atomic.Int32{}
		app := w.replica(func(c *client.Config) {
			c.Tokens.Report = func(context.Context, error) { panic("a bug of the host") }
		})
		w.login(app, "alice")
		w.clock.Advance(time.Hour)
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			w.store.set(func(operation string) error {
				if operation == "Swap" && panics.Add(1) < 3 {
					panic("secret-1")
				}
				return nil
			})
			w.serveToken(rw, r)
		}
		_, err := app.StoredToken("alice").Token()
		require.NoError(t, err)
		other := w.replica()
		status, err := w.get(other, other.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, 1, w.refreshes())
	})
}

// A key in a hardware module needs a minute for a signature, or the process was
// suspended. Its lease has ended before it can send the refresh.
func TestStoredTokenIsNotRefreshedAfterTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{t: t, as: &httptest.Server{URL: "https://as.example"}, seen: map[string][]recorded{}}
		shared := newEntryStore(t, time.Now)
		requests := 0
		send := func(url.Values) *http.Response { requests++; return refreshed() }
		slow := p.process(shared, send, func(c *client.Config) {
			c.Requests = &client.RequestConfig{AssertionClaims: func(context.Context) (map[string]any, error) {
				time.Sleep(time.Minute)
				return nil, nil
			}}
		})
		other := p.process(shared, send)
		require.NoError(t, slow.Save(t.Context(), &oauth2.Token{RefreshToken: "rt-0"}))
		go slow.Token()
		time.Sleep(time.Second)
		for {
			token, err := other.Token()
			if err == nil {
				require.Equal(t, "at", token.AccessToken)
				break
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		time.Sleep(time.Minute)
		token, err := slow.Token()
		require.NoError(t, err)
		require.Equal(t, "at", token.AccessToken)
		require.Equal(t, 1, requests, "two processes send one refresh token once")
	})
}

func TestChangedBindingOfStoredTokens(t *testing.T) {
	for name, change := range map[string]func(*client.Config){
		"from one key to a key for each login": func(c *client.Config) { c.DPoPKey = testkit.ECKey(t, "hsm") },
		"from a certificate to DPoP": func(c *client.Config) {
			c.MutualTLS = &client.MutualTLS{BindTokens: true, Certificate: testkit.Certify(t, "c-1", nil)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStoredWorld(t, true)
			w.says("tls_client_certificate_bound_access_tokens", true)
			before := w.replica(change)
			w.token = func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("DPoP") == "" { // it is bound to the certificate
					reply(rw, 200, `{"access_token":"at","token_type":"Bearer","expires_in":300,"refresh_token":"rt-0"}`)
					return
				}
				w.serveToken(rw, r)
			}
			w.login(before, "alice")
			w.refresh = "rt-0"
			if name == "from one key to a key for each login" {
				w.refresh = "rt-of-code-1"
			}
			replicas := []*client.Client{w.replica(), w.replica()}
			for i := range 6 {
				if i == 4 {
					replicas[0] = w.replica() // a restart
				}
				app := replicas[i%2]
				status, err := w.get(app, app.StoredToken("alice"))
				require.NoError(t, err)
				require.Equal(t, 200, status)
				require.Equal(t, 1, w.refreshes(), "the new key is stored with the token")
			}
		})
	}
	t.Run("from a key for each login to a certificate", func(t *testing.T) {
		w := newStoredWorld(t, true)
		w.says("tls_client_certificate_bound_access_tokens", true)
		w.login(w.replica(), "alice")
		w.token = func(rw http.ResponseWriter, _ *http.Request) {
			reply(rw, 200, `{"access_token":"at","token_type":"Bearer","expires_in":300}`)
		}
		w.respond = func(http.ResponseWriter, *http.Request) {}
		app := w.replica(func(c *client.Config) {
			c.MutualTLS = &client.MutualTLS{BindTokens: true, Certificate: testkit.Certify(t, "c-1", nil)}
		})
		_, err := w.get(app, app.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, "Bearer at", w.last("/").header.Get("Authorization"))
	})
}

func TestPauseOfAWrongClock(t *testing.T) {
	w := newStoredWorld(t, true)
	app := w.replica()
	w.login(app, "alice")
	ahead := w.replica(func(c *client.Config) {
		c.Hooks.Now = func() time.Time { return w.clock.Now().Add(24 * time.Hour) }
	})
	w.fails = func(rw http.ResponseWriter, _ *http.Request) { reply(rw, 503, `{}`) }
	_, err := ahead.StoredToken("alice").Token()
	require.Error(t, err)
	w.fails = nil
	w.clock.Advance(time.Hour)
	_, err = app.StoredToken("alice").Token()
	require.NoError(t, err, "a pause lasts some minutes")
}

// An unreliableStore is slow. An eighth of its operations fails, and half of
// those take effect. Sometimes it is down for up to two minutes.
type unreliableStore struct {
	store.Store
	random func(n int) int
	mu     sync.Mutex
	down   time.Time // until then
}

var errUnreliable = errors.New("connection reset")

// operate runs an operation, or fails before or after it.
func (s *unreliableStore) operate(operation func()) error {
	time.Sleep(time.Duration(s.random(300)) * time.Millisecond)
	s.mu.Lock()
	if s.random(400) == 0 {
		s.down = time.Now().Add(time.Duration(s.random(120)) * time.Second)
	}
	down := time.Now().Before(s.down)
	s.mu.Unlock()
	fails := down || s.random(8) == 0
	if !fails || !down && s.random(2) == 0 {
		operation()
	}
	if fails {
		return errUnreliable
	}
	return nil
}

func (s *unreliableStore) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	failed := s.operate(func() { value, version, err = s.Store.Get(ctx, key) })
	return value, version, cmp.Or(failed, err)
}

func (s *unreliableStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (ok bool, err error) {
	failed := s.operate(func() { ok, err = s.Store.Add(ctx, key, value, expires) })
	return ok, cmp.Or(failed, err)
}

func (s *unreliableStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (ok bool, err error) {
	failed := s.operate(func() { ok, err = s.Store.Swap(ctx, key, version, value, expires) })
	return ok, cmp.Or(failed, err)
}

// Three processes, whose clocks differ by 7 seconds, use a token for an hour.
// The server rotates refresh tokens, and responds after up to 20 seconds.
func TestStoredTokenInAnUnreliableStore(t *testing.T) {
	for seed := range uint64(24) {
		synctest.Test(t, func(t *testing.T) {
			source, mu := rand.New(rand.NewPCG(seed, 1)), sync.Mutex{}
			random := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return source.IntN(n)
			}
			memory, err := store.NewMemory(store.MemoryConfig{})
			require.NoError(t, err)
			shared := &unreliableStore{Store: memory, random: random}
			p := &peer{t: t, as: &httptest.Server{URL: "https://as.example"}, seen: map[string][]recorded{}}
			used, ends := sync.Map{}, sync.Map{} // by refresh token and by access token
			count := atomic.Int32{}
			send := func(form url.Values) *http.Response {
				time.Sleep(time.Duration(random(5000)) * time.Millisecond)
				_, again := used.LoadOrStore(form.Get("refresh_token"), true)
				assert.False(t, again, "seed %d: a refresh token was sent twice", seed)
				access := fmt.Sprintf("at-%d", count.Add(1))
				ends.Store(access, time.Now().Add(time.Minute))
				time.Sleep(time.Duration(random(15000)) * time.Millisecond)
				w := httptest.NewRecorder()
				reply(w, 200, map[string]any{
					"access_token": access, "token_type": "DPoP", "expires_in": 60, "refresh_token": "rt of " + access,
				})
				return w.Result()
			}
			var all sync.WaitGroup
			end := time.Now().Add(time.Hour)
			for i, ahead := range []time.Duration{0, 3 * time.Second, -4 * time.Second} {
				alice := p.process(shared, send, func(c *client.Config) {
					c.Hooks.Now = func() time.Time { return time.Now().Add(ahead) }
				})
				for i == 0 && alice.Save(t.Context(), &oauth2.Token{RefreshToken: "rt"}) != nil {
					time.Sleep(time.Second)
				}
				for range 2 {
					all.Go(func() {
						for time.Now().Before(end) {
							time.Sleep(time.Duration(random(4000)) * time.Millisecond)
							token, err := alice.Token()
							if err != nil {
								assert.NotErrorIs(t, err, client.ErrReauthorize, "seed %d", seed)
								continue
							}
							// The response takes 15 seconds, the clock is 4 seconds behind.
							expiry, _ := ends.Load(token.AccessToken)
							assert.Less(t, time.Since(expiry.(time.Time)), 22*time.Second, "seed %d", seed)
						}
					})
				}
			}
			all.Wait()
			require.Greater(t, count.Load(), int32(30))
			time.Sleep(15 * time.Minute) // a token may not be saved yet
		})
	}
}
