package authserver_test

import (
	"context"
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
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

// A store with a clock of its own may forget a code between Get and Swap.
func TestCodeThatVanishes(t *testing.T) {
	var spy *spyStore
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	spy.before = func(call string) error {
		if call == "swap code" {
			spy.by = map[string]store.Store{"code": memstore.New(memstore.Config{})}
		}
		return nil
	}
	got := w.send(w.tokenURL(), w.codeForm("client-1", w.code("client-1", nil)), w.tokenProof("d"))
	require.Equal(t, "invalid_grant", got.code, "an expired code is no failure of the server")
}

// The last instant of a code and of a request_uri, and the first one after it.
func TestLastInstants(t *testing.T) {
	start := time.Now().Truncate(time.Second).Add(900 * time.Millisecond) // a fraction must not lengthen anything
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Lifetimes.Request = 599 * time.Second
	})
	w.clock.Advance(start.Sub(w.clock.Now()))
	early, late := w.code("client-1", nil), w.code("client-1", nil)
	pushed := w.send(w.parURL(), w.pushForm("client-1"))
	require.Equal(t, 599.0, pushed.body["expires_in"], "SP-5.3.2.2-12")
	target := w.asHTTP.URL + "/authorize?" + url.Values{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}}.Encode()
	w.clock.Advance(59 * time.Second)
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", early), w.tokenProof("d")).status)
	w.clock.Advance(time.Second)
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.codeForm("client-1", late), w.tokenProof("d")).code, "SP-5.3.2.1-11 CS-10")
	opened := 0
	w.decide = func(*authserver.Authorization) (*authserver.AuthorizationResponse, error) { opened++; return nil, nil }
	w.clock.Advance(539*time.Second - time.Millisecond)
	w.browse(target)
	w.clock.Advance(time.Millisecond)
	require.Equal(t, http.StatusBadRequest, w.visit(target).StatusCode, "PAR-4-3")
	require.Equal(t, 1, opened)
}

// Only the body of a form counts, and nothing of a request comes back on an error page.
func TestParametersInTheWrongPlace(t *testing.T) {
	w := newWorld(t)
	good := w.credentialsForm("client-1", "accounts")
	for _, tc := range []struct{ query, mediaType, body string }{
		{good.Encode(), "application/x-www-form-urlencoded", ""},
		{"", "application/json", `{"grant_type":"client_credentials"}`},
		{"", "text/plain", good.Encode()},
		{"", "", good.Encode()},
		{"", "application/x-www-form-urlencoded; charset=utf-16", good.Encode()},
		{"", "application/x-www-form-urlencoded", good.Encode() + "&x=%"},
		{"", "application/x-www-form-urlencoded", good.Encode() + "&x=%ff"},
		{"", "application/x-www-form-urlencoded", good.Encode() + strings.Repeat("&a", 300)},
	} {
		for _, target := range []string{w.tokenURL(), w.parURL()} {
			r, err := http.NewRequest(http.MethodPost, target+"?"+tc.query, strings.NewReader(tc.body))
			require.NoError(t, err)
			if tc.mediaType != "" {
				r.Header.Set("Content-Type", tc.mediaType)
			}
			got := w.do(r)
			require.Contains(t, []int{400, 401, 413}, got.status, "PAR-2-1 %v", tc)
			require.Contains(t, got.header.Get("Cache-Control"), "no-store")
		}
	}
	require.Equal(t, http.StatusOK, w.send(w.tokenURL()+"?grant_type=password&client_id=client-2&scope=payments", good, w.tokenProof("d")).status)

	const script = `<script>alert(1)</script>"'&`
	page := httptest.NewRecorder()
	w.as.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodPost, "/authorize?"+url.Values{"client_id": {script}, "request_uri": {script}}.Encode(),
		strings.NewReader(w.pushForm("client-1").Encode())))
	require.Equal(t, http.StatusBadRequest, page.Code, "BASE-6749-4.1.2.1-1")
	require.NotContains(t, page.Body.String(), "alert")
	require.Contains(t, page.Header().Get("Content-Security-Policy"), "default-src 'none'")
	require.NotEmpty(t, page.Header().Get("Strict-Transport-Security"), "SP-5.2.3-1")
}

// A checked request is good for one answer, however often and at whichever server the host hands it in.
func TestCheckedRequestsServeOnce(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	ctx := context.Background()
	r := httptest.NewRequest(http.MethodPost, w.tokenURL(), strings.NewReader(w.codeForm("client-1", w.code("client-1", nil)).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", w.tokenProof("d"))
	request, err := w.as.TokenRequest(r)
	require.NoError(t, err)
	_, err = other.as.Token(ctx, request)
	require.Error(t, err)
	var served atomic.Int32
	testkit.Hammer(16, func(int) {
		if _, err := w.as.Token(ctx, request); err == nil {
			served.Add(1)
		}
	})
	require.Equal(t, int32(1), served.Load())
	for _, binding := range []authserver.Binding{{}, {ClientID: "client-1"}, {ClientID: "client-1", CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}} {
		require.Error(t, request.CheckBinding(binding), "a binding that was lost on the way binds nothing")
	}
	for _, zero := range []func() error{
		func() error { _, err := w.as.Token(ctx, &authserver.TokenRequest{}); return err },
		func() error { _, err := w.as.Token(ctx, nil); return err },
		func() error { _, err := w.as.Push(ctx, &authserver.PushedRequest{}); return err },
		func() error { _, err := w.as.Deny(ctx, nil, "access_denied", ""); return err },
		func() error { _, err := (&authserver.TokenRequest{}).Commit(ctx); return err },
	} {
		require.Error(t, zero())
	}
}
