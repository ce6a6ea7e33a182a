// Package clientauth implements the client authentication of the FAPI 2.0
// Security Profile. The methods are private_key_jwt (RFC 7523, OpenID Connect
// Core §9), tls_client_auth and self_signed_tls_client_auth (RFC 8705 §2).
//
// A client has a [PrivateKeyJWT] for each authorization server, or is a
// [MutualTLS]. It calls Authenticate on the form of each request, including
// retries, because an assertion can be used once. private_key_jwt does not
// depend on proxies between client and server. It also works with
// certificate-bound access tokens. Use mutual TLS if an ecosystem requires it.
//
// A server has one [Verifier] for all endpoints at which clients authenticate.
// [Verifier.Verify] suits requests that have no further checks. Otherwise call
// [Verifier.Check], make the other checks, for example that of a DPoP proof,
// and call [Verifier.Commit] last. A rejected request then does not use up the
// assertion. Processes that share an issuer need a shared [ReplayStore].
//
// A client has one registered method. An assertion takes precedence over a
// certificate, which may be there to bind tokens. A request without an
// assertion must have a client_id. Either TLS has verified the chain of a
// certificate for tls_client_auth, see [Credentials], or the Verifier does, see
// [VerifierConfig].
//
// Registered distinguished names are compared by RFC 4517 §4.2.15. The order of
// attributes within a relative name, string types, case and the number of
// spaces do not matter. The order of relative names does. Characters that RFC
// 4518 ignores or maps do matter. [Client.Validate] finds mistakes when a
// client is registered.
//
// The package does not support client secrets and public clients, which FAPI
// forbids, and JWT authorization grants. It does not check revocation lists of
// certificates. The host registers clients and provides their keys, see
// [Client].
package clientauth

// SP-5.3.2.1-6, CA-7523-2.2-1
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Form parameters (CA-7521-4.2-1, RFC 6749 §2.3.1).
const (
	paramClientID      = "client_id"
	paramClientSecret  = "client_secret"
	paramAssertion     = "client_assertion"
	paramAssertionType = "client_assertion_type"
)

// The methods of FAPI 2.0, by their names in client metadata
// (token_endpoint_auth_method, RFC 7591) and in server metadata
// (token_endpoint_auth_methods_supported, RFC 8414).
const (
	// MethodPrivateKeyJWT is an assertion signed with a registered key.
	MethodPrivateKeyJWT = "private_key_jwt"
	// MethodTLSClientAuth is a certificate of a public key infrastructure with
	// a registered subject (RFC 8705 §2.1).
	MethodTLSClientAuth = "tls_client_auth"
	// MethodSelfSignedTLSClientAuth is a certificate with a registered key,
	// from any issuer (RFC 8705 §2.2).
	MethodSelfSignedTLSClientAuth = "self_signed_tls_client_auth"
)

const (
	assertionTyp = "client-authentication+jwt" // CA-BIS-4-5
	maxAssertion = 64 << 10                    // bytes; a certificate chain in the header fits
	maxKeyID     = 1024
	maxJTI       = 256
)
