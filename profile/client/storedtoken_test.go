package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// An entryStore is a store whose operations a test observes and lets fail.
type entryStore struct {
	store.Store
	mu   sync.Mutex
	keys []string                     // of all Adds
	fail func(operation string) error // nil: nothing fails
	lost bool                         // a failing operation takes effect all the same
}

func newEntryStore(t testing.TB, now func() time.Time) *entryStore {
	memory, err := store.NewMemory(store.MemoryConfig{Now: now})
	require.NoError(t, err)
	return &entryStore{Store: memory}
}

func (s *entryStore) failing(operation string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		return nil
	}
	return s.fail(operation)
}

func (s *entryStore) set(fail func(operation string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *entryStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	if err := s.failing("Add"); err != nil {
		return false, err
	}
	s.mu.Lock()
	s.keys = append(s.keys, key)
	s.mu.Unlock()
	return s.Store.Add(ctx, key, value, expires)
}

func (s *entryStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := s.failing("Get"); err != nil {
		return nil, 0, err
	}
	return s.Store.Get(ctx, key)
}

func (s *entryStore) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (bool, error) {
	if err := s.failing("Swap"); err != nil {
		if s.lost {
			s.Store.Swap(ctx, key, version, value, expires)
		}
		return false, err
	}
	return s.Store.Swap(ctx, key, version, value, expires)
}

// entry returns the bytes of the entry that was added last.
func (s *entryStore) entry(t testing.TB) (key string, value []byte, version int64) {
	key = s.keys[len(s.keys)-1]
	value, version, err := s.Store.Get(context.Background(), key)
	require.NoError(t, err)
	return key, value, version
}

// overwrite replaces the bytes of an entry.
func (s *entryStore) overwrite(t testing.TB, key string, value []byte) {
	_, version, err := s.Store.Get(context.Background(), key)
	require.NoError(t, err)
	swapped, err := s.Store.Swap(context.Background(), key, version, value, time.Now().Add(1e6*time.Hour))
	require.NoError(t, err)
	require.True(t, swapped)
}

// A family is a token endpoint with a chain of refresh tokens. It binds access
// tokens to the key of the proof. The API of the peer accepts only the latest.
type family struct {
	p       *peer
	rotates bool
	mu      sync.Mutex
	count   int    // refreshes
	refresh string // the valid refresh token
	access  string
	jwk     string // of the key that access is bound to
	killed  bool   // an old refresh token was used
	fails   http.HandlerFunc
	answer  map[string]any // further members of a response
}

func newFamily(p *peer, rotates bool) *family {
	f := &family{p: p, rotates: rotates, refresh: "rt-0", access: "at-0"}
	p.token, p.respond = f.serveToken, f.serveAPI
	return f
}

// proofJWK returns the public key of a proof.
func proofJWK(t testing.TB, r http.Header) string {
	head, _, _ := strings.Cut(r.Get("DPoP"), ".")
	return fmt.Sprint(jwtClaims(t, "."+head+".")["jwk"])
}

func (f *family) serveToken(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		f.count++
		f.fails(w, r)
		return
	}
	if f.jwk = proofJWK(f.p.t, r.Header); r.Form.Get("grant_type") == "refresh_token" {
		f.count++
		if sent := r.Form.Get("refresh_token"); f.killed || sent != f.refresh {
			f.killed = true
			reply(w, 400, `{"error":"invalid_grant"}`)
			return
		}
		if f.rotates {
			f.refresh = fmt.Sprintf("rt-%d", f.count)
		}
		f.access = fmt.Sprintf("at-%d", f.count)
	} else { // a login begins another family
		f.killed, f.refresh = false, "rt-of-"+r.Form.Get("code")
		f.access = "at-of-" + r.Form.Get("code")
	}
	response := map[string]any{"access_token": f.access, "token_type": "DPoP", "expires_in": 300, "refresh_token": f.refresh}
	details, _ := f.answer["authorization_details"].(string)
	for name, value := range f.answer {
		response[name] = value
	}
	if details == "" {
		reply(w, 200, response)
		return
	}
	delete(response, "authorization_details")
	body, _ := json.Marshal(response)
	reply(w, 200, string(body[:len(body)-1])+`,"authorization_details":`+details+"}") // encoding/json would change it
}

func (f *family) serveAPI(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Authorization") != "DPoP "+f.access || proofJWK(f.p.t, r.Header) != f.jwk {
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (f *family) refreshes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// A storedWorld has replicas of an application that share a store.
type storedWorld struct {
	*peer
	*family
	store *entryStore
	keys  [][]byte
}

func newStoredWorld(t testing.TB, rotates bool) *storedWorld {
	p := newPeer(t)
	return &storedWorld{p, newFamily(p, rotates), newEntryStore(t, p.clock.Now), [][]byte{[]byte(strings.Repeat("k", 32))}}
}

func (w *storedWorld) replica(change ...func(*client.Config)) *client.Client {
	cfg := w.config()
	cfg.Tokens = &client.Tokens{Store: w.store, Keys: w.keys}
	for _, f := range change {
		f(&cfg)
	}
	app, err := client.New(context.Background(), cfg)
	require.NoError(w.peer.t, err)
	return app
}

// login stores a token of a user, as an application does after its login.
func (w *storedWorld) login(app *client.Client, user string) *client.StoredToken {
	ctx := context.Background()
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(w.peer.t, err)
	token, err := app.Finish(ctx, session, callback(session))
	require.NoError(w.peer.t, err)
	stored := app.StoredToken(user)
	require.NoError(w.peer.t, stored.Save(ctx, token))
	return stored
}

// get calls the API and returns the status.
func (w *storedWorld) get(app *client.Client, source oauth2.TokenSource) (int, error) {
	api, err := app.HTTPClient(source)
	if err != nil {
		return 0, err
	}
	response, err := api.Get(w.peer.api.URL)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	return response.StatusCode, nil
}

func TestStoredTokenOfALogin(t *testing.T) {
	w, ctx := newStoredWorld(t, false), context.Background()
	first, second := w.replica(), w.replica()
	const details = `[ {"type":"payment", "amount": 12345678901234567890.10, "to":"<A&B>"} ]`
	w.answer = map[string]any{"scope": "openid a", "grant_id": "g-1", "authorization_details": details}
	issuer := w.idTokens()
	browser := roletest.NewApplication(t, first)
	var nonce string
	w.push = func(rw http.ResponseWriter, r *http.Request) {
		nonce = r.Form.Get("nonce")
		reply(rw, http.StatusCreated, `{"request_uri":"urn:ietf:params:oauth:request_uri:x-1","expires_in":60}`)
	}
	w.token = func(rw http.ResponseWriter, r *http.Request) {
		raw, err := issuer.Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: nonce})
		require.NoError(t, err)
		w.answer["id_token"] = raw
		w.serveToken(rw, r)
	}
	browser.Login()
	state := w.last("/par").form.Get("state")
	browser.Visit("GET", "/cb?code=1&state="+state+"&iss="+w.as.URL)
	require.NoError(t, browser.Failed)
	token := browser.Finished[0]
	require.Equal(t, proofJWK(t, w.last("/par").header), proofJWK(t, w.last("/token").header), "the code is bound to the key of the push")
	require.Equal(t, "alice", client.Subject(token))
	require.NoError(t, first.StoredToken("user 1").Save(ctx, token))

	for name, app := range map[string]*client.Client{"the same process": first, "another process": second} {
		t.Run(name, func(t *testing.T) {
			loaded, err := app.StoredToken("user 1").Load(ctx)
			require.NoError(t, err)
			require.Equal(t, token.AccessToken, loaded.AccessToken)
			require.Equal(t, token.RefreshToken, loaded.RefreshToken)
			require.Equal(t, "openid a", loaded.Extra("scope"))
			require.Equal(t, "g-1", loaded.Extra("grant_id"))
			require.Equal(t, token.Extra("id_token"), loaded.Extra("id_token"))
			require.Equal(t, details, string(client.AuthorizationDetails(loaded)), "byte for byte")
			require.Equal(t, "alice", client.Subject(loaded))
			require.WithinDuration(t, token.Expiry, loaded.Expiry, time.Second)
			status, err := w.get(app, app.StoredToken("user 1"))
			require.NoError(t, err)
			require.Equal(t, 200, status, "the proof has the key of the login")
			status, err = w.get(app, oauth2.StaticTokenSource(loaded))
			require.NoError(t, err)
			require.Equal(t, 200, status, "the token remembers its key")
		})
	}
	t.Run("a refresh that omits members keeps them", func(t *testing.T) {
		w.answer = nil
		w.token = w.serveToken
		w.clock.Advance(time.Hour)
		_, err := second.StoredToken("user 1").Token()
		require.NoError(t, err)
		loaded, err := first.StoredToken("user 1").Load(ctx)
		require.NoError(t, err)
		require.Equal(t, "at-1", loaded.AccessToken)
		require.Equal(t, "g-1", loaded.Extra("grant_id"))
		require.Equal(t, details, string(client.AuthorizationDetails(loaded)))
		require.Equal(t, "alice", client.Subject(loaded))
		status, err := w.get(first, first.StoredToken("user 1"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
	})
	t.Run("each login has a key of its own", func(t *testing.T) {
		before := proofJWK(t, w.last("/token").header)
		w.login(first, "user 2")
		require.NotEqual(t, before, proofJWK(t, w.last("/token").header))
	})
	t.Run("attack: the entry reveals neither token nor user", func(t *testing.T) {
		require.NotEmpty(t, w.store.keys)
		for _, key := range w.store.keys {
			value, _, err := w.store.Get(ctx, key)
			require.NoError(t, err)
			for _, secret := range []string{"rt-of-1", "at-of-code-1", "rt-of-code-1", "user 1", "user 2", "alice", details} {
				require.NotContains(t, key, secret)
				require.NotContains(t, string(value), secret)
			}
		}
	})
	require.Empty(t, client.Subject(nil))
	require.Empty(t, client.Subject(&oauth2.Token{}))
}

func TestStoredTokenIsRefreshedOnce(t *testing.T) {
	for name, rotates := range map[string]bool{"CASES B3: by a server that rotates": true, "by a server that does not rotate": false} {
		t.Run(name, func(t *testing.T) {
			w := newStoredWorld(t, rotates)
			replicas := []*client.Client{w.replica(), w.replica()}
			w.login(replicas[0], "alice")
			for expiry := range 12 {
				w.clock.Advance(300 * time.Second)
				if expiry%4 == 3 {
					replicas[expiry%2] = w.replica() // a restart
				}
				testkit.Hammer(32, func(i int) {
					app := replicas[i%2]
					status, err := w.get(app, app.StoredToken("alice"))
					assert.NoError(t, err)
					assert.Equal(t, 200, status)
				})
				require.Equal(t, expiry+1, w.refreshes())
			}
			require.False(t, w.killed)
		})
	}
}

func TestStoredTokenEnds(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	first, second := w.replica(), w.replica()
	alice := second.StoredToken("alice") // which the second process keeps
	_, err := alice.Token()
	require.ErrorIs(t, err, client.ErrReauthorize, "the store has no token")
	_, err = alice.Load(ctx)
	require.ErrorIs(t, err, client.ErrReauthorize)
	w.login(first, "alice")
	_, err = alice.Token()
	require.NoError(t, err, "a login ends this state in all processes")

	t.Run("REV-2.1-8 invalid_grant is final for all processes", func(t *testing.T) {
		w.killed = true
		w.clock.Advance(time.Hour)
		for _, app := range []*client.Client{first, second} {
			testkit.Hammer(8, func(int) {
				_, err := app.StoredToken("alice").Token()
				assert.ErrorIs(t, err, client.ErrReauthorize)
			})
		}
		_, err := alice.Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		require.Equal(t, 1, w.refreshes())
	})
	t.Run("CASES B4: a source that was dead revives after a login at another process", func(t *testing.T) {
		w.login(first, "alice")
		status, err := w.get(second, alice)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, 1, w.refreshes())
	})
	t.Run("a token without a refresh token ends with its expiry", func(t *testing.T) {
		w.answer = map[string]any{"refresh_token": nil}
		w.login(first, "bob")
		_, err := second.StoredToken("bob").Token()
		require.NoError(t, err)
		w.clock.Advance(time.Hour)
		_, err = second.StoredToken("bob").Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		require.ErrorIs(t, err, client.ErrNoRefreshToken)
		w.answer = nil
	})
	t.Run("an entry ends after Lifetime", func(t *testing.T) {
		brief := w.replica(func(c *client.Config) { c.Tokens.Lifetime = time.Hour })
		carol := w.login(brief, "carol")
		w.clock.Advance(time.Hour)
		_, err := carol.Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		w.login(brief, "carol")
		_, err = carol.Token()
		require.NoError(t, err)
	})
	t.Run("Delete", func(t *testing.T) {
		dave := w.login(first, "dave")
		require.NoError(t, dave.Delete(ctx))
		require.NoError(t, dave.Delete(ctx))
		require.NoError(t, first.StoredToken("unknown").Delete(ctx))
		_, err := second.StoredToken("dave").Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
		_, value, _ := w.store.entry(t)
		require.Len(t, value, 1, "nothing remains")
		w.login(second, "dave")
		_, err = dave.Token()
		require.NoError(t, err)
	})
}

func TestRevokeStoredToken(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	w.says("revocation_endpoint", w.as.URL+"/token")
	app := w.replica()
	alice := w.login(app, "alice")
	status := 503
	w.token = func(rw http.ResponseWriter, r *http.Request) {
		reply(rw, status, `{"error":"temporarily_unavailable"}`)
	}
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, alice.Revoke(ctx), &said)
	_, err := alice.Token()
	require.NoError(t, err, "the entry remains until the server has revoked the token")
	status = 200
	require.NoError(t, alice.Revoke(ctx))
	require.Equal(t, "rt-of-code-1", w.last("/token").form.Get("token"))
	_, err = alice.Token()
	require.ErrorIs(t, err, client.ErrReauthorize)
	sent := len(w.messages("/token"))
	require.NoError(t, alice.Revoke(ctx))
	require.NoError(t, app.StoredToken("unknown").Revoke(ctx))
	require.Len(t, w.messages("/token"), sent)
}

func TestStoredTokenPauses(t *testing.T) {
	w := newStoredWorld(t, false)
	first, second := w.replica(), w.replica()
	w.login(first, "alice")
	header := ""
	w.fails = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", header)
		reply(rw, 503, `{"error":"temporarily_unavailable"}`)
	}
	w.clock.Advance(time.Hour)
	asked := func(advance time.Duration) bool {
		w.clock.Advance(advance)
		before := w.refreshes()
		for _, app := range []*client.Client{first, second, first} {
			_, err := app.StoredToken("alice").Token()
			require.ErrorContains(t, err, "temporarily_unavailable")
			require.NotErrorIs(t, err, client.ErrReauthorize)
		}
		require.LessOrEqual(t, w.refreshes(), before+1, "the processes share the pause")
		return w.refreshes() > before
	}
	require.True(t, asked(0))
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		require.False(t, asked(pause*time.Second-time.Millisecond))
		require.True(t, asked(time.Millisecond), pause)
	}
	header = "300"
	require.True(t, asked(time.Minute))
	require.False(t, asked(299*time.Second))
	w.fails = nil
	w.clock.Advance(time.Second)
	_, err := second.StoredToken("alice").Token()
	require.NoError(t, err)
}

func TestRejectedStoredToken(t *testing.T) {
	w := newStoredWorld(t, true)
	replicas := []*client.Client{w.replica(), w.replica()}
	w.login(replicas[0], "alice")
	call := func() (accepted int) {
		var mu sync.Mutex
		testkit.Hammer(16, func(i int) {
			app := replicas[i%2]
			status, err := w.get(app, app.StoredToken("alice"))
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			if status == 200 {
				accepted++
			}
		})
		return accepted
	}
	t.Run("CASES B6: a revoked token is refreshed once for all processes", func(t *testing.T) {
		w.access = "revoked"
		require.Equal(t, 16, call())
		require.Equal(t, 1, w.refreshes())
	})
	t.Run("an API that rejects every token costs one refresh", func(t *testing.T) {
		w.clock.Advance(300 * time.Second)
		require.Equal(t, 16, call())
		before := w.refreshes()
		w.respond = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
			rw.WriteHeader(http.StatusUnauthorized)
		}
		for range 3 {
			require.Zero(t, call())
		}
		require.Equal(t, before+1, w.refreshes())
	})
}

func TestUnreadableStoredTokens(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	app := w.replica()
	w.login(app, "mallory")
	_, foreign, _ := w.store.entry(t)
	otherKey := func(c *client.Config) { c.Tokens.Keys = [][]byte{[]byte(strings.Repeat("x", 32))} }
	for _, tc := range []struct {
		name   string
		damage func(entry []byte) []byte
		by     *client.Client // which reads it
		text   string
	}{
		{"damaged", func(e []byte) []byte { e[len(e)-1] ^= 1; return e }, app, "changed"},
		{"cut", func(e []byte) []byte { return e[:20] }, app, "changed"},
		{"empty", func(e []byte) []byte { return nil }, app, "unknown format"},
		{"of another program", func(e []byte) []byte { return []byte("a value of another program") }, app, "unknown format"},
		{"attack: of another user", func([]byte) []byte { return foreign }, app, "another user"},
		{"attack: not encrypted", func([]byte) []byte { return []byte("\x00" + `{"access_token":"evil","ends":9999999999}`) }, app, "not encrypted"},
		{"a wrong encryption key", nil, w.replica(otherKey), "encrypted with key"},
		{"no encryption key", nil, w.replica(func(c *client.Config) {
			c.Tokens.Keys, c.Tokens.InsecureAllowPlaintext = nil, true
		}), "Keys are missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.login(app, tc.name)
			key, entry, _ := w.store.entry(t)
			if tc.damage != nil {
				w.store.overwrite(t, key, tc.damage(append([]byte(nil), entry...)))
			}
			_, before, version := w.store.entry(t)
			sent := len(w.messages("/token"))
			stored := tc.by.StoredToken(tc.name)
			_, err := stored.Token()
			require.ErrorIs(t, err, client.ErrStoredToken)
			require.ErrorContains(t, err, tc.text)
			require.NotErrorIs(t, err, client.ErrReauthorize)
			_, err = stored.Load(ctx)
			require.ErrorIs(t, err, client.ErrStoredToken)
			require.ErrorIs(t, stored.Save(ctx, &oauth2.Token{RefreshToken: "rt"}), client.ErrStoredToken)
			require.ErrorIs(t, stored.Revoke(ctx), client.ErrStoredToken)
			_, after, later := w.store.entry(t)
			require.Equal(t, version, later, "the entry is not overwritten")
			require.Equal(t, before, after)
			require.Len(t, w.messages("/token"), sent)

			require.NoError(t, stored.Delete(ctx))
			w.login(app, tc.name)
			_, err = app.StoredToken(tc.name).Token()
			require.NoError(t, err)
		})
	}
	t.Run("keys rotate", func(t *testing.T) {
		old, fresh := w.keys[0], []byte(strings.Repeat("n", 32))
		appended := w.replica(func(c *client.Config) { c.Tokens.Keys = [][]byte{old, fresh} })
		moved := w.replica(func(c *client.Config) { c.Tokens.Keys = [][]byte{fresh, old} })
		removed := w.replica(func(c *client.Config) { c.Tokens.Keys = [][]byte{fresh} })
		w.login(app, "alice")
		for _, replica := range []*client.Client{app, appended, moved} {
			_, err := replica.StoredToken("alice").Token()
			require.NoError(t, err)
		}
		_, err := removed.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrStoredToken)
		w.clock.Advance(time.Hour) // a refresh encrypts with the first key
		_, err = moved.StoredToken("alice").Token()
		require.NoError(t, err)
		_, err = removed.StoredToken("alice").Token()
		require.NoError(t, err)
		_, err = app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrStoredToken)
	})
	t.Run("entries without encryption become encrypted", func(t *testing.T) {
		plain := w.replica(func(c *client.Config) { c.Tokens.Keys, c.Tokens.InsecureAllowPlaintext = nil, true })
		both := w.replica(func(c *client.Config) { c.Tokens.InsecureAllowPlaintext = true })
		w.login(plain, "alice 2")
		_, err := app.StoredToken("alice 2").Token()
		require.ErrorIs(t, err, client.ErrStoredToken)
		w.clock.Advance(time.Hour)
		_, err = both.StoredToken("alice 2").Token()
		require.NoError(t, err)
		_, err = app.StoredToken("alice 2").Token()
		require.NoError(t, err)
	})
}

func TestStoredTokenOfAFailingStore(t *testing.T) {
	down := errors.New("connection refused")
	always := func(string) error { return down }
	t.Run("a token that was read serves until it expires", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		alice := w.login(app, "alice")
		_, err := alice.Token()
		require.NoError(t, err)
		w.store.set(always)
		for range 4 {
			w.clock.Advance(time.Minute)
			_, err = alice.Token()
			require.NoError(t, err)
		}
		_, err = app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrStore, "that one was not read")
		require.ErrorIs(t, err, down)
		w.clock.Advance(time.Minute)
		_, err = alice.Token()
		require.ErrorIs(t, err, client.ErrStore)
		require.NotErrorIs(t, err, client.ErrReauthorize)
		require.Zero(t, w.refreshes(), "no refresh without a lease")
		require.ErrorIs(t, alice.Save(context.Background(), &oauth2.Token{RefreshToken: "rt"}), client.ErrStore)
		require.ErrorIs(t, alice.Delete(context.Background()), client.ErrStore)
		require.ErrorIs(t, alice.Revoke(context.Background()), client.ErrStore)
		w.store.set(nil)
		_, err = alice.Token()
		require.NoError(t, err, "nothing is lost")
		require.Equal(t, 1, w.refreshes())
	})
	t.Run("a lease whose write was reported as failed is found", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		w.login(app, "alice")
		w.clock.Advance(time.Hour)
		once := sync.Once{}
		w.store.lost = true
		w.store.set(func(operation string) (err error) {
			if operation == "Swap" {
				once.Do(func() { err = down })
			}
			return err
		})
		_, err := app.StoredToken("alice").Token()
		require.NoError(t, err)
		require.Equal(t, 1, w.refreshes())
	})
	for name, lost := range map[string]bool{"": false, ", and a write took effect": true} {
		t.Run("a token that cannot be saved is used and saved later"+name, func(t *testing.T) {
			w := newStoredWorld(t, true)
			reported := make(chan error, 64)
			first := w.replica(func(c *client.Config) { c.Tokens.Report = func(_ context.Context, err error) { reported <- err } })
			second := w.replica()
			w.login(first, "alice")
			w.clock.Advance(time.Hour)
			w.store.lost = lost
			w.token = func(rw http.ResponseWriter, r *http.Request) {
				w.store.set(always)
				w.serveToken(rw, r)
			}
			for range 2 {
				status, err := w.get(first, first.StoredToken("alice"))
				require.NoError(t, err)
				require.Equal(t, 200, status)
			}
			require.ErrorIs(t, <-reported, down)
			w.store.set(nil)
			status, err := w.get(second, second.StoredToken("alice"))
			require.NoError(t, err)
			require.Equal(t, 200, status)
			require.Equal(t, 1, w.refreshes())
		})
	}
}

func TestStoredTokenLeases(t *testing.T) {
	t.Run("a crashed process delays the others until its lease ends", func(t *testing.T) {
		w := newStoredWorld(t, false)
		crashed, app := w.replica(), w.replica()
		w.login(app, "alice")
		w.clock.Advance(time.Hour)
		entered, leave := make(chan struct{}), make(chan struct{})
		w.token = func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-leave
			panic(http.ErrAbortHandler)
		}
		go crashed.StoredToken("alice").Token()
		<-entered
		w.token = w.serveToken
		w.store.set(func(operation string) error { return nil })
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		api, err := app.HTTPClient(app.StoredToken("alice"))
		require.NoError(t, err)
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.api.URL, nil)
		_, err = api.Do(r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, w.refreshes())
		w.clock.Advance(46 * time.Second)
		_, err = app.StoredToken("alice").Token()
		require.NoError(t, err)
		require.Equal(t, 1, w.refreshes())
		close(leave)
	})
	t.Run("a login during a refresh wins", func(t *testing.T) {
		w := newStoredWorld(t, true)
		first, second := w.replica(), w.replica()
		w.login(first, "alice")
		w.clock.Advance(time.Hour)
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			w.token = w.serveToken
			w.login(second, "alice") // a new family
			reply(rw, 200, `{"access_token":"late","token_type":"DPoP","expires_in":300,"refresh_token":"rt-late"}`)
		}
		token, err := first.StoredToken("alice").Token()
		require.NoError(t, err)
		require.Equal(t, "at-of-code-1", token.AccessToken)
		require.Zero(t, w.refreshes())
	})
	t.Run("a login during a revocation wins", func(t *testing.T) {
		w := newStoredWorld(t, true)
		w.says("revocation_endpoint", w.as.URL+"/par")
		app := w.replica()
		alice := w.login(app, "alice")
		w.push = func(http.ResponseWriter, *http.Request) {
			login := &oauth2.Token{RefreshToken: "rt-of-code-1"}
			assert.NoError(t, app.StoredToken("alice").Save(context.Background(), login))
		}
		require.NoError(t, alice.Revoke(context.Background()))
		_, err := alice.Token()
		require.NoError(t, err)
	})
	t.Run("a failed refresh before the expiry does not end the token", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		w.login(app, "alice")
		w.fails = func(rw http.ResponseWriter, _ *http.Request) { reply(rw, 503, `{}`) }
		w.clock.Advance(295 * time.Second)
		for range 3 {
			_, err := app.StoredToken("alice").Token()
			require.NoError(t, err)
		}
		require.Equal(t, 1, w.refreshes())
		w.clock.Advance(5 * time.Second)
		_, err := app.StoredToken("alice").Token()
		require.Error(t, err)
	})
	t.Run("a deletion during a refresh wins", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		alice := w.login(app, "alice")
		w.clock.Advance(time.Hour)
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			assert.NoError(t, alice.Delete(context.Background()))
			w.serveToken(rw, r)
		}
		_, err := app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrReauthorize)
	})
	t.Run("a request that is given up loses nothing", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		w.login(app, "alice")
		w.clock.Advance(time.Hour)
		entered, leave := make(chan struct{}, 8), make(chan struct{})
		w.token = func(rw http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-leave
			w.serveToken(rw, r)
		}
		api, err := app.HTTPClient(app.StoredToken("alice"))
		require.NoError(t, err)
		giveUp(t, api, w.api.URL, entered)
		close(leave)
		_, err = app.StoredToken("alice").Token()
		require.NoError(t, err)
		require.Equal(t, 1, w.refreshes())
	})
	t.Run("a panic of the host reaches the caller", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		w.login(app, "alice")
		w.clock.Advance(time.Hour)
		w.store.set(func(operation string) error {
			if operation == "Swap" {
				panic("the store is gone")
			}
			return nil
		})
		require.PanicsWithValue(t, "the store is gone", func() { app.StoredToken("alice").Token() })
	})
}

// process returns the token of alice in a process without a network. The test
// runs in a bubble of synctest.
func (p *peer) process(shared store.Store, send func(url.Values) *http.Response, change ...func(*client.Config)) *client.StoredToken {
	cfg := p.config()
	cfg.Hooks.Now = time.Now
	cfg.Tokens = &client.Tokens{Store: shared, InsecureAllowPlaintext: true}
	cfg.HTTPClient = &http.Client{Transport: testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/token" {
			assert.NoError(p.t, r.ParseForm())
			return send(r.PostForm), nil
		}
		w := httptest.NewRecorder()
		p.serve(w, httptest.NewRequest(r.Method, r.URL.String(), nil))
		return w.Result(), nil
	})}
	for _, f := range change {
		f(&cfg)
	}
	app, err := client.New(p.t.Context(), cfg)
	require.NoError(p.t, err)
	return app.StoredToken("alice")
}

// refreshed is the response to a refresh.
func refreshed() *http.Response {
	w := httptest.NewRecorder()
	reply(w, 200, `{"access_token":"at","token_type":"DPoP","expires_in":300,"refresh_token":"rt-1"}`)
	return w.Result()
}

// A process that waits for a lease takes over when it has seen that lease for
// its whole life. A lease of a third process begins anew.
func TestStoredTokenLeasesOfSeveralProcesses(t *testing.T) {
	for name, skew := range map[string]time.Duration{
		"a crashed process": 0, "a crashed process whose clock is an hour ahead": time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{t: t, as: &httptest.Server{URL: "https://as.example"}, seen: map[string][]recorded{}}
				shared := newEntryStore(t, time.Now)
				crashed, leave := make(chan struct{}), make(chan struct{})
				requests := 0
				process := func(ahead time.Duration, send func(url.Values) *http.Response) *client.StoredToken {
					return p.process(shared, send, func(c *client.Config) {
						c.Hooks.Now = func() time.Time { return time.Now().Add(ahead) }
					})
				}
				first := process(skew, func(url.Values) *http.Response {
					close(crashed)
					<-leave
					return nil
				})
				require.NoError(t, first.Save(t.Context(), &oauth2.Token{RefreshToken: "rt-0"}))
				go func() {
					defer func() { recover() }()
					first.Token()
				}()
				<-crashed
				slow := func(url.Values) *http.Response {
					requests++
					time.Sleep(20 * time.Second)
					return refreshed()
				}
				began := time.Now()
				var done sync.WaitGroup
				for range 8 {
					waiting := process(0, slow)
					done.Go(func() {
						for {
							token, err := waiting.Token()
							if err == nil {
								assert.Equal(t, "at", token.AccessToken)
								return
							}
							assert.ErrorIs(t, err, context.DeadlineExceeded)
						}
					})
				}
				done.Wait()
				require.Equal(t, 1, requests)
				require.Less(t, time.Since(began), 70*time.Second)
				close(leave)
			})
		})
	}
}

func TestKeysOfStoredTokens(t *testing.T) {
	ctx := context.Background()
	t.Run("one key for all users is a choice", func(t *testing.T) {
		w := newStoredWorld(t, true)
		shared := func(name string) func(*client.Config) {
			return func(c *client.Config) { c.DPoPKey = testkit.ECKey(t, name) }
		}
		app := w.replica(shared("hsm"))
		w.login(app, "alice")
		key := proofJWK(t, w.last("/par").header)
		w.login(app, "bob")
		require.Equal(t, key, proofJWK(t, w.last("/token").header))
		_, err := app.StoredToken("bob").Token()
		require.NoError(t, err)
		require.Zero(t, w.refreshes())
		next := w.replica(shared("hsm-2"))
		status, err := w.get(next, next.StoredToken("bob"))
		require.NoError(t, err)
		require.Equal(t, 200, status, "a token that is bound to an earlier key is refreshed first")
		require.Equal(t, 1, w.refreshes())
		require.Len(t, w.messages("/"), 1)
	})
	t.Run("the key of a login remains after a change to one key", func(t *testing.T) {
		w := newStoredWorld(t, true)
		w.login(w.replica(), "alice")
		next := w.replica(func(c *client.Config) { c.DPoPKey = testkit.ECKey(t, "hsm") })
		status, err := w.get(next, next.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Zero(t, w.refreshes())
	})
	t.Run("a token of an earlier version of the application", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		alice := app.StoredToken("alice")
		require.NoError(t, alice.Save(ctx, &oauth2.Token{
			AccessToken: "at-0", TokenType: "DPoP", RefreshToken: "rt-0", Expiry: w.clock.Now().Add(time.Hour),
		}))
		status, err := w.get(app, alice)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, 1, w.refreshes())
		require.Error(t, alice.Save(ctx, &oauth2.Token{AccessToken: "at", TokenType: "DPoP"}), "nothing could use it")
		require.Error(t, alice.Save(ctx, &oauth2.Token{}))
		require.Error(t, alice.Save(ctx, nil))
	})
	t.Run("a TokenSource refreshes with the key of its token", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		token, err := app.Finish(ctx, session, callback(session))
		require.NoError(t, err)
		source := app.TokenSource(ctx, token)
		w.clock.Advance(time.Hour)
		status, err := w.get(app, source)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, proofJWK(t, w.last("/par").header), w.proofOfLast("/token"))
	})
	t.Run("attack: a session with a malformed key", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		session.DPoPKey = []byte("secret")
		_, err = app.Finish(ctx, session, callback(session))
		require.ErrorIs(t, err, client.ErrAuthorizationResponse)
		require.NotContains(t, err.Error(), "secret")
		require.Empty(t, w.messages("/token"))
	})
}

func (p *peer) proofOfLast(path string) string { return proofJWK(p.t, p.last(path).header) }

func TestTokensConfiguration(t *testing.T) {
	p := newPeer(t)
	memory := newEntryStore(t, p.clock.Now)
	key := []byte(strings.Repeat("k", 32))
	for name, tc := range map[string]struct {
		tokens client.Tokens
		text   string
	}{
		"no store":               {client.Tokens{Keys: [][]byte{key}}, "Store"},
		"no keys":                {client.Tokens{Store: memory}, "Keys"},
		"a short key":            {client.Tokens{Store: memory, Keys: [][]byte{key[:16]}}, "16 bytes"},
		"both kinds of keys":     {client.Tokens{Store: memory, Keys: [][]byte{key}, KeySource: func(context.Context) ([][]byte, error) { return nil, nil }}, "KeySource"},
		"a failing source":       {client.Tokens{Store: memory, KeySource: func(context.Context) ([][]byte, error) { return nil, io.EOF }}, "EOF"},
		"a lifetime of a minute": {client.Tokens{Store: memory, Keys: [][]byte{key}, Lifetime: time.Minute}, "Lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.try(func(c *client.Config) { c.Tokens = &tc.tokens })
			require.ErrorContains(t, err, tc.text)
		})
	}
	t.Run("several instances need a shared store", func(t *testing.T) {
		own, err := store.NewMemory(store.MemoryConfig{})
		require.NoError(t, err)
		_, err = p.try(func(c *client.Config) {
			c.SeveralInstances, c.Tokens = true, &client.Tokens{Store: own, Keys: [][]byte{key}}
		})
		require.ErrorContains(t, err, "Tokens.Store is in memory")
		_, err = p.try(func(c *client.Config) {
			c.SeveralInstances, c.Tokens = true, &client.Tokens{Store: memory, Keys: [][]byte{key}}
		})
		require.NoError(t, err)
	})
	t.Run("a changed issuer does not touch the tokens", func(t *testing.T) {
		w := newStoredWorld(t, true)
		w.login(w.replica(), "alice")
		_, before, _ := w.store.entry(t)
		good := w.peer.metadata
		w.says("issuer", "https://evil.example")
		_, err := w.peer.try(func(c *client.Config) { c.Tokens = &client.Tokens{Store: w.store, Keys: w.keys} })
		require.ErrorIs(t, err, profile.ErrIssuerMismatch)
		w.peer.metadata = good
		_, after, _ := w.store.entry(t)
		require.Equal(t, before, after)
		_, err = w.replica().StoredToken("alice").Token()
		require.NoError(t, err)
	})
	t.Run("without Tokens, or without a user", func(t *testing.T) {
		app := p.client()
		_, err := app.StoredToken("alice").Token()
		require.ErrorContains(t, err, "Config.Tokens")
		w := newStoredWorld(t, true)
		_, err = w.replica().StoredToken("").Token()
		require.ErrorContains(t, err, "missing user")
		require.Error(t, w.replica().StoredToken("").Save(context.Background(), &oauth2.Token{RefreshToken: "rt"}))
		require.Error(t, w.replica().StoredToken("").Delete(context.Background()))
		require.Error(t, w.replica().StoredToken("").Revoke(context.Background()))
	})
	t.Run("nothing prints secrets", func(t *testing.T) {
		w := newStoredWorld(t, true)
		app := w.replica()
		alice := w.login(app, "alice")
		tokens := client.Tokens{Store: memory, Keys: [][]byte{key}}
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			printed := fmt.Sprintf(format+format, alice, tokens)
			require.NotContains(t, printed, "kkk")
			require.NotContains(t, printed, "at-of")
		}
	})
}

func TestStoredTokensOfSeveralServers(t *testing.T) {
	ctx := context.Background()
	worlds := []*storedWorld{newStoredWorld(t, true), newStoredWorld(t, true)}
	worlds[1].store = worlds[0].store // one store, and one Tokens for all
	tokens := &client.Tokens{Store: worlds[0].store, Keys: worlds[0].keys}
	banks := new(client.Set)
	for _, w := range worlds {
		cfg := w.config()
		cfg.Tokens = tokens
		require.NoError(t, banks.Put(cfg))
	}
	for i, w := range worlds {
		app, err := banks.Client(ctx, w.as.URL)
		require.NoError(t, err)
		_, err = app.StoredToken("alice").Token()
		require.ErrorIs(t, err, client.ErrReauthorize, "the token of another server is not found")
		w.login(app, "alice")
		w.clock.Advance(time.Duration(i+1) * time.Hour)
		status, err := w.get(app, app.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, 1, w.refreshes())
	}
	require.Len(t, worlds[0].store.keys, 2)
	t.Run("a renewed client continues", func(t *testing.T) {
		w := worlds[0]
		app, err := banks.Client(ctx, w.as.URL)
		require.NoError(t, err)
		kept := app.StoredToken("alice")
		_, err = kept.Token()
		require.NoError(t, err)
		w.says("token_endpoint", w.as.URL+"/token?v=2")
		w.clock.Advance(2 * time.Hour)
		renewed, err := banks.Client(ctx, w.as.URL) // begins to fetch the metadata
		require.NoError(t, err)
		testkit.Hammer(8, func(i int) {
			source := kept
			if i%2 == 0 {
				source = renewed.StoredToken("alice")
			}
			status, err := w.get(app, source)
			assert.NoError(t, err)
			assert.Equal(t, 200, status)
		})
		require.Equal(t, 2, w.refreshes())
	})
}

func TestStoredTokensWithACertificate(t *testing.T) {
	w, ctx := newStoredWorld(t, true), context.Background()
	w.says("tls_client_certificate_bound_access_tokens", true)
	w.token = func(rw http.ResponseWriter, r *http.Request) {
		w.count++
		reply(rw, 200, fmt.Sprintf(`{"access_token":"at-%d","token_type":"Bearer","expires_in":300,"refresh_token":"rt"}`, w.count))
	}
	w.respond = func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer at-%d", w.count) || r.Header.Get("DPoP") != "" {
			rw.WriteHeader(http.StatusForbidden)
		}
	}
	app := w.replica(func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{BindTokens: true, Certificate: testkit.Certify(t, "c-1", nil)}
	})
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	require.Nil(t, session.DPoPKey, "tokens are bound to the certificate")
	w.login(app, "alice")
	for range 2 {
		status, err := w.get(app, app.StoredToken("alice"))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		w.clock.Advance(time.Hour)
	}
	require.Equal(t, 2, w.count)
}
