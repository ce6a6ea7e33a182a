package par_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

type getter = func(ctx context.Context, clientID, requestURI string) (par.Request, error)

func TestLifetimes(t *testing.T) {
	none := errors.New("none")
	for _, tc := range []struct {
		name                  string
		at                    time.Duration
		load, resume, consume error
	}{
		{"at once", 0, none, none, none},
		{"SP-5.3.2.2-N2 after a minute and more", 89 * time.Second, none, none, none},
		{"PAR-4-3 after expires_in no browser gets in, and whoever is in goes on", 90 * time.Second, par.ErrExpired, none, none},
		{"at the end of the login time", 90*time.Second + 10*time.Minute - time.Second, par.ErrExpired, none, none},
		{"PAR-4-3 after the login time it is over", 90*time.Second + 10*time.Minute, par.ErrExpired, par.ErrExpired, par.ErrExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			uri := r.pushed(t)
			r.clock.Advance(tc.at) // the store's time stands still: the server looks at its own clock
			for _, step := range []struct {
				get  getter
				want error
			}{{r.Load, tc.load}, {r.Resume, tc.resume}, {r.Consume, tc.consume}} {
				req, err := step.get(t.Context(), "app", uri)
				if step.want == none {
					require.NoError(t, err)
					require.Equal(t, "app", req.ClientID())
					continue
				}
				require.ErrorIs(t, err, step.want)
				requireWire(t, err, "invalid_request_uri", 400)
				require.Zero(t, req)
			}
		})
	}
	// The memory store of a server forgets by the same clock.
	clock := testkit.NewClock(start)
	s, err := par.NewServer(par.ServerConfig{Check: anything, Now: clock.Now})
	require.NoError(t, err)
	p, err := s.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
	require.NoError(t, err)
	clock.Advance(time.Hour)
	_, err = consume(t.Context(), s, "app", p.RequestURI)
	require.ErrorIs(t, err, par.ErrNotFound)
}

func TestRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := par.NewServer(par.ServerConfig{Check: anything, Lifetime: 5 * time.Second, LoginTime: time.Minute, Store: memstore.New(memstore.Config{MaxEntries: 10})})
		require.NoError(t, err)
		p, err := s.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
		require.NoError(t, err)
		time.Sleep(6 * time.Second) // of the bubble's time
		_, err = s.Load(t.Context(), "app", p.RequestURI)
		require.ErrorIs(t, err, par.ErrNotFound, "no browser came for it")
		time.Sleep(time.Minute)
		_, err = consume(t.Context(), s, "app", p.RequestURI)
		require.ErrorIs(t, err, par.ErrNotFound)
	})
}

func TestOneTime(t *testing.T) {
	t.Run("CS-7 PAR-4-2 SP-5.3.2.2-N3 loaded often, consumed once", func(t *testing.T) {
		r := newRig(t)
		uri := r.pushed(t)
		for range 3 {
			_, err := r.Load(t.Context(), "app", uri)
			require.NoError(t, err)
		}
		_, err := r.Consume(t.Context(), "app", uri)
		require.NoError(t, err)
		for _, get := range []getter{r.Load, r.Resume, r.Consume} {
			req, err := get(t.Context(), "app", uri)
			require.ErrorIs(t, err, par.ErrNotFound)
			requireWire(t, err, "invalid_request_uri", 400)
			require.Zero(t, req)
		}
	})
	t.Run("PAR-7.3-1 one of 64 concurrent completions wins", func(t *testing.T) {
		s, err := par.NewServer(par.ServerConfig{Check: anything})
		require.NoError(t, err)
		p, err := s.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
		require.NoError(t, err)
		testkit.OneWinner(t, par.ErrNotFound, func() error {
			req, err := consume(context.Background(), s, "app", p.RequestURI)
			if err == nil && req.ClientID() != "app" {
				return errors.New("another client")
			}
			return err
		})
	})
	t.Run("PAR-2.2-4 CS-5 a wrong client consumes nothing", func(t *testing.T) {
		r := newRig(t)
		uri := r.pushed(t)
		for _, other := range []string{"other", "", "App", "app "} {
			for _, get := range []getter{r.Load, r.Resume, r.Consume} {
				req, err := get(t.Context(), other, uri)
				require.ErrorIs(t, err, par.ErrWrongClient)
				requireWire(t, err, "invalid_request", 400)
				require.Zero(t, req)
			}
		}
		require.Zero(t, r.store.swaps)
		_, err := r.Consume(t.Context(), "app", uri)
		require.NoError(t, err)
	})
	t.Run("an expired one is not consumed", func(t *testing.T) {
		r := newRig(t)
		uri := r.pushed(t)
		r.clock.Advance(time.Hour)
		_, err := r.Consume(t.Context(), "app", uri)
		require.ErrorIs(t, err, par.ErrExpired)
		require.Zero(t, r.store.swaps)
	})
}

func TestForeignReferences(t *testing.T) {
	r := newRig(t)
	uri := r.pushed(t)
	for _, tc := range []struct{ name, uri string }{
		{"empty", ""},
		{"never issued", "urn:ietf:params:oauth:request_uri:" + strings.Repeat("A", 43)},
		{"JAR-5.2-2 JAR-10.4-1 an https request_uri, which would have to be fetched", "https://client.example/request.jwt"},
		{"the prefix alone", "urn:ietf:params:oauth:request_uri:"},
		{"a character more", uri + "A"},
		{"a character less", uri[:len(uri)-1]},
		{"upper case prefix", "URN" + uri[3:]},
		{"a newline", uri[:len(uri)-1] + "\n"},
		{"a mebibyte", "urn:ietf:params:oauth:request_uri:" + strings.Repeat("A", 1<<20)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, get := range []getter{r.Load, r.Resume, r.Consume} {
				req, err := get(t.Context(), "app", tc.uri)
				require.ErrorIs(t, err, par.ErrNotFound)
				requireWire(t, err, "invalid_request_uri", 400)
				require.Zero(t, req)
				require.Less(t, len(err.Error()), 200)
			}
		})
	}
	require.Equal(t, 3, r.store.loads, "only what has the form of a reference is looked up")
}

func TestStoreFailures(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	uri := r.pushed(t)
	down := errors.New("redis at 10.0.0.7 is down")
	r.store.fail = down
	_, err := r.Push(ctx, par.PushRequest{ClientID: "app", Params: honest()})
	require.ErrorIs(t, err, down)
	require.ErrorIs(t, err, par.ErrStore)
	requireWire(t, err, "server_error", 503)
	for _, get := range []getter{r.Load, r.Resume, r.Consume} {
		req, err := get(ctx, "app", uri)
		require.ErrorIs(t, err, par.ErrStore)
		require.ErrorIs(t, err, down)
		require.NotErrorIs(t, err, par.ErrNotFound)
		requireWire(t, err, "server_error", 503)
		require.Zero(t, req)
	}
	r.store.fail = nil

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = r.Consume(gone, "app", uri)
	require.ErrorIs(t, err, context.Canceled)
	_, err = r.Consume(ctx, "app", uri)
	require.NoError(t, err, "no failure has lost the request")

	full, err := par.NewServer(par.ServerConfig{Check: anything, Store: memstore.New(memstore.Config{MaxEntries: 1})})
	require.NoError(t, err)
	_, err = full.Push(ctx, par.PushRequest{ClientID: "app", Params: honest()})
	require.NoError(t, err)
	_, err = full.Push(ctx, par.PushRequest{ClientID: "app", Params: honest()})
	require.ErrorIs(t, err, par.ErrStore)
	requireWire(t, err, "temporarily_unavailable", 429)
	form := honest()
	form.Set("client_id", "other")
	_, err = full.Push(ctx, par.PushRequest{ClientID: "other", Params: form})
	require.ErrorIs(t, err, par.ErrStore)
	requireWire(t, err, "server_error", 503)
}

func TestDamagedRows(t *testing.T) {
	r := newRig(t)
	uri := r.pushed(t)
	other := r.pushed(t)
	otherRow := r.store.lastValue
	replace := func(from, to string) func([]byte) []byte {
		return func(v []byte) []byte {
			require.Contains(t, string(v), from)
			return bytes.Replace(v, []byte(from), []byte(to), 1)
		}
	}
	for _, tc := range []struct {
		name   string
		tamper func([]byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"not JSON", func([]byte) []byte { return []byte("\x80\x04K\x01.") }},
		{"null", func([]byte) []byte { return []byte("null") }},
		{"somebody else's object", func([]byte) []byte { return []byte(`{"id":1}`) }},
		{"cut off", func(v []byte) []byte { return v[:len(v)-2] }},
		{"a later version", replace(`"v":3`, `"v":4`)},
		{"the row of another request", func([]byte) []byte { return otherRow }},
		{"no client", replace(`"client_id",`, `"client_ID",`)},
		{"an empty client", replace(`"client_id","app"`, `"client_id",""`)},
		{"a member twice", replace(`"params":`, `"params":["client_id","app"],"params":`)},
		{"parameters that repeat", replace(`"params":[`, `"params":["state","x","state","y",`)},
		{"an empty parameter", replace(`"params":[`, `"params":["state2","",`)},
		{"half a parameter", replace(`"params":[`, `"params":["state",`)},
		{"no parameters", replace(`"params":[`, `"other":[`)},
		{"parameters that are not strings", replace(`"params":[`, `"params":[["state","x"],`)},
		{"parameters and an attempt", replace(`"params":`, `"attempt":"x","params":`)},
		{"the wrong type", replace(`"v":3`, `"v":"3"`)},
		{"a date that is not a number", replace(`"expires":`, `"expires":"x","was":`)},
		{"too large", func(v []byte) []byte { return append(v, bytes.Repeat([]byte(" "), 200<<10)...) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.store.tamper = tc.tamper
			for _, get := range []getter{r.Load, r.Resume, r.Consume} {
				req, err := get(t.Context(), "app", uri)
				require.ErrorIs(t, err, par.ErrStore)
				requireWire(t, err, "server_error", 503)
				require.Zero(t, req)
				require.NotContains(t, err.Error(), "af0ifjsldkj")
			}
		})
	}
	r.store.tamper = nil
	for _, u := range []string{uri, other} {
		_, err := r.Consume(t.Context(), "app", u)
		require.NoError(t, err)
	}
}

func TestNothingPersonalIsPrinted(t *testing.T) {
	r := newRig(t)
	push := par.PushRequest{ClientID: "app", Params: honest("login_hint", "alice@example.org")}
	pushed, err := r.Push(t.Context(), push)
	require.NoError(t, err)
	req, err := r.Load(t.Context(), "app", pushed.RequestURI)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "request", req, "pushed", pushed, "push", push)
	text := log.String() + fmt.Sprint(req, pushed, push) + fmt.Sprintf("%v %+v %s %#v %#v %#v", req, pushed, pushed, req, pushed, push)
	require.Contains(t, text, `pushed request of`)
	for _, secret := range []string{"alice", "af0ifjsldkj", pushed.RequestURI} {
		require.NotContains(t, text, secret)
	}
}

func TestConcurrentUse(t *testing.T) {
	s, err := par.NewServer(par.ServerConfig{Check: anything})
	require.NoError(t, err)
	params := honest()
	var failed atomic.Int32
	testkit.Hammer(32, func(i int) {
		client := fmt.Sprint("client", i)
		mine := url.Values{"response_type": params["response_type"], "redirect_uri": params["redirect_uri"]}
		for range 20 {
			p, err := s.Push(context.Background(), par.PushRequest{ClientID: client, Params: mine})
			if err == nil {
				_, err = s.Load(context.Background(), client, p.RequestURI)
			}
			if err == nil {
				_, err = consume(context.Background(), s, client, p.RequestURI)
			}
			if err != nil {
				failed.Add(1)
			}
		}
	})
	require.Zero(t, failed.Load())
}

func TestWhatOneClientCanKeep(t *testing.T) {
	clock := testkit.NewClock(start)
	newServer := func(entries int) *par.Server {
		cfg := par.ServerConfig{Check: anything, Now: clock.Now, Lifetime: time.Minute, LoginTime: time.Hour}
		if entries > 0 {
			cfg.Store = memstore.New(memstore.Config{MaxEntries: entries, MaxBytes: 4 << 20, Now: clock.Now})
		}
		s, err := par.NewServer(cfg)
		require.NoError(t, err)
		return s
	}
	params := func(size int) url.Values {
		p := honest()
		p.Set("state", strings.Repeat("s", size))
		return p
	}
	push := func(s *par.Server, clientID string, size int) (string, error) {
		form := params(size)
		form.Set("client_id", clientID)
		p, err := s.Push(t.Context(), par.PushRequest{ClientID: clientID, Params: form})
		return p.RequestURI, err
	}
	const large = 100 << 10
	flood := func(s *par.Server, clientID string) (n int) {
		for ; n < 1<<16; n++ {
			if _, err := push(s, clientID, large); err != nil {
				require.ErrorIs(t, err, par.ErrStore)
				requireWire(t, err, "temporarily_unavailable", 429)
				return n
			}
		}
		return n
	}
	t.Run("D1: a flood of large requests is bounded in bytes and leaves room", func(t *testing.T) {
		s := newServer(0)
		require.InDelta(t, 32<<20, flood(s, "first")*large, 2<<20, "half of the store")
		require.InDelta(t, 16<<20, flood(s, "second")*large, 2<<20, "half of what is left")
		_, err := push(s, "third", 10)
		require.NoError(t, err)
		_, err = push(s, "first", 10)
		requireWire(t, err, "temporarily_unavailable", 429)
	})
	t.Run("D1: requests that no browser comes for go when expires_in is over", func(t *testing.T) {
		s := newServer(1000)
		n := flood(s, "first")
		clock.Advance(time.Minute)
		require.Equal(t, n, flood(s, "first"))
	})
	t.Run("D1: a request that a browser came for stays for the login", func(t *testing.T) {
		s := newServer(1000)
		visited, err := push(s, "first", 10)
		require.NoError(t, err)
		_, err = s.Load(t.Context(), "first", visited)
		require.NoError(t, err)
		clock.Advance(30 * time.Minute)
		flood(s, "first")
		_, err = s.Load(t.Context(), "first", visited)
		require.ErrorIs(t, err, par.ErrExpired)
		_, err = s.Resume(t.Context(), "first", visited)
		require.NoError(t, err)
		_, err = consume(t.Context(), s, "first", visited)
		require.NoError(t, err)
		_, err = consume(t.Context(), s, "first", visited)
		require.ErrorIs(t, err, par.ErrNotFound)
	})
	t.Run("D1: attack: another client's visit does not prolong a request", func(t *testing.T) {
		s := newServer(1000)
		uri, err := push(s, "first", 10)
		require.NoError(t, err)
		_, err = s.Load(t.Context(), "second", uri)
		require.ErrorIs(t, err, par.ErrWrongClient)
		clock.Advance(time.Minute)
		_, err = s.Resume(t.Context(), "first", uri)
		require.ErrorIs(t, err, par.ErrNotFound)
	})
	t.Run("D1: consuming requests makes room", func(t *testing.T) {
		s := newServer(1000)
		uri, err := push(s, "first", large)
		require.NoError(t, err)
		flood(s, "first")
		_, err = s.Load(t.Context(), "first", uri)
		require.NoError(t, err)
		_, err = consume(t.Context(), s, "first", uri)
		require.NoError(t, err)
		_, err = push(s, "first", 10)
		require.NoError(t, err)
	})
	t.Run("D1: a consumed request counts for two more minutes only", func(t *testing.T) {
		s := newServer(100)
		var requests []par.Request
		for {
			uri, err := push(s, "first", 10)
			if err != nil {
				requireWire(t, err, "temporarily_unavailable", 429)
				break
			}
			req, err := s.Load(t.Context(), "first", uri)
			require.NoError(t, err)
			requests = append(requests, req)
		}
		require.Len(t, requests, 50)
		for _, req := range requests {
			require.NoError(t, s.Consume(t.Context(), req, "decision"))
		}
		clock.Advance(2 * time.Minute)
		for range requests {
			_, err := push(s, "first", 10)
			require.NoError(t, err)
		}
		for _, attempt := range []string{"decision", "another decision"} {
			err := s.Consume(t.Context(), requests[0], attempt)
			require.ErrorIs(t, err, par.ErrNotFound, "PAR-7.3-1 a forgotten request is not new")
		}
		_, err := s.Resume(t.Context(), "first", requests[0].RequestURI())
		require.ErrorIs(t, err, par.ErrNotFound)
	})
	t.Run("D1: 429 and 503 come with Retry-After", func(t *testing.T) {
		s := newServer(1)
		_, err := push(s, "first", 10)
		require.NoError(t, err)
		_, err = push(s, "first", 10)
		require.Error(t, err)
		for _, cause := range []error{err, par.ErrStore} {
			w := httptest.NewRecorder()
			par.WriteError(w, cause)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
		}
		w := httptest.NewRecorder()
		par.WriteError(w, par.ErrRedirectURI)
		require.Empty(t, w.Header().Get("Retry-After"))
	})
}
