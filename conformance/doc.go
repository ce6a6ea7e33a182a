// Package conformance tests a running FAPI 2.0 authorization server, of any
// vendor and in any language.
//
// A test calls [Server], and each case becomes a subtest. A program calls
// [CheckServer] and writes the [Report] as a table, as JSON lines or for JUnit.
// A result has what was sent, expected and received, the specification that
// requires it, and a remedy.
//
// A case is a valid request with one change. If the server rejects the
// unchanged request, a rejection of the changed one proves nothing. The case is
// then skipped, and its result has the reason. Only a case that was run can
// pass.
//
// The cases cover metadata, keys, pushed requests and the token endpoint, for a
// client that authenticates by private_key_jwt and whose tokens are bound by
// DPoP. The cases are not a certification.
//
// The package connects to loopback addresses only, unless [ServerConfig] has
// Remote. The rate, the number and the duration of requests are bounded, and so
// is the size of responses. Results contain no tokens, codes, assertions or
// proofs.
package conformance
