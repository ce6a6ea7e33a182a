package introspection_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

// authority answers with what it holds, signed at the time of its clock.
type authority struct {
	responder *introspection.Responder
	response  atomic.Pointer[introspection.Response]
	asked     atomic.Int32
}

func newAuthority(t testing.TB, now func() time.Time) *authority {
	a := &authority{responder: newResponder(t, func(c *introspection.ResponderConfig) { c.Now = now })}
	resp := active()
	a.response.Store(&resp)
	return a
}

func (a *authority) wire(r *http.Request) (*http.Response, error) {
	a.asked.Add(1)
	mediaType, body, err := a.responder.Answer(caller, true, *a.response.Load())
	if err != nil {
		return nil, err
	}
	return reply(mediaType, string(body))(r)
}

func TestCache(t *testing.T) {
	for _, tc := range []struct {
		name     string
		cacheFor time.Duration
		expires  time.Duration // 0: as usual
		wait     time.Duration
		asked    int32
	}{
		{"none by default", 0, 0, 0, 2},
		{"within its time", time.Minute, 0, 59 * time.Second, 1},
		{"at the end of its time", time.Minute, 0, time.Minute, 2},
		{"INT-7662-4-2 expiry is earlier, and is kept", time.Minute, 30 * time.Second, 29 * time.Second, 1},
		{"a clock that was set back", time.Minute, 0, -time.Second, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := testkit.NewClock(t0)
			a := newAuthority(t, clock.Now)
			if tc.expires != 0 {
				resp := active()
				resp.Expires = t0.Add(tc.expires)
				a.response.Store(&resp)
			}
			c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor, cfg.Now = tc.cacheFor, clock.Now })
			first, err := c.Introspect(t.Context(), opaque)
			require.NoError(t, err)
			clock.Advance(tc.wait)
			second, err := c.Introspect(t.Context(), opaque)
			require.NoError(t, err)
			require.Equal(t, tc.asked, a.asked.Load())
			require.Equal(t, tc.asked == 1, first == second)
		})
	}
	t.Run("INT-7662-4-2 never beyond exp", func(t *testing.T) {
		clock := testkit.NewClock(t0)
		a := newAuthority(t, func() time.Time { return t0 }) // whose clock stands still
		resp := active()
		resp.Expires = t0.Add(30 * time.Second)
		a.response.Store(&resp)
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor, cfg.Now = time.Minute, clock.Now })
		_, err := c.Introspect(t.Context(), opaque)
		require.NoError(t, err)
		clock.Advance(30 * time.Second)
		requireRefused(t, c, introspection.ErrExpired)
	})
	t.Run("a token without an expiry is asked about every time", func(t *testing.T) {
		var asked atomic.Int32
		plain := reply("application/json", fmt.Sprintf(`{"active":true,"cnf":{"jkt":%q}}`, jkt))
		c := wired(t, func(r *http.Request) (*http.Response, error) { asked.Add(1); return plain(r) },
			func(cfg *introspection.ClientConfig) {
				cfg.CacheFor, cfg.Unsigned, cfg.Audience = time.Minute, true, nil
			})
		for range 2 {
			got, err := c.Introspect(t.Context(), opaque)
			require.NoError(t, err)
			require.True(t, got.ExpiresAt().IsZero())
		}
		require.EqualValues(t, 2, asked.Load())
	})
	t.Run("inactive answers are not kept", func(t *testing.T) {
		a := newAuthority(t, func() time.Time { return t0 })
		a.response.Store(&introspection.Response{})
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
		requireRefused(t, c, introspection.ErrInactive)
		require.EqualValues(t, 2, a.asked.Load())
		resp := active()
		a.response.Store(&resp)
		_, err := c.Introspect(t.Context(), opaque)
		require.NoError(t, err)
	})
	t.Run("another token is another question", func(t *testing.T) {
		a := newAuthority(t, func() time.Time { return t0 })
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
		for _, token := range []string{opaque, opaque + "x", opaque[1:]} {
			_, err := c.Introspect(t.Context(), token)
			require.NoError(t, err)
		}
		require.EqualValues(t, 3, a.asked.Load())
	})
	t.Run("revocation is heard of after CacheFor", func(t *testing.T) {
		clock := testkit.NewClock(t0)
		a := newAuthority(t, clock.Now)
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor, cfg.Now = 10*time.Second, clock.Now })
		_, err := c.Introspect(t.Context(), opaque)
		require.NoError(t, err)
		a.response.Store(&introspection.Response{})
		clock.Advance(9 * time.Second)
		_, err = c.Introspect(t.Context(), opaque)
		require.NoError(t, err)
		clock.Advance(time.Second)
		requireRefused(t, c, introspection.ErrInactive)
	})
	t.Run("bounded", func(t *testing.T) {
		a := newAuthority(t, func() time.Time { return t0 })
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor, cfg.CacheSize = time.Minute, 2 })
		for range 2 {
			for i := range 10 {
				_, err := c.Introspect(t.Context(), fmt.Sprint("token-", i))
				require.NoError(t, err)
			}
		}
		require.EqualValues(t, 20, a.asked.Load())
	})
	t.Run("many at once", func(t *testing.T) {
		a := newAuthority(t, func() time.Time { return t0 })
		c := wired(t, a.wire, func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
		var good atomic.Int32
		testkit.Hammer(64, func(i int) {
			got, err := c.Introspect(t.Context(), fmt.Sprint("token-", i%4))
			if err == nil && got.Subject() == "alice" && got.CheckScope("accounts") == nil {
				good.Add(1)
			}
		})
		require.EqualValues(t, 64, good.Load())
	})
}
