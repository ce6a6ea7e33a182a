package loopback_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/client/loopback"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A bank is an authorization server that remembers the state of the last push.
type bank struct {
	*httptest.Server
	state    string
	codes    int
	redeemed func() // called for each code
}

func newBank(t testing.TB) *bank {
	b := &bank{}
	b.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/par":
			b.state = r.PostFormValue("state")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"request_uri":"urn:ietf:params:oauth:request_uri:1","expires_in":60}`)
		case "/token":
			if b.codes++; b.redeemed != nil {
				b.redeemed()
			}
			io.WriteString(w, `{"access_token":"at-1","token_type":"DPoP"}`)
		default:
			json.NewEncoder(w).Encode(map[string]any{
				"issuer": b.URL, "authorization_endpoint": b.URL + "/authorize", "token_endpoint": b.URL + "/token",
				"pushed_authorization_request_endpoint": b.URL + "/par", "response_types_supported": []string{"code"},
				"authorization_response_iss_parameter_supported": true,
				"token_endpoint_auth_methods_supported":          []string{"private_key_jwt"},
				"dpop_signing_alg_values_supported":              []string{"ES256"},
			})
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bank) client(t testing.TB, redirectURI string) *client.Client {
	app, err := client.New(t.Context(), client.Config{
		Issuer: b.URL, ClientID: "cli", RedirectURI: redirectURI, Key: testkit.ECKey(t, "cli"), HTTPClient: b.Client(),
	})
	require.NoError(t, err)
	return app
}

// visit is the browser.
func visit(t testing.TB, method, target string, change ...func(*http.Request)) (status int, page string) {
	r, err := http.NewRequest(method, target, nil)
	require.NoError(t, err)
	for _, f := range change {
		f(r)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	return response.StatusCode, string(body)
}

func TestLogin(t *testing.T) {
	b := newBank(t)
	var l *loopback.Listener
	answer := func(more url.Values) string {
		more.Set("iss", b.URL)
		more.Set("state", b.state)
		return l.RedirectURI() + "?" + more.Encode()
	}
	done := make(chan string, 1)
	browse := func(address string) error {
		require.True(t, strings.HasPrefix(address, b.URL+"/authorize?"))
		go func() {
			for name, attack := range map[string]string{
				"AM-5.4a: another state": l.RedirectURI() + "?" + url.Values{"iss": {b.URL}, "state": {"x"}, "code": {"1"}}.Encode(),
				"ISS-2.4-1: another iss": l.RedirectURI() + "?" + url.Values{"iss": {"https://evil"}, "state": {b.state}, "code": {"1"}}.Encode(),
				"no parameters":          l.RedirectURI(),
				"a malformed query":      l.RedirectURI() + "?%zz",
			} {
				status, page := visit(t, http.MethodGet, attack)
				require.Equal(t, http.StatusBadRequest, status, name)
				require.NotContains(t, page, "logged in")
			}
			status, _ := visit(t, http.MethodPost, answer(url.Values{"code": {"1"}}))
			require.Equal(t, http.StatusMethodNotAllowed, status)
			status, _ = visit(t, http.MethodGet, l.RedirectURI()+"/favicon.ico")
			require.Equal(t, http.StatusNotFound, status)
			status, _ = visit(t, http.MethodGet, answer(url.Values{"code": {"1"}}), func(r *http.Request) { r.Host = "evil.example" })
			require.Equal(t, http.StatusForbidden, status, "attack: DNS rebinding")
			_, page := visit(t, http.MethodGet, answer(url.Values{"code": {"code-1"}}))
			done <- page
		}()
		return nil
	}
	var err error
	l, err = loopback.Listen(loopback.Config{Open: browse})
	require.NoError(t, err)
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/callback$`, l.RedirectURI())
	app := b.client(t, l.RedirectURI())
	token, err := l.Login(t.Context(), app, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	require.Equal(t, "at-1", token.AccessToken)
	require.Equal(t, "You are logged in. You can close this window.\n", <-done)
	require.Equal(t, 1, b.codes)
	_, err = l.Login(t.Context(), app, client.Request{})
	require.ErrorContains(t, err, "twice")
	require.NoError(t, l.Close())
	_, err = http.Get(l.RedirectURI()) //nolint:bodyclose,noctx // it fails
	require.Error(t, err, "the port is closed")
}

func TestLoginFails(t *testing.T) {
	b := newBank(t)
	login := func(ctx context.Context, open func(l *loopback.Listener) error) error {
		var l *loopback.Listener
		cfg := loopback.Config{Path: "/cb", Open: func(string) error { return open(l) }}
		var err error
		l, err = loopback.Listen(cfg)
		require.NoError(t, err)
		token, err := l.Login(ctx, b.client(t, l.RedirectURI()), client.Request{Scopes: []string{"a"}})
		require.Nil(t, token)
		return err
	}
	err := login(t.Context(), func(l *loopback.Listener) error {
		go visit(t, http.MethodGet, l.RedirectURI()+"?"+url.Values{"iss": {b.URL}, "state": {b.state}, "error": {"access_denied"}}.Encode())
		return nil
	})
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, err, &said)
	require.Equal(t, "access_denied", said.ErrorCode)

	failure := errors.New("no browser")
	require.ErrorIs(t, login(t.Context(), func(*loopback.Listener) error { return failure }), failure)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	require.ErrorIs(t, login(ctx, func(*loopback.Listener) error { return nil }), context.DeadlineExceeded)
	waiting, stop := context.WithCancelCause(t.Context())
	require.ErrorIs(t, login(waiting, func(*loopback.Listener) error { stop(failure); return nil }), failure)

	require.ErrorIs(t, login(t.Context(), func(l *loopback.Listener) error { return l.Close() }), net.ErrClosed)

	for _, path := range []string{"cb", "/a b", "/ä", "/%zz", "//evil.example/cb", "/cb?a=b", "/cb#a"} {
		_, err = loopback.Listen(loopback.Config{Path: path})
		require.Error(t, err, path)
	}
	l, err := loopback.Listen(loopback.Config{})
	require.NoError(t, err)
	_, err = l.Login(t.Context(), b.client(t, "http://127.0.0.1:1/callback"), client.Request{Scopes: []string{"a"}})
	require.ErrorContains(t, err, "another RedirectURI")
	require.Zero(t, b.codes)
}

// The user is slow, and the deadline passes while the code is redeemed.
func TestLoginKeepsARedeemedCode(t *testing.T) {
	b := newBank(t)
	ctx, stop := context.WithCancel(t.Context())
	b.redeemed = func() {
		stop()
		time.Sleep(50 * time.Millisecond)
	}
	var l *loopback.Listener
	l, err := loopback.Listen(loopback.Config{Open: func(string) error {
		go visit(t, http.MethodGet, l.RedirectURI()+"?"+url.Values{"iss": {b.URL}, "state": {b.state}, "code": {"1"}}.Encode())
		return nil
	}})
	require.NoError(t, err)
	token, err := l.Login(ctx, b.client(t, l.RedirectURI()), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	require.Equal(t, "at-1", token.AccessToken)
}

// A page of the host panics, or a client does not read it.
func TestLoginDoesNotWaitForThePage(t *testing.T) {
	b := newBank(t)
	blocked := make(chan struct{})
	defer close(blocked)
	for name, page := range map[string]func(http.ResponseWriter, *http.Request, error){
		"it panics": func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		"it blocks": func(http.ResponseWriter, *http.Request, error) { <-blocked },
	} {
		t.Run(name, func(t *testing.T) {
			var l *loopback.Listener
			open := func(string) error {
				for _, state := range []string{"x", b.state} { // the first is an attack
					go http.Get(l.RedirectURI() + "?" + url.Values{"iss": {b.URL}, "state": {state}, "code": {"1"}}.Encode()) //nolint:bodyclose,errcheck,noctx // see above
				}
				return nil
			}
			var err error
			l, err = loopback.Listen(loopback.Config{Open: open, Page: page})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			token, err := l.Login(ctx, b.client(t, l.RedirectURI()), client.Request{Scopes: []string{"a"}})
			require.NoError(t, err)
			require.Equal(t, "at-1", token.AccessToken)
		})
	}
}
