// Package profile has the requirements of FAPI 2.0 that all roles share. It
// reads, checks and serves the metadata documents of authorization servers,
// resource servers and clients. It also has TLS settings, and the types of
// archived evidence and of observed events.
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

// A Profile is a set of requirements in addition to the FAPI 2.0 Security
// Profile. A server requires its parts of every client. Clients can use other
// parts voluntarily.
type Profile uint8

// Baseline is the FAPI 2.0 Security Profile. The others are the parts of FAPI
// 2.0 Message Signing. Each can be required alone, and Advanced requires all.
const (
	Baseline            Profile = 0
	SignedRequests      Profile = 1 << (iota - 1) // request objects (JAR, RFC 9101)
	SignedResponses                               // signed authorization responses (JARM)
	SignedIntrospection                           // signed introspection responses (RFC 9701)
	Advanced            = SignedRequests | SignedResponses | SignedIntrospection
)

// Has reports whether p includes a part of Message Signing.
func (p Profile) Has(part Profile) bool {
	return p&part != 0 // SP-5.1.2-1, MS-5.1-1: parts add requirements, each alone or with others
}
