// Package profile holds what FAPI 2.0 demands of all roles: the profiles, the
// metadata documents of servers, resource servers and clients, their discovery
// and lint, TLS settings and evidence.
//
// The FAPI 2.0 Security Profile (Final, February 2025) is called Baseline here.
// Advanced adds FAPI 2.0 Message Signing (Final, September 2025).
//
// The roles are packages of their own, composed of the building blocks of this
// module:
//
//   - Package authserver is an authorization server for a host that has login,
//     consent and client registration.
//   - Package resourceserver guards an API. It checks the access token, its
//     binding and the proof in one call.
//   - Package client performs the whole flow and returns an ordinary
//     *oauth2.Token and *http.Client.
//
// Tokens are bound to a DPoP key (RFC 9449) or to a client certificate (RFC
// 8705). Clients authenticate by private_key_jwt or by certificate. No option
// turns a requirement of FAPI 2.0 off.
package profile

// A Profile is a set of demands on top of the FAPI 2.0 Security Profile. A profile can add demands and never takes one
// away (SP-5.1.2-1): there is no value that turns a MUST off. A server demands its parts of every client; without a part
// it still serves it to clients that use it.
type Profile uint8

// Baseline is the FAPI 2.0 Security Profile itself. The others are the parts of FAPI 2.0 Message Signing, which can be
// demanded one by one (MS-5.1-1) or, as Advanced, together.
const (
	Baseline            Profile = 0
	SignedRequests      Profile = 1 << (iota - 1) // request objects (JAR, RFC 9101)
	SignedResponses                               // signed authorization responses (JARM)
	SignedIntrospection                           // signed introspection responses (RFC 9701)
	Advanced            = SignedRequests | SignedResponses | SignedIntrospection
)

// Has reports whether p includes a part of Message Signing.
func (p Profile) Has(part Profile) bool { return p&part != 0 }
