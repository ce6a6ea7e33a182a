// Package clientauth implements the authentication of OAuth clients at an authorization server by the methods that the FAPI
// 2.0 Security Profile has: a signed assertion, by the JSON Web Token (JWT) profile for client authentication (RFC 7523),
// which OpenID Connect Core §9 calls private_key_jwt; and mutual TLS (RFC 8705 §2), by a certificate with a registered
// subject (tls_client_auth) or a registered key (self_signed_tls_client_auth).
//
// A client keeps one [PrivateKeyJWT] for each authorization server, or is a [MutualTLS], and calls Authenticate on the form
// of every single request, retries included: an assertion is good for one use. The audience is the server's issuer
// identifier, exactly as its metadata spells it, and nothing else; an assertion made out to an endpoint's URL can be
// obtained by one server and used at another. Of the methods private_key_jwt is the one that needs nothing of what lies
// between client and server, and goes with certificate-bound access tokens as well. Use mutual TLS where an ecosystem
// demands it, or has certificates anyway.
//
// A server keeps one [Verifier], for the token endpoint, the pushed authorization request endpoint and all others at
// which clients authenticate. [Verifier.Verify] is right when authentication is all there is to check. When more can
// fail, such as a DPoP proof, use [Verifier.Check], then the other checks, and [Verifier.Commit] last: a request refused
// for another reason then leaves the assertion usable. A server whose issuer several processes share must give them a
// shared [ReplayStore]. What to answer to a client that is refused is in the error, see the variables; not the error's text.
//
// A client has one method, the registered one. A request with an assertion is judged by that and not by its certificate,
// which may be there for binding tokens; a request with a certificate alone has to name its client by client_id. The
// certificate of tls_client_auth must have been verified against the trust anchors for clients: by TLS or the proxy at which
// it ends, see [Credentials], or here, see [VerifierConfig]. A registered distinguished name is compared as RFC 4517
// §4.2.15 has it: whatever the order of attributes within a relative name, the string types, the case and the number of
// blanks, but in the order of relative names. Characters that RFC 4518 would ignore or take for one another do count. To find
// mistakes when a client is registered, and not when it first comes, call [Client.Validate].
//
// Client secrets and public clients do not exist here, as FAPI allows neither. JWT authorization grants, the other half
// of RFC 7523, are not client authentication and are not accepted as such. Certificates are not looked up in revocation
// lists. How clients are registered and where their keys come from is the caller's: see [Client].
package clientauth

import (
	"fmt"
	"net/url"
	"strings"
)

// CA-7523-2.2-1
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Form parameters (CA-7521-4.2-1, RFC 6749 §2.3.1).
const (
	paramClientID      = "client_id"
	paramClientSecret  = "client_secret"
	paramAssertion     = "client_assertion"
	paramAssertionType = "client_assertion_type"
)

// How client metadata (RFC 7591, token_endpoint_auth_method) and server metadata (RFC 8414,
// token_endpoint_auth_methods_supported) call the methods of FAPI 2.0. SP-5.3.2.1-6: there are no others.
const (
	// MethodPrivateKeyJWT is an assertion signed with a registered key.
	MethodPrivateKeyJWT = "private_key_jwt"
	// MethodTLSClientAuth is a certificate of a public key infrastructure with a registered subject (RFC 8705 §2.1).
	MethodTLSClientAuth = "tls_client_auth"
	// MethodSelfSignedTLSClientAuth is any certificate with a registered key (RFC 8705 §2.2).
	MethodSelfSignedTLSClientAuth = "self_signed_tls_client_auth"
)

const (
	assertionTyp = "client-authentication+jwt" // CA-BIS-4-5
	maxAssertion = 64 << 10                    // bytes; a certificate chain in the header fits, a flood does not
	maxClientID  = 1024                        // bytes; room for client identifiers that are URLs
	maxKeyID     = 1024
	maxJTI       = 256
)

// checkIssuer demands what RFC 8414 §2 says of an issuer identifier, but for https, which is for those to check who open
// connections: here it is but a string to compare.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return fmt.Errorf("%q is not an issuer identifier: want an absolute URL without query and fragment", issuer)
	}
	return nil
}

// checkClientID demands 1 to maxClientID characters of RFC 6749 Appendix A.1 (VSCHAR).
func checkClientID(id string) error {
	if id == "" || len(id) > maxClientID {
		return fmt.Errorf("client identifier of %d bytes, want 1 to %d", len(id), maxClientID)
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return fmt.Errorf("client identifier with a character other than printable ASCII at %d", i)
		}
	}
	return nil
}
