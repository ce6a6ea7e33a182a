// Package dpop implements OAuth 2.0 Demonstrating Proof of Possession (RFC
// 9449). An access token that is bound to a key is useless without the private
// key. The client sends a proof with each request: a small signed JWT that
// names the request.
//
// A client has a [Prover] for its key and a [Transport] around its
// http.RoundTripper. The Transport adds a proof to each request, stores nonces
// and repeats a request once if a server requires a nonce. Clients that use
// net/http do not need to call [Prover.Proof]. Use a separate key for each user
// or installation, and store it with the tokens that are bound to it. The page
// docs/dpop.md explains when one key for all users is acceptable.
//
// An API has a [Verifier]. After it has checked the access token itself, it
// calls [Verifier.VerifyToken] with the token and the thumbprint in its
// confirmation claim (cnf.jkt). A valid proof of another key is rejected. An
// authorization server calls [Verifier.Check], makes all other checks of the
// request, calls [Verifier.Commit], and binds the new token to
// [Proof.Thumbprint].
//
// The defaults suit most cases: a proof is accepted for a minute, and clocks
// may differ by 10 seconds. [VerifierConfig.BaseURLs] contains the URLs that
// clients use, not those behind a proxy. The text of [ErrURL] shows both.
// Processes that serve the same URL need a shared replay store. Nonces are
// optional. They prevent proofs that malware made in advance, and cost a client
// an additional round trip from time to time.
//
// The package does not check or issue access tokens. It does not check the
// Authorization scheme: the caller must reject a bound token with the scheme
// Bearer. It sets no CORS headers, see docs/browser-code.md. A proof does not
// protect the body or the query of a request, and it protects nothing without
// TLS.
package dpop
