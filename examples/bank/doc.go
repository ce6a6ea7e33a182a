// Bank is an authorization server and an API under FAPI 2.0 in one program, with
// pages for people: login, consent, and the applications that a user has let in.
// It is made of the public packages of this module and shows what a bank has to
// add to them: users, pages, registrations and an API.
//
//	go run ./examples/bank                     a bank for trying things out, with a client that examples/fintech is
//	go run ./examples/bank -config bank.json   a bank as the file says
//	go run ./examples/bank -h                  every member of the file, with type, default and meaning
//
// It prints one JSON line when it is ready, {"ready":true,"issuer":…}, and writes
// its log to the standard error. SIGINT and SIGTERM end it after the requests under
// way. Everything is in memory, except the CA and the client's key of the bank
// without a configuration. Those are in a directory of the user's cache, or in that
// of -state, so that a restart of the bank does not break a running fintech.
//
// A configuration with problems ends the program with status 2 and a list of all
// of them, each with its line.
//
// The server makes a key at start for each algorithm that the clients'
// registrations name, and one for ES256 if none does. The first of them signs
// access tokens, and everything for clients that name none.
//
// # Payments
//
// POST /payments makes a payment that the user has consented to. The body is the
// payment as it was granted. The member type may be left out, and so may
// everything that the user has chosen. The token needs the detail and the scope
// payments. One consent is one payment: the first request receives 201 with a
// payment_id. A later request with the same Idempotency-Key header receives the
// same response, so a client can repeat a request whose response was lost. Any
// other request receives 409 with the payment_id of the payment that was made.
// Idempotency-Key is 1 to 64 printable ASCII characters of the client's choice.
//
// # Browser code
//
// No endpoint sends CORS headers: the clients of FAPI 2.0 are servers (its
// Security Profile leaves clients in browsers out). A host that serves browser code
// has to wrap the handlers in CORS middleware of its own for the origins that it
// trusts. The middleware has to list DPoP-Nonce and WWW-Authenticate in
// Access-Control-Expose-Headers: without that the code cannot read a nonce. It has
// to allow the request headers Authorization, DPoP and Content-Type.
package main
