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

// publisher is the other party: a TLS server whose answer the test decides, and which counts requests.
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

// with adds a header that replaces the handler's own.
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

// want asks for a key and checks the outcome and how many requests there have been in all.
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
		{"for MinInterval at least", "Cache-Control", "max-age=0", 10 * time.Second},
		{"for MinInterval when it must not", "Cache-Control", "no-store, max-age=600", 10 * time.Second},
		{"for MinInterval when max-age is nonsense", "Cache-Control", "max-age=-1", 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := newRemoteTest(t, with(tc.header, tc.value, publish(t, "a")), nil)
			rt.want("a", true, 1)
			rt.clock.Advance(tc.lives - time.Nanosecond)
			rt.want("a", true, 1)
			rt.clock.Advance(time.Nanosecond)
			rt.want("a", true, 2)
		})
	}
	t.Run("for what is left of max-age", func(t *testing.T) {
		rt := newRemoteTest(t, with("Age", "280", publish(t, "a")), nil) // max-age=300
		rt.want("a", true, 1)
		rt.clock.Advance(20*time.Second - 1)
		rt.want("a", true, 1)
		rt.clock.Advance(1)
		rt.want("a", true, 2)
	})
}

func TestRemoteSeesRotation(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	rt.answer(publish(t, "a", "b"))
	rt.clock.Advance(10 * time.Second)
	rt.want("b", true, 2) // an unknown kid is reason to ask
	rt.answer(publish(t, "b"))
	rt.want("a", true, 2)
	rt.clock.Advance(5 * time.Minute) // the publisher's max-age
	rt.want("a", false, 3)            // withdrawn
	rt.want("b", true, 3)
}

func TestRemoteBoundsKidFloods(t *testing.T) {
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

func TestRemoteSurvivesOutage(t *testing.T) {
	rt := newRemoteTest(t, publish(t, "a"), nil)
	rt.want("a", true, 1)
	rt.answer(status(http.StatusInternalServerError))
	rt.clock.Advance(5 * time.Minute)
	rt.want("a", true, 2) // the old set is used
	rt.want("a", true, 2) // without asking each time
	rt.wantError("b", 2)  // but nothing is said about what it does not have
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

	t.Run("not at all if told so", func(t *testing.T) {
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
	rt.want("a", true, 2)
	arrived, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	rt.answer(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	rt.clock.Advance(10 * time.Second)
	keys, err := rt.remote.Keys(context.Background(), "a", "ES256") // returns although the server does not
	require.NoError(t, err)
	require.Len(t, keys, 1)
	<-arrived
}

func TestRemoteRefusesAnswers(t *testing.T) {
	elsewhere := newPublisher(t, publish(t, "a"))
	huge := `{"keys":[]` + strings.Repeat(" ", 1<<20) + `}`
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"of 1 MiB and more", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(huge)) }},
		{"without end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<16))); err != nil {
					return
				}
			}
		}},
		{"that swell when decompressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 64 {
				z.Write([]byte(huge))
			}
			z.Close()
		}},
		{"that end early", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"keys":[]}`))
		}},
		{"that are HTML", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<p>Sign in")) }},
		{"204", status(http.StatusNoContent)},
		{"404", status(http.StatusNotFound)},
		{"that redirect to another origin", http.RedirectHandler(elsewhere.URL+"/jwks", http.StatusFound).ServeHTTP},
		{"that redirect to http", http.RedirectHandler(strings.Replace(elsewhere.URL, "https", "http", 1), http.StatusFound).ServeHTTP},
		{"that redirect in a circle", http.RedirectHandler("/jwks", http.StatusFound).ServeHTTP},
		{"with a private key", func(w http.ResponseWriter, _ *http.Request) {
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
	require.Zero(t, elsewhere.requests.Load(), "nobody else is asked")

	t.Run("but follows a redirect within the origin", func(t *testing.T) {
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

func TestRemoteIsBoundedInTime(t *testing.T) {
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

func TestRemoteMakesOneRequestForMany(t *testing.T) {
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

func TestNewRemoteRefuses(t *testing.T) {
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
		{"JWT-BIS-1 PublicOnly that cannot be kept", jwks.RemoteConfig{URL: "https://as.example.com", PublicOnly: true, HTTPClient: http.DefaultClient}},
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

func TestRemoteLeavesTheCallersClientAlone(t *testing.T) {
	p := newPublisher(t, publish(t, "a"))
	client := p.Client()
	_, err := jwks.NewRemote(jwks.RemoteConfig{URL: p.URL, HTTPClient: client})
	require.NoError(t, err)
	require.Nil(t, client.CheckRedirect)
}
