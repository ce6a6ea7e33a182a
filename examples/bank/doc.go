// Bank is an authorization server and an API under FAPI 2.0 in one program. It
// has pages for login, for consent, and for the applications that a user has
// connected. It uses the public packages of this module. It adds users, pages,
// registrations and an API.
//
//	go run ./examples/bank                     a demonstration, with examples/fintech as its client
//	go run ./examples/bank -config bank.json   a bank with a configuration
//	go run ./examples/bank -h                  every member of the file, with type, default and meaning
//
// It prints one JSON line when it is ready, {"ready":true,"issuer":…}, and
// writes its log to the standard error. After SIGINT or SIGTERM it finishes the
// running requests and ends. After a second signal it ends at once. A
// configuration with problems ends the program with status 2 and a list of all
// of them, each with its line.
//
// # Data
//
// The bank keeps its data in one store, so a restart loses nothing: users with
// hashes of their passwords, sessions, consents, grants, tokens, payments, used
// permissions, signing keys, its other secrets and its CA. The default is a
// SQLite file next to the configuration. Without a configuration, the file is
// in a directory of the user's cache, or in that of -state, together with the
// client's key. The members store and replay of the configuration name other
// stores. Several instances with one issuer can share a store.
//
// The store keeps users that the configuration no longer lists. Counts of
// failed logins and the responses to double clicks are in memory. A real bank
// keeps its keys in a KMS or an HSM, and not in the database.
//
// The first start creates a key for each algorithm in the clients'
// registrations. Without such an algorithm it creates one for ES256. The key of
// the first algorithm signs access tokens. It also signs for clients that
// register no algorithm.
//
// Without tls_cert_file the bank makes its certificate with a CA of its own.
// Both last 90 days. A running bank replaces them in their last 30 days, for
// new connections. Clients of a long-running bank therefore read the file of
// write_ca_file again.
//
// # Rotation of keys
//
// Every 90 days, or as often as the member key_days requires, new keys replace
// the signing keys and the keys of nonces, forms and flows. The bank publishes
// a new key a day before its first use. It keeps the old one for a day
// afterwards, and for longer if something that the key made is valid for
// longer. Any of the instances makes these steps, and exactly one of them makes
// a key. No restart is necessary, and requests do not fail. The operator's page
// shows the keys and replaces them earlier: within ten minutes, or at once if
// they are stolen.
//
// # Operation
//
// GET /healthz reports that the process serves requests, and GET /readyz that
// its store responds and the clock differs from the store's by at most ten
// seconds. If the store fails, requests receive status 503 with Retry-After.
// With drain_seconds, /readyz fails for that time before the bank ends, so that
// a load balancer sends new requests to other instances. The members
// operator_listen and operator_secret add a page on a loopback address. It
// shows what is in the store, replaces the keys, and deletes the data of a
// user.
//
// If the environment has OTEL_EXPORTER_OTLP_ENDPOINT, the bank sends spans and
// metrics to this collector of OpenTelemetry. The other variables of its
// exporters apply as well. The operator's address serves the metrics at
// /metrics for Prometheus, with operator_secret as the password of basic_auth.
// docs/telemetry.md lists them, with a dashboard and alerts.
//
// # Payments
//
// POST /payments makes a payment that the user has consented to. The body is
// the payment as it was granted. It may omit the member type, and the members
// that the user has chosen. The token needs the detail and the scope payments.
// One consent is one payment: the first request receives 201 with a payment_id.
// A later request with the same Idempotency-Key header receives the same
// response, so a client can repeat a request whose response was lost. Any other
// request receives 409 with the payment_id of the payment that was made.
// Idempotency-Key is 1 to 64 printable ASCII characters of the client's choice.
//
// # Ecosystems
//
// The member rules names the rules of an ecosystem, and client_rules those of
// single clients. The directory ecosystems has one file for each ecosystem with
// the members that its bank needs. Copy them into a configuration with issuer,
// listen, mtls_listen and clients, and start the bank:
//
//	go run ./examples/bank -config bank.json
//
// The paths of files in these members are relative to examples/bank. A
// registration that the rules do not permit is a problem of the configuration.
// docs/ecosystems has a page about the rules of each ecosystem.
//
// Some ecosystems have consents that exist before the authorization request.
// The member consents adds their endpoints. A client creates a consent with
// POST and a token of the client credentials grant, reads it with GET below
// that path, and ends it with DELETE. The body is JSON or a signed message. The
// user decides about a consent on the consent page, once and within a day. Of
// several requests for one consent, one is approved. The end of the consent
// ends its tokens.
//
// Users have claims, which clients request one by one or by scope. The bank
// makes the claim txn itself. authorization_details_types adds types of
// authorization details from a file with their JSON Schemas.
//
// # Browser code
//
// No endpoint sends CORS headers: the clients of FAPI 2.0 are servers (its
// Security Profile excludes clients in browsers). A host that serves browser
// code wraps the handlers in its own CORS middleware for trusted origins. The
// middleware lists DPoP-Nonce and WWW-Authenticate in
// Access-Control-Expose-Headers, because browser code cannot read a nonce
// otherwise. It allows the request headers Authorization, DPoP and
// Content-Type.
package main
