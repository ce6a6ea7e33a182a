package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

func TestSessionsConfiguration(t *testing.T) {
	good := roletest.SessionKey()
	for name, cfg := range map[string]client.SessionsConfig{
		"no key":            {},
		"a short key":       {Keys: [][]byte{good[:16]}},
		"a long key":        {Keys: [][]byte{append(good, 1)}},
		"a short old key":   {Keys: [][]byte{good, good[:31]}},
		"nine keys":         {Keys: [][]byte{good, good, good, good, good, good, good, good, good}},
		"a negative age":    {Keys: [][]byte{good}, MaxAge: -time.Second},
		"more than an hour": {Keys: [][]byte{good}, MaxAge: 2 * time.Hour},
		"a cookie's name":   {Keys: [][]byte{good}, Cookie: "a=b; c"},
		"a long name":       {Keys: [][]byte{good}, Cookie: strings.Repeat("a", 33)},

		"used sessions in no store, and several instances": {Keys: [][]byte{good}, SeveralInstances: true},
		"used sessions in memory, and several instances":   {Keys: [][]byte{good}, SeveralInstances: true, Used: testkit.Must(store.NewMemory(store.MemoryConfig{}))},

		"Keys and KeySource":       {Keys: [][]byte{good}, KeySource: keysOf(nil, good)},
		"a failing KeySource":      {KeySource: keysOf(errors.New("down"), good)},
		"no key of KeySource":      {KeySource: keysOf(nil)},
		"a short key of KeySource": {KeySource: keysOf(nil, good, good[:16])},
		"a KeyRefresh of 1 s":      {KeySource: keysOf(nil, good), KeyRefresh: time.Second},
	} {
		_, err := client.NewSessions(cfg)
		require.Error(t, err, name)
	}
	_, err := client.NewSessions(client.SessionsConfig{Keys: [][]byte{good}, SeveralInstances: true, Used: struct{ store.Store }{}})
	require.NoError(t, err)
	cfg := client.SessionsConfig{Keys: [][]byte{good}}
	sessions, err := client.NewSessions(cfg)
	require.NoError(t, err)
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), fmt.Sprintf("%v %+v %#v", sessions, sessions, sessions)} {
		require.NotContains(t, printed, fmt.Sprint(good[:4])[1:8])
		require.NotContains(t, printed, fmt.Sprintf("0x%x, 0x%x", good[0], good[1]))
	}
}

func keysOf(err error, keys ...[]byte) func(context.Context) ([][]byte, error) {
	return func(context.Context) ([][]byte, error) { return keys, err }
}

// Two processes refresh their keys at different times. A login that one of them begins ends at the other.
func TestSessionKeysRotate(t *testing.T) {
	session, err := newPeer(t).client().Begin(t.Context(), client.Request{Scopes: []string{"openid"}})
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var keys [][]byte
		var down error
		var reports int
		change := func(err error, next ...[]byte) {
			mu.Lock()
			defer mu.Unlock()
			keys, down = next, err
		}
		process := func() *client.Sessions {
			return roletest.NewSessions(t, func(c *client.SessionsConfig) {
				c.Keys, c.KeySource = nil, func(context.Context) ([][]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					return keys, down
				}
				c.Report = func(context.Context, error) {
					mu.Lock()
					defer mu.Unlock()
					reports++
				}
			})
		}
		n := 0
		seal := func(s *client.Sessions) string {
			defer synctest.Wait()
			n++
			one := *session
			one.State = fmt.Sprint(n) // as each is used once
			value, err := s.Seal(&one, "browser")
			require.NoError(t, err)
			return value
		}
		open := func(s *client.Sessions, value string) error {
			defer synctest.Wait()
			_, err := s.Open(t.Context(), value, "browser")
			return err
		}
		a, b := roletest.SessionKey(), roletest.SessionKey()
		change(nil, a)
		first := process()
		time.Sleep(17 * time.Second)
		second := process()
		follow := func(d time.Duration) {
			var begun []string // some logins take minutes
			for range d / (7 * time.Second) {
				time.Sleep(7 * time.Second)
				require.NoError(t, open(second, seal(first)))
				require.NoError(t, open(first, seal(second)))
				if begun = append(begun, seal(first)); len(begun) > 8 {
					require.NoError(t, open(second, begun[0]))
					begun = begun[1:]
				}
			}
		}
		follow(time.Minute)
		old := seal(first)
		change(nil, b, a)
		follow(3 * time.Minute)
		change(errors.New("down"))
		follow(10 * time.Minute)
		require.NotZero(t, reports)
		change(nil, b, a)
		follow(time.Minute)
		change(nil, b)
		follow(time.Minute)
		require.ErrorIs(t, open(first, old), client.ErrSession, "of a removed key")
		require.ErrorContains(t, open(first, old), "unknown key")
	})
}

func TestSealedSessions(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	session, err := p.client().Begin(ctx, client.Request{Scopes: []string{"openid"}, Keep: "/accounts?tab=2"})
	require.NoError(t, err)
	session.ClientID = "client-of-sessions" // does not occur by chance in encrypted text
	clock, old := testkit.NewClock(time.Now()), roletest.SessionKey()
	at := func(keys ...[]byte) func(*client.SessionsConfig) {
		return func(c *client.SessionsConfig) { c.Keys, c.Now = keys, clock.Now }
	}
	sessions := roletest.NewSessions(t, at(old))
	seal := func() string {
		value, err := sessions.Seal(session, "browser 1")
		require.NoError(t, err)
		return value
	}
	value := seal()
	t.Run("it is opaque, and another one each time", func(t *testing.T) {
		require.NotEqual(t, value, seal())
		decoded, err := base64.RawURLEncoding.DecodeString(value)
		require.NoError(t, err)
		for _, part := range []string{session.State, session.CodeVerifier, session.Nonce, session.ClientID, "accounts"} {
			require.NotContains(t, value, part)
			require.NotContains(t, string(decoded), part)
		}
		require.Less(t, len(value), 1000)
	})
	t.Run("SP-5.3.3.2-4 it opens for its browser, by any of the keys, once", func(t *testing.T) {
		rotated := roletest.NewSessions(t, at(roletest.SessionKey(), old))
		got, err := rotated.Open(ctx, value, "browser 1")
		require.NoError(t, err)
		want := *session
		want.URL = ""
		require.Equal(t, &want, got)
		for _, same := range []string{value, seal()} {
			_, err = rotated.Open(ctx, same, "browser 1")
			require.ErrorIs(t, err, client.ErrSession)
			require.ErrorContains(t, err, "used before")
		}
	})
	t.Run("refused", func(t *testing.T) {
		for name, open := range map[string]func() (*client.Session, error){
			"SP-5.3.3.2-4 another browser's": func() (*client.Session, error) { return sessions.Open(ctx, value, "browser 2") },
			"no browser's":                   func() (*client.Session, error) { return sessions.Open(ctx, value, "") },
			"by a key that is gone":          func() (*client.Session, error) { return roletest.NewSessions(t).Open(ctx, value, "browser 1") },
			"nothing":                        func() (*client.Session, error) { return sessions.Open(ctx, "", "browser 1") },
			"not base64url":                  func() (*client.Session, error) { return sessions.Open(ctx, "*"+value, "browser 1") },
			"too long": func() (*client.Session, error) {
				return sessions.Open(ctx, strings.Repeat("A", 5000), "browser 1")
			},
		} {
			got, err := open()
			require.ErrorIs(t, err, client.ErrSession, name)
			require.Nil(t, got, name)
		}
		for i := range value {
			changed := []byte(value)
			changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
			got, err := sessions.Open(ctx, string(changed), "browser 1")
			require.ErrorIs(t, err, client.ErrSession)
			require.Nil(t, got)
		}
	})
	t.Run("it has an end", func(t *testing.T) {
		clock.Advance(15 * time.Minute)
		_, err := roletest.NewSessions(t, at(old)).Open(ctx, value, "browser 1")
		require.NoError(t, err)
		clock.Advance(time.Second)
		_, err = roletest.NewSessions(t, at(old)).Open(ctx, value, "browser 1")
		require.ErrorIs(t, err, client.ErrSession)
		require.ErrorContains(t, err, "15m1s")
	})
	t.Run("not sealed", func(t *testing.T) {
		_, err := sessions.Seal(session, "")
		require.Error(t, err, "SP-5.3.3.2-4 bound to nothing")
		_, err = sessions.Seal(nil, "browser 1")
		require.Error(t, err)
		_, err = sessions.Seal(&client.Session{}, "browser 1")
		require.Error(t, err)
		large := *session
		large.Issuer += strings.Repeat("x", 4000)
		_, err = sessions.Seal(&large, "browser 1")
		require.ErrorContains(t, err, "at most")
	})
	t.Run("one winner of many", func(t *testing.T) {
		value, wins := seal(), atomic.Int32{}
		testkit.Hammer(64, func(int) {
			if _, err := sessions.Open(ctx, value, "browser 1"); err == nil {
				wins.Add(1)
			}
		})
		require.EqualValues(t, 1, wins.Load())
	})
	t.Run("a store that fails is no first use", func(t *testing.T) {
		down := errors.New("down")
		sessions := roletest.NewSessions(t, at(old), func(c *client.SessionsConfig) {
			c.Used = useFunc(func(_ context.Context, key string, expires time.Time) (bool, error) {
				require.Len(t, key, 43)
				require.Equal(t, 15*time.Minute+time.Second, expires.Sub(clock.Now().Truncate(time.Second)))
				return true, down
			})
		})
		value, err := sessions.Seal(session, "b")
		require.NoError(t, err)
		got, err := sessions.Open(ctx, value, "b")
		require.ErrorIs(t, err, client.ErrStore)
		require.ErrorIs(t, err, down)
		require.Nil(t, got)
	})
}

type useFunc func(ctx context.Context, key string, expires time.Time) (bool, error)

func (f useFunc) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	return f(ctx, key, expires)
}

// putIn calls Put for a browser with these cookies, and returns its cookies
// afterwards.
func putIn(t testing.TB, sessions *client.Sessions, has []*http.Cookie, session *client.Session) []*http.Cookie {
	r := httptest.NewRequest(http.MethodPost, "https://app.example/login", nil)
	for _, c := range has {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	require.NoError(t, sessions.Put(w, r, session))
	return roletest.MergeCookies(has, w.Result().Cookies())
}

func takeFrom(sessions *client.Sessions, has []*http.Cookie, query string) (*client.Session, []*http.Cookie, error) {
	r := httptest.NewRequest(http.MethodGet, "https://app.example/callback?"+query, nil)
	for _, c := range has {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	session, err := sessions.Take(w, r)
	return session, roletest.MergeCookies(has, w.Result().Cookies()), err
}

func TestSessionCookies(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	begin := func() *client.Session {
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		return session
	}
	clock := testkit.NewClock(time.Now())
	sessions := roletest.NewSessions(t, func(c *client.SessionsConfig) { c.Now = clock.Now })
	first, second := begin(), begin()

	t.Run("the cookie's attributes", func(t *testing.T) {
		c := putIn(t, sessions, nil, first)
		require.Len(t, c, 1)
		require.True(t, strings.HasPrefix(c[0].Name, "__Host-login-"))
		require.True(t, c[0].Secure && c[0].HttpOnly)
		require.Equal(t, []any{http.SameSiteLaxMode, "/", "", 900}, []any{c[0].SameSite, c[0].Path, c[0].Domain, c[0].MaxAge})
		require.NotContains(t, c[0].Name+c[0].Value, first.State)
		require.Less(t, len(c[0].String()), 1000)
	})
	t.Run("several tabs, in any order, each once", func(t *testing.T) {
		has := putIn(t, sessions, putIn(t, sessions, nil, first), second)
		require.Len(t, has, 2)
		got, left, err := takeFrom(sessions, has, "iss=x&code=1&state="+second.State)
		require.NoError(t, err)
		require.Equal(t, second.CodeVerifier, got.CodeVerifier)
		require.Len(t, left, 1)
		got, left, err = takeFrom(sessions, left, "state="+first.State)
		require.NoError(t, err)
		require.Equal(t, first.CodeVerifier, got.CodeVerifier)
		require.Empty(t, left)
		_, _, err = takeFrom(sessions, left, "state="+first.State)
		require.ErrorIs(t, err, client.ErrSession)
		_, _, err = takeFrom(sessions, has, "state="+first.State) // a copy of the cookies
		require.ErrorContains(t, err, "used before")
	})
	t.Run("AM-5.4a refused", func(t *testing.T) {
		session := begin()
		has := putIn(t, sessions, nil, session)
		value, err := sessions.Seal(session, has[0].Name)
		require.NoError(t, err)
		renamed := *putIn(t, sessions, nil, begin())[0]
		renamed.Name = has[0].Name
		for name, tc := range map[string]struct {
			has   []*http.Cookie
			query string
		}{
			"another browser":                  {nil, "state=" + session.State},
			"no state":                         {has, "code=1"},
			"an empty state":                   {has, "state="},
			"another state":                    {has, "state=" + first.State},
			"a malformed query":                {has, "state=" + session.State + "&x=%zz"},
			"a response that is no JWT":        {has, "response=a.b"},
			"the cookie of another session":    {[]*http.Cookie{&renamed}, "state=" + session.State},
			"one that the host sealed":         {[]*http.Cookie{{Name: has[0].Name, Value: value}}, "state=" + session.State},
			"the cookie twice":                 {[]*http.Cookie{has[0], has[0]}, "state=" + session.State},
			"an empty cookie":                  {[]*http.Cookie{{Name: has[0].Name}}, "state=" + session.State},
			"a cookie of another application":  {putIn(t, roletest.NewSessions(t), nil, session), "state=" + session.State},
			"the state of a signed stranger's": {has, "response=e30." + "eyJzdGF0ZSI6IngifQ" + ".AA"},
		} {
			got, _, err := takeFrom(sessions, tc.has, tc.query)
			require.ErrorIs(t, err, client.ErrSession, name)
			require.Nil(t, got, name)
		}
		_, _, err = takeFrom(sessions, has, "state="+session.State)
		require.NoError(t, err, "none of these has used it up")
	})
	t.Run("there is room for six, and what has ended goes first", func(t *testing.T) {
		var has []*http.Cookie
		var begun []*client.Session
		for range 8 {
			clock.Advance(time.Second)
			begun = append(begun, begin())
			has = putIn(t, sessions, has, begun[len(begun)-1])
		}
		require.Len(t, has, 6)
		for i, session := range begun {
			_, _, err := takeFrom(sessions, has, "state="+session.State)
			require.Equal(t, i < 2, err != nil, i)
		}
		clock.Advance(time.Hour)
		junk := append(has, &http.Cookie{Name: "__Host-login-x", Value: "junk"}, &http.Cookie{Name: "__Host-other-x", Value: "theirs"})
		has = putIn(t, sessions, junk, begin())
		require.Len(t, has, 2, "and the other application's stays")
		long := begin()
		long.Keep, long.Issuer = strings.Repeat("<", 1024), strings.Repeat("x", 2000)
		require.Error(t, sessions.Put(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), long), "larger than a cookie")
		full := begin() // Keep is an address, and all fields have their greatest length
		full.Keep, full.Claims, full.DPoPKey = strings.Repeat("&", 1024), strings.Repeat("c", 1024), make([]byte, 138)
		require.NoError(t, sessions.Put(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), full))
	})
}

// FuzzOpenSession checks that only an unchanged value opens, and only for its
// browser.
func FuzzOpenSession(f *testing.F) {
	ctx, sessions := context.Background(), roletest.NewSessions(f)
	session := &client.Session{Issuer: "https://as.example", State: "s", CodeVerifier: "v"}
	value, err := sessions.Seal(session, "b")
	require.NoError(f, err)
	f.Add(value, "b", byte(0), 0)
	f.Add(value, "c", byte(1), 5)
	f.Add("", "", byte(0), 0)
	f.Fuzz(func(t *testing.T, value, browser string, flip byte, at int) {
		if len(value) > 0 {
			changed := []byte(value)
			changed[(at%len(changed)+len(changed))%len(changed)] ^= flip
			value = string(changed)
		}
		got, err := sessions.Open(ctx, value, browser)
		if err != nil {
			require.Nil(t, got)
			return
		}
		want, _ := json.Marshal(session)
		have, _ := json.Marshal(got)
		require.True(t, browser == "b" && bytes.Equal(want, have))
	})
}
