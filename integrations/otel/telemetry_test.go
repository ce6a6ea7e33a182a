package fapiotel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// A recorder has a Telemetry and what it recorded.
type recorder struct {
	t       testing.TB
	reader  *metric.ManualReader
	spans   *tracetest.InMemoryExporter
	traces  *trace.TracerProvider
	metrics *metric.MeterProvider
	*fapiotel.Telemetry
}

func record(t testing.TB, change ...func(*fapiotel.Config)) *recorder {
	r := &recorder{t: t, reader: metric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	r.traces = trace.NewTracerProvider(trace.WithSyncer(r.spans))
	r.metrics = metric.NewMeterProvider(metric.WithReader(r.reader))
	cfg := fapiotel.Config{MeterProvider: r.metrics, TracerProvider: r.traces}
	for _, change := range change {
		change(&cfg)
	}
	var err error
	r.Telemetry, err = fapiotel.New(cfg)
	require.NoError(t, err)
	return r
}

func (r *recorder) collectAll() (all metricdata.ResourceMetrics) {
	require.NoError(r.t, r.reader.Collect(context.Background(), &all))
	return all
}

// collect returns the metrics of the package.
func (r *recorder) collect() []metricdata.Metrics {
	for _, s := range r.collectAll().ScopeMetrics {
		if s.Scope.Name == "github.com/gofapi/fapi2/integrations/otel" {
			return s.Metrics
		}
	}
	return nil
}

// points returns the attributes of each point, as text, with its count.
func points(t testing.TB, m metricdata.Metrics) map[string]uint64 {
	all := map[string]uint64{}
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		require.Equal(t, "s", m.Unit)
		for _, p := range data.DataPoints {
			all[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
		}
	case metricdata.Sum[int64]:
		require.True(t, data.IsMonotonic)
		for _, p := range data.DataPoints {
			all[p.Attributes.Encoded(attribute.DefaultEncoder())] = uint64(p.Value)
		}
	default:
		require.Fail(t, "another kind of metric", "%T", data)
	}
	return all
}

func (r *recorder) points() map[string]map[string]uint64 {
	all := map[string]map[string]uint64{}
	for _, m := range r.collect() {
		all[m.Name] = points(r.t, m)
	}
	return all
}

var (
	pushed   = profile.Event{Endpoint: "pushed_authorization_request", Outcome: "success", ClientID: "c-1", ClientAuth: "private_key_jwt", Duration: time.Millisecond}
	replayed = profile.Event{Endpoint: "token", Outcome: "rejected", GrantType: "authorization_code", Code: "invalid_dpop_proof", Reason: "dpop: proof replayed",
		ClientID: "c-1", Issuer: "https://as.example", ClientAuth: "private_key_jwt", Binding: "DPoP", Duration: time.Second}
	broken = profile.Event{Endpoint: "resource", Outcome: "failed", Code: "server_error", Reason: "dpop: replay store failed"}
)

func TestMetrics(t *testing.T) {
	ctx := context.Background()
	r := record(t)
	for _, e := range []profile.Event{pushed, replayed, replayed, broken} {
		r.ObserveRequest(ctx, e)
	}
	r.ObserveClient(ctx, replayed)
	r.ObserveKeys(ctx, jwks.Fetch{URL: "https://as.example/jwks", Keys: 2})
	r.ObserveKeys(ctx, jwks.Fetch{URL: "https://as.example/jwks", Err: errors.New("dial 10.0.0.1")})
	rejection := map[string]uint64{
		"fapi2.endpoint=token,fapi2.error=invalid_dpop_proof,fapi2.outcome=rejected,fapi2.reason=dpop: proof replayed": 1,
	}
	token := "fapi2.binding=DPoP,fapi2.client_auth=private_key_jwt,fapi2.endpoint=token,fapi2.grant_type=authorization_code,fapi2.outcome=rejected"
	require.Equal(t, map[string]map[string]uint64{
		"fapi2.request.duration": {
			token: 2,
			"fapi2.client_auth=private_key_jwt,fapi2.endpoint=pushed_authorization_request,fapi2.outcome=success": 1,
			"fapi2.endpoint=resource,fapi2.outcome=failed":                                                        1,
		},
		"fapi2.request.rejections": {
			"fapi2.endpoint=token,fapi2.error=invalid_dpop_proof,fapi2.outcome=rejected,fapi2.reason=dpop: proof replayed": 2,
			"fapi2.endpoint=resource,fapi2.error=server_error,fapi2.outcome=failed,fapi2.reason=dpop: replay store failed": 1,
		},
		"fapi2.client.duration":     {token: 1},
		"fapi2.client.rejections":   rejection,
		"fapi2.keys.fetch.duration": {"fapi2.outcome=success": 1, "fapi2.outcome=failed": 1},
	}, r.points())
}

// A peer or a host can choose any text. The number of time series stays small,
// and no text of theirs is in it.
func TestHostileTexts(t *testing.T) {
	ctx := context.Background()
	r := record(t)
	hostile := []string{"evil", "token\n", " token", "TOKEN", "dpop: proof replayed\n", "dpop: proof replayed: evil", "\xff\x00", strings.Repeat("evil", 1<<16), "a\nb", "%w", "other\n"}
	for i := range 500 {
		hostile = append(hostile, fmt.Sprintf("evil-%d", i), fmt.Sprintf("dpop: evil %d", i))
	}
	for _, text := range hostile {
		e := profile.Event{
			Endpoint: text, Outcome: text, GrantType: text, Code: text, Reason: text, ClientID: text, Issuer: text, ClientAuth: text, Binding: text, Duration: -time.Hour,
		}
		r.ObserveRequest(ctx, e)
		r.ObserveClient(ctx, e)
		r.ObserveKeys(ctx, jwks.Fetch{URL: text, Err: errors.New(text), Duration: -1})
		_, _, err := r.Store(brokenStore{errors.New(text)}, text).Get(ctx, text)
		require.Error(t, err)
	}
	n := uint64(len(hostile))
	duration := "fapi2.binding=other,fapi2.client_auth=other,fapi2.endpoint=other,fapi2.grant_type=other,fapi2.outcome=other"
	rejection := "fapi2.endpoint=other,fapi2.error=other,fapi2.outcome=other,fapi2.reason=other"
	require.Equal(t, map[string]map[string]uint64{
		"fapi2.request.duration":         {duration: n},
		"fapi2.request.rejections":       {rejection: n},
		"fapi2.client.duration":          {duration: n},
		"fapi2.client.rejections":        {rejection: n},
		"fapi2.keys.fetch.duration":      {"fapi2.outcome=failed": n},
		"fapi2.store.operation.duration": {"fapi2.outcome=failed,fapi2.store.operation=get,fapi2.store.system=other": n},
	}, r.points())
	for _, m := range r.collect() {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name != "fapi2.store.operation.duration" {
			require.Zero(t, h.DataPoints[0].Sum, "a clock that was set back makes no negative duration")
		}
	}
	for _, span := range r.spans.GetSpans() {
		text := fmt.Sprint(span.Name, span.Attributes, span.Status, span.Events)
		require.NotContains(t, text, "evil")
		require.LessOrEqual(t, len(text), 1000)
	}
}

// attributes returns the attributes of a span as text.
func attributes(span tracetest.SpanStub) string {
	set := attribute.NewSet(span.Attributes...)
	return set.Encoded(attribute.DefaultEncoder())
}

func TestRequestSpan(t *testing.T) {
	const token = "fapi2.binding=DPoP,fapi2.client_auth=private_key_jwt,"
	const rest = "fapi2.endpoint=token,fapi2.error=invalid_dpop_proof,fapi2.grant_type=authorization_code,"
	const end = "fapi2.outcome=rejected,fapi2.reason=dpop: proof replayed"
	for _, tc := range []struct {
		name    string
		clients bool
		event   profile.Event
		want    string
		status  trace.Status
	}{
		{"a rejection is not an error of the server", false, replayed, token + rest + end, trace.Status{}},
		{"a client is named on demand", true, replayed,
			token + `fapi2.client_id=c-1,` + rest + `fapi2.issuer=https://as.example,` + end, trace.Status{}},
		{"a failure is", true, broken,
			"fapi2.endpoint=resource,fapi2.error=server_error,fapi2.outcome=failed,fapi2.reason=dpop: replay store failed",
			trace.Status{Code: codes.Error, Description: "dpop: replay store failed"}},
		{"a success", false, pushed,
			"fapi2.client_auth=private_key_jwt,fapi2.endpoint=pushed_authorization_request,fapi2.outcome=success", trace.Status{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := record(t, func(c *fapiotel.Config) { c.RecordClients = tc.clients })
			ctx, span := r.traces.Tracer("test").Start(context.Background(), "POST /token")
			r.ObserveRequest(ctx, tc.event)
			span.End()
			spans := r.spans.GetSpans()
			require.Len(t, spans, 1, "the span of the request is enough")
			require.Equal(t, tc.want, attributes(spans[0]))
			require.Equal(t, tc.status, spans[0].Status)
		})
	}
}

func TestClientSpan(t *testing.T) {
	r := record(t, func(c *fapiotel.Config) { c.RecordClients = true })
	ctx, parent := r.traces.Tracer("test").Start(context.Background(), "pay")
	r.ObserveClient(ctx, replayed)
	r.ObserveClient(ctx, pushed)
	r.ObserveKeys(ctx, jwks.Fetch{URL: "https://as.example/jwks", Duration: time.Second, Keys: 2, Dropped: 1, Err: errors.New("10.0.0.1")})
	spans := r.spans.GetSpans()
	require.Len(t, spans, 3)
	for i, want := range []struct {
		name     string
		duration time.Duration
		status   trace.Status
	}{
		{"fapi2.client token", time.Second, trace.Status{Code: codes.Error, Description: "dpop: proof replayed"}},
		{"fapi2.client pushed_authorization_request", time.Millisecond, trace.Status{}},
		{"fapi2.keys.fetch", time.Second, trace.Status{Code: codes.Error}},
	} {
		span := spans[i]
		require.Equal(t, want.name, span.Name)
		require.Equal(t, want.duration, span.EndTime.Sub(span.StartTime))
		require.Equal(t, want.status, span.Status)
		require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
		require.Equal(t, parent.SpanContext().TraceID(), span.SpanContext.TraceID())
	}
	require.Contains(t, attributes(spans[0]), "fapi2.client_id=c-1")
	require.Equal(t, "fapi2.keys=2,fapi2.keys_dropped=1,fapi2.outcome=failed,url.full=https://as.example/jwks", attributes(spans[2]))
}

// Each metric leads to a trace of a request.
func TestExemplars(t *testing.T) {
	r := record(t)
	ctx, span := r.traces.Tracer("test").Start(context.Background(), "POST /token")
	r.ObserveRequest(ctx, replayed)
	r.ObserveClient(ctx, replayed)
	r.ObserveKeys(ctx, jwks.Fetch{Err: errors.New("down")})
	_, _, err := r.Store(brokenStore{}, "memory").Get(ctx, "k")
	require.NoError(t, err)
	trace := span.SpanContext().TraceID()
	metrics := r.collect()
	require.Len(t, metrics, 6)
	for _, m := range metrics {
		var got [][]byte
		switch data := m.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, e := range data.DataPoints[0].Exemplars {
				got = append(got, e.TraceID)
			}
		case metricdata.Sum[int64]:
			for _, e := range data.DataPoints[0].Exemplars {
				got = append(got, e.TraceID)
			}
		}
		require.Equal(t, [][]byte{trace[:]}, got, m.Name)
	}
}

// Without an SDK, an event of a server costs no allocation, and an operation of
// a store costs those of a span.
func TestCostWithoutAnSDK(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]func(*fapiotel.Config){
		"no-op providers": func(c *fapiotel.Config) {
			c.MeterProvider, c.TracerProvider = metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()
		},
		"global providers without an SDK": func(c *fapiotel.Config) { *c = fapiotel.Config{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, change)
			for _, e := range []profile.Event{pushed, replayed, broken} {
				require.Zero(t, testing.AllocsPerRun(100, func() { r.ObserveRequest(ctx, e) }))
			}
			var cfg fapiotel.Config
			change(&cfg)
			if cfg.TracerProvider == nil {
				cfg.TracerProvider = otel.GetTracerProvider()
			}
			tracer, s := cfg.TracerProvider.Tracer("test"), r.Store(brokenStore{}, "memory")
			bare := testing.AllocsPerRun(100, func() {
				_, span := tracer.Start(ctx, "get")
				span.End()
			})
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() { s.Get(ctx, "k") }), bare)
		})
	}
}

// The page has a row for each metric, with the description and the attributes
// of the code.
func TestPage(t *testing.T) {
	ctx := context.Background()
	r := record(t)
	all := profile.Event{Endpoint: "token", Outcome: "failed", GrantType: "x", Code: "x", Reason: "x", ClientAuth: "x", Binding: "x"}
	r.ObserveRequest(ctx, all)
	r.ObserveClient(ctx, all)
	r.ObserveKeys(ctx, jwks.Fetch{})
	_, _, err := r.Store(brokenStore{}, "memory").Get(ctx, "k")
	require.NoError(t, err)
	var want []string
	for _, m := range r.collect() {
		keys := map[string]bool{}
		for point := range points(t, m) {
			for pair := range strings.SplitSeq(point, ",") {
				key, _, _ := strings.Cut(pair, "=")
				keys["`"+key+"`"] = true
			}
		}
		want = append(want, fmt.Sprintf("| `%s` | `%s` | %s | %s |",
			m.Name, m.Unit, strings.Join(slices.Sorted(maps.Keys(keys)), ", "), m.Description))
	}
	page, err := os.ReadFile("../../docs/telemetry.md")
	require.NoError(t, err)
	var rows []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `fapi2.") && strings.Count(line, "|") == 5 {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	require.ElementsMatch(t, want, rows)
}

// The page lists values that the metrics keep.
func TestPageValues(t *testing.T) {
	page, err := os.ReadFile("../../docs/telemetry.md")
	require.NoError(t, err)
	var rows int
	for _, row := range regexp.MustCompile("(?m)^\\| `(fapi2\\.[a-z_.]+)` \\| ([^|]+) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows++
		for _, value := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			r, v := record(t), value[1]
			r.ObserveRequest(context.Background(), profile.Event{Endpoint: v, Outcome: v, GrantType: v, Code: v, Reason: v, ClientAuth: v, Binding: v})
			s := r.Store(brokenStore{}, v)
			_, _, _ = s.Get(ended(), key)
			_, _ = s.Add(context.Background(), key, nil, time.Now())
			_, _ = s.Swap(context.Background(), key, 1, nil, time.Now())
			_, _, _ = r.Store(brokenStore{context.Canceled}, v).Get(ended(), key)
			index := r.Index(brokenIndex{}, v)
			_ = index.Put(context.Background(), key, "m", time.Now())
			_ = index.Delete(context.Background(), key, "m")
			_, _ = index.List(context.Background(), key, "", 1)
			found := false
			for _, points := range r.points() {
				for point := range points {
					found = found || slices.Contains(strings.Split(point, ","), row[1]+"="+v)
				}
			}
			require.True(t, found, "%s is never %q", row[1], v)
		}
	}
	require.Equal(t, 9, rows)
}

// ended returns a context that is canceled.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
