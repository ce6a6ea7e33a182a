// Package fapiotel reports what the roles of this module do to OpenTelemetry:
// how long requests take, why they are rejected, and how a shared store
// behaves.
//
// [New] makes the instruments. The methods of [Telemetry] fit the hooks of the
// roles. Two lines connect an authorization server:
//
//	telemetry, err := fapiotel.New(fapiotel.Config{})
//	config.Hooks.Observe = telemetry.ObserveRequest // of an authserver.Config
//
// The package does not make the spans of HTTP requests. Package otelhttp of
// OpenTelemetry does that, on both sides, and passes the trace on. With it, one
// trace leads from the call of a client to the operations of the store.
// docs/telemetry.md shows the set-up, a dashboard and alerts.
//
// Every attribute of a metric has a fixed set of values. Client IDs, subjects,
// issuers, URLs and token IDs are never attributes of metrics. A text that is
// not in the set of its attribute counts as "other", even if a peer chose it.
// Tokens, codes, assertions and proofs are not recorded anywhere.
//
// The package does not configure an SDK or an exporter and writes no logs.
package fapiotel
