// Package telemetry exports the spans and the metrics of a program. They go to
// a collector if the environment names one. Prometheus reads the metrics if the
// program serves a page for it. Otherwise nothing is recorded.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/store"
)

// Config configures [Start].
type Config struct {
	// Service is the name of the program in spans and metrics.
	Service string
	// Prometheus offers the metrics at Metrics.
	Prometheus bool
	// Logger receives the errors of exporters. Required.
	Logger *slog.Logger
}

// Telemetry exports what a program does. A nil Telemetry exports nothing. Its
// methods are safe for concurrent use.
type Telemetry struct {
	fapi     *fapiotel.Telemetry
	tracers  *sdktrace.TracerProvider // records no spans without a collector
	meters   *metric.MeterProvider
	registry *prometheus.Registry // nil without Prometheus
}

// collector is the prefix of the variables that name a collector. The exporters
// read these and the other variables of OpenTelemetry.
const collector = "OTEL_EXPORTER_OTLP_"

// Start starts the exporters. It returns nil if the environment names no
// collector and the program does not offer metrics. It does not connect to the
// collector.
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	common := os.Getenv(collector + "ENDPOINT")
	spans := common + os.Getenv(collector+"TRACES_ENDPOINT")
	metrics := common + os.Getenv(collector+"METRICS_ENDPOINT")
	if spans+metrics == "" && !cfg.Prometheus {
		return nil, nil
	}
	for _, name := range []string{"PROTOCOL", "TRACES_PROTOCOL", "METRICS_PROTOCOL"} {
		if protocol := os.Getenv(collector + name); protocol != "" && protocol != "http/protobuf" {
			return nil, fmt.Errorf("%s: unsupported protocol %.40q, want http/protobuf", collector+name, protocol)
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		cfg.Logger.Warn("telemetry not exported", "reason", err.Error())
	}))
	service, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", cfg.Service)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Telemetry{}
	tracing := []sdktrace.TracerProviderOption{sdktrace.WithResource(service)}
	if spans == "" {
		tracing = append(tracing, sdktrace.WithSampler(sdktrace.NeverSample()))
	} else {
		exported, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, err
		}
		tracing = append(tracing, sdktrace.WithBatcher(exported))
	}
	metering := []metric.Option{metric.WithResource(service)}
	if metrics != "" {
		exported, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, err
		}
		metering = append(metering, metric.WithReader(metric.NewPeriodicReader(exported)))
	}
	if cfg.Prometheus {
		t.registry = prometheus.NewRegistry()
		exported, err := exporter.New(exporter.WithRegisterer(t.registry))
		if err != nil {
			return nil, err
		}
		metering = append(metering, metric.WithReader(exported))
	}
	t.tracers, t.meters = sdktrace.NewTracerProvider(tracing...), metric.NewMeterProvider(metering...)
	t.fapi, err = fapiotel.New(fapiotel.Config{MeterProvider: t.meters, TracerProvider: t.tracers})
	return t, err
}

// shutdownTime limits Shutdown, because the collector may be unavailable.
const shutdownTime = 3 * time.Second

// Shutdown exports what is left, at the end of the program.
func (t *Telemetry) Shutdown(log *slog.Logger) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := errors.Join(t.tracers.Shutdown(ctx), t.meters.Shutdown(ctx)); err != nil {
		log.Warn("telemetry not exported", "reason", err.Error())
	}
}

// Metrics returns the page for Prometheus. It is nil without Config.Prometheus.
func (t *Telemetry) Metrics() http.Handler {
	if t == nil || t.registry == nil {
		return nil
	}
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// ObserveRequest is a hook of authserver and resourceserver.
func (t *Telemetry) ObserveRequest() func(ctx context.Context, e profile.Event) {
	if t == nil {
		return nil
	}
	return t.fapi.ObserveRequest
}

// ObserveClient is a hook of package client.
func (t *Telemetry) ObserveClient() func(ctx context.Context, e profile.Event) {
	if t == nil {
		return nil
	}
	return t.fapi.ObserveClient
}

// ObserveKeys is a hook of package jwks.
func (t *Telemetry) ObserveKeys() func(ctx context.Context, f jwks.Fetch) {
	if t == nil {
		return nil
	}
	return t.fapi.ObserveKeys
}

// Store observes a store. The kind is the name of its engine.
func (t *Telemetry) Store(s store.Store, kind string) store.Store {
	if t == nil {
		return s
	}
	system, _, _ := strings.Cut(strings.ToLower(kind), " ")
	return t.fapi.Store(s, system)
}

// Handler records a span for each request to a handler on the Internet. The
// span begins a trace of its own, with a link to the trace of the caller.
// Strangers therefore do not decide which requests are recorded.
func (t *Telemetry) Handler(next http.Handler, name string) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, name, append(t.options(),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }))...)
}

// Transport records a span for each request, and sends the ID of the trace.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	if t == nil {
		return base
	}
	return otelhttp.NewTransport(base, t.options()...)
}

// options does not send baggage, because it could contain data of users. It
// records no metrics, because those of otelhttp have the Host header of a
// stranger as a label.
func (t *Telemetry) options() []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(t.tracers), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}),
	}
}

// Log returns a handler that adds the IDs of the trace and the span to each
// record.
func Log(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(
			slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
