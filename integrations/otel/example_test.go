package fapiotel_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"

	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
)

// A traceHandler adds the IDs of the trace and the span to each record.
type traceHandler struct{ slog.Handler }

//docs:begin handle
func (h traceHandler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

//docs:end

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

// The rejections of a role have the ID of the trace, if the role logs with a
// handler that adds it.
func Example_logger() {
	var output bytes.Buffer
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	logger := slog.New(traceHandler{slog.NewTextHandler(&output, options)}) // authserver.Config.Hooks.Logger

	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}})
	ctx := trace.ContextWithSpanContext(context.Background(), span) // package otelhttp does this
	logger.InfoContext(ctx, "request rejected", "error", "invalid_grant")
	fmt.Print(output.String())
	// Output:
	// level=INFO msg="request rejected" error=invalid_grant trace_id=00000000000000000000000000000001 span_id=0000000000000002
}

// An authorization server and an API are observed by two lines each. Package
// otelhttp makes the spans of their requests.
func Example() {
	telemetry, err := fapiotel.New(fapiotel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var shared store.Store // of a database

	//docs:begin server
	server, err := authserver.New(authserver.Config{
		// Issuer, Clients, Keys and so on
		Store: telemetry.Store(shared, "postgresql"),
		Hooks: authserver.Hooks{Observe: telemetry.ObserveRequest, Logger: slog.New(traceHandler{slog.NewJSONHandler(os.Stderr, nil)})},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/", otelhttp.NewHandler(server.Handler(), "authorization server"))
	//docs:end

	//docs:begin keys
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: "https://as.example/jwks", Observe: telemetry.ObserveKeys})
	//docs:end
	if err != nil {
		log.Fatal(err)
	}
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: []resourceserver.Issuer{{ID: "https://as.example", Keys: keys.Keys}},
		Replay: telemetry.ReplayStore(shared, "redis"),
		Hooks:  resourceserver.Hooks{Observe: telemetry.ObserveRequest},
	})
	if err != nil {
		log.Fatal(err)
	}
	accounts := guard.Require("accounts")(http.NotFoundHandler())
	http.Handle("/accounts", otelhttp.NewHandler(accounts, "accounts"))
}

// A client passes the trace on to the servers that it calls.
func ExampleTelemetry_ObserveClient() {
	telemetry, err := fapiotel.New(fapiotel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	app, err := client.New(context.Background(), client.Config{
		// Issuer, ClientID, Key and so on
		//docs:begin clientHooks
		Hooks: client.Hooks{
			Observe:   telemetry.ObserveClient,
			Transport: func(base http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(base) },
		},
		//docs:end
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = app
}
