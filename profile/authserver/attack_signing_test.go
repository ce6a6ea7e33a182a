package authserver_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func archiving(a *archive) worldOption {
	return func(as *authserver.Config, _ *resourceserver.Config) { as.Hooks.Evidence = a.keep }
}

// A client that takes signed responses only takes no plain one for a session that was begun otherwise.
func TestPlainSessionOfSigningClient(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	session, err := w.client("client-1").Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	callback := w.browse(session.URL)
	require.Equal(t, []string{"code", "iss", "state", "tenant"}, names(callback))
	_, err = w.client("client-1", using(profile.SignedResponses)).Finish(ctx, session, callback)
	require.ErrorIs(t, err, client.ErrAuthorizationResponse, "MS-5.4.2-1 MS-5.4.2-2")
	_, err = w.client("client-1").Finish(ctx, session, callback)
	require.NoError(t, err)

	session, err = w.client("client-1", using(profile.SignedResponses)).Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	_, err = w.client("client-1").Finish(ctx, session, w.browse(session.URL))
	require.ErrorIs(t, err, client.ErrAuthorizationResponse, "MS-5.4.2-2 nor the other way round")
}

// newIntrospection makes a client of the introspection endpoint for client-2.
func (w *world) newIntrospection(change ...func(*introspection.ClientConfig)) *introspection.Client {
	cfg := introspection.ClientConfig{
		Endpoint: w.as.Metadata().IntrospectionEndpoint, HTTPClient: w.http, Issuer: w.asHTTP.URL, ClientID: "client-2",
		Keys: w.as.Keys().Keys, Now: w.clock.Now,
		Authenticate: func(_ context.Context, form url.Values) error { w.authenticated("client-2", form); return nil },
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := introspection.NewClient(cfg)
	require.NoError(w.t, err)
	return c
}

// Whoever has found a token but not its key must not be able to fill the archive of an API.
func TestNoEvidenceOfRefusedAPIRequests(t *testing.T) {
	w, held := newWorld(t, demanding(profile.SignedIntrospection)), &archive{}
	var err error
	w.rs, err = resourceserver.New(resourceserver.Config{
		Resource: w.rsHTTP.URL, Hooks: resourceserver.Hooks{Evidence: held.keep, Now: w.clock.Now},
		Issuers: []resourceserver.Issuer{{ID: w.asHTTP.URL, Introspection: w.newIntrospection(func(c *introspection.ClientConfig) { c.CacheFor = time.Minute })}},
	})
	require.NoError(t, err)
	form := w.codeForm("client-1", w.code("client-1", nil))
	form.Set("scope", "accounts")
	access := w.send(w.tokenURL(), form, w.tokenProof("d")).body["access_token"].(string)
	proof := w.apiProof("d", access)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, proof).status)
	require.Equal(t, []string{"introspection response false"}, held.take())
	for name, call := range map[string]func() answer{
		"MS-7-1 no proof":        func() answer { return w.callAPI("DPoP", access) },
		"MS-7-1 as Bearer":       func() answer { return w.callAPI("Bearer", access) },
		"MS-7-1 another key":     func() answer { return w.callAPI("DPoP", access, w.apiProof("attacker", access)) },
		"MS-7-1 a proof, copied": func() answer { return w.callAPI("DPoP", access, proof) },
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, http.StatusUnauthorized, call().status)
			require.Empty(t, held.take())
		})
	}
	held.down = true
	require.Equal(t, http.StatusServiceUnavailable, w.callAPI("DPoP", access, w.apiProof("d", access)).status, "MS-7-1 it would take effect")
}

// An API that is configured for one issuer takes no token that another one vouches for.
func TestIntrospectionOfAnotherIssuer(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedIntrospection))
	rs, err := resourceserver.New(resourceserver.Config{
		Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: "https://other-as.example", Introspection: w.newIntrospection()}}, Hooks: resourceserver.Hooks{Now: w.clock.Now},
	})
	require.NoError(t, err)
	access := w.tokens("client-1", "d").body["access_token"].(string)
	w.rs = rs
	require.Equal(t, "AT-4-2 401 invalid_token", "AT-4-2 "+statusAndCode(w.callAPI("DPoP", access, w.apiProof("d", access))))
}

func statusAndCode(a answer) string {
	if a.status == http.StatusUnauthorized && a.code == "invalid_token" {
		return "401 invalid_token"
	}
	return http.StatusText(a.status) + " " + a.code
}

// What the server's key has signed for other purposes, or the host with it, is inactive and no failure.
func TestIntrospectionOfForeignTokens(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedIntrospection))
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: w.asHTTP.URL, Key: testkit.ECKey(t, "as"), KeyID: "as-1", Now: w.clock.Now})
	require.NoError(t, err)
	foreign, err := issuer.Issue(accesstoken.Claims{Subject: "alice", ClientID: "client-1", Audience: []string{w.rsHTTP.URL}, JKT: w.jkt("d"), ID: "the host's own"})
	require.NoError(t, err)
	issued := w.tokens("client-1", "d").body
	app := w.newIntrospection()
	for name, token := range map[string]string{
		"INT-7662-2.2-2 a token that the host made": foreign,
		"INT-7662-2.2-2 a refresh token":            issued["refresh_token"].(string),
		"INT-7662-2.2-2 an ID token":                issued["id_token"].(string),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := app.Introspect(context.Background(), token)
			require.ErrorIs(t, err, introspection.ErrInactive)
		})
	}
}

// A response that is never sent is no evidence of anything.
func TestNoEvidenceOfResponsesNotSent(t *testing.T) {
	held := &archive{}
	w, ctx := newWorld(t, archiving(held)), context.Background()
	form := w.pushForm("client-1")
	form.Set("response_mode", "jwt")
	a := w.load("client-1", form)
	approval := authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}}
	_, err := w.as.Approve(ctx, a, approval)
	require.NoError(t, err)
	require.Equal(t, []string{"authorization response true"}, held.take())
	_, err = w.as.Approve(ctx, a, approval)
	require.Error(t, err, "the form came twice")
	require.Empty(t, held.take(), "MS-7-1")

	form = w.pushForm("client-1")
	form.Set("response_mode", "jwt")
	a = w.load("client-1", form)
	w.clock.Advance(24 * time.Hour)
	_, err = w.as.Deny(ctx, a, "access_denied", "")
	require.Error(t, err, "too late")
	require.Empty(t, held.take(), "MS-7-1")
}

// A request that the host's own rules refuse is none that was accepted.
func TestNoEvidenceOfRequestsNotPushed(t *testing.T) {
	held := &archive{}
	w, ctx := newWorld(t, archiving(held)), context.Background()
	r := httptest.NewRequest(http.MethodPost, w.parURL(), strings.NewReader(w.signed("client-1", w.pushForm("client-1")).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := w.as.PushedRequest(r)
	require.NoError(t, err)
	require.Empty(t, held.take(), "MS-7-1 the host may still refuse it")
	held.down = true
	_, err = w.as.Push(ctx, request)
	require.ErrorIs(t, err, profile.ErrEvidence, "MS-7-1 what cannot be archived has no effect")
	held.down = false
	_, err = w.as.Push(ctx, request)
	require.NoError(t, err)
	require.Equal(t, []string{"request object false"}, held.take(), "MS-7-1")
}

// What cannot be answered is refused when it is pushed, and not when the user has logged in.
func TestUnanswerableRequests(t *testing.T) {
	w := newWorld(t)
	const own = "https://client.example/callback?response=1"
	w.clients["client-1"].RedirectURIs = []string{redirectURI, own}
	for name, change := range map[string]func(url.Values){
		"JARM-2.3-1 a redirect_uri with a response of its own": func(f url.Values) { f.Set("redirect_uri", own) },
		"JARM-2.1-3 a state that outgrows the response":        func(f url.Values) { f.Set("state", strings.Repeat("\x01", 8<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			form := w.pushForm("client-1")
			change(form)
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), form).status, "unsigned it can be answered")
			form = w.authenticated("client-1", form)
			form.Set("response_mode", "jwt")
			got := w.send(w.parURL(), form)
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Equal(t, "invalid_request", got.code)
		})
	}
	form := w.pushForm("client-1")
	form.Set("response_mode", "jwt")
	form.Set("state", strings.Repeat("ä", 4<<10))
	_, err := w.as.Approve(context.Background(), w.load("client-1", form), authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.NoError(t, err, "the longest honest state is answered")
}

// Downgrades of requests and responses, and keys that fail.
func TestSigningDowngrades(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedRequests|profile.SignedResponses))
	jwt := func() url.Values {
		form := w.pushForm("client-1")
		form.Set("response_mode", "jwt")
		return form
	}
	withForm := func(change func(url.Values)) url.Values {
		form := jwt()
		change(form)
		return form
	}
	inQuery := w.signed("client-1", jwt()).Get("request")
	for _, tc := range []struct {
		name, target string
		form         url.Values
		code         string
	}{
		{"MS-5.3.1-1 an empty request", w.parURL(), withForm(func(f url.Values) { f.Set("request", "") }), "invalid_request"},
		{"MS-5.3.1-1 two of them", w.parURL(), withForm(func(f url.Values) { f["request"] = []string{inQuery, inQuery} }), "invalid_request"},
		{"MS-5.3.1-1 in the query", w.parURL() + "?request=" + inQuery, jwt(), "invalid_request"},
		{"MS-5.4.1-1 query", w.parURL(), w.signed("client-1", withForm(func(f url.Values) { f.Set("response_mode", "query") })), "invalid_request"},
		{"MS-5.4.1-1 form_post", w.parURL(), w.signed("client-1", withForm(func(f url.Values) { f.Set("response_mode", "form_post") })), "invalid_request"},
		{"MS-5.4.1-1 fragment.jwt", w.parURL(), w.signed("client-1", withForm(func(f url.Values) { f.Set("response_mode", "fragment.jwt") })), "invalid_request"},
		{"MS-5.4.1-1 in capitals", w.parURL(), w.signed("client-1", withForm(func(f url.Values) { f.Set("response_mode", "JWT") })), "invalid_request"},
		{"MS-5.4.1-1 none", w.parURL(), w.signed("client-1", withForm(func(f url.Values) { f.Del("response_mode") })), "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.send(tc.target, tc.form)
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
		})
	}
	// One jti for an assertion and an object of the same client: neither uses up the other's.
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.signed("client-1", jwt())).status)
}

// moody is a key in an HSM that is at times not there.
type moody struct {
	crypto.Signer
	down atomic.Bool
}

func (m *moody) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if m.down.Load() {
		return nil, errors.New("hsm: slot 7 gone")
	}
	return m.Signer.Sign(rand, digest, opts)
}

func TestApprovalSurvivesKeyFailure(t *testing.T) {
	key, held := &moody{Signer: testkit.ECKey(t, "as")}, &archive{}
	w, ctx := newWorld(t, archiving(held), func(as *authserver.Config, _ *resourceserver.Config) { as.Keys[0].Key = key }), context.Background()
	form := w.pushForm("client-1")
	form.Set("response_mode", "jwt")
	a := w.load("client-1", form)
	approval := authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}}
	key.down.Store(true)
	_, err := w.as.Approve(ctx, a, approval)
	require.ErrorIs(t, err, authserver.ErrStore, "MS-5.4.1-1 no unsigned response instead")
	_, err = w.as.Deny(ctx, a, "access_denied", "")
	require.ErrorIs(t, err, authserver.ErrStore, "JARM-2.1-3 errors neither")
	require.Empty(t, held.take())
	key.down.Store(false)
	var sent atomic.Int32
	testkit.Hammer(32, func(int) {
		if _, err := w.as.Approve(ctx, a, approval); err == nil {
			sent.Add(1)
		}
	})
	require.EqualValues(t, 1, sent.Load(), "PAR-4-2")
}

type failingArchive struct{ err error }

func (f *failingArchive) keep(context.Context, profile.Evidence) error { return f.err }

// The error of an archive is the host's and stays there.
func TestArchiveErrorsAreNotShown(t *testing.T) {
	f := &failingArchive{errors.New("dsn=postgres://secret")}
	w := newWorld(t, demanding(profile.SignedIntrospection), func(as *authserver.Config, _ *resourceserver.Config) { as.Hooks.Evidence = f.keep })
	access := w.tokens("client-1", "d").body["access_token"].(string)
	got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {access}}))
	require.Equal(t, http.StatusServiceUnavailable, got.status, "MS-7-1")
	require.NotContains(t, got.body["error_description"], "secret")
}
