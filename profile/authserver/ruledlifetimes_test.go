package authserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/stretchr/testify/require"
)

// eachRuled runs a test with rules for all clients, and with rules for client-1.
func eachRuled(t *testing.T, set rules.Set, test func(t *testing.T, w *world), options ...worldOption) {
	t.Helper()
	for name, rule := range map[string]worldOption{"all": ruled(set), "one": ruledFor("client-1", &set)} {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, append(options, rule)...)) })
	}
}

// A default lifetime moves into the span of the rules, at both ends, and what has it expires then.
func TestRulesMoveLifetimes(t *testing.T) {
	const second, day = time.Second, 24 * time.Hour
	for name, tc := range map[string]struct {
		set  rules.Set
		life time.Duration
		left func(w *world) (alive func() bool)
	}{
		"a request_uri for at most 60 s":     {rules.Set{Lifetimes: rules.Lifetimes{RequestURI: rules.Span{Max: 60 * second}}}, 60 * second, aliveRequest},
		"a request_uri for at least 300 s":   {rules.Set{Lifetimes: rules.Lifetimes{RequestURI: rules.Span{Min: 300 * second}}}, 300 * second, aliveRequest},
		"a request_uri as it is":             {rules.Set{Lifetimes: rules.Lifetimes{RequestURI: rules.Span{Min: 10 * second, Max: 90 * second}}}, 90 * second, aliveRequest},
		"a code for at most 20 s":            {rules.Set{Lifetimes: rules.Lifetimes{Code: rules.Span{Max: 20 * second}}}, 20 * second, aliveCode},
		"an access token for at most 120 s":  {rules.Set{Lifetimes: rules.Lifetimes{AccessToken: rules.Span{Max: 120 * second}}}, 120 * second, aliveAccess},
		"an access token for at least 900 s": {rules.Set{Lifetimes: rules.Lifetimes{AccessToken: rules.Span{Min: 900 * second}}}, 900 * second, aliveAccess},
		"a refresh token for at most a day":  {rules.Set{RefreshTokens: rules.RefreshTokens{Lifetime: rules.Span{Max: day}}}, day, aliveRefresh},
	} {
		t.Run(name, func(t *testing.T) {
			for after, want := range map[time.Duration]bool{tc.life - 2*second: true, tc.life: false} {
				eachRuled(t, tc.set, func(t *testing.T, w *world) {
					alive := tc.left(w)
					w.clock.Advance(after)
					require.Equal(t, want, alive(), "after %v", after)
				})
			}
		})
	}
	w := newWorld(t, ruled(rules.Set{RefreshTokens: rules.RefreshTokens{Lifetime: rules.Span{Min: 100 * day}}}))
	alive := aliveRefresh(w)
	w.clock.Advance(100*day - second)
	require.True(t, alive())
	w.clock.Advance(second)
	require.False(t, alive())
}

func aliveRequest(w *world) func() bool {
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	w.decide = func(*authserver.Authorization) (*authserver.AuthorizationResponse, error) { return nil, nil }
	return func() bool {
		response := w.visit(target)
		response.Body.Close()
		return response.StatusCode == http.StatusSeeOther
	}
}

func aliveCode(w *world) func() bool {
	code := w.code("client-1", nil)
	return func() bool {
		return w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status == http.StatusOK
	}
}

func aliveAccess(w *world) func() bool {
	token := w.tokens("client-1", "d").body["access_token"].(string)
	return func() bool {
		return w.callAPI("DPoP", token, w.apiProof("d", token)).status == http.StatusOK
	}
}

func aliveRefresh(w *world) func() bool {
	token := w.tokens("client-1", "d").body["refresh_token"].(string)
	return func() bool {
		return w.send(w.tokenURL(), w.refreshForm("client-1", token), w.tokenProof("d")).status == http.StatusOK
	}
}

// An explicit lifetime outside the rules is a mistake, and one at an end of them is not.
func TestRulesAgainstLifetimes(t *testing.T) {
	span := rules.Span{Min: 30 * time.Second, Max: 50 * time.Second}
	set := rules.Set{Name: "test", Lifetimes: rules.Lifetimes{RequestURI: span, Code: span, AccessToken: span, Assertion: rules.Span{Max: span.Max}},
		RefreshTokens: rules.RefreshTokens{Lifetime: span}}
	for name, field := range map[string]func(*authserver.Lifetimes) *time.Duration{
		"Request":      func(l *authserver.Lifetimes) *time.Duration { return &l.Request },
		"Code":         func(l *authserver.Lifetimes) *time.Duration { return &l.Code },
		"AccessToken":  func(l *authserver.Lifetimes) *time.Duration { return &l.AccessToken },
		"RefreshToken": func(l *authserver.Lifetimes) *time.Duration { return &l.RefreshToken },
		"Assertion":    func(l *authserver.Lifetimes) *time.Duration { return &l.Assertion },
	} {
		for life, good := range map[time.Duration]bool{29 * time.Second: name == "Assertion", 30 * time.Second: true, 50 * time.Second: true, 51 * time.Second: false} {
			cfg := goodConfig(t)
			cfg.Rules = &set
			*field(&cfg.Lifetimes) = life
			_, err := authserver.New(cfg)
			if good {
				require.NoError(t, err, "%s %v", name, life)
				continue
			}
			require.ErrorContains(t, err, "Rules: Lifetimes."+name)
		}
	}
}

// The end of a consent is required if its client receives a refresh token.
func TestRulesRequireEnd(t *testing.T) {
	eachRuled(t, rules.Set{RefreshTokens: rules.RefreshTokens{EndWithConsent: true}}, func(t *testing.T, w *world) {
		a := w.load("client-1", w.pushForm("client-1"))
		approval := authserver.Approval{Subject: "alice", Scopes: a.Scopes()}
		_, err := w.as.Approve(t.Context(), a, approval)
		require.ErrorContains(t, err, "missing Expires")
		none := approval
		none.NoRefreshToken = true
		_, err = w.as.Approve(t.Context(), w.load("client-1", w.pushForm("client-1")), none)
		require.NoError(t, err)
		approval.Expires = w.clock.Now().Add(time.Hour)
		code := w.approve(a, approval)
		tokens := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
		w.clock.Advance(time.Hour)
		refresh := w.refreshForm("client-1", tokens.body["refresh_token"].(string))
		require.Equal(t, "invalid_grant", w.send(w.tokenURL(), refresh, w.tokenProof("d")).code)
	})
}

// A revocation would be forgotten before such a refresh token expires.
func TestRulesOfOneClientKeepRevocations(t *testing.T) {
	const day = 24 * time.Hour
	set := rules.Set{RefreshTokens: rules.RefreshTokens{Lifetime: rules.Span{Min: 91 * day}}}
	w := newWorld(t, ruledFor("client-1", &set))
	got := w.send(w.parURL(), w.pushForm("client-1"))
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.Equal(t, "server_error", got.code)
	set.RefreshTokens.Lifetime.Min = 90 * day
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.pushForm("client-1")).status)
}
