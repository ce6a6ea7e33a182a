package jwks_test

import (
	"compress/gzip"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
)

// A publisher is the TLS server of the other party. The test chooses its response,
// and it counts requests.
type publisher struct {
	*httptest.Server
	requests atomic.Int32
	handler  atomic.Value // http.HandlerFunc
}

func newPublisher(t *testing.T, h http.HandlerFunc) *publisher {
	t.Helper()
	p := &publisher{}
	p.answer(h)
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		p.handler.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) answer(h http.HandlerFunc) { p.handler.Store(h) }

func publish(t *testing.T, kids ...string) http.HandlerFunc {
	t.Helper()
	var keys []jwks.Key
	for _, kid := range kids {
		keys = append(keys, jwks.Key{Public: testkit.ECKey(t, kid).Public(), KeyID: kid})
	}
	set, err := jwks.NewSet(keys...)
	require.NoError(t, err)
	return func(w http.ResponseWriter, r *http.Request) {
		set.ServeHTTP(w, r)
	}
}

// with adds a header that replaces the handler's own header.
func with(name, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h(rec, r)
		for n, v := range rec.Header() {
			w.Header()[n] = v
		}
		w.Header().Set(name, value)
		w.Write(rec.Body.Bytes())
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

type remoteTest struct {
	*testing.T
	*publisher
	clock  *testkit.Clock
	remote *jwks.Remote
}

func newRemoteTest(t *testing.T, h http.HandlerFunc, change func(*jwks.RemoteConfig)) *remoteTest {
	t.Helper()
	p := newPublisher(t, h)
	clock := testkit.NewClock(time.Unix(1_800_000_000, 0))
	cfg := jwks.RemoteConfig{URL: p.URL + "/jwks", HTTPClient: p.Client(), Now: clock.Now}
	if change != nil {
		change(&cfg)
	}
	remote, err := jwks.NewRemote(cfg)
	require.NoError(t, err)
	require.Zero(t, p.requests.Load(), "nothing is fetched before it is needed")
	return &remoteTest{t, p, clock, remote}
}

// waitAlways makes callers wait for each refresh, so that requests can be counted.
func waitAlways(c *jwks.RemoteConfig) { c.MaxStale = -1 }

// want looks for a key, and checks the result and the total number of requests.
func (rt *remoteTest) want(kid string, found bool, requests int) {
	rt.Helper()
	keys, err := rt.remote.Keys(context.Background(), kid, "ES256")
	require.NoError(rt, err)
	if found {
		require.Equal(rt, []crypto.PublicKey{testkit.ECKey(rt, kid).Public()}, keys)
	} else {
		require.Empty(rt, keys)
	}
	require.EqualValues(rt, requests, rt.requests.Load())
}

func (rt *remoteTest) wantError(kid string, requests int) {
	rt.Helper()
	keys, err := rt.remote.Keys(context.Background(), kid, "ES256")
	require.ErrorIs(rt, err, jwks.ErrUnavailable)
	require.Nil(rt, keys)
	require.EqualValues(rt, requests, rt.requests.Load())
}

func TestRemoteCaches(t *testing.T) {
	for _, tc := range []struct {
		name, header, value string
		lives               time.Duration
	}{
		{"for Refresh when the response says nothing", "Cache-Control", "", 10 * time.Minute},
		{"for max-age", "Cache-Control", "public, max-age=120", 2 * time.Minute},
		{"for max-age in capitals and quotes", "Cache-Control", `Max-Age="120"`, 2 * time.Minute},
		{"no longer than Refresh", "Cache-Control", "max-age=31536000", 10 * time.Minute},
		{"CASES F6: for two minutes at least", "Cache-Control", "max-age=0", 2 * time.Minute},
		{"CASES F6: for two minutes with no-cache", "Cache-Control", "no-cache", 2 * time.Minute},
		{"CASES F6: for two minutes with no-store", "Cache-Control", "no-store, max-age=600", 2 * time.Minute},
		{"CASES F6: for two minutes when max-age is malformed", "Cache-Control", "max-age=-1", 2 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := newRemoteTest(t, with(tc.header, tc.value, publish(t, "a")), waitAlways)
			rt.want("a", true, 1)
			rt.clock.Advance(tc.lives - time.Nanosecond)
			rt.want("a", true, 1)
			rt.clock.Advance(time.Nanosecond)
			rt.want("a", true, 2)
		})
	}
	t.Run("for what is left of max-age", func(t *testing.T) {
		rt := newRemoteTest(t, with("Age", "100", publish(t, "a")), waitAlways) // max-age=300
		rt.want("a", true, 1)
		rt.clock.Advance(200*time.Second - 1)
		rt.want("a", true, 1)
		rt.clock.Advance(1)
		rt.want("a", true, 2)
	})
}

func TestRemoteRotation(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	rt.answer(publish(t, "a", "b"))
	rt.clock.Advance(10 * time.Second)
	rt.want("b", true, 2) // an unknown kid causes a request
	rt.answer(publish(t, "b"))
	rt.want("a", true, 2)
	rt.clock.Advance(10 * time.Minute) // twice the publisher's max-age
	rt.want("a", false, 3)             // withdrawn
	rt.want("b", true, 3)
}

func TestRemoteInventedKeyIDs(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	for range 60 { // a minute, second by second
		for i := range 20 {
			keys, err := rt.remote.Keys(context.Background(), fmt.Sprintf("JWT-3.10-1 invented %d", i), "ES256")
			require.NoError(t, err)
			require.Empty(t, keys)
		}
		rt.clock.Advance(time.Second)
	}
	require.LessOrEqual(t, rt.requests.Load(), int32(1+60/10))
	rt.want("a", true, int(rt.requests.Load()))

	// With the clock set back, neither the limit nor the set is stuck.
	rt.clock.Advance(-time.Hour)
	before := int(rt.requests.Load())
	rt.want("z", false, before+1)
}

func TestRemoteOutage(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	rt.answer(status(http.StatusInternalServerError))
	rt.clock.Advance(5 * time.Minute)
	rt.wantError("b", 2)  // waits for the refresh, which fails
	rt.want("a", true, 2) // the old set is used
	rt.want("a", true, 2) // without a request each time
	rt.wantError("b", 2)  // but not for what it does not have
	rt.clock.Advance(time.Hour - time.Nanosecond)
	keys, err := rt.remote.Keys(context.Background(), "a", "ES256") // for an hour, and while the next try is under way
	require.NoError(t, err)
	require.Len(t, keys, 1)
	rt.wantError("b", 3) // waits for it
	rt.clock.Advance(20 * time.Second)
	rt.wantError("a", 4)
	rt.wantError("a", 4) // the limit holds for failures too
	rt.answer(publish(t, "a"))
	rt.clock.Advance(40 * time.Second)
	rt.want("a", true, 5)
	rt.want("b", false, 5) // the failure is forgotten

	t.Run("a negative MaxStale", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), func(c *jwks.RemoteConfig) { c.MaxStale = -1 })
		rt.want("a", true, 1)
		rt.answer(status(http.StatusInternalServerError))
		rt.clock.Advance(5 * time.Minute)
		rt.wantError("a", 2)
	})
	t.Run("500 first, then OK", func(t *testing.T) {
		rt := newRemoteTest(t, status(http.StatusInternalServerError), nil)
		rt.wantError("a", 1)
		rt.answer(publish(t, "a"))
		rt.wantError("a", 1)
		rt.clock.Advance(10 * time.Second)
		rt.want("a", true, 2)
	})
}

// TestRemoteServesStaleDuringSlowRetry: after a failure, those whom the old set can serve do not wait for the next try.
func TestRemoteServesStaleDuringSlowRetry(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	rt.answer(status(http.StatusBadGateway))
	rt.clock.Advance(5 * time.Minute)
	rt.wantError("b", 2)
	arrived, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	rt.answer(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	rt.clock.Advance(10 * time.Second)
	keys, err := rt.remote.Keys(context.Background(), "a", "ES256") // returns although the server does not
	require.NoError(t, err)
	require.Len(t, keys, 1)
	<-arrived
}

// slow returns a handler that signals each request and answers it with what comes
// from the channel.
func slow(answer <-chan http.HandlerFunc) (h http.HandlerFunc, arrived chan struct{}) {
	arrived = make(chan struct{}, 8)
	return func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		(<-answer)(w, r)
	}, arrived
}

func TestRemoteServesWhileItRefreshes(t *testing.T) {
	t.Run("CASES D4: 20 callers with their key at hand do not wait for a slow refresh", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		answer := make(chan http.HandlerFunc)
		h, arrived := slow(answer)
		rt.answer(h)
		rt.clock.Advance(5 * time.Minute) // the publisher's max-age
		testkit.Hammer(20, func(int) {
			keys, err := rt.remote.Keys(t.Context(), "a", "ES256") // would hang, as the server does not answer yet
			if err != nil || len(keys) != 1 {
				t.Error("key at hand was not served")
			}
		})
		<-arrived
		unknown := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, err := rt.remote.Keys(ctx, "unknown", "ES256"); unknown <- err }()
		cancel()
		require.ErrorIs(t, <-unknown, context.Canceled, "a caller whose key is missing waits, as long as its context permits")
		answer <- publish(t, "b")
		rt.want("b", true, 2)
		rt.want("a", false, 2)
	})
	t.Run("CASES D4: a set that is twice as old as it may be does not serve", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		rt.answer(publish(t, "b"))
		rt.clock.Advance(10 * time.Minute)
		rt.want("a", false, 2)
	})
	t.Run("CASES D4: a failing refresh keeps the keys for MaxStale", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), func(c *jwks.RemoteConfig) { c.MaxStale = 20 * time.Minute })
		rt.want("a", true, 1)
		rt.answer(status(http.StatusServiceUnavailable))
		rt.clock.Advance(25*time.Minute - time.Nanosecond)
		rt.want("a", true, 2)
		rt.clock.Advance(time.Nanosecond)
		rt.wantError("a", 2)
	})
	t.Run("CASES C6: the old keys do not serve once the owner publishes unusable ones", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		rt.answer(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[{"kty":"AKP"}]}`)) })
		rt.clock.Advance(10 * time.Minute)
		rt.wantError("a", 2)
		_, err := rt.remote.Keys(t.Context(), "a", "ES256")
		require.ErrorIs(t, err, jwks.ErrInvalid)
		require.ErrorContains(t, err, `kty "AKP"`)
		rt.answer(publish(t, "a"))
		rt.clock.Advance(10 * time.Second)
		rt.want("a", true, 3)
	})
}

func TestRemoteEarlyFetch(t *testing.T) {
	early := jwks.WithEarlyFetch(context.Background())
	find := func(rt *remoteTest, kid string, n, requests int) {
		rt.Helper()
		keys, err := rt.remote.Keys(early, kid, "ES256")
		require.NoError(rt, err)
		require.Len(rt, keys, n)
		require.EqualValues(rt, requests, rt.requests.Load())
	}
	t.Run("CASES F5: a new kid that the caller vouches for is found at once", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		rt.answer(publish(t, "a", "b"))
		rt.want("b", false, 1) // MinInterval is not over
		find(rt, "b", 1, 2)
		find(rt, "a", 1, 2)
		rt.want("b", true, 2)
	})
	t.Run("CASES F5: early requests are bounded", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		find(rt, "x", 0, 2)
		find(rt, "x", 0, 3)
		for range 10 {
			find(rt, "x", 0, 3)
		}
		rt.clock.Advance(9 * time.Second)
		find(rt, "x", 0, 3)
		rt.clock.Advance(time.Second)
		find(rt, "x", 0, 4) // by MinInterval
		find(rt, "x", 0, 4)
		rt.clock.Advance(50 * time.Second)
		find(rt, "x", 0, 5) // by MinInterval
		find(rt, "x", 0, 6) // one a minute
		find(rt, "x", 0, 6)
		rt.clock.Advance(-time.Hour) // a clock that is set back permits no flood
		find(rt, "x", 0, 7)
		find(rt, "x", 0, 7)
	})
	t.Run("CASES F5: a request that ran before is followed by another one", func(t *testing.T) {
		rt := newRemoteTest(t, publish(t, "a"), nil)
		rt.want("a", true, 1)
		answer := make(chan http.HandlerFunc)
		h, arrived := slow(answer)
		rt.answer(h)
		rt.clock.Advance(10 * time.Second)
		first, vouched := make(chan int, 1), make(chan int, 1)
		ask := func(ctx context.Context, found chan<- int) {
			keys, _ := rt.remote.Keys(ctx, "b", "ES256")
			found <- len(keys)
		}
		go ask(context.Background(), first)
		<-arrived
		go ask(early, vouched)
		answer <- publish(t, "a") // read before b was published
		require.Zero(t, <-first)
		<-arrived
		answer <- publish(t, "a", "b")
		require.Equal(t, 1, <-vouched)
	})
}

func TestRemoteReports(t *testing.T) {
	reports := make(chan []jwks.Dropped, 8)
	body := atomic.Value{}
	body.Store(`{"keys":[null]}`)
	rt := newRemoteTest(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body.Load().(string))) },
		func(c *jwks.RemoteConfig) {
			c.Report = func(_ context.Context, dropped []jwks.Dropped) { reports <- dropped }
		})
	rt.wantError("a", 1)
	require.Len(t, <-reports, 1, "CASES C6: what was dropped is reported")
	rt.clock.Advance(time.Minute)
	rt.wantError("a", 2) // the same entries are not reported again
	body.Store(`{"keys":[{"kty":"oct","k":"AAAA"},null]}`)
	rt.clock.Advance(time.Minute)
	rt.wantError("a", 3)
	dropped := <-reports
	require.Len(t, dropped, 2)
	require.True(t, dropped[0].Private)
	require.Empty(t, reports)
}

func TestRemoteObserves(t *testing.T) {
	fetches := make(chan jwks.Fetch, 8)
	var clock *testkit.Clock
	slow := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			clock.Advance(time.Second)
			h(w, r)
		}
	}
	rt := newRemoteTest(t, publish(t, "a"), func(c *jwks.RemoteConfig) {
		c.Observe = func(_ context.Context, f jwks.Fetch) { fetches <- f }
	})
	clock = rt.clock
	url := rt.URL + "/jwks"
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   jwks.Fetch
		cause  string
	}{
		{"a set", publish(t, "a"), jwks.Fetch{URL: url, Duration: time.Second, Keys: 1}, ""},
		{"a set with a dropped entry", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[null,{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
		}, jwks.Fetch{URL: url, Duration: time.Second, Keys: 1, Dropped: 1}, ""},
		{"a set without a usable entry", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[null]}`)) },
			jwks.Fetch{URL: url, Duration: time.Second, Dropped: 1}, "no usable key"},
		{"a failure", status(503), jwks.Fetch{URL: url, Duration: time.Second}, "status 503"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt.answer(slow(tc.answer))
			rt.clock.Advance(3 * time.Hour)
			rt.remote.Keys(t.Context(), "unknown", "ES256") //nolint:errcheck // the hook receives it
			got := <-fetches
			if tc.cause != "" {
				require.ErrorIs(t, got.Err, jwks.ErrUnavailable)
				require.ErrorContains(t, got.Err, tc.cause)
				got.Err = nil
			}
			require.Equal(t, tc.want, got)
			require.Empty(t, fetches, "one request, one call")
		})
	}
	t.Run("keys at hand are not a request", func(t *testing.T) {
		rt.answer(publish(t, "a"))
		rt.clock.Advance(3 * time.Hour)
		rt.want("a", true, 5)
		require.NoError(t, (<-fetches).Err)
		rt.want("a", true, 5)
		require.Empty(t, fetches)
	})
}

func TestAPanicOfAHookEndsNothing(t *testing.T) {
	calls := make(chan string, 8)
	rt := newRemoteTest(t, publish(t, "a"), func(c *jwks.RemoteConfig) {
		c.Observe = func(context.Context, jwks.Fetch) { calls <- "Observe"; panic("a bug of the host") }
		c.Report = func(context.Context, []jwks.Dropped) { calls <- "Report"; panic("a bug of the host") }
	})
	rt.want("a", true, 1)
	require.Equal(t, "Observe", <-calls)
	rt.answer(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[null]}`)) })
	rt.clock.Advance(3 * time.Hour)
	_, err := rt.remote.Keys(t.Context(), "a", "ES256")
	require.ErrorIs(t, err, jwks.ErrUnavailable)
	require.Equal(t, "Report", <-calls)
}

func TestRemoteWithoutHooksReadsNoClock(t *testing.T) {
	var reads atomic.Int32
	rt := newRemoteTest(t, publish(t, "a"), func(c *jwks.RemoteConfig) {
		now := c.Now
		c.Now = func() time.Time { reads.Add(1); return now() }
	})
	rt.want("a", true, 1)
	require.EqualValues(t, 2, reads.Load(), "before and after the request")
	require.Zero(t, testing.AllocsPerRun(10, func() { rt.remote.Keys(context.Background(), "unknown", "PS256") })) //nolint:errcheck
}

func TestRemoteRejectsResponses(t *testing.T) {
	elsewhere := newPublisher(t, publish(t, "a"))
	huge := `{"keys":[]` + strings.Repeat(" ", 1<<20) + `}`
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"attack: more than 1 MiB", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(huge)) }},
		{"attack: an endless body", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<16))); err != nil {
					return
				}
			}
		}},
		{"attack: a large body after decompression", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 64 {
				z.Write([]byte(huge))
			}
			z.Close()
		}},
		{"a truncated body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"keys":[]}`))
		}},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<p>Sign in")) }},
		{"204", status(http.StatusNoContent)},
		{"404", status(http.StatusNotFound)},
		{"attack: a redirect to another origin", http.RedirectHandler(elsewhere.URL+"/jwks", http.StatusFound).ServeHTTP},
		{"attack: a redirect to http", http.RedirectHandler(strings.Replace(elsewhere.URL, "https", "http", 1), http.StatusFound).ServeHTTP},
		{"attack: a redirect in a circle", http.RedirectHandler("/jwks", http.StatusFound).ServeHTTP},
		{"a set without a usable key", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := newRemoteTest(t, tc.answer, nil)
			_, err := rt.remote.Keys(context.Background(), "a", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnavailable)
			require.NotContains(t, err.Error(), "nWGxne")
		})
	}
	require.Zero(t, elsewhere.requests.Load(), "no request to another origin")

	t.Run("a redirect within the origin is followed", func(t *testing.T) {
		a := publish(t, "a")
		rt := newRemoteTest(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				http.Redirect(w, r, "/keys", http.StatusFound)
				return
			}
			a(w, r)
		}, nil)
		rt.want("a", true, 2)
	})
}

func TestRemoteTimeout(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	rt := newRemoteTest(t, func(http.ResponseWriter, *http.Request) { <-release }, func(c *jwks.RemoteConfig) { c.Timeout = 20 * time.Millisecond })
	_, err := rt.remote.Keys(context.Background(), "a", "ES256")
	require.ErrorIs(t, err, jwks.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestRemoteWaitersHonourTheirContext: whoever gives up gets an error, and neither the request nor the others are
// disturbed by it, be it the one who caused the request.
func TestRemoteWaitersHonourTheirContext(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	a := publish(t, "a")
	rt := newRemoteTest(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		a(w, r)
	}, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("the caller has gone")
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := rt.remote.Keys(ctx, "a", "ES256"); first <- err }()
	<-arrived
	go func() { _, err := rt.remote.Keys(context.Background(), "a", "ES256"); second <- err }()
	cancel(gone)
	err := <-first
	require.ErrorIs(t, err, jwks.ErrUnavailable)
	require.ErrorIs(t, err, gone)
	close(release)
	require.NoError(t, <-second)
	rt.want("a", true, 1)
}

func TestRemoteMakesOneRequestForManyCallers(t *testing.T) {
	const n = 64
	release := make(chan struct{})
	a := publish(t, "a")
	rt := newRemoteTest(t, func(w http.ResponseWriter, r *http.Request) { <-release; a(w, r) }, nil)
	var once sync.Once
	var wrong atomic.Int32
	testkit.Hammer(n, func(i int) {
		if i == 0 { // answers once somebody can be waiting
			once.Do(func() { close(release) })
		}
		kid := "a"
		if i%2 == 1 {
			kid = fmt.Sprint("unknown ", i)
		}
		keys, err := rt.remote.Keys(context.Background(), kid, "ES256")
		if err != nil || (len(keys) == 1) != (kid == "a") {
			wrong.Add(1)
		}
	})
	require.Zero(t, wrong.Load())
	require.EqualValues(t, 1, rt.requests.Load())
}

func TestRemotePublicOnly(t *testing.T) {
	p := newPublisher(t, publish(t, "a"))
	port := p.URL[strings.LastIndex(p.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"} {
		t.Run("JWT-BIS-1 "+host, func(t *testing.T) {
			remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://" + host + port, PublicOnly: true})
			require.NoError(t, err)
			_, err = remote.Keys(context.Background(), "a", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnavailable)
			require.ErrorContains(t, err, "is not a public address")
		})
	}
	for _, host := range []string{"10.0.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]", "[64:ff9b::a00:1]", "255.255.255.255"} {
		t.Run("JWT-BIS-1 "+host, func(t *testing.T) {
			remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://" + host, PublicOnly: true})
			require.NoError(t, err)
			_, err = remote.Keys(context.Background(), "a", "ES256")
			require.ErrorContains(t, err, "is not a public address")
		})
	}
	require.Zero(t, p.requests.Load())
}

// TestRemoteDefaultClient: without a client of the caller's, an unknown certificate authority is not believed.
func TestRemoteDefaultClient(t *testing.T) {
	p := newPublisher(t, publish(t, "a"))
	p.Config.ErrorLog = nil
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: p.URL})
	require.NoError(t, err)
	_, err = remote.Keys(context.Background(), "a", "ES256")
	require.ErrorIs(t, err, jwks.ErrUnavailable)
	require.Zero(t, p.requests.Load())
}

func TestNewRemoteRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  jwks.RemoteConfig
	}{
		{"no URL", jwks.RemoteConfig{}},
		{"SP-5.4.2-1 http", jwks.RemoteConfig{URL: "http://as.example.com/jwks"}},
		{"another scheme", jwks.RemoteConfig{URL: "file:///etc/passwd", InsecureAllowHTTP: true}},
		{"a relative URL", jwks.RemoteConfig{URL: "/jwks"}},
		{"a URL with a user", jwks.RemoteConfig{URL: "https://a:b@as.example.com/jwks"}},
		{"a URL with a fragment", jwks.RemoteConfig{URL: "https://as.example.com/jwks#a"}},
		{"a negative Refresh", jwks.RemoteConfig{URL: "https://as.example.com", Refresh: -1}},
		{"a Refresh of more than a day", jwks.RemoteConfig{URL: "https://as.example.com", Refresh: 25 * time.Hour}},
		{"a negative MinInterval", jwks.RemoteConfig{URL: "https://as.example.com", MinInterval: -1}},
		{"a negative Timeout", jwks.RemoteConfig{URL: "https://as.example.com", Timeout: -1}},
		{"JWT-BIS-1 PublicOnly with HTTPClient", jwks.RemoteConfig{URL: "https://as.example.com", PublicOnly: true, HTTPClient: http.DefaultClient}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			remote, err := jwks.NewRemote(tc.cfg)
			require.Error(t, err)
			require.Nil(t, remote)
			require.NotContains(t, err.Error(), "a:b")
		})
	}
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: "http://127.0.0.1:1", InsecureAllowHTTP: true})
	require.NoError(t, err)
	require.NotNil(t, remote)
}

func TestRemoteDoesNotChangeHTTPClient(t *testing.T) {
	p := newPublisher(t, publish(t, "a"))
	client := p.Client()
	_, err := jwks.NewRemote(jwks.RemoteConfig{URL: p.URL, HTTPClient: client})
	require.NoError(t, err)
	require.Nil(t, client.CheckRedirect)
}

func TestRemoteBackoff(t *testing.T) {
	t.Run("the time between requests grows to eight times MinInterval", func(t *testing.T) {
		rt := newRemoteTest(t, status(http.StatusBadGateway), nil)
		requests := 1
		rt.wantError("a", requests)
		for _, wait := range []time.Duration{10, 20, 40, 80, 80, 80} {
			for range 3 {
				rt.wantError("a", requests) // from memory
			}
			rt.clock.Advance(wait*time.Second - 1)
			rt.wantError("b", requests)
			rt.clock.Advance(1)
			requests++
			rt.wantError("a", requests)
		}
		rt.answer(publish(t, "a"))
		rt.clock.Advance(80 * time.Second)
		rt.want("a", true, requests+1)
		rt.want("b", false, requests+1)
		rt.clock.Advance(10 * time.Second) // forgotten
		rt.want("b", false, requests+2)
	})
	t.Run("the time is at most Refresh, and a clock that is set back does not prolong it", func(t *testing.T) {
		rt := newRemoteTest(t, status(http.StatusBadGateway), func(c *jwks.RemoteConfig) {
			c.Refresh, c.MinInterval = 15*time.Second, 10*time.Second
		})
		rt.wantError("a", 1)
		rt.clock.Advance(10 * time.Second)
		rt.wantError("a", 2)
		rt.clock.Advance(15 * time.Second)
		rt.wantError("a", 3)
		rt.clock.Advance(-time.Hour)
		rt.wantError("a", 4)
	})
}
