package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// observer returns an option and the events since its last call.
func observer(t testing.TB) (worldOption, func() []profile.Event) {
	var events []profile.Event
	option := func(as *authserver.Config, _ *resourceserver.Config) {
		as.Hooks.Observe = func(_ context.Context, e profile.Event) {
			require.GreaterOrEqual(t, e.Duration, time.Duration(0))
			e.Duration = 0
			events = append(events, e)
		}
	}
	return option, func() []profile.Event {
		seen := events
		events = nil
		return seen
	}
}

func TestObserve(t *testing.T) {
	option, events := observer(t)
	down := errors.New("database down")
	w := newWorld(t, option, withUserInfo(about), demanding(profile.Baseline), func(as *authserver.Config, _ *resourceserver.Config) {
		as.Grants = new(grants.ManagerConfig)
	})
	get := func(method, target string) func() {
		return func() {
			r, err := http.NewRequest(method, target, nil)
			require.NoError(t, err)
			response, err := w.http.Transport.RoundTrip(r)
			require.NoError(t, err)
			response.Body.Close()
		}
	}
	const method = "private_key_jwt"
	withCode := func(e profile.Event, code, reason string) profile.Event {
		e.Outcome, e.Code, e.Reason = "rejected", code, reason
		return e
	}
	pushed := profile.Event{Endpoint: "pushed_authorization_request", Outcome: "success", ClientID: "client-1", ClientAuth: method}
	token := profile.Event{Endpoint: "token", Outcome: "success", GrantType: "client_credentials", ClientID: "client-1", ClientAuth: method, Binding: "DPoP"}
	unbound := token
	unbound.Binding = ""
	failed := withCode(profile.Event{Endpoint: "token", GrantType: "client_credentials"}, "server_error", "clientauth: clients, keys or replay store unavailable")
	failed.Outcome = "failed"
	revocation := profile.Event{Endpoint: "revocation", Outcome: "success", ClientID: "client-1", ClientAuth: method}
	var authorize string
	for _, tc := range []struct {
		name string
		do   func()
		want profile.Event
	}{
		{"a push", func() { authorize = w.authorizationURL("client-1", w.pushForm("client-1")) }, pushed},
		{"an authorization", func() { w.browse(authorize) }, profile.Event{Endpoint: "authorization", Outcome: "success", ClientID: "client-1"}},
		{"an authorization for the second time", get("GET", "?"), profile.Event{Endpoint: "authorization", Outcome: "rejected", Code: "invalid_request_uri", Reason: "par: request_uri unknown or used"}},
		{"an authorization by DELETE", get("DELETE", w.as.Metadata().AuthorizationEndpoint), withCode(profile.Event{Endpoint: "authorization"}, "invalid_request", "authserver: method not allowed")},
		{"a push without a client", func() { w.send(w.parURL(), url.Values{}) }, withCode(profile.Event{Endpoint: "pushed_authorization_request"}, "invalid_client", "clientauth: no client authentication")},
		{"a push of an unknown scope", func() {
			form := w.pushForm("client-1")
			form.Set("scope", "unknown")
			w.send(w.parURL(), form)
		}, withCode(pushed, "invalid_scope", "authserver: scope not allowed")},
		{"a token", func() { w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")) }, token},
		{"a token request without a proof", func() { w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts")) }, withCode(unbound, "invalid_dpop_proof", "dpop: no proof")},
		{"a token request of a type that does not exist", func() { w.send(w.tokenURL(), url.Values{"grant_type": {"password"}}) }, withCode(profile.Event{Endpoint: "token"}, "unsupported_grant_type", "authserver: grant_type not supported")},
		{"a token request while registrations cannot be read", func() {
			w.failClients = func() error { return down }
			w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d"))
			w.failClients = nil
		}, failed},
		{"a revocation", func() {
			w.send(w.as.Metadata().RevocationEndpoint, w.authenticated("client-1", url.Values{"token": {"unknown"}}))
		}, revocation},
		{"an introspection", func() {
			w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {"unknown"}}))
		}, profile.Event{Endpoint: "introspection", Outcome: "success", ClientID: "client-2", ClientAuth: method}},
		{"an introspection by nobody", func() { w.send(w.as.Metadata().IntrospectionEndpoint, url.Values{"token": {"unknown"}}) }, withCode(profile.Event{Endpoint: "introspection"}, "invalid_client", "clientauth: no client authentication")},
		{"user info by PUT", get("PUT", w.as.Metadata().UserInfoEndpoint), withCode(profile.Event{Endpoint: "userinfo"}, "invalid_request", "authserver: method not allowed")},
		{"user info without a token", get("GET", w.as.Metadata().UserInfoEndpoint), profile.Event{Endpoint: "userinfo", Outcome: "rejected", Reason: "tokenbinding: no access token"}},
		{"a grant without a token", get("GET", w.as.Metadata().GrantManagementEndpoint+"/x"), profile.Event{Endpoint: "grants", Outcome: "rejected", Reason: "tokenbinding: no access token"}},
		{"a grant by PATCH", get("PATCH", w.as.Metadata().GrantManagementEndpoint+"/x"), withCode(profile.Event{Endpoint: "grants"}, "invalid_request", "authserver: method not allowed")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "an authorization for the second time" {
				tc.do = get("GET", authorize)
			}
			events()
			tc.do()
			require.Equal(t, []profile.Event{tc.want}, events())
		})
	}
}

func TestObserveNonceChallenge(t *testing.T) {
	option, events := observer(t)
	w := newWorld(t, option, func(as *authserver.Config, _ *resourceserver.Config) {
		var err error
		as.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: as.Hooks.Now})
		require.NoError(t, err)
	})
	w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d"))
	require.Len(t, events(), 1)
	w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d"))
	got := events()[0]
	require.Equal(t, "nonce_challenge", got.Outcome)
	require.Equal(t, "use_dpop_nonce", got.Code)
	require.Equal(t, "client-1", got.ClientID)
}

func TestObserveAToken(t *testing.T) {
	option, events := observer(t)
	w := newWorld(t, option, withUserInfo(about))
	access := w.tokens("client-1", "d").body["access_token"].(string)
	events()
	got := w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+access, "DPoP", w.userInfoProof("d", "GET", access))
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, []profile.Event{{Endpoint: "userinfo", Outcome: "success", ClientID: "client-1", Binding: "DPoP"}}, events())
}

func TestObserveADenial(t *testing.T) {
	option, events := observer(t)
	w := newWorld(t, option)
	authorize := w.authorizationURL("client-1", w.pushForm("client-1"))
	events()
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return nil, authserver.ErrLogin
	}
	w.browse(authorize)
	require.Equal(t, []profile.Event{{
		Endpoint: "authorization", Outcome: "rejected", ClientID: "client-1",
		Code: "login_required", Reason: "authserver: login that does not satisfy the request",
	}}, events())
}

// Without a hook, observation calls neither the clock nor the allocator.
func TestObserveCostsNothingWithoutAHook(t *testing.T) {
	measure := func(observe func(context.Context, profile.Event)) (allocations, bare float64, clock int64) {
		var calls atomic.Int64
		cfg := goodConfig(t)
		cfg.Hooks.Observe, cfg.Hooks.Now = observe, func() time.Time { calls.Add(1); return time.Now() }
		s, err := authserver.New(cfg)
		require.NoError(t, err)
		const runs = 1000
		count := func(serve func(w http.ResponseWriter, r *http.Request)) float64 {
			return testing.AllocsPerRun(runs, func() {
				r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=password"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				serve(httptest.NewRecorder(), r)
			})
		}
		bare = count(func(w http.ResponseWriter, r *http.Request) {
			_, err := s.TokenRequest(r)
			s.WriteError(w, r, err)
		})
		calls.Store(0)
		allocations = count(s.Handler().ServeHTTP)
		return allocations, bare, calls.Load() / (runs + 1)
	}
	without, bare, clock := measure(nil)
	with, _, observed := measure(func(context.Context, profile.Event) {})
	// The race detector drops pooled memory at random, which the average of a
	// thousand requests evens out to one allocation.
	require.LessOrEqual(t, without, bare+1)
	require.Greater(t, with, without)
	require.Zero(t, clock)
	require.EqualValues(t, 2, observed)
}
