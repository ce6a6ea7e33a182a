// Package interop contains tests only. They run this module against other
// software over TLS on the loopback interface. Each peer is a child process.
// The peers are oidc-provider as an authorization server, openid-client as a
// client, and raw requests made with jose and dpop (packages on npm). On this
// side are the packages and the programs examples/bank and examples/fintech.
// The alerts and the dashboard of docs/telemetry run through promtool.
//
// The tests require the go command, promtool, Node.js 20 or later and the
// packages of package-lock.json:
//
//	npm ci --ignore-scripts --prefix interop
//	go test ./interop/...
//
// Without these the tests are skipped. With FAPI_REQUIRE_ALL=1 they fail.
package interop
