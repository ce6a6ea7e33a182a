// Package dpop implements OAuth 2.0 Demonstrating Proof of Possession (RFC 9449): access tokens that are worth nothing
// without the private key of the client they were issued to. With each request the client sends a proof, a small signed
// JWT that names the request; authorization server and resource server check it.
//
// A client takes a [Prover] for its key and puts a [Transport] around the http.RoundTripper that it has. The Transport
// signs every request, learns nonces, and repeats a request once when a server asks for a nonce. Nobody should have to
// call [Prover.Proof] who speaks HTTP with net/http. Have a key of its own for each session or each installation, never
// one that several users share.
//
// An API takes a [Verifier] and calls [Verifier.VerifyToken] with the access token and the key thumbprint that the token
// is bound to (its confirmation claim, cnf.jkt), after it has checked the token itself. That one call does all there is
// to do: a proof that is valid but made with another key is no success. An authorization server calls
// [Verifier.Check] and, once the client is authenticated and its code or refresh token is good, [Verifier.Commit], and
// binds what it issues to [Proof.Thumbprint]. See the example.
//
// # Decisions for most cases
//
// Leave the defaults alone: a proof is good for a minute, and 10 seconds of clock difference are forgiven.
//
// [VerifierConfig.BaseURLs] are the URLs that clients use, not the one behind your proxy. If proofs fail with [ErrURL], its
// text shows both.
//
// One process needs no replay store. Processes that serve the same URL need a
// shared store. Without it, a proof can be used once with each of them.
//
// Nonces are optional: they make sure that a proof was not made in advance (by malware that had the key for a moment
// and took proofs dated in the future away). They cost every client one more round trip now and then.
//
// # What it does not do
//
// It does not check access tokens, issue them, or look at their type; it does not notice that a bound token came with the
// Bearer scheme, which whoever reads the Authorization header must refuse. It does not set CORS headers; an API that
// browsers call has to expose WWW-Authenticate and DPoP-Nonce (§7.1, §8). A proof protects neither the body nor
// the query of the request, and nothing at all without TLS.
package dpop
