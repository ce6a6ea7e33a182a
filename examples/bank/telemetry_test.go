package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newCollector starts a collector of OpenTelemetry that the environment names.
// It returns what it has received, by path.
func newCollector(t *testing.T) map[string]*buffer {
	received := map[string]*buffer{"/v1/traces": new(buffer), "/v1/metrics": new(buffer)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(received[r.URL.Path], r.Body) //nolint:errcheck // the test sees what is missing
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return received
}

func TestTelemetry(t *testing.T) {
	received := newCollector(t)
	w := newWorld(t, operated(shared(t))...)
	b := w.newBrowser()
	reference := w.one.pushed()
	to := b.approve(b.logIn(b.open(w.one.front(reference)), "alice", "correct horse"))
	tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
	w.one.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusOK)
	w.one.redeem(to.Query().Get("code")).do().refused(http.StatusBadRequest, "invalid_grant")
	w.one.refresh("invented").do().refused(http.StatusBadRequest, "invalid_grant")
	w.telemetry.Shutdown(w.bank.log)
	traces, metrics := received["/v1/traces"].String(), received["/v1/metrics"].String()
	for _, name := range []string{"bank", "fapi2.store add", "fapi2.store swap", "fapi2.endpoint", "pushed_authorization_request"} {
		require.Contains(t, traces, name)
	}
	require.Contains(t, metrics, "fapi2.request.duration")
	require.Contains(t, w.log.String(), `"trace_id":"`)
	for _, secret := range []string{
		reference, url.QueryEscape(reference), to.Query().Get("code"), tokens["refresh_token"].(string), tokens["access_token"].(string),
		"correct horse", "alice", "invented",
	} {
		require.NotContains(t, traces, secret)
		require.NotContains(t, metrics, secret)
	}
}

func TestMetricsAreForTheOperator(t *testing.T) {
	w := newWorld(t, operated(with("auto_approve", "alice"))...)
	w.one.accessToken()
	page := w.asOperator(http.MethodGet, "/metrics", nil, nil)
	require.Equal(t, http.StatusOK, page.Code)
	for _, text := range []string{`fapi2_request_duration_seconds_count{fapi2_binding="DPoP"`, `fapi2_store_system="memory"`} {
		require.Contains(t, page.Body.String(), text)
	}
	require.NotContains(t, page.Body.String(), "localhost", "attack: a label that strangers choose, such as Host")
	stranger := w.asOperator(http.MethodGet, "/metrics", nil, func(r *http.Request) { r.Header.Del("Authorization") })
	require.Equal(t, http.StatusUnauthorized, stranger.Code)
	require.False(t, strings.Contains(stranger.Body.String(), "fapi2"))
	require.Equal(t, http.StatusNotFound, w.get(w.issuer+"/metrics").status)
}
