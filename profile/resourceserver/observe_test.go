package resourceserver_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

func TestObserve(t *testing.T) {
	token := issue(t, "a", "a")
	known := profile.Event{Endpoint: "resource", Issuer: idOf("a"), ClientID: "c-1", Binding: "DPoP"}
	with := func(e profile.Event, outcome, code, reason string) profile.Event {
		e.Outcome, e.Code, e.Reason = outcome, code, reason
		return e
	}
	unknown := profile.Event{Endpoint: "resource"}
	for _, tc := range []struct {
		name   string
		change func(c *resourceserver.Config)
		made   func(nonce string) *http.Request
		want   profile.Event
	}{
		{"no token", nil, func(string) *http.Request { return httptest.NewRequest("GET", apiURL, nil) },
			with(unknown, "rejected", "", "tokenbinding: no access token")},
		{"a token with another signature", nil, func(nonce string) *http.Request { return noncedRequest(t, issue(t, "a", "b"), nonce) },
			with(unknown, "rejected", "invalid_token", "accesstoken: signature does not verify")},
		{"no nonce", nil, func(string) *http.Request { return noncedRequest(t, token, "") },
			with(known, "nonce_challenge", "use_dpop_nonce", "dpop: no recent nonce")},
		{"no proof", nil, func(string) *http.Request {
			r := httptest.NewRequest("GET", apiURL+"/accounts", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			return r
		}, with(known, "rejected", "invalid_dpop_proof", "dpop: no proof")},
		{"keys unavailable", func(c *resourceserver.Config) {
			c.Issuers[0].Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, errors.New("10.0.0.1") }
		}, func(nonce string) *http.Request { return noncedRequest(t, token, nonce) },
			with(unknown, "failed", "server_error", "accesstoken: keys or revocation state unavailable")},
		{"replay store unavailable", func(c *resourceserver.Config) { c.Replay = brokenStore{} },
			func(nonce string) *http.Request { return noncedRequest(t, token, nonce) },
			with(known, "failed", "server_error", "dpop: replay store failed")},
		{"a good request", nil, func(nonce string) *http.Request { return noncedRequest(t, token, nonce) },
			with(known, "success", "", "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var events []profile.Event
			clock := testkit.NewClock(time.Now())
			change := func(c *resourceserver.Config) {
				c.Hooks.Observe = func(_ context.Context, e profile.Event) { events = append(events, e) }
				c.Hooks.Now = func() time.Time { clock.Advance(time.Millisecond); return clock.Now() }
				if tc.change != nil {
					tc.change(c)
				}
			}
			// Every entry point reports once.
			for _, enter := range []func(*resourceserver.Server, *http.Request){
				func(s *resourceserver.Server, r *http.Request) { s.Verify(r) },
				func(s *resourceserver.Server, r *http.Request) { s.Decide(r) },
				func(s *resourceserver.Server, r *http.Request) { s.Authorize(httptest.NewRecorder(), r) },
				func(s *resourceserver.Server, r *http.Request) {
					s.Require()(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
				},
			} {
				events = nil
				guard, nonce := nonced(t, change)
				enter(guard, tc.made(nonce))
				require.Len(t, events, 1)
				require.GreaterOrEqual(t, events[0].Duration, time.Millisecond)
				events[0].Duration, events[0].InteractionID = 0, ""
				require.Equal(t, tc.want, events[0])
			}
		})
	}
}

type brokenStore struct{}

func (brokenStore) Add(context.Context, string, []byte, time.Time) (bool, error) {
	return false, errors.New("connection refused")
}

func TestObserveACertificate(t *testing.T) {
	var got profile.Event
	guard, r := certificateBound(t, func(c *resourceserver.Config) {
		c.Hooks.Observe = func(_ context.Context, e profile.Event) { got = e }
	})
	_, err := guard.Verify(r)
	require.NoError(t, err)
	require.Equal(t, "mTLS", got.Binding)
	require.Equal(t, "success", got.Outcome)
}

// certificateBound returns a guard and a good request with a JWT that is bound to
// a certificate.
func certificateBound(t testing.TB, change func(*resourceserver.Config)) (*resourceserver.Server, *http.Request) {
	connection, source := selfSigned(t)
	f := newFederation(t)
	guard := newGuard(t, func(c *resourceserver.Config) { c.Issuers, c.Certificates = f.issuers("a"), source }, change)
	r := httptest.NewRequest(http.MethodGet, apiURL+"/accounts", nil)
	r.Header.Set("Authorization", "Bearer "+issue(t, "a", "a", func(c *accesstoken.Claims) {
		c.JKT, c.X5TS256 = "", tokenbinding.CertificateThumbprint(connection.PeerCertificates[0])
	}))
	r.TLS = connection
	return guard, r
}

// Without a hook, observation calls neither the clock nor the allocator.
func TestObserveCostsNothingWithoutAHook(t *testing.T) {
	const before = 3 // allocations for the same request, measured before there was a hook
	measure := func(observe func(context.Context, profile.Event)) (allocations float64, clock int64) {
		var calls atomic.Int64
		guard, r := certificateBound(t, func(c *resourceserver.Config) {
			c.Hooks.Observe, c.Hooks.Now = observe, func() time.Time { calls.Add(1); return time.Now() }
		})
		const runs = 100
		_, err := guard.Verify(r) // fills the cache of tokens
		require.NoError(t, err)
		calls.Store(0)
		allocations = testing.AllocsPerRun(runs, func() {
			if _, err := guard.Verify(r); err != nil {
				t.Fatal(err)
			}
		})
		return allocations, calls.Load() / (runs + 1) // and one run to warm up
	}
	without, clock := measure(nil)
	_, observed := measure(func(context.Context, profile.Event) {})
	require.LessOrEqual(t, without, float64(before))
	require.Equal(t, clock+2, observed)
}
