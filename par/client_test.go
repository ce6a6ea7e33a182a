package par_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

// assertions authenticates with a new one each time, all of one length.
func assertions() func(context.Context, url.Values) error {
	var n atomic.Int32
	return func(_ context.Context, form url.Values) error {
		form.Set("client_assertion", fmt.Sprintf("assertion-%04d", n.Add(1)))
		return nil
	}
}

func newClient(t testing.TB, h http.HandlerFunc, change ...func(*par.ClientConfig)) *par.Client {
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	cfg := par.ClientConfig{Endpoint: srv.URL + "/par", HTTPClient: srv.Client(), Authenticate: assertions()}
	for _, f := range change {
		f(&cfg)
	}
	c, err := par.NewClient(cfg)
	require.NoError(t, err)
	return c
}

func TestClientSends(t *testing.T) {
	for _, tc := range []struct {
		name string
		push url.Values
	}{
		{"SP-5.3.3.2-2 PAR-2-1 a POST of a form", honest()},
		{"RI-2-2 resource twice", url.Values{"client_id": {"app"}, "resource": {"https://a", "https://b"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := url.Values{"client_assertion": {"assertion-0001"}}
			for k, v := range tc.push {
				want[k] = v
			}
			before := tc.push.Encode()
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Method != "POST" || r.URL.RequestURI() != "/par" || r.Header.Get("Content-Type") != formType ||
					r.Header.Get("Accept") != "application/json" || string(body) != want.Encode() {
					http.Error(w, "not what was expected", http.StatusTeapot)
					return
				}
				par.Pushed{RequestURI: "urn:x:y", ExpiresIn: time.Minute}.ServeHTTP(w, r)
			})
			pushed, err := c.Push(t.Context(), tc.push)
			require.NoError(t, err)
			require.Equal(t, par.Pushed{RequestURI: "urn:x:y", ExpiresIn: time.Minute}, pushed)
			require.Equal(t, before, tc.push.Encode())
		})
	}
}

func TestClientSendsNothing(t *testing.T) {
	refuse := errors.New("no key")
	var called atomic.Int32
	c := newClient(t, func(http.ResponseWriter, *http.Request) { called.Add(1) })
	keyless := newClient(t, func(http.ResponseWriter, *http.Request) { called.Add(1) }, func(cfg *par.ClientConfig) {
		cfg.Authenticate = func(context.Context, url.Values) error { return refuse }
	})
	for _, tc := range []struct {
		name   string
		client *par.Client
		push   url.Values
	}{
		{"PAR-2.1-1 request_uri", c, honest("request_uri", "urn:x:y")},
		{"PAR-2.1-2 no client_id", c, honest("client_id", "")},
		{"a parameter twice", c, url.Values{"client_id": {"app"}, "state": {"a", "b"}}},
		{"more than a server reads", c, honest("state", strings.Repeat("x", 300<<10))},
		{"authentication fails", keyless, honest()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pushed, err := tc.client.Push(t.Context(), tc.push)
			require.Error(t, err)
			require.Zero(t, pushed)
			require.Zero(t, called.Load())
			require.Equal(t, tc.client == keyless, errors.Is(err, refuse))
		})
	}
	for _, endpoint := range []string{"", "http://as.example/par", "/par", "https://as.example/par#x", "https://u@as.example/par", "https://as.example:x/"} {
		_, err := par.NewClient(par.ClientConfig{Endpoint: endpoint})
		require.Error(t, err, "PAR-2-1 %q", endpoint)
	}
	_, err := par.NewClient(par.ClientConfig{Endpoint: "https://as.example/par"})
	require.NoError(t, err)
}

type response struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	Type   string `json:"type"`
	Body   string `json:"body"`
	Repeat int    `json:"repeat"` // this many further characters x
	Want   string `json:"want"`   // "pushed", "server" (a RetrieveError) or "unusable"
	Code   string `json:"code"`   // the ErrorCode
}

func TestClientReads(t *testing.T) {
	for _, v := range testkit.LoadVectors[response](t, "testdata/responses.json") {
		t.Run("PAR-2.2-1 PAR-2.3-1 "+v.Name, func(t *testing.T) {
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", v.Type)
				w.WriteHeader(v.Status)
				_, _ = io.WriteString(w, v.Body+strings.Repeat("x", v.Repeat))
			})
			pushed, err := c.Push(t.Context(), honest())
			var said *oauth2.RetrieveError
			switch v.Want {
			case "pushed":
				require.NoError(t, err)
				require.NotEmpty(t, pushed.RequestURI)
				require.Equal(t, time.Minute, pushed.ExpiresIn)
				return
			case "server":
				require.ErrorAs(t, err, &said)
				require.Equal(t, v.Status, said.Response.StatusCode)
				require.Equal(t, v.Code, said.ErrorCode)
				require.LessOrEqual(t, len(err.Error()), 2000)
			case "unusable":
				require.ErrorIs(t, err, par.ErrResponse)
				require.False(t, errors.As(err, &said))
				require.NotContains(t, err.Error(), "urn:")
			default:
				t.Fatalf("unknown class %q", v.Want)
			}
			require.Zero(t, pushed)
		})
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var elsewhere atomic.Int32
		evil := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		t.Cleanup(evil.Close)
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, status) }, func(cfg *par.ClientConfig) {
			cfg.HTTPClient.CheckRedirect = nil
		})
		_, err := c.Push(t.Context(), honest())
		var said *oauth2.RetrieveError
		require.ErrorAs(t, err, &said)
		require.Equal(t, status, said.Response.StatusCode)
		require.Zero(t, elsewhere.Load())
	}
}

func TestClientLeavesTheCallersHTTPClient(t *testing.T) {
	hc := &http.Client{}
	_, err := par.NewClient(par.ClientConfig{Endpoint: "https://as.example/par", HTTPClient: hc})
	require.NoError(t, err)
	require.Nil(t, hc.CheckRedirect)
}

func TestClientWhenTheConnectionBreaks(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"request_uri":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := c.Push(t.Context(), honest())
	require.ErrorIs(t, err, par.ErrResponse)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Push(ctx, honest())
	require.ErrorIs(t, err, context.Canceled)
}

// repeater is a RoundTripper that repeats a request once, as one that adds
// proofs of possession does.
type repeater struct{ http.RoundTripper }

func (p repeater) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode != 400 {
		return resp, err
	}
	_ = resp.Body.Close()
	again := r.Clone(r.Context())
	if again.Body, err = r.GetBody(); err != nil {
		return nil, err
	}
	return p.RoundTripper.RoundTrip(again)
}

func TestClientIsAskedForANonce(t *testing.T) {
	var seen []string
	asks := 1
	handler := func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		seen = append(seen, r.PostForm.Get("client_assertion"))
		if asks--; asks >= 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":"use_dpop_nonce"}`)
			return
		}
		par.Pushed{RequestURI: "urn:x:y", ExpiresIn: time.Minute}.ServeHTTP(w, r)
	}
	repeating := func(cfg *par.ClientConfig) { cfg.HTTPClient.Transport = repeater{cfg.HTTPClient.Transport} }
	growing := func(cfg *par.ClientConfig) {
		repeating(cfg)
		n := 0
		cfg.Authenticate = func(_ context.Context, form url.Values) error {
			n++
			form.Set("client_assertion", strings.Repeat("x", n))
			return nil
		}
	}
	for _, tc := range []struct {
		name   string
		asks   int
		change func(*par.ClientConfig)
		want   []string
		ok     bool
	}{
		{"once: a new assertion", 1, func(*par.ClientConfig) {}, []string{"assertion-0001", "assertion-0002"}, true},
		{"for ever: given up after one repetition", 99, func(*par.ClientConfig) {}, []string{"assertion-0001", "assertion-0002"}, false},
		{"once, by a transport that repeats: a new assertion too", 1, repeating, []string{"assertion-0001", "assertion-0002"}, true},
		{"for ever, by a transport that repeats", 99, repeating, []string{"assertion-0001", "assertion-0002"}, false},
		{"a new assertion of another length cannot be put in place of the old", 1, growing, []string{"x"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen, asks = nil, tc.asks
			_, err := newClient(t, handler, tc.change).Push(t.Context(), honest())
			require.Equal(t, tc.ok, err == nil, "%v", err)
			require.Equal(t, tc.want, seen)
		})
	}
}
