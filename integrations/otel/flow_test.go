package fapiotel_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const callbackURL = "https://app.example/callback"

// A world is an authorization server, an API and a client, each as
// docs/telemetry.md connects them.
type world struct {
	*recorder
	as  *httptest.Server
	api *httptest.Server
	app *client.Client
	log lockedBuffer

	fetched chan struct{} // receives after each observed request for keys, which ends after its caller has the keys

	mu     sync.Mutex
	bodies []string // of all requests and responses, with their headers
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newWorld(t *testing.T) *world {
	w := &world{recorder: record(t, func(c *fapiotel.Config) { c.RecordClients = true }), fetched: make(chan struct{}, 8)}
	var server, api http.Handler
	w.as = w.serve("authorization server", &server)
	w.api = w.serve("API", &api)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	server = w.server(key).Handler()
	transport := w.as.Client().Transport.(*http.Transport)
	transport.TLSClientConfig.RootCAs.AddCert(w.api.Certificate())
	api = w.guard(&http.Client{Transport: transport}).Require("accounts")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	w.app, err = client.New(context.Background(), client.Config{
		Issuer: w.as.URL, ClientID: "app-1", RedirectURI: callbackURL, Key: key,
		HTTPClient: &http.Client{Transport: transport},
		Hooks: client.Hooks{Transport: func(base http.RoundTripper) http.RoundTripper {
			return otelhttp.NewTransport(base, w.otelhttp()...)
		}, Observe: func(ctx context.Context, e profile.Event) {
			w.ObserveClient(ctx, e)
			if e.Endpoint == "jwks" {
				w.fetched <- struct{}{}
			}
		}},
	})
	require.NoError(t, err)
	return w
}

func (w *world) otelhttp() []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(w.traces), otelhttp.WithMeterProvider(w.metrics), otelhttp.WithPropagators(propagation.TraceContext{}),
	}
}

// serve returns an https server for a handler that is set later.
func (w *world) serve(name string, handler *http.Handler) *httptest.Server {
	observed := otelhttp.NewHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*handler).ServeHTTP(rw, r) }), name, w.otelhttp()...)
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		observed.ServeHTTP(answer, r)
		w.mu.Lock()
		w.bodies = append(w.bodies, fmt.Sprint(r.Header), string(body), fmt.Sprint(answer.Header()), answer.Body.String())
		w.mu.Unlock()
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(answer.Code)
		rw.Write(answer.Body.Bytes())
	}))
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) server(clientKey *ecdsa.PrivateKey) (s *authserver.Server) {
	keys, err := jwks.NewSet(jwks.Key{Public: clientKey.Public()})
	require.NoError(w.t, err)
	app := &profile.ClientMetadata{
		ClientID: "app-1", RedirectURIs: []string{callbackURL}, JWKS: keys, GrantTypes: []string{"authorization_code", "refresh_token"},
		Scope: "openid accounts", TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
	}
	require.NoError(w.t, app.Validate())
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(w.t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(w.t, err)
	s, err = authserver.New(authserver.Config{
		Issuer: w.as.URL, Keys: []profile.SigningKey{{Key: key}}, Scopes: []string{"openid", "accounts"}, Resources: []string{w.api.URL},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			if id != app.ClientID {
				return nil, clientauth.ErrUnknownClient
			}
			return app, nil
		},
		Interact: func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
			response, err := s.Approve(r.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: time.Now()})
			if err != nil {
				s.WriteAuthorizationError(rw, r, a, err)
				return
			}
			response.ServeHTTP(rw, r)
		},
		Store: w.Store(memory, "memory"),
		Hooks: authserver.Hooks{Observe: w.ObserveRequest, Logger: slog.New(traceHandler{slog.NewJSONHandler(&w.log, nil)})},
	})
	require.NoError(w.t, err)
	return s
}

func (w *world) guard(keys *http.Client) *resourceserver.Server {
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: w.as.URL + "/jwks", HTTPClient: keys, Observe: func(ctx context.Context, f jwks.Fetch) {
		w.ObserveKeys(ctx, f)
		w.fetched <- struct{}{}
	}})
	require.NoError(w.t, err)
	replays, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(w.t, err)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: w.api.URL, Issuers: []resourceserver.Issuer{{ID: w.as.URL, Keys: remote.Keys}},
		Replay: w.ReplayStore(replays, "redis"), Hooks: resourceserver.Hooks{Observe: w.ObserveRequest},
	})
	require.NoError(w.t, err)
	return guard
}

// login authorizes the client and returns the callback.
func (w *world) login(ctx context.Context) (*client.Session, url.Values) {
	session, err := w.app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
	require.NoError(w.t, err)
	response, err := w.as.Client().Transport.RoundTrip(httptest.NewRequest("GET", session.URL, nil))
	require.NoError(w.t, err)
	response.Body.Close()
	location, err := response.Location()
	require.NoError(w.t, err)
	return session, location.Query()
}

// A family finds spans by their IDs.
type family map[trace.SpanID]tracetest.SpanStub

// ancestors returns the names of a span, its parent and so on, with their
// endpoints. The spans belong to one trace.
func (f family) ancestors(t *testing.T, span tracetest.SpanStub) (names []string) {
	for {
		name := span.Name
		if endpoint := textOf(span, "fapi2.endpoint"); endpoint != "" {
			name = strings.TrimSuffix(name, " "+endpoint) + " (" + endpoint + ")"
		}
		names = append(names, name)
		parent, ok := f[span.Parent.SpanID()]
		if !ok {
			return names
		}
		require.Equal(t, parent.SpanContext.TraceID(), span.SpanContext.TraceID())
		span = parent
	}
}

func TestFlow(t *testing.T) {
	w := newWorld(t)
	ctx, root := w.traces.Tracer("test").Start(context.Background(), "pay")
	session, callback := w.login(ctx)
	token, err := w.app.Finish(ctx, session, callback)
	require.NoError(t, err)
	api, err := w.app.HTTPClient(w.app.TokenSource(ctx, token))
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(ctx, "GET", w.api.URL+"/accounts", nil)
	require.NoError(t, err)
	response, err := api.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	response.Body.Close()
	root.End()
	w.as.Close() // waits for the handlers
	w.api.Close()
	for range 2 {
		<-w.fetched
	}

	all := family{}
	for _, span := range w.spans.GetSpans() {
		all[span.SpanContext.SpanID()] = span
	}
	paths := map[string]bool{}
	for _, span := range all {
		if span.SpanContext.TraceID() == root.SpanContext().TraceID() {
			paths[strings.Join(all.ancestors(t, span), " < ")] = true
		}
	}
	require.Equal(t, []string{
		"GET (resource) < HTTP GET < pay",
		"GET < HTTP GET < pay", // the keys of the server
		"HTTP GET < pay",
		"HTTP POST < pay",
		"POST (pushed_authorization_request) < HTTP POST < pay",
		"POST (token) < HTTP POST < pay",
		"fapi2.client (authorization) < pay",
		"fapi2.client (jwks) < pay",
		"fapi2.client (pushed_authorization_request) < pay",
		"fapi2.client (token) < pay",
		"fapi2.keys.fetch < GET (resource) < HTTP GET < pay",
		"fapi2.store add < GET (resource) < HTTP GET < pay", // the proof
		"fapi2.store add < POST (pushed_authorization_request) < HTTP POST < pay",
		"fapi2.store add < POST (token) < HTTP POST < pay",
		"fapi2.store get < POST (token) < HTTP POST < pay", // the code
		"fapi2.store swap < POST (token) < HTTP POST < pay",
		"pay",
	}, slices.Sorted(maps.Keys(paths)))
	w.nothingSecret(callback, token.AccessToken, token.RefreshToken, token.Extra("id_token").(string))
}

func textOf(span tracetest.SpanStub, key string) string {
	for _, a := range span.Attributes {
		if string(a.Key) == key {
			return a.Value.AsString()
		}
	}
	return ""
}

// nothingSecret requires that no span, metric or log contains a secret of the
// flow. Parts of JWTs count.
func (w *world) nothingSecret(callback url.Values, secrets ...string) {
	recorded := fmt.Sprint(w.spans.GetSpans(), w.collectAll(), w.log.String())
	require.Contains(w.t, recorded, "app-1", "the client ID was asked for")
	secrets = append(secrets, callback.Get("code"), callback.Get("state"))
	for _, body := range w.bodies {
		for word := range strings.FieldsFuncSeq(body, func(r rune) bool { return !strings.ContainsRune("-_0123456789", r) && (r|0x20 < 'a' || r|0x20 > 'z') }) {
			if len(word) >= 40 { // of tokens, proofs, assertions, codes and nonces
				secrets = append(secrets, word)
			}
		}
	}
	require.Greater(w.t, len(secrets), 40)
	for _, secret := range secrets {
		require.NotEmpty(w.t, secret)
		require.NotContains(w.t, recorded, secret)
	}
}

// A rejection is in the log, with the ID of its trace.
func TestRejectionIsLogged(t *testing.T) {
	w := newWorld(t)
	ctx, root := w.traces.Tracer("test").Start(context.Background(), "replay")
	session, callback := w.login(ctx)
	callback.Set("code", strings.Repeat("x", 43))
	_, err := w.app.Finish(ctx, session, callback)
	require.Error(t, err)
	root.End()
	w.as.Close()
	require.Contains(t, w.log.String(), `"reason":"authserver: authorization code rejected"`)
	require.Contains(t, w.log.String(), `"trace_id":"`+root.SpanContext().TraceID().String()+`"`)
	require.EqualValues(t, 1, w.points()["fapi2.request.rejections"]["fapi2.endpoint=token,fapi2.error=invalid_grant,fapi2.outcome=rejected,fapi2.reason=authserver: authorization code rejected"])
}
