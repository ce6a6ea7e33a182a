package telemetry_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/store"
)

func start(t *testing.T, prometheus bool) (*telemetry.Telemetry, error) {
	return telemetry.Start(t.Context(), telemetry.Config{Service: "test", Prometheus: prometheus, Logger: slog.New(slog.DiscardHandler)})
}

func TestNothingWithoutConfiguration(t *testing.T) {
	off, err := start(t, false)
	require.NoError(t, err)
	require.Nil(t, off)
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	require.Same(t, memory, off.Store(memory, "memory"))
	require.Equal(t, http.DefaultTransport, off.Transport(http.DefaultTransport))
	require.Nil(t, off.Metrics())
	require.Nil(t, off.ObserveRequest())
	require.Nil(t, off.ObserveClient())
	require.Nil(t, off.ObserveKeys())
	off.Shutdown(nil)
}

func TestSettingsThatAreRejected(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err := start(t, false)
	require.ErrorContains(t, err, `OTEL_EXPORTER_OTLP_PROTOCOL: unsupported protocol "grpc", want http/protobuf`)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pairs")
	_, err = start(t, false)
	require.ErrorContains(t, err, "OTEL_RESOURCE_ATTRIBUTES")
}

func TestACollectorThatIsOffDisturbsNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
	on, err := start(t, false)
	require.NoError(t, err)
	require.Nil(t, on.Metrics())
	on.Shutdown(slog.New(slog.DiscardHandler))
}
