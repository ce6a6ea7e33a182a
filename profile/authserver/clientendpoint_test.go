package authserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

// unprocessable is an error of a host with a code and a status.
type unprocessable struct{}

func (unprocessable) Error() string { return "host: unknown arrangement" }
func (unprocessable) OAuthError() (string, string) {
	return "invalid_arrangement", "the arrangement is unknown"
}
func (unprocessable) HTTPStatus() int { return http.StatusUnprocessableEntity }

// arrangements is an endpoint of a host: client-1 has the arrangement a-1.
func (w *world) arrangements(served *atomic.Int32) http.Handler {
	return w.as.ClientEndpoint(func(r *http.Request, q *authserver.ClientRequest) (http.Handler, error) {
		if q.ClientID() != "client-1" || q.Param("cdr_arrangement_id") != "a-1" {
			return nil, unprocessable{}
		}
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			served.Add(1)
			rw.WriteHeader(http.StatusNoContent)
		}), nil
	})
}

// hostRequest is a request with a form to an endpoint of the host.
func hostRequest(form url.Values, certificates ...*x509.Certificate) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://as.example/host", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.TLS = &tls.ConnectionState{PeerCertificates: certificates}
	return r
}

func arrangement(id string) url.Values { return url.Values{"cdr_arrangement_id": {id}} }

func TestClientEndpoint(t *testing.T) {
	var events []profile.Event
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Hooks.Observe = func(_ context.Context, e profile.Event) { events = append(events, e) }
	})
	var served atomic.Int32
	endpoint := httptest.NewTLSServer(w.arrangements(&served))
	t.Cleanup(endpoint.Close)
	w.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(endpoint.Certificate())
	target := endpoint.URL + "/arrangements/revoke"
	elsewhere, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "client-1", Audience: target, Key: testkit.ECKey(t, "client-1"), KeyID: "client-1-key", Now: w.clock.Now,
	})
	require.NoError(t, err)
	forElsewhere := arrangement("a-1")
	require.NoError(t, elsewhere.Authenticate(t.Context(), forElsewhere))
	forged := w.authenticated("client-1", arrangement("a-1"))
	forged.Set("client_assertion", testkit.MutateJWS(forged.Get("client_assertion"), 200))
	twice := w.authenticated("client-1", arrangement("a-1"))
	twice.Add("cdr_arrangement_id", "a-2")
	for _, tc := range []struct {
		name   string
		form   url.Values
		status int
		code   string
	}{
		{"no authentication", arrangement("a-1"), 401, "invalid_client"},
		{"client_id alone", url.Values{"client_id": {"client-1"}, "cdr_arrangement_id": {"a-1"}}, 401, "invalid_client"},
		{"attack: a forged assertion", forged, 401, "invalid_client"},
		{"CA-BIS-4-2 an assertion for the URL of the endpoint", forElsewhere, 401, "invalid_client"},
		{"a parameter twice", twice, 400, "invalid_request"},
		{"an arrangement that does not exist", w.authenticated("client-1", arrangement("a-2")), 422, "invalid_arrangement"},
		{"attack: the arrangement of another client", w.authenticated("client-2", arrangement("a-1")), 422, "invalid_arrangement"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.send(target, tc.form)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		})
	}
	require.Zero(t, served.Load())

	form := w.authenticated("client-1", arrangement("a-2"))
	require.Equal(t, 422, w.send(target, form).status)
	form.Set("cdr_arrangement_id", "a-1")
	events = nil
	require.Equal(t, http.StatusNoContent, w.send(target, form).status, "a rejection consumes nothing")
	require.Equal(t, "invalid_client", w.send(target, form).code, "the assertion is used up")
	require.EqualValues(t, 1, served.Load())
	require.Equal(t, []string{"host success", "host rejected"}, []string{events[0].Endpoint + " " + events[0].Outcome, events[1].Endpoint + " " + events[1].Outcome})
	require.Equal(t, "client-1", events[0].ClientID)

	response, err := w.http.Get(target)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	require.NotEqual(t, http.StatusNoContent, w.postForm(target, "application/json", `{"cdr_arrangement_id":"a-1"}`).StatusCode)
}

// A handler of the host that is a nil func consumes nothing.
func TestClientEndpointWithoutAHandler(t *testing.T) {
	w := newWorld(t)
	endpoint := w.as.ClientEndpoint(func(*http.Request, *authserver.ClientRequest) (http.Handler, error) {
		return http.HandlerFunc(nil), nil
	})
	form := w.authenticated("client-1", arrangement("a-1"))
	for range 2 {
		response := httptest.NewRecorder()
		endpoint.ServeHTTP(response, hostRequest(form))
		require.Equal(t, http.StatusInternalServerError, response.Code)
	}
}

// Exactly one of several requests with one assertion reaches the host.
func TestClientEndpointHasOneWinner(t *testing.T) {
	w := newWorld(t)
	var served atomic.Int32
	endpoint, form := w.arrangements(&served), w.authenticated("client-1", arrangement("a-1"))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { endpoint.ServeHTTP(httptest.NewRecorder(), hostRequest(form)) })
	}
	all.Wait()
	require.EqualValues(t, 1, served.Load())
}

func TestClientEndpointOfTheHost(t *testing.T) {
	var spy *spyStore
	m := newMTLSWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	m.enrol("app", "tls_client_auth", true)
	certificate := testkit.Certify(t, "app", m.ca)
	var seen *authserver.ClientRequest
	serve := func(handler http.Handler, err error) func(form url.Values, certificates ...*x509.Certificate) *httptest.ResponseRecorder {
		endpoint := m.as.ClientEndpoint(func(_ *http.Request, q *authserver.ClientRequest) (http.Handler, error) {
			seen = q
			return handler, err
		})
		return func(form url.Values, certificates ...*x509.Certificate) *httptest.ResponseRecorder {
			got := httptest.NewRecorder()
			endpoint.ServeHTTP(got, hostRequest(form, certificates...))
			return got
		}
	}
	good := serve(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) }), nil)
	t.Run("MTLS-2-2 a certificate authenticates the client", func(t *testing.T) {
		require.Equal(t, http.StatusAccepted, good(url.Values{"client_id": {"app"}, "x": {"y"}}, certificate.Leaf).Code)
		require.Equal(t, "app", seen.ClientID())
		require.Equal(t, "app", seen.Client().ClientID)
		require.Equal(t, "y", seen.Param("x"))
		require.Equal(t, tokenbinding.CertificateThumbprint(certificate.Leaf), seen.Certificate().Thumbprint, "MTLS-3.1-1")
		require.Equal(t, http.StatusUnauthorized, good(url.Values{"client_id": {"app"}}).Code)
		require.Equal(t, http.StatusUnauthorized, good(url.Values{"client_id": {"app"}}, testkit.Certify(t, "other", m.ca).Leaf).Code)
	})
	t.Run("a client with an assertion shows its certificate too", func(t *testing.T) {
		form := m.authenticated("client-1", url.Values{})
		require.Equal(t, http.StatusAccepted, good(form, certificate.Leaf).Code)
		require.Equal(t, tokenbinding.CertificateThumbprint(certificate.Leaf), seen.Certificate().Thumbprint)
		for _, text := range []string{fmt.Sprint(*seen), fmt.Sprintf("%#v", *seen), seen.LogValue().String()} {
			require.Equal(t, `client request of "client-1"`, text)
		}
		require.Equal(t, "client request", authserver.ClientRequest{}.String())
	})
	t.Run("errors of the host", func(t *testing.T) {
		require.Equal(t, http.StatusInternalServerError, serve(nil, nil)(m.authenticated("client-1", url.Values{})).Code)
		got := serve(nil, errors.New("db: 10.1.2.3"))(m.authenticated("client-1", url.Values{}))
		require.Equal(t, http.StatusInternalServerError, got.Code)
		require.JSONEq(t, `{"error":"server_error"}`, got.Body.String())
	})
	t.Run("a store that fails", func(t *testing.T) {
		spy.before = func(call string) error { return errDown }
		form := m.authenticated("client-1", url.Values{})
		require.Equal(t, http.StatusServiceUnavailable, good(form).Code)
		spy.before = nil
		require.Equal(t, http.StatusAccepted, good(form).Code)
	})
}
