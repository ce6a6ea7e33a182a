package par_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

const (
	callback = "https://client.example.org/cb"
	jkt      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	otherJKT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	formType = "application/x-www-form-urlencoded"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func honest(change ...string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "scope": {"accounts"}, "state": {"af0ifjsldkj"},
		"code_challenge": {"K2-ltc83acc4h0c9w6ESC_rEMTJ3bww-uCHaoeK1t8U"}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(change); i += 2 {
		if change[i+1] == "" {
			v.Del(change[i])
		} else {
			v.Set(change[i], change[i+1])
		}
	}
	return v
}

func anything(context.Context, string, url.Values) error { return nil }

// countingStore counts what reaches the store.
type countingStore struct {
	par.Store
	saves, loads, swaps int
	lastKey             string
	lastValue           []byte
	lastExpires         time.Time
	fail                error // instead of an effect
	lost                error // of a write that took effect
	tamper              func([]byte) []byte
}

func (c *countingStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	c.saves++
	c.lastKey, c.lastValue, c.lastExpires = key, value, expires
	if c.fail != nil {
		return false, c.fail
	}
	added, err := c.Store.Add(ctx, key, value, expires)
	return added && c.lost == nil, errors.Join(err, c.lost)
}

func (c *countingStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	c.loads++
	if c.fail != nil {
		return nil, 0, c.fail
	}
	value, version, err := c.Store.Get(ctx, key)
	if version > 0 && c.tamper != nil {
		value = c.tamper(value)
	}
	return value, version, err
}

func (c *countingStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	c.swaps++
	if c.fail != nil {
		return false, c.fail
	}
	c.lastValue, c.lastExpires = value, expires
	swapped, err := c.Store.Swap(ctx, key, version, value, expires)
	return swapped && c.lost == nil, errors.Join(err, c.lost)
}

type rig struct {
	*par.Server
	store *countingStore
	clock *testkit.Clock
}

func newRig(t testing.TB, change ...func(*par.ServerConfig)) rig {
	// The store lives in real time, the server in the clock's, which starts
	// there: the server must not lean on the store.
	r := rig{store: &countingStore{Store: memstore.New(memstore.Config{})}, clock: testkit.NewClock(time.Now())}
	cfg := par.ServerConfig{Check: anything, Store: r.store, Now: r.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	r.Server, err = par.NewServer(cfg)
	require.NoError(t, err)
	return r
}

// Consume resumes and consumes a request in an attempt of its own.
func (r rig) Consume(ctx context.Context, clientID, requestURI string) (par.Request, error) {
	return consume(ctx, r.Server, clientID, requestURI)
}

func consume(ctx context.Context, s *par.Server, clientID, requestURI string) (par.Request, error) {
	req, err := s.Resume(ctx, clientID, requestURI)
	if err == nil {
		err = s.Consume(ctx, req, rand.Text())
	}
	if err != nil {
		return par.Request{}, err
	}
	return req, nil
}

func (r rig) pushed(t testing.TB) string {
	p, err := r.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest()})
	require.NoError(t, err)
	return p.RequestURI
}

func requireWire(t testing.TB, err error, code string, status int) {
	t.Helper()
	gotCode, description, gotStatus := oautherr.From(err)
	require.Equal(t, code, gotCode)
	require.Equal(t, status, gotStatus)
	require.NotContains(t, description, `"`)
}

func TestNewServerRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  par.ServerConfig
		ok   bool
	}{
		{"PAR-2.1-6 no Check: everything would be allowed", par.ServerConfig{}, false},
		{"SP-5.3.2.2-12 a Lifetime of 600 seconds", par.ServerConfig{Check: anything, Lifetime: 600 * time.Second}, false},
		{"SP-5.3.2.2-12 a Lifetime of 599 seconds is the longest", par.ServerConfig{Check: anything, Lifetime: 599 * time.Second}, true},
		{"a Lifetime of 4 seconds", par.ServerConfig{Check: anything, Lifetime: 4 * time.Second}, false},
		{"a Lifetime of 5 seconds is the shortest", par.ServerConfig{Check: anything, Lifetime: 5 * time.Second}, true},
		{"half a second", par.ServerConfig{Check: anything, Lifetime: 5500 * time.Millisecond}, false},
		{"a negative Lifetime", par.ServerConfig{Check: anything, Lifetime: -time.Minute}, false},
		{"a nil store", par.ServerConfig{Check: anything, Store: (*countingStore)(nil)}, false},
		{"a negative LoginTime", par.ServerConfig{Check: anything, LoginTime: -1}, false},
		{"a LoginTime of more than an hour", par.ServerConfig{Check: anything, LoginTime: time.Hour + 1}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := par.NewServer(tc.cfg)
			require.Equal(t, tc.ok, err == nil, "%v", err)
			require.Equal(t, tc.ok, s != nil)
		})
	}
}

func TestPushRefuses(t *testing.T) {
	reject := func(cfg *par.ServerConfig) {
		cfg.Check = func(_ context.Context, clientID string, params url.Values) error {
			return par.CheckRedirectURI([]string{callback}, params.Get("redirect_uri"))
		}
	}
	for _, tc := range []struct {
		name   string
		push   par.PushRequest
		want   error
		code   string
		status int
	}{
		{"PAR-2.1-4 SP-5.3.2.2-4 nobody has authenticated", par.PushRequest{Params: honest()}, par.ErrUnauthenticated, "invalid_client", 401},
		{"a client id that is no text", par.PushRequest{ClientID: "\xff", Params: honest("client_id", "\xff")}, par.ErrUnauthenticated, "invalid_client", 401},
		{"PAR-2.1-5 CS-6 request_uri in the form", par.PushRequest{ClientID: "app", Params: honest("request_uri", "urn:x:y")}, par.ErrInvalidRequest, "invalid_request", 400},
		{"PAR-2.1-5 request_uri beside a request object", par.PushRequest{ClientID: "app", Params: honest("request_uri", "urn:x:y", "request", "a.b.c")}, par.ErrInvalidRequest, "invalid_request", 400},
		{"JAR-7-1 a request object that nobody has read", par.PushRequest{ClientID: "app", Params: honest("request", "a.b.c")}, par.ErrRequestNotSupported, "request_not_supported", 400},
		{"PAR-2.1-2 client_id of another client", par.PushRequest{ClientID: "app", Params: honest("client_id", "other")}, par.ErrClientID, "invalid_request", 400},
		{"client_id in another case", par.PushRequest{ClientID: "app", Params: honest("client_id", "App")}, par.ErrClientID, "invalid_request", 400},
		{"no response_type", par.PushRequest{ClientID: "app", Params: honest("response_type", "")}, par.ErrInvalidRequest, "invalid_request", 400},
		{"SP-5.3.2.2-1 response_type token", par.PushRequest{ClientID: "app", Params: honest("response_type", "token")}, par.ErrResponseType, "unsupported_response_type", 400},
		{"SP-5.3.2.2-1 response_type code id_token", par.PushRequest{ClientID: "app", Params: honest("response_type", "code id_token")}, par.ErrResponseType, "unsupported_response_type", 400},
		{"response_type Code", par.PushRequest{ClientID: "app", Params: honest("response_type", "Code")}, par.ErrResponseType, "unsupported_response_type", 400},
		{"SP-5.3.2.2-6 PAR-2.3-2 no redirect_uri", par.PushRequest{ClientID: "app", Params: honest("redirect_uri", "")}, par.ErrRedirectURI, "invalid_request", 400},
		{"SP-5.3.2.2-8 BCP-2.6-3 http redirect_uri", par.PushRequest{ClientID: "app", Params: honest("redirect_uri", "http://client.example.org/cb")}, par.ErrRedirectURI, "invalid_request", 400},
		{"PAR-2.1-6 a redirect_uri that Check does not know", par.PushRequest{ClientID: "app", Params: honest("redirect_uri", callback+"/x")}, par.ErrRedirectURI, "invalid_request", 400},
		{"BASE-6749-3.1-1 state twice", par.PushRequest{ClientID: "app", Params: url.Values{"state": {"a", "a"}}}, par.ErrInvalidRequest, "invalid_request", 400},
		{"BASE-6749-3.1-1 client_id twice", par.PushRequest{ClientID: "app", Params: url.Values{"client_id": {"app", "app"}}}, par.ErrInvalidRequest, "invalid_request", 400},
		{"invalid UTF-8", par.PushRequest{ClientID: "app", Params: honest("state", "\xff")}, par.ErrInvalidRequest, "invalid_request", 400},
		{"DPOP-10.1-1 dpop_jkt of 42 characters", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt[:42])}, par.ErrDPoPKey, "invalid_request", 400},
		{"dpop_jkt with padding", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt+"=")}, par.ErrDPoPKey, "invalid_request", 400},
		{"dpop_jkt whose last character is not canonical", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt[:42]+"J")}, par.ErrDPoPKey, "invalid_request", 400},
		{"dpop_jkt in plain base64", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", strings.ReplaceAll(jkt, "-", "+"))}, par.ErrDPoPKey, "invalid_request", 400},
		{"dpop_jkt with a newline", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt+"\n")}, par.ErrDPoPKey, "invalid_request", 400},
		{"dpop_jkt of 512 bits", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", base64.RawURLEncoding.EncodeToString(make([]byte, 64)))}, par.ErrDPoPKey, "invalid_request", 400},
		{"a malformed thumbprint of the proof", par.PushRequest{ClientID: "app", Params: honest(), DPoPThumbprint: "x"}, par.ErrDPoPKey, "invalid_request", 400},
		{"DPOP-10.1-3 dpop_jkt of another key than the proof", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", otherJKT), DPoPThumbprint: jkt}, par.ErrDPoPKey, "invalid_request", 400},
		{"PAR-2.3-6 more than can be stored", par.PushRequest{ClientID: "app", Params: honest("state", strings.Repeat("x", 140<<10))}, par.ErrInvalidRequest, "invalid_request", 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, reject)
			before := tc.push.Params.Encode()
			pushed, err := r.Push(t.Context(), tc.push)
			require.ErrorIs(t, err, tc.want)
			require.Zero(t, pushed)
			requireWire(t, err, tc.code, tc.status)
			require.Zero(t, r.store.saves, "nothing is written for a refused request")
			require.Equal(t, before, tc.push.Params.Encode(), "the caller's parameters stay as they are")
			checked, err := r.Check(t.Context(), tc.push)
			require.ErrorIs(t, err, tc.want)
			require.Zero(t, checked)
		})
	}
	r := newRig(t)
	_, err := r.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest(), Data: json.RawMessage(`{`)})
	require.Error(t, err)
	require.Zero(t, r.store.saves)
}

func TestPush(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name       string
		push       par.PushRequest
		want       url.Values
		thumbprint string
	}{
		{"SP-5.3.2.2-2 PAR-2-3 a plain request", par.PushRequest{ClientID: "app", Params: honest()}, honest(), ""},
		{"PAR-2-3 extensions and unknown parameters are kept", par.PushRequest{ClientID: "app", Params: honest("nonce", "n", "grant_management_action", "create", "authorization_details", `[{"type":"x"}]`, "x-unknown", "é", "State", "not state")},
			honest("nonce", "n", "grant_management_action", "create", "authorization_details", `[{"type":"x"}]`, "x-unknown", "é", "State", "not state"), ""},
		{"RI-2-2 resource occurs twice", par.PushRequest{ClientID: "app", Params: url.Values{"response_type": {"code"}, "redirect_uri": {callback}, "resource": {"https://b", "https://a"}}},
			url.Values{"response_type": {"code"}, "redirect_uri": {callback}, "resource": {"https://b", "https://a"}, "client_id": {"app"}}, ""},
		{"PAR-2.1-3 parameters of client authentication are not stored", par.PushRequest{ClientID: "app", Params: honest("client_assertion", "a.b.c", "client_assertion_type", "urn:x", "client_secret", "s3cret")}, honest(), ""},
		{"PAR-2.1-2 client_id is filled in from the authenticated client", par.PushRequest{ClientID: "app", Params: honest("client_id", "")}, honest(), ""},
		{"BASE-6749-3.1-1 a parameter without a value counts as left out", par.PushRequest{ClientID: "app", Params: url.Values{"response_type": {"code"}, "redirect_uri": {callback}, "request_uri": {""}, "dpop_jkt": {}, "state": {""}}},
			url.Values{"response_type": {"code"}, "redirect_uri": {callback}, "client_id": {"app"}}, ""},
		{"DPOP-10.1-1 dpop_jkt alone", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt)}, honest("dpop_jkt", jkt), jkt},
		{"DPOP-10.1-2 a proof alone counts as dpop_jkt", par.PushRequest{ClientID: "app", Params: honest(), DPoPThumbprint: jkt}, honest(), jkt},
		{"DPOP-10.1-1 both, with one key", par.PushRequest{ClientID: "app", Params: honest("dpop_jkt", jkt), DPoPThumbprint: jkt}, honest("dpop_jkt", jkt), jkt},
		{"a state of 1000 characters and a nonce of 384", par.PushRequest{ClientID: "app", Params: honest("state", strings.Repeat("s", 1000), "nonce", strings.Repeat("n", 384))},
			honest("state", strings.Repeat("s", 1000), "nonce", strings.Repeat("n", 384)), ""},
		{"PAR-2.1-7 a redirect_uri that no list has, where Check allows it", par.PushRequest{ClientID: "app", Params: honest("redirect_uri", "https://client.example.org/new")}, honest("redirect_uri", "https://client.example.org/new"), ""},
		{"a client id that is a URL", par.PushRequest{ClientID: "https://app.example/é?x=\"&y", Params: honest("client_id", "")}, honest("client_id", "https://app.example/é?x=\"&y"), ""},
		{"data of the server's own", par.PushRequest{ClientID: "app", Params: honest(), Data: json.RawMessage(`{"signed":true,"x":[1]}`)}, honest(), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checked, err := r.Check(t.Context(), tc.push)
			require.NoError(t, err)
			require.Equal(t, tc.want, checked.Params())
			require.Equal(t, tc.thumbprint, checked.DPoPThumbprint())
			for _, push := range []func() (par.Pushed, error){
				func() (par.Pushed, error) { return r.Push(t.Context(), tc.push) },
				func() (par.Pushed, error) { return r.Store(t.Context(), checked) },
			} {
				pushed, err := push()
				require.NoError(t, err)
				require.Equal(t, 90*time.Second, pushed.ExpiresIn)
				for _, get := range []func(context.Context, string, string) (par.Request, error){r.Load, r.Resume, r.Load, r.Consume} {
					req, err := get(t.Context(), tc.push.ClientID, pushed.RequestURI)
					require.NoError(t, err)
					require.Equal(t, tc.want, req.Params())
					require.Equal(t, tc.push.ClientID, req.ClientID())
					require.Equal(t, tc.thumbprint, req.DPoPThumbprint())
					require.Equal(t, tc.push.Data, req.Data())
					require.Equal(t, pushed.RequestURI, req.RequestURI())
					require.Equal(t, tc.want.Get("state"), req.Get("state"))
					require.WithinDuration(t, r.clock.Now().Add(90*time.Second), req.ExpiresAt(), time.Millisecond)
					req.Params().Set("state", "changed by the caller")
					require.Equal(t, tc.want, req.Params())
				}
			}
		})
	}
}

func TestCheckedRequest(t *testing.T) {
	checks := 0
	r := newRig(t, func(c *par.ServerConfig) {
		c.Check = func(context.Context, string, url.Values) error { checks++; return nil }
	})
	push := par.PushRequest{ClientID: "app", Params: honest("state", "first"), Data: json.RawMessage(`{"a":1}`)}
	checked, err := r.Check(t.Context(), push)
	require.NoError(t, err)
	require.Zero(t, r.store.saves)
	push.Params.Set("state", "changed")
	push.Data[2] = 'b'
	checked.Params().Set("state", "changed")
	r.clock.Advance(time.Hour)
	first, err := r.Store(t.Context(), checked)
	require.NoError(t, err)
	second, err := r.Store(t.Context(), checked)
	require.NoError(t, err)
	require.NotEqual(t, first.RequestURI, second.RequestURI, "PAR-2.2-2 a reference for each")
	require.Equal(t, 1, checks, "a checked request is not checked again")
	for _, pushed := range []par.Pushed{first, second} {
		r.clock.Advance(44 * time.Second)
		req, err := r.Load(t.Context(), "app", pushed.RequestURI)
		require.NoError(t, err, "the time to arrive begins when it is stored")
		require.Equal(t, "first", req.Get("state"))
		require.JSONEq(t, `{"a":1}`, string(req.Data()))
	}
	for _, printed := range []string{fmt.Sprint(checked), fmt.Sprintf("%+v %#v", checked, checked), checked.LogValue().String()} {
		require.NotContains(t, printed, "first")
	}

	other := newRig(t)
	for _, bad := range []*par.CheckedRequest{nil, {}, checked} {
		_, err := other.Store(t.Context(), bad)
		require.ErrorContains(t, err, "not checked")
		require.Zero(t, other.store.saves)
	}
}

// A request can have another lifetime than those of the server.
func TestLifetimeOfOneRequest(t *testing.T) {
	r := newRig(t)
	for _, lifetime := range []time.Duration{5 * time.Second, 599 * time.Second} {
		pushed, err := r.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest(), Lifetime: lifetime})
		require.NoError(t, err)
		require.Equal(t, lifetime, pushed.ExpiresIn)
		r.clock.Advance(lifetime - time.Second)
		_, err = r.Load(t.Context(), "app", pushed.RequestURI)
		require.NoError(t, err)
		r.clock.Advance(time.Second)
		_, err = r.Load(t.Context(), "app", pushed.RequestURI)
		require.ErrorIs(t, err, par.ErrExpired)
	}
	for _, lifetime := range []time.Duration{-1, 4 * time.Second, 600 * time.Second, 5500 * time.Millisecond} {
		_, err := r.Check(t.Context(), par.PushRequest{ClientID: "app", Params: honest(), Lifetime: lifetime})
		require.Error(t, err, "SP-5.3.2.2-12 %v", lifetime)
	}
}

// The bound of a request does not count parameters that are not stored.
func TestCredentialsDoNotCount(t *testing.T) {
	r := newRig(t)
	half := strings.Repeat("x", 66<<10)
	_, err := r.Push(t.Context(), par.PushRequest{
		ClientID: "app", Params: honest("state", half, "client_assertion", half, "client_secret", half),
	})
	require.NoError(t, err)
	_, err = r.Push(t.Context(), par.PushRequest{ClientID: "app", Params: honest("state", half, "x", half)})
	require.ErrorIs(t, err, par.ErrInvalidRequest)
	requireWire(t, err, "invalid_request", 413)
}

func TestReferences(t *testing.T) {
	r := newRig(t)
	seen := map[string]bool{}
	for range 1000 {
		uri := r.pushed(t)
		reference, ok := strings.CutPrefix(uri, "urn:ietf:params:oauth:request_uri:")
		require.True(t, ok, "PAR-2.2-3 the form that the RFC suggests")
		raw, err := base64.RawURLEncoding.DecodeString(reference)
		require.NoError(t, err)
		require.Len(t, raw, 32, "PAR-2.2-2 PAR-7.1-1 JAR-5.2.1-1 JAR-10.2-2 SP-5.4.1-4 256 random bits")
		require.False(t, seen[uri])
		seen[uri] = true
	}
	// What the store sees cannot be used: neither the reference nor anything
	// like it.
	uri := r.pushed(t)
	require.Len(t, r.store.lastKey, 43)
	require.NotContains(t, string(r.store.lastValue), uri[len(uri)-43:])
	require.NotContains(t, uri, r.store.lastKey)
	_, err := r.Load(t.Context(), "app", "urn:ietf:params:oauth:request_uri:"+r.store.lastKey)
	require.ErrorIs(t, err, par.ErrNotFound)
	require.WithinDuration(t, r.clock.Now().Add(90*time.Second), r.store.lastExpires, time.Second)
}

func TestCheckIsAsked(t *testing.T) {
	ctx := t.Context()
	errScope := oautherr.New("scope", "invalid_scope", 400, "no such scope")
	var verdict error
	calls := 0
	r := newRig(t, func(cfg *par.ServerConfig) {
		cfg.Check = func(_ context.Context, clientID string, params url.Values) error {
			calls++
			if clientID != "app" || params.Get("client_id") != "app" || params.Has("client_assertion") {
				return errors.New("not what will be stored")
			}
			params.Set("scope", "everything") // without effect
			return verdict
		}
	})
	push := par.PushRequest{ClientID: "app", Params: honest("client_id", "", "client_assertion", "a.b.c")}
	for _, tc := range []struct {
		name, code string
		status     int
		verdict    error
	}{
		{"PAR-2.1-6 the error of Check is the answer", "invalid_scope", 400, errScope},
		{"PAR-2.1-6 an error that says nothing", "server_error", 500, errors.New("database at 10.0.0.7")},
		{"PAR-2.3-3 login_required is for the authorization endpoint", "server_error", 500, oautherr.New("x", "login_required", 400, "log in")},
		{"PAR-2.3-3 consent_required", "server_error", 500, oautherr.New("x", "consent_required", 400, "agree")},
		{"PAR-2.3-3 interaction_required", "server_error", 500, fmt.Errorf("wrapped: %w", oautherr.New("x", "interaction_required", 400, ""))},
		{"PAR-2.3-3 account_selection_required", "server_error", 500, oautherr.New("x", "account_selection_required", 400, "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			verdict = tc.verdict
			_, err := r.Push(t.Context(), push)
			require.ErrorIs(t, err, tc.verdict)
			requireWire(t, err, tc.code, tc.status)
			require.Zero(t, r.store.saves)
		})
	}
	verdict = nil
	pushed, err := r.Push(ctx, push)
	require.NoError(t, err)
	req, err := r.Load(ctx, "app", pushed.RequestURI)
	require.NoError(t, err)
	require.Equal(t, "accounts", req.Get("scope"))
	t.Run("PAR-4-4 PAR-7.4-1 the client was blocked in between", func(t *testing.T) {
		verdict = errScope
		for _, get := range []func(context.Context, string, string) (par.Request, error){r.Load, r.Resume} {
			req, err := get(t.Context(), "app", pushed.RequestURI)
			require.ErrorIs(t, err, errScope)
			require.Equal(t, "app", req.ClientID(), "it comes beside the error, so that the client can be told")
			require.Equal(t, callback, req.Get("redirect_uri"))
			require.Equal(t, pushed.RequestURI, req.RequestURI())
		}
	})
	t.Run("PAR-2.2-4 CS-5 nobody else gets it beside an error", func(t *testing.T) {
		for _, get := range []func(context.Context, string, string) (par.Request, error){r.Load, r.Resume} {
			req, err := get(t.Context(), "other", pushed.RequestURI)
			require.ErrorIs(t, err, par.ErrWrongClient)
			require.Zero(t, req)
		}
	})
	t.Run("PAR-4-3 nor does a browser that is too late", func(t *testing.T) {
		r.clock.Advance(90 * time.Second)
		req, err := r.Load(t.Context(), "app", pushed.RequestURI)
		require.ErrorIs(t, err, par.ErrExpired)
		require.Zero(t, req)
	})
	t.Run("PAR-4-2 the error is told once", func(t *testing.T) {
		require.NoError(t, r.Server.Consume(t.Context(), req, "decision"), "Consume does not check again")
		req, err := r.Resume(t.Context(), "app", pushed.RequestURI)
		require.ErrorIs(t, err, par.ErrNotFound)
		require.Zero(t, req)
	})
	require.Equal(t, 10, calls)
}

// Servers find out who the client is in their own way, which is often
// r.PostFormValue or r.BasicAuth.
func TestParseFormLeavesTheFormToTheHost(t *testing.T) {
	post := func(body string) *http.Request {
		r := httptest.NewRequest("POST", "/par?client_id=in-the-url", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		return r
	}
	t.Run("PAR-2-1 the strictly read parameters are there for PostFormValue", func(t *testing.T) {
		r := post("client_id=app&client_assertion=x&resource=a&resource=b")
		params, err := par.ParseForm(r)
		require.NoError(t, err)
		require.Equal(t, "app", r.PostFormValue("client_id"))
		require.Equal(t, "app", r.FormValue("client_id"))
		require.Equal(t, params, r.PostForm)
		require.Equal(t, params, r.Form)
		r.PostForm.Del("client_assertion")
		require.Equal(t, "x", params.Get("client_assertion"))
	})
	t.Run("a form that was parsed before is refused, in words that say why", func(t *testing.T) {
		r := post("client_id=app")
		require.NoError(t, r.ParseForm())
		params, err := par.ParseForm(r)
		require.Nil(t, params)
		require.ErrorIs(t, err, par.ErrInvalidRequest)
		require.ErrorContains(t, err, "the body was read before ParseForm")
		requireWire(t, err, "invalid_request", http.StatusBadRequest)
	})
	t.Run("a challenge set before WriteError survives it", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("WWW-Authenticate", `Basic realm="as"`)
		par.WriteError(w, par.ErrUnauthenticated)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, []string{`Basic realm="as"`}, w.Header().Values("WWW-Authenticate"))
	})
}

func TestParseForm(t *testing.T) {
	for _, tc := range []struct {
		name, method, contentType, body string
		status                          int
	}{
		{"PAR-2-1 a form", "POST", formType, "a=1&resource=x&resource=y&b=", 200},
		{"PAR-2-1 a charset", "POST", formType + "; charset=utf-8", "a=1&resource=x&resource=y", 200},
		{"PAR-2.3-5 CS-6 GET", "GET", formType, "a=1", 405},
		{"PAR-2.3-5 CS-6 PUT", "PUT", formType, "a=1", 405},
		{"PAR-2.3-5 DELETE", "DELETE", formType, "a=1", 405},
		{"PAR-2-1 multipart", "POST", "multipart/form-data; boundary=x", "--x--", 400},
		{"PAR-2-1 JSON", "POST", "application/json", "{}", 400},
		{"PAR-2-1 invalid UTF-8", "POST", formType, "a=%ff", 400},
		{"BASE-6749-3.1-1 repeated", "POST", formType, "a=1&a=1", 400},
		{"PAR-2.3-6 too large", "POST", formType, "a=" + strings.Repeat("x", 300<<10), 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/par?a=in-the-url", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.contentType)
			got, err := par.ParseForm(r)
			if tc.status == 200 {
				require.NoError(t, err)
				require.Equal(t, url.Values{"a": {"1"}, "resource": {"x", "y"}}, got)
				return
			}
			require.Nil(t, got)
			require.ErrorIs(t, err, par.ErrInvalidRequest)
			requireWire(t, err, "invalid_request", tc.status)
			w := httptest.NewRecorder()
			par.WriteError(w, err)
			require.Equal(t, tc.status, w.Code)
			require.Equal(t, tc.status == http.StatusMethodNotAllowed, w.Header().Get("Allow") == "POST")
		})
	}
}

// What Push accepts can be loaded: a request_uri that leads to an error page
// would be worse than an error at once.
func TestWhatIsAcceptedCanBeLoaded(t *testing.T) {
	r := newRig(t)
	nested := func(n int) json.RawMessage { return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	many := honest()
	for i := range 1025 {
		many.Set(fmt.Sprintf("%x", i), "1")
	}
	for _, tc := range []struct {
		name string
		push par.PushRequest
		ok   bool
	}{
		{"data of 32 levels", par.PushRequest{ClientID: "app", Params: honest(), Data: nested(32)}, true},
		{"data of 33 levels", par.PushRequest{ClientID: "app", Params: honest(), Data: nested(33)}, false},
		{"data that is null", par.PushRequest{ClientID: "app", Params: honest(), Data: json.RawMessage("null")}, true},
		{"a client id with NUL", par.PushRequest{ClientID: "a\x00b", Params: honest("client_id", "")}, false},
		{"1,025 parameters and more", par.PushRequest{ClientID: "app", Params: many}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pushed, err := r.Push(t.Context(), tc.push)
			require.Equal(t, tc.ok, err == nil, "%v", err)
			if !tc.ok {
				require.Zero(t, pushed)
				_, err = r.Check(t.Context(), tc.push)
				require.Error(t, err)
				return
			}
			req, err := r.Load(t.Context(), tc.push.ClientID, pushed.RequestURI)
			require.NoError(t, err)
			require.Equal(t, tc.push.Data, req.Data())
		})
	}
}

func TestEmptyResourcesAreLeftOut(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name string
		form string
		want []string
	}{
		{"BASE-6749-3.1-1 an empty resource", "resource=", nil},
		{"BASE-6749-3.1-1 empty ones among others", "resource=&resource=https://b&resource=&resource=https://a", []string{"https://b", "https://a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			post := httptest.NewRequest("POST", "/par", strings.NewReader(tc.form))
			post.Header.Set("Content-Type", formType)
			params, err := par.ParseForm(post)
			require.NoError(t, err)
			require.Equal(t, tc.want, params["resource"])
			require.Equal(t, tc.want != nil, params.Has("resource"))

			raw, err := url.ParseQuery(tc.form)
			require.NoError(t, err)
			push := honest()
			push["resource"] = raw["resource"]
			checked, err := r.Check(t.Context(), par.PushRequest{ClientID: "app", Params: push})
			require.NoError(t, err)
			require.Equal(t, tc.want, checked.Params()["resource"])
			require.Equal(t, tc.want != nil, checked.Params().Has("resource"))
			require.Equal(t, raw["resource"], push["resource"], "the caller's map has been changed")
		})
	}
}

func TestResponsesOfTheEndpoint(t *testing.T) {
	t.Run("PAR-2.2-1 a Pushed that Push has not made is no success", func(t *testing.T) {
		for _, p := range []par.Pushed{{}, {RequestURI: "urn:x:y"}, {ExpiresIn: time.Minute}, {RequestURI: "urn:x:y", ExpiresIn: time.Millisecond}} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, nil)
			require.Equal(t, 500, w.Code)
			require.JSONEq(t, `{"error":"server_error"}`, w.Body.String())
		}
	})
	t.Run("a length that was meant for another body is taken back", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "3")
		par.WriteError(w, par.ErrClientID)
		require.Empty(t, w.Header().Get("Content-Length"))
	})
}
