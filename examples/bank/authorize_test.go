package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusedPage is an error page that names its cause.
func (r reply) refusedPage(codes ...string) {
	r.t.Helper()
	require.GreaterOrEqual(r.t, r.status, 400)
	require.Less(r.t, r.status, 500)
	require.Equal(r.t, "text/html; charset=utf-8", r.header.Get("Content-Type"))
	require.Empty(r.t, r.header.Get("Location"))
	_, code, ok := strings.Cut(string(r.body), `<code id="error">`)
	require.True(r.t, ok, "%s", r.body)
	code, _, _ = strings.Cut(code, "<")
	require.Contains(r.t, codes, code)
}

func TestTheAuthorizationEndpointKnowsPushedRequestsAlone(t *testing.T) {
	w := newWorld(t)
	plain := w.one.params()
	plain.Set("client_id", "one")
	w.get(w.issuer + "/authorize?" + plain.Encode()).refusedPage("invalid_request")
	w.get(w.issuer + "/authorize").refusedPage("invalid_request")
	w.get(w.one.front("urn:ietf:params:oauth:request_uri:made-up")).refusedPage("invalid_request_uri", "invalid_request")
	w.get(w.one.front("https://app.example/request.jwt")).refusedPage("invalid_request_uri", "invalid_request")
	t.Run("of the right client", func(t *testing.T) {
		reference := w.one.pushed()
		w.get(w.two.front(reference)).refusedPage("invalid_request_uri", "invalid_request")
		w.get(w.issuer + "/authorize?" + url.Values{"request_uri": {reference}}.Encode()).refusedPage("invalid_request")
		require.NotEmpty(t, w.get(w.one.front(reference)).location().Query().Get("code"), "and its owner can still use it")
	})
}

func TestTheFrontChannelAddsNothing(t *testing.T) {
	w := newWorld(t)
	disturbing := url.Values{
		"state": {"of-the-attacker"}, "nonce": {"of-the-attacker"}, "response_type": {"token"}, "scope": {"openid payments"},
		"redirect_uri": {"https://evil.example/callback"}, "response_mode": {"fragment"}, "prompt": {"none"}, "code_challenge": {"x"},
	}
	for _, before := range []bool{true, false} {
		own := url.Values{"client_id": {"one"}, "request_uri": {w.one.pushed()}}.Encode()
		query := own + "&" + disturbing.Encode()
		if before {
			query = disturbing.Encode() + "&" + own
		}
		to := w.get(w.issuer + "/authorize?" + query).location()
		require.Equal(t, "app.example", to.Host)
		require.Equal(t, "state-of-one", to.Query().Get("state"))
		tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
		require.ElementsMatch(t, []string{"openid", "accounts"}, strings.Fields(tokens["scope"].(string)))
		_, claims := unseal(t, tokens["id_token"].(string))
		require.Equal(t, "nonce-of-one", claims["nonce"])
	}
}

func TestARequestURIIsUsedUpAtTheEndAndOnce(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	reference := w.one.pushed()
	for range 3 { // link previews and reloads
		w.get(w.one.front(reference)).location()
	}
	b := w.newBrowser()
	to := b.approve(b.logIn(b.open(w.one.front(reference)), "alice", "correct horse"))
	require.NotEmpty(t, to.Query().Get("code"))
	b.open(w.one.front(reference)).refusedPage("invalid_request_uri", "invalid_request")
	w.newBrowser().open(w.one.front(reference)).refusedPage("invalid_request_uri", "invalid_request")
}

func TestEveryAuthorizationResponseNamesItsIssuer(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, w.issuer, w.one.callback().Get("iss"))
	manual := newWorld(t, with("auto_approve", nil))
	b := manual.newBrowser()
	denied := b.press(b.logIn(b.open(manual.one.front(manual.one.pushed())), "alice", "correct horse"), "deny", nil).location()
	require.True(t, strings.HasPrefix(denied.String(), redirectURI+"&"))
	require.Equal(t, "access_denied", denied.Query().Get("error"))
	require.Equal(t, "state-of-one", denied.Query().Get("state"))
	require.Equal(t, manual.issuer, denied.Query().Get("iss"))
	require.Empty(t, denied.Query().Get("code"))
}

func TestHeadersOfTheAuthorizationEndpoint(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequest(http.MethodGet, w.one.front(w.one.pushed()), nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "https://app.example")
	got := w.send(w.http(nil), r)
	require.Equal(t, http.StatusSeeOther, got.status, "SP-5.3.2.2-11")
	require.Empty(t, got.header.Values("Access-Control-Allow-Origin"), "SP-5.2.3-3")
	require.Contains(t, got.header.Get("Strict-Transport-Security"), "max-age=")
	require.Contains(t, got.header.Get("Cache-Control"), "no-store")
	require.Equal(t, "no-referrer", got.header.Get("Referrer-Policy"))
	r, err = http.NewRequest(http.MethodOptions, w.issuer+"/authorize", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "https://app.example")
	require.Empty(t, w.send(w.http(nil), r).header.Values("Access-Control-Allow-Origin"))
}

func TestCodes(t *testing.T) {
	w := newWorld(t)
	t.Run("have at least 128 bits and differ", func(t *testing.T) {
		code := w.one.code()
		require.GreaterOrEqual(t, len(code), 22)
		require.NotEqual(t, code, w.one.code())
	})
	t.Run("SP-5.3.2.1-11 are over after 60 s", func(t *testing.T) {
		code := w.one.code()
		w.advance(61 * time.Second)
		w.one.redeem(code).do().refused(http.StatusBadRequest, "invalid_grant")
	})
	t.Run("SP-5.3.2.2-9 are good for one use, and a second one ends what the first has brought", func(t *testing.T) {
		for _, p := range w.all() {
			code := p.code()
			tokens := p.redeem(code).do().ok(http.StatusOK).json()
			p.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusOK)
			p.redeem(code).do().refused(http.StatusBadRequest, "invalid_grant")
			p.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusUnauthorized)
			p.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
		}
	})
	t.Run("are the client's, and remain so when another one tries", func(t *testing.T) {
		for _, pair := range [][2]*party{{w.one, w.two}, {w.tlsOne, w.tlsTwo}, {w.one, w.tlsOne}} {
			code := pair[0].code()
			pair[1].redeem(code).do().refused(http.StatusBadRequest, "invalid_grant")
			pair[0].redeem(code).do().ok(http.StatusOK)
		}
	})
	t.Run("need the verifier", func(t *testing.T) {
		code := w.one.code()
		w.one.redeem(code).with("code_verifier", "").do().refused(http.StatusBadRequest, "invalid_grant", "invalid_request")
		w.one.redeem(code).with("code_verifier", strings.Repeat("a", 43)).do().refused(http.StatusBadRequest, "invalid_grant")
		w.one.redeem(code).do().ok(http.StatusOK)
	})
	t.Run("need the same redirect_uri", func(t *testing.T) {
		code := w.one.code()
		w.one.redeem(code).with("redirect_uri", "https://app.example/other").do().refused(http.StatusBadRequest, "invalid_grant")
		w.one.redeem(code).do().ok(http.StatusOK)
	})
	t.Run("are good for one of many at once", func(t *testing.T) {
		code := w.one.code()
		const n = 16
		results := make(chan int, n)
		for range n {
			go func() { results <- w.one.redeem(code).do().status }()
		}
		won := 0
		for range n {
			if <-results == http.StatusOK {
				won++
			}
		}
		require.LessOrEqual(t, won, 1)
	})
}

func TestPromptAndMaxAge(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	b := w.newBrowser()
	none := func() string {
		return b.open(w.one.front(w.one.pushed(param("prompt", "none")))).location().Query().Get("error")
	}
	require.Equal(t, "login_required", none())
	b.approve(b.logIn(b.open(w.one.front(w.one.pushed(param("prompt", "consent")))), "alice", "correct horse"))
	require.Equal(t, "consent_required", none())
	isLogin := func(r reply) bool { return strings.Contains(string(r.body), `id="password"`) }
	require.False(t, isLogin(b.open(w.one.front(w.one.pushed()))), "still logged in")
	w.advance(2 * time.Second)
	require.True(t, isLogin(b.open(w.one.front(w.one.pushed(param("prompt", "login"))))))
	page := b.open(w.one.front(w.one.pushed(param("max_age", "1"))))
	require.True(t, isLogin(page))
	to := b.approve(b.logIn(page, "alice", "correct horse"))
	_, claims := unseal(t, w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()["id_token"].(string))
	require.InDelta(t, w.now().Unix(), claims["auth_time"], 2)
}
