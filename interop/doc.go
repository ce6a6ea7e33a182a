// Package interop has no code: its tests run this module against other people's software over TLS on loopback, each peer
// a child process. The peers are oidc-provider as authorization server; openid-client as client; and raw requests made with
// jose and dpop, the packages of the same names on npm. On our side are the packages, and examples/bank and examples/fintech
// as the programs that they are.
//
// They need the go command, Node.js 20 or later and the packages of package-lock.json:
//
//	npm ci --ignore-scripts --prefix interop
//	go test ./interop/...
//
// Without these the tests are skipped, or fail with FAPI_REQUIRE_ALL=1.
package interop
