package authserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// load pushes a form and returns the authorization as a host sees it.
func (w *world) load(id string, form url.Values, proofs ...string) *authserver.Authorization {
	target, err := url.Parse(w.authorizationURL(id, form, proofs...))
	require.NoError(w.t, err)
	a, err := w.as.Authorization(context.Background(), target.Query())
	require.NoError(w.t, err)
	return a
}

// approve returns the code of an authorization.
func (w *world) approve(a *authserver.Authorization, approval authserver.Approval) string {
	response, err := w.as.Approve(context.Background(), a, approval)
	require.NoError(w.t, err)
	u, err := url.Parse(response.URL())
	require.NoError(w.t, err)
	return u.Query().Get("code")
}

func (w *world) credentialsForm(id, scope string) url.Values {
	return w.authenticated(id, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
}

// claims reads a token that the server has just made.
func claims(t testing.TB, token any) (header, payload map[string]json.RawMessage) {
	parts := strings.Split(token.(string), ".")
	require.Len(t, parts, 3)
	for i, to := range []*map[string]json.RawMessage{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, to))
	}
	return header, payload
}

// A scope parameter is read as RFC 6749 §3.3 writes it, at both endpoints and for every grant; repeating a value does not
// repeat it in the token, so that no client can make a token too large to issue after its assertion was used up.
func TestScopeSyntax(t *testing.T) {
	w := newWorld(t)
	long := strings.TrimSpace(strings.Repeat("accounts ", 20000))
	for _, tc := range []struct{ name, scope, want string }{
		{"BASE-6749-6-1 repeated values count once", "accounts openid accounts", "accounts openid"},
		{"BASE-6749-6-1 twenty thousand times", long, "accounts"},
		{"a tab between values", "accounts\topenid", ""},
		{"a no-break space", "accounts\u00a0openid", ""},
		{"a line feed", "accounts\n", ""},
		{"nothing but a space", " ", ""},
		{"two spaces", "accounts  openid", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
			form := w.refreshForm("client-1", refresh)
			form.Set("scope", tc.scope)
			got := w.send(w.tokenURL(), form, w.tokenProof("d"))
			push := w.pushForm("client-1")
			push.Set("scope", tc.scope)
			pushed := w.send(w.parURL(), push)
			if tc.want == "" {
				require.Equal(t, "invalid_scope", got.code)
				require.Equal(t, "invalid_scope", pushed.code)
				require.Equal(t, "invalid_scope", w.send(w.tokenURL(), w.credentialsForm("client-1", tc.scope), w.tokenProof("d")).code)
				return
			}
			require.Equal(t, http.StatusOK, got.status, "%v", got.body)
			require.Equal(t, tc.want, got.body["scope"])
			require.Equal(t, len(tc.scope) > 1000, pushed.status == http.StatusRequestEntityTooLarge, "PAR-2.3-6")
			require.Equal(t, len(tc.scope) < 1000, pushed.status == http.StatusCreated)
		})
	}
	twice := w.approve(w.load("client-1", w.pushForm("client-1")), authserver.Approval{Subject: "alice", Scopes: []string{"accounts", "accounts"}})
	require.Equal(t, "accounts openid", w.send(w.tokenURL(), w.codeForm("client-1", twice), w.tokenProof("d")).body["scope"], "A6 openid is no choice")
}

// RFC 6749 §5.1: without scope in the response a client has to believe that it got what it asked for.
func TestGrantedScopeIsAlwaysTold(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	form.Del("scope")
	code := w.approve(w.load("client-1", form), authserver.Approval{Subject: "alice"})
	got := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "scope", "RI-2.2-3")
	require.Empty(t, got.body["scope"])
}

// What a client has lost since the user agreed it does not get any more.
func TestWithdrawnScopeAndResource(t *testing.T) {
	w := newWorld(t)
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	w.clients["client-1"].Scope = "openid payments"
	got := w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d"))
	require.Equal(t, "openid", got.body["scope"], "BCP-2.3-1")
	form := w.refreshForm("client-1", refresh)
	form.Set("scope", "accounts")
	require.Equal(t, "invalid_scope", w.send(w.tokenURL(), form, w.tokenProof("d")).code)
}

// The host's mistakes are found when it makes them, while the user is still there, and use up nothing.
func TestApprovalThatNoTokenCanSay(t *testing.T) {
	w := newWorld(t)
	a := w.load("client-1", w.pushForm("client-1"))
	for name, change := range map[string]func(*authserver.Approval){
		"AuthTime before 1970": func(p *authserver.Approval) { p.AuthTime = time.Unix(-5, 0) },
		"AuthTime of 1970":     func(p *authserver.Approval) { p.AuthTime = time.Unix(0, 0) },
		"a long ACR":           func(p *authserver.Approval) { p.ACR = strings.Repeat("x", 20000) },
		"an ACR of no charset": func(p *authserver.Approval) { p.ACR = "\xff" },
		"a long AMR":           func(p *authserver.Approval) { p.AMR = []string{strings.Repeat("x", 20000)} },
		"large claims":         func(p *authserver.Approval) { p.IDTokenClaims = map[string]any{"x": strings.Repeat("x", 1<<20)} },
	} {
		approval := authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()}
		change(&approval)
		_, err := w.as.Approve(context.Background(), a, approval)
		require.Error(t, err, name)
	}
	code := w.approve(a, authserver.Approval{Subject: "alice", Scopes: a.Scopes()})
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status)
}

// If claims are approved, they fit into the ID token of the client, whose signature may be longer than that of others.
func TestApprovedClaimsFit(t *testing.T) {
	w := newWorld(t, withKeys(moreKeys(t)...))
	w.clients["client-1"].IDTokenSignedResponseAlg = "PS256"
	approved, rejected := 0, 0
	for size := 48_600; size <= 49_100; size += 50 {
		response, err := w.as.Approve(t.Context(), w.load("client-1", w.pushForm("client-1")), authserver.Approval{
			Subject: "alice", Scopes: []string{"openid"}, IDTokenClaims: map[string]any{"long": strings.Repeat("x", size)},
		})
		if err != nil {
			require.ErrorContains(t, err, "IDTokenClaims")
			rejected++
			continue
		}
		approved++
		u, err := url.Parse(response.URL())
		require.NoError(t, err)
		got := w.send(w.tokenURL(), w.codeForm("client-1", u.Query().Get("code")), w.tokenProof("d"))
		require.Equal(t, http.StatusOK, got.status, "%d: %v", size, got.body)
	}
	require.NotZero(t, approved)
	require.NotZero(t, rejected)
}

func TestIDTokenContent(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	login := w.clock.Now().Add(-time.Minute)
	code := w.approve(w.load("client-1", form), authserver.Approval{
		Subject: "alice", Scopes: []string{"openid"}, AuthTime: login, ACR: "high", AMR: []string{"pwd", "otp"},
		IDTokenClaims: map[string]any{"account": int64(9007199254740993), "html": "<&>"},
	})
	got := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status, "%v", got.body)
	header, payload := claims(t, got.body["id_token"])
	require.Equal(t, `"as-1"`, string(header["kid"]))
	require.Equal(t, `"ES256"`, string(header["alg"]))
	for name, want := range map[string]any{
		"iss": w.asHTTP.URL, "sub": "alice", "aud": "client-1", "nonce": "n-1", "auth_time": login.Unix(), "acr": "high", "amr": []string{"pwd", "otp"},
		"account": int64(9007199254740993), "html": "<&>", // a number keeps all its digits on the way through the store
	} {
		raw, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, string(raw), string(payload[name]), "SP-5.3.2.3-1 %s", name)
		if name == "account" {
			require.Equal(t, string(raw), string(payload[name]))
		}
	}
	require.NotContains(t, payload, "cnf")
}

// A client that hangs up while its replay is being noticed does not keep its tokens by that.
func TestReplayIsNoticedThoughTheClientHangsUp(t *testing.T) {
	var store *spyStore
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		store = newSpy(as.Hooks.Now)
		as.Store = store
	})
	code := w.code("client-1", nil)
	first := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, first.status)

	ctx, cancel := context.WithCancel(context.Background())
	commits := 0
	store.lost = func(call string) error {
		if call == "add replay" {
			if commits++; commits == 2 { // the assertion and the proof
				cancel()
			}
		}
		return nil
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, w.tokenURL(), strings.NewReader(w.codeForm("client-1", code).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", w.tokenProof("d"))
	w.as.Handler().ServeHTTP(httptest.NewRecorder(), r)
	require.Error(t, ctx.Err())
	got := w.send(w.tokenURL(), w.refreshForm("client-1", first.body["refresh_token"].(string)), w.tokenProof("d"))
	require.Equal(t, "invalid_grant", got.code, "BASE-6749-4.1.2-1 BCP-4.5-1")
}

// Whichever store the client's connection breaks at, the code is still good for the next attempt.
func TestCodeSurvivesACancelAtEveryStep(t *testing.T) {
	var store *spyStore
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		store = newSpy(as.Hooks.Now)
		as.Store = store
	})
	for step := int32(1); ; step++ {
		code := w.code("client-1", nil)
		ctx, cancel := context.WithCancel(context.Background())
		left := step
		store.before = func(string) error {
			if left--; left == 0 {
				cancel()
			}
			return nil
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, w.tokenURL(), strings.NewReader(w.codeForm("client-1", code).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", w.tokenProof("d"))
		answer := httptest.NewRecorder()
		w.as.Handler().ServeHTTP(answer, r)
		store.recover()
		cancel()
		if answer.Code == http.StatusOK {
			require.Equal(t, int32(7), step, "load, revoked, proof, assertion, save, redeem")
			return
		}
		require.Equal(t, http.StatusServiceUnavailable, answer.Code, "step %d", step)
		require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status, "lost at step %d", step)
	}
}

// Two issuers that share their stores share nothing else: clients with one name are two.
func TestIssuersWithOneStore(t *testing.T) {
	memory := memstore.New(memstore.Config{})
	shared := func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store = memory
	}
	one, two := newWorld(t, shared), newWorld(t, shared)
	target := one.authorizationURL("client-1", one.pushForm("client-1"))
	require.Equal(t, http.StatusBadRequest, two.visit(two.asHTTP.URL+strings.TrimPrefix(target, one.asHTTP.URL)).StatusCode)
	loaded := one.load("client-1", one.pushForm("client-1"))
	_, err := two.as.Approve(context.Background(), loaded, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.Error(t, err)
	_, err = two.as.Deny(context.Background(), loaded, "access_denied", "")
	require.Error(t, err)
	_, err = two.as.Resume(context.Background(), loaded.ClientID(), loaded.RequestURI())
	require.Error(t, err)

	code := one.code("client-1", nil)
	require.Equal(t, "invalid_grant", two.send(two.tokenURL(), two.codeForm("client-1", code), two.tokenProof("d")).code)
	got := one.send(one.tokenURL(), one.codeForm("client-1", code), one.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status)
	refresh := got.body["refresh_token"].(string)
	require.Equal(t, "invalid_grant", two.send(two.tokenURL(), two.refreshForm("client-1", refresh), two.tokenProof("d")).code)
}

// A secret of one kind is nothing as another, nor in another client's hands; and trying harms nobody.
func TestSecretsOfAnotherKindOrClient(t *testing.T) {
	w := newWorld(t)
	target, err := url.Parse(w.authorizationURL("client-1", w.pushForm("client-1")))
	require.NoError(t, err)
	requestURI := target.Query().Get("request_uri")
	code, tokens := w.code("client-1", nil), w.tokens("client-1", "d").body
	refresh, access := tokens["refresh_token"].(string), tokens["access_token"].(string)
	_, payload := claims(t, access)
	jti := strings.Trim(string(payload["jti"]), `"`)
	for name, form := range map[string]url.Values{
		"a refresh token as code":              w.codeForm("client-1", refresh),
		"a request_uri as code":                w.codeForm("client-1", requestURI),
		"its reference as code":                w.codeForm("client-1", requestURI[strings.LastIndex(requestURI, ":")+1:]),
		"a code as refresh token":              w.refreshForm("client-1", code),
		"an access token as refresh token":     w.refreshForm("client-1", access),
		"a jti as refresh token":               w.refreshForm("client-1", jti),
		"CS-9 another client's code":           w.codeForm("client-2", code),
		"another client's refresh token":       w.refreshForm("client-2", refresh),
		"a kind in front of the refresh token": w.codeForm("client-1", "refresh:"+refresh),
	} {
		require.Equal(t, "invalid_grant", w.send(w.tokenURL(), form, w.tokenProof("d")).code, name)
	}
	for _, reference := range []string{code, "urn:ietf:params:oauth:request_uri:" + code, refresh} {
		visit := w.asHTTP.URL + "/authorize?" + url.Values{"client_id": {"client-1"}, "request_uri": {reference}}.Encode()
		require.Equal(t, http.StatusBadRequest, w.visit(visit).StatusCode)
	}
	require.NotEmpty(t, w.browse(target.String()).Get("code"))
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status)
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).status)

	revoked, err := w.as.Revoked(context.Background(), jti)
	require.NoError(t, err)
	require.False(t, revoked)
	for _, foreign := range []string{"", ".", "a.b", "550e8400-e29b-41d4-a716-446655440000", jti + ".x", jti[:len(jti)-1], "." + jti} {
		_, err := w.as.Revoked(context.Background(), foreign)
		require.Error(t, err, "an ID that is not ours: %q", foreign)
	}
	own := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", own, w.apiProof("d", own)).status, "a client's own token has an ID of the same form")
}

// Approvals, redemptions, refreshes and a replay at once: in the end everything of the replayed grant is dead, and all else
// is not.
func TestRevocationRaces(t *testing.T) {
	w := newWorld(t)
	bystander := w.tokens("client-2", "e").body["refresh_token"].(string)
	code := w.code("client-1", nil)
	first := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	refresh := first.body["refresh_token"].(string)
	const n = 24
	forms, proofs, issued := make([]url.Values, n), make([]string, n), make([]string, n)
	for i := range forms {
		forms[i], proofs[i] = w.refreshForm("client-1", refresh), w.tokenProof("d")
		if i%8 == 7 {
			forms[i] = w.codeForm("client-1", code)
		}
	}
	a := w.load("client-1", w.pushForm("client-1"))
	var approvals atomic.Int32
	testkit.Hammer(n, func(i int) {
		if got := w.send(w.tokenURL(), forms[i], proofs[i]); got.status == http.StatusOK {
			issued[i], _ = got.body["access_token"].(string)
		}
		if _, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes()}); err == nil {
			approvals.Add(1)
		}
	})
	require.Equal(t, int32(1), approvals.Load(), "PAR-4-2")
	for i, token := range append(issued, first.body["access_token"].(string)) {
		if token != "" {
			require.NotEqual(t, 7, i%8, "SP-5.3.2.2-9 a replay was served")
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", token, w.apiProof("d", token)).status, "issued during the revocation")
		}
	}
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).code)
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.refreshForm("client-2", bystander), w.tokenProof("e")).status)
}

// Nothing secret is in a log, whatever is asked and however it fails, nor in what a host may print.
func TestLogsHoldNoSecrets(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
		as.Hooks.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		rs.Hooks.Logger = as.Hooks.Logger
	})
	var secrets []string
	send := func(target string, form url.Values, proof string) answer {
		for _, name := range []string{"code", "refresh_token", "client_assertion", "code_verifier", "request_uri"} {
			if value := form.Get(name); len(value) > 20 {
				secrets = append(secrets, value)
			}
		}
		got := w.send(target, form, proof)
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if value, ok := got.body[name].(string); ok {
				secrets = append(secrets, value)
			}
		}
		secrets = append(secrets, proof)
		return got
	}
	good := w.codeForm("client-1", w.code("client-1", nil))
	tokens := send(w.tokenURL(), good, w.tokenProof("d")).body
	send(w.tokenURL(), good, w.tokenProof("d"))
	send(w.tokenURL(), w.codeForm("client-1", good.Get("code")), w.tokenProof("d"))
	send(w.tokenURL(), w.refreshForm("client-1", tokens["refresh_token"].(string)), w.tokenProof("d"))
	send(w.tokenURL(), w.refreshForm("client-2", tokens["refresh_token"].(string)), w.apiProof("d", "x"))
	send(w.parURL(), w.pushForm("client-1"), w.tokenProof("d"))
	send(w.parURL(), w.codeForm("client-1", good.Get("code")), "")
	swapped := w.refreshForm("client-1", good.Get("client_assertion"))
	swapped.Set("client_assertion", good.Get("code"))
	send(w.tokenURL(), swapped, tokens["access_token"].(string))
	w.visit(w.asHTTP.URL + "/authorize?client_id=client-1&request_uri=" + url.QueryEscape(good.Get("client_assertion")))
	w.callAPI("DPoP", tokens["access_token"].(string), w.tokenProof("d"))

	r := httptest.NewRequest(http.MethodPost, w.tokenURL(), strings.NewReader(w.refreshForm("client-1", "a secret refresh token").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", w.tokenProof("d"))
	checked, err := w.as.TokenRequest(r)
	require.NoError(t, err)
	a := w.load("client-1", w.pushForm("client-1"))
	secrets = append(secrets, "a secret refresh token", a.RequestURI())
	response := authserver.TokenResponse{TokenType: "DPoP", AccessToken: "a secret refresh token"}
	require.NotContains(t, fmt.Sprintf("%#v %#v", checked, response), "a secret refresh token")
	fmt.Fprintf(&log, "%v %+v %v %+v %v", *checked, checked, a, *a, response)
	slog.New(slog.NewTextHandler(&log, nil)).Info("printed", "request", checked, "value", *checked, "authorization", a, "response", response)

	require.Contains(t, log.String(), `msg="request rejected"`)
	require.Contains(t, log.String(), `reason="authserver: authorization code replayed"`, "one of a fixed set")
	for _, secret := range secrets {
		if secret != "" {
			require.NotContains(t, log.String(), secret)
		}
	}
}

var errHost = errors.New("host: no such table users on 10.1.2.3")
