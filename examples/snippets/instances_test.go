package snippets_test

import (
	"context"
	"database/sql"
	"net/http"

	"github.com/gofapi/fapi2/dpop"
	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store/sqlstore"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

var _ = []any{instance, prometheusMetrics, collector}

func instance(
	ctx context.Context, db *sql.DB, as authserver.Config, api resourceserver.Config, telemetry *fapiotel.Telemetry,
	nonceKey []byte, mux *http.ServeMux,
) error {
	//docs:begin instance
	db.SetMaxOpenConns(20) // of all instances together less than the database permits
	db.SetMaxIdleConns(20)
	tables, err := sqlstore.Open(ctx, sqlstore.Config{DB: db, Dialect: sqlstore.PostgreSQL})
	if err != nil {
		return err
	}
	defer tables.Close()
	shared := telemetry.Store(tables, "postgresql")
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: [][]byte{nonceKey}})
	if err != nil {
		return err
	}
	as.Store, as.Nonces, as.SeveralInstances = shared, nonces, true
	as.Hooks.Observe = telemetry.ObserveRequest
	server, err := authserver.New(as)
	if err != nil {
		return err
	}
	api.Replay, api.SeveralInstances = shared, true
	api.Hooks.Observe = telemetry.ObserveRequest
	guard, err := server.ResourceServer(api) // an API in the same process
	if err != nil {
		return err
	}
	mux.Handle("/accounts", guard.Require("accounts")(http.HandlerFunc(accounts)))
	mux.Handle("/", server.Handler())
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if db.PingContext(r.Context()) != nil {
			http.Error(w, "no database", http.StatusServiceUnavailable)
		}
	})
	return http.ListenAndServe("127.0.0.1:8080", mux) // behind the TLS of a load balancer
	//docs:end
}

func accounts(http.ResponseWriter, *http.Request) {}

func prometheusMetrics() (*fapiotel.Telemetry, error) {
	//docs:begin prometheusMetrics
	exporter, err := prometheus.New() // of go.opentelemetry.io/otel/exporters/prometheus
	if err != nil {
		return nil, err
	}
	meters := metric.NewMeterProvider(metric.WithReader(exporter)) // of go.opentelemetry.io/otel/sdk/metric
	http.Handle("/metrics", promhttp.Handler())
	return fapiotel.New(fapiotel.Config{MeterProvider: meters})
	//docs:end
}

func collector(ctx context.Context) (*fapiotel.Telemetry, error) {
	//docs:begin collector
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter)))
	return fapiotel.New(fapiotel.Config{MeterProvider: meters}) // meters.Shutdown sends the last metrics
	//docs:end
}
