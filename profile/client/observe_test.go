package client_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// observed returns a client and the channel of its events.
func observed(p *peer, change ...func(*client.Config)) (*client.Client, <-chan profile.Event, error) {
	events := make(chan profile.Event, 64)
	app, err := p.try(append(change, func(c *client.Config) {
		c.Hooks.Observe = func(_ context.Context, e profile.Event) { events <- e }
	})...)
	return app, events, err
}

// drain returns the events so far, without their durations and client IDs.
func drain(t *testing.T, events <-chan profile.Event) (all []profile.Event) {
	for len(events) > 0 {
		e := <-events
		require.Equal(t, "c-1", e.ClientID)
		require.True(t, strings.HasPrefix(e.Issuer, "https://"), "a client of several servers tells them apart")
		require.GreaterOrEqual(t, e.Duration, time.Duration(0))
		e.ClientID, e.Issuer, e.Duration = "", "", 0
		all = append(all, e)
	}
	return all
}

// Each request passes the hook, also those with a certificate.
func TestTransport(t *testing.T) {
	ctx := context.Background()
	for name, mutual := range map[string]*client.MutualTLS{
		"private_key_jwt": nil, "certificate": {BindTokens: true, Certificate: testkit.Certify(t, "c-1", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.metadata = func(m map[string]any) { m["tls_client_certificate_bound_access_tokens"] = true }
			if mutual != nil {
				p.token = func(w http.ResponseWriter, _ *http.Request) {
					reply(w, http.StatusOK, map[string]any{"access_token": "at-1", "token_type": "Bearer", "expires_in": 300})
				}
			}
			certificates := 0
			app, err := p.try(func(c *client.Config) {
				c.MutualTLS = mutual
				c.Hooks.Transport = func(base http.RoundTripper) http.RoundTripper {
					if base.(*http.Transport).TLSClientConfig.GetClientCertificate != nil {
						certificates++
					}
					return testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
						r = r.Clone(r.Context())
						r.Header.Set("Traceparent", "00-1-2-00")
						return base.RoundTrip(r)
					})
				}
			})
			require.NoError(t, err)
			_, err = app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
			require.NoError(t, err)
			token, err := app.ClientCredentials(ctx, client.Request{})
			require.NoError(t, err)
			response, err := testkit.Must(app.HTTPClient(oauth2.StaticTokenSource(token))).Get(p.api.URL + "/accounts")
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, mutual != nil, certificates == 1)
			for _, path := range []string{"/.well-known/oauth-authorization-server", "/par", "/token", "/accounts"} {
				require.Len(t, p.messages(path), 1)
				require.Equal(t, "00-1-2-00", p.messages(path)[0].header.Get("Traceparent"), path)
			}
		})
	}
	_, err := newPeer(t).try(func(c *client.Config) {
		c.Hooks.Transport = func(http.RoundTripper) http.RoundTripper { return nil }
	})
	require.ErrorContains(t, err, "Hooks.Transport returned nil")
}

func TestObserve(t *testing.T) {
	const secret = "s3cret"
	answers := func(status int, v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, v) }
	}
	failure := func(code string) map[string]string {
		return map[string]string{"error": code, "error_description": secret}
	}
	result := func(endpoint, grant, outcome, code, reason string) profile.Event {
		e := profile.Event{Endpoint: endpoint, GrantType: grant, Outcome: outcome, Code: code, Reason: reason}
		switch endpoint {
		case "pushed_authorization_request", "token":
			e.ClientAuth, e.Binding = "private_key_jwt", "DPoP"
		case "revocation":
			e.ClientAuth = "private_key_jwt"
		case "resource":
			e.Binding = "DPoP"
		}
		return e
	}
	const code, refresh, own, push = "authorization_code", "refresh_token", "client_credentials", "pushed_authorization_request"
	authorized := []profile.Event{result(push, "", "success", "", ""), result("authorization", "", "success", "", "")}
	ctx, accounts := context.Background(), client.Request{Scopes: []string{"accounts"}}
	login := func(scopes ...string) func(*peer, *client.Client) {
		return func(_ *peer, app *client.Client) {
			if session, err := app.Begin(ctx, client.Request{Scopes: scopes}); err == nil {
				_, _ = app.Finish(ctx, session, callback(session))
			}
		}
	}
	credentials := func(_ *peer, app *client.Client) { _, _ = app.ClientCredentials(ctx, accounts) }
	renew := func(_ *peer, app *client.Client) { _, _ = app.Refresh(ctx, "rt-"+secret, client.Request{}) }
	revoke := func(_ *peer, app *client.Client) { _ = app.Revoke(ctx, secret, "") }
	call := func(p *peer, app *client.Client) {
		api := testkit.Must(app.HTTPClient(oauth2.StaticTokenSource(dpopToken("at-" + secret))))
		if response, err := api.Post(p.api.URL+"/pay", "text/plain", io.MultiReader(strings.NewReader("1"))); err == nil {
			response.Body.Close()
		}
	}
	unauthorized := func(challenge string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	for _, tc := range []struct {
		name  string
		given func(*peer)
		act   func(*peer, *client.Client)
		want  []profile.Event
	}{
		{"a login", nil, login("accounts"), append(authorized[:2:2], result("token", code, "success", "", ""))},
		{"a push that is rejected", func(p *peer) { p.push = answers(400, failure("invalid_scope")) }, login("accounts"),
			[]profile.Event{result(push, "", "rejected", "invalid_scope", "")}},
		{"a push at a server that is overloaded", func(p *peer) { p.push = answers(503, "down "+secret) }, login("accounts"),
			[]profile.Event{result(push, "", "failed", "", "")}},
		{"a code that is rejected", func(p *peer) { p.token = answers(400, failure("invalid_grant")) }, login("accounts"),
			append(authorized[:2:2], result("token", code, "rejected", "invalid_grant", ""))},
		{"an ID token that is missing", nil, login("openid"),
			append(authorized[:2:2], result("token", code, "rejected", "", "idtoken: malformed token"),
				result("revocation", "", "success", "", ""))},
		{"a callback of another session", nil, func(p *peer, app *client.Client) {
			first, second := p.begin(app, "a"), p.begin(app, "a")
			_, _ = app.Finish(ctx, first, callback(second))
		}, []profile.Event{authorized[0], authorized[0],
			result("authorization", "", "rejected", "", "client: invalid authorization response")}},
		{"a user who declines", nil, func(p *peer, app *client.Client) {
			session := p.begin(app, "a")
			declined := callback(session)
			declined.Del("code")
			declined.Set("error", "access_denied")
			_, _ = app.Finish(ctx, session, declined)
		}, []profile.Event{authorized[0], result("authorization", "", "rejected", "access_denied", "")}},
		{"a refresh", nil, renew, []profile.Event{result("token", refresh, "success", "", "")}},
		{"a refresh token that is revoked", func(p *peer) { p.token = answers(400, failure("invalid_grant")) }, renew,
			[]profile.Event{result("token", refresh, "rejected", "invalid_grant", "client: the user must authorize again")}},
		{"too many requests", func(p *peer) { p.token = answers(429, failure("slow_down")) }, credentials,
			[]profile.Event{result("token", own, "failed", "slow_down", "")}},
		{"a token of another type", func(p *peer) {
			p.token = answers(200, map[string]string{"access_token": secret, "token_type": "Bearer"})
		}, credentials, []profile.Event{result("token", own, "rejected", "", "client: invalid token response")}},
		{"a nonce challenge that is repeated", func(p *peer) { p.token = answers(400, failure("use_dpop_nonce")) }, credentials,
			[]profile.Event{result("token", own, "nonce_challenge", "use_dpop_nonce", "")}},
		{"an error code that is long", func(p *peer) { p.token = answers(400, failure(strings.Repeat("x", 65))) }, credentials,
			[]profile.Event{result("token", own, "rejected", "", "")}},
		{"no connection", func(p *peer) { p.as.Close() }, credentials, []profile.Event{result("token", own, "failed", "", "")}},
		{"a revocation", nil, revoke, []profile.Event{result("revocation", "", "success", "", "")}},
		{"a revocation that must be repeated", func(p *peer) { p.respond = answers(503, failure("temporarily_unavailable")) }, revoke,
			[]profile.Event{result("revocation", "", "failed", "temporarily_unavailable", "")}},
		{"an API that accepts the token", func(p *peer) { p.respond = answers(200, "") }, call, nil},
		{"an API that rejects the token", func(p *peer) { p.respond = unauthorized(`DPoP error="invalid_token"`) }, call,
			[]profile.Event{result("resource", "", "rejected", "invalid_token", "")}},
		{"an API that rejects the request otherwise", func(p *peer) { p.respond = unauthorized(`DPoP`) }, call,
			[]profile.Event{result("resource", "", "rejected", "", "")}},
		{"an API that demands a nonce", func(p *peer) { p.respond = unauthorized(`DPoP error="use_dpop_nonce"`) }, call,
			[]profile.Event{result("resource", "", "nonce_challenge", "use_dpop_nonce", client.ErrNotRepeatable.Error())}},
		{"package oauth2", nil, func(_ *peer, app *client.Client) {
			cfg, http := app.OAuth2()
			_, _ = cfg.Exchange(context.WithValue(ctx, oauth2.HTTPClient, http), secret)
		}, []profile.Event{result("token", code, "success", "", "")}},
		{"package oauth2, and a server error", func(p *peer) { p.token = answers(500, secret) }, func(_ *peer, app *client.Client) {
			cfg, http := app.OAuth2()
			_, _ = cfg.Exchange(context.WithValue(ctx, oauth2.HTTPClient, http), secret)
		}, []profile.Event{result("token", code, "failed", "", "")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			p.metadata = func(m map[string]any) { m["revocation_endpoint"] = p.api.URL + "/revoke" }
			app, events, err := observed(p)
			require.NoError(t, err)
			require.Equal(t, []profile.Event{{Endpoint: "metadata", Outcome: "success"}}, drain(t, events))
			if tc.given != nil {
				tc.given(p)
			}
			tc.act(p, app)
			require.Equal(t, tc.want, drain(t, events))
		})
	}
}

func TestObserveMetadataAndKeys(t *testing.T) {
	t.Run("metadata of another issuer", func(t *testing.T) {
		p := newPeer(t)
		p.says("issuer", "https://evil.example")
		_, events, err := observed(p)
		require.Error(t, err)
		require.Equal(t, []profile.Event{
			{Endpoint: "metadata", Outcome: "rejected", Reason: profile.ErrIssuerMismatch.Error()},
		}, drain(t, events))
	})
	for status, want := range map[int][2]profile.Event{
		200: {{Outcome: "success"}, {Outcome: "success"}},
		500: {{Outcome: "failed", Reason: "idtoken: keys unavailable"}, {Outcome: "failed", Reason: "jwks: keys unavailable"}},
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			p, ctx := newPeer(t), context.Background()
			p.says("jwks_uri", p.api.URL+"/jwks")
			p.respond = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, status, testkit.Must(jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "peer").Public(), KeyID: "k1"})))
			}
			var own atomic.Int32
			app, events, err := observed(p, func(c *client.Config) {
				c.ServerKeys = &jwks.RemoteConfig{Observe: func(context.Context, jwks.Fetch) { own.Add(1) }}
			})
			require.NoError(t, err)
			session := p.begin(app, "openid")
			drain(t, events)
			raw := testkit.Must(p.idTokens().Issue(idtoken.Claims{Subject: "alice", ClientID: "c-1", Nonce: session.Nonce}))
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 200, map[string]any{"access_token": "at", "token_type": "DPoP", "id_token": raw})
			}
			_, _ = app.Finish(ctx, session, callback(session))
			seen := map[string]profile.Event{}
			for range 3 { // the keys are fetched in another goroutine
				e := <-events
				e.Duration = 0
				seen[e.Endpoint] = e
			}
			token, keys := want[0], want[1]
			token.Endpoint, token.GrantType, token.ClientID = "token", "authorization_code", "c-1"
			token.ClientAuth, token.Binding = "private_key_jwt", "DPoP"
			keys.Endpoint, keys.ClientID = "jwks", "c-1"
			token.Issuer, keys.Issuer = p.as.URL, p.as.URL
			require.Equal(t, token, seen["token"])
			require.Equal(t, keys, seen["jwks"])
			require.Equal(t, "success", seen["authorization"].Outcome)
			require.EqualValues(t, 1, own.Load(), "the hook of ServerKeys is called too")
		})
	}
}

// Without a hook, no memory is allocated and the clock is not read.
func TestObserveCostsNothingWithoutAHook(t *testing.T) {
	p := newPeer(t)
	measure := func(observe func(context.Context, profile.Event)) (allocations float64, clock int64) {
		var reads atomic.Int64
		cfg := p.config()
		cfg.Key, cfg.DPoPKey = testkit.Ed25519Key(t, "c-1"), testkit.Ed25519Key(t, "dpop")
		cfg.Hooks.Observe = observe
		cfg.Hooks.Now = func() time.Time { reads.Add(1); return time.Now() }
		cfg.HTTPClient = &http.Client{Transport: testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "" {
				return p.http.Transport.RoundTrip(r)
			}
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
		app, err := client.New(context.Background(), cfg)
		require.NoError(t, err)
		api := testkit.Must(app.HTTPClient(oauth2.StaticTokenSource(dpopToken("at"))))
		r := testkit.Must(http.NewRequest(http.MethodGet, "https://api.example/accounts", nil))
		send := func() {
			response, err := api.Do(r)
			require.NoError(t, err)
			response.Body.Close()
		}
		send()
		reads.Store(0)
		send()
		clock = reads.Load()
		return testing.AllocsPerRun(1000, send), clock
	}
	without, clock := measure(nil)
	with, observed := measure(func(context.Context, profile.Event) {})
	require.Equal(t, clock+2, observed)
	// The race detector drops pooled memory at random.
	require.LessOrEqual(t, without, with+1)
}
