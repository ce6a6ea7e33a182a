package fapiotel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation scope.
const scope = "github.com/gofapi/fapi2/integrations/otel"

// Config configures [New]. The zero value is sensible.
type Config struct {
	// MeterProvider receives the metrics. If nil, otel.GetMeterProvider is
	// used.
	MeterProvider metric.MeterProvider
	// TracerProvider receives the spans. If nil, otel.GetTracerProvider is
	// used.
	TracerProvider trace.TracerProvider
	// RecordClients adds the client ID, the issuer and the URL of a key set to
	// spans. It is off by default, because traces are often kept longer, and
	// read by more people, than the logs of an authorization server. Metrics
	// never contain them.
	RecordClients bool
}

// Telemetry has the instruments. Its methods are safe for concurrent use.
type Telemetry struct {
	tracer        trace.Tracer
	recordClients bool

	requests, clients, keys, operations metric.Float64Histogram
	requestRejections, clientRejections metric.Int64Counter
}

// buckets are the boundaries of the histograms in seconds. They start at a
// tenth of a millisecond, because a resource server checks a known token in
// less.
var buckets = metric.WithExplicitBucketBoundaries(
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

// New makes the instruments. It returns the errors of the provider.
func New(cfg Config) (*Telemetry, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	t := &Telemetry{tracer: cfg.TracerProvider.Tracer(scope), recordClients: cfg.RecordClients}
	meter := cfg.MeterProvider.Meter(scope)
	var problems []error
	duration := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
		problems = append(problems, err)
		return h
	}
	rejections := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit("{rejection}"), metric.WithDescription(description))
		problems = append(problems, err)
		return c
	}
	t.requests = duration("fapi2.request.duration",
		"Requests to an endpoint of the authorization server or to a guarded API.")
	t.requestRejections = rejections("fapi2.request.rejections",
		"Requests that did not succeed, by error and reason.")
	t.clients = duration("fapi2.client.duration",
		"Requests of a client to an authorization server, and authorization responses.")
	t.clientRejections = rejections("fapi2.client.rejections",
		"Requests of a client that did not succeed, by error and reason.")
	t.keys = duration("fapi2.keys.fetch.duration", "Requests for the JWK Set of another party.")
	t.operations = duration("fapi2.store.operation.duration", "Operations of a store.")
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("fapiotel: %w", err)
	}
	return t, nil
}

// ObserveRequest is the hook Observe of an authorization server and of a
// resource server. It records the duration of the request and, unless the
// request succeeded, the rejection. It adds the attributes of the event to the
// span in ctx, which is the span of the HTTP request. The span of a failed
// request has the status Error.
func (t *Telemetry) ObserveRequest(ctx context.Context, e profile.Event) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		t.describe(span, e)
		if e.Outcome == failed {
			span.SetStatus(codes.Error, statusOf(e))
		}
	}
	record(ctx, t.requests, t.requestRejections, e)
}

// ObserveClient is the hook Observe of a client. It records the duration of the
// request and, unless the request succeeded, the rejection. It also records a
// span for the event, as a child of the span in ctx. The span of a rejected or
// failed request has the status Error.
func (t *Telemetry) ObserveClient(ctx context.Context, e profile.Event) {
	ctx, span, end := t.start(ctx, "fapi2.client "+endpoints.label(e.Endpoint), e.Duration)
	if span.IsRecording() {
		t.describe(span, e)
		if e.Outcome == failed || e.Outcome == rejected {
			span.SetStatus(codes.Error, statusOf(e))
		}
	}
	record(ctx, t.clients, t.clientRejections, e)
	span.End(trace.WithTimestamp(end))
}

// ObserveKeys is the hook Observe of a [jwks.RemoteConfig]. It records the
// duration of the request, and a span as a child of the span in ctx. A client
// that has the hook [Telemetry.ObserveClient] reports the keys of its server
// already.
func (t *Telemetry) ObserveKeys(ctx context.Context, f jwks.Fetch) {
	ctx, span, end := t.start(ctx, "fapi2.keys.fetch", f.Duration)
	outcome := success
	if f.Err != nil {
		outcome = failed
		span.SetStatus(codes.Error, "")
	}
	attributes := []attribute.KeyValue{keyOutcome.String(outcome)}
	if span.IsRecording() {
		span.SetAttributes(attributes...)
		span.SetAttributes(attribute.Int("fapi2.keys", f.Keys), attribute.Int("fapi2.keys_dropped", f.Dropped))
		if t.recordClients {
			span.SetAttributes(attribute.String("url.full", f.URL))
		}
	}
	if t.keys.Enabled(ctx) {
		t.keys.Record(ctx, seconds(f.Duration), metric.WithAttributes(attributes...))
	}
	span.End(trace.WithTimestamp(end))
}

// start starts a span for something that has just ended after d. It returns the
// time of the end.
func (t *Telemetry) start(ctx context.Context, name string, d time.Duration) (context.Context, trace.Span, time.Time) {
	end := time.Now()
	ctx, span := t.tracer.Start(ctx, name, trace.WithTimestamp(end.Add(-max(d, 0))))
	return ctx, span, end
}

// describe adds the attributes of an event to a span.
func (t *Telemetry) describe(span trace.Span, e profile.Event) {
	span.SetAttributes(attributesOf(e)...)
	span.SetAttributes(failureOf(e)...)
	if !t.recordClients {
		return
	}
	if e.ClientID != "" {
		span.SetAttributes(attribute.String("fapi2.client_id", e.ClientID))
	}
	if e.Issuer != "" {
		span.SetAttributes(attribute.String("fapi2.issuer", e.Issuer))
	}
}

// statusOf returns the description of the status of a span.
func statusOf(e profile.Event) string {
	if e.Reason == "" {
		return ""
	}
	return reasons.label(e.Reason)
}

// record records the metrics of an event. It does not allocate unless a reader
// wants them.
func record(ctx context.Context, durations metric.Float64Histogram, rejections metric.Int64Counter, e profile.Event) {
	if durations.Enabled(ctx) {
		durations.Record(ctx, seconds(e.Duration), metric.WithAttributes(attributesOf(e)...))
	}
	if e.Outcome != success && rejections.Enabled(ctx) {
		rejections.Add(ctx, 1, metric.WithAttributes(append(failureOf(e),
			keyEndpoint.String(endpoints.label(e.Endpoint)), keyOutcome.String(outcomes.label(e.Outcome)))...))
	}
}

// seconds returns d in seconds. A clock that was set back does not make it
// negative.
func seconds(d time.Duration) float64 { return max(d, 0).Seconds() }
