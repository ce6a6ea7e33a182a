// Package clientauth implements the authentication of OAuth clients at an authorization server by a signed assertion:
// the JSON Web Token (JWT) profile for client authentication (RFC 7523), which OpenID Connect Core §9 calls
// private_key_jwt, under the rules of the FAPI 2.0 Security Profile.
//
// A client keeps one [PrivateKeyJWT] for each authorization server and calls [PrivateKeyJWT.Authenticate] on the form of
// every single request, retries included: an assertion is good for one use. The audience is the server's issuer
// identifier, exactly as its metadata spells it, and nothing else; an assertion made out to an endpoint's URL can be
// obtained by one server and used at another.
//
// A server keeps one [Verifier], for the token endpoint, the pushed authorization request endpoint and all others at
// which clients authenticate. [Verifier.Verify] is right when authentication is all there is to check. When more can
// fail, such as a DPoP proof, use [Verifier.Check], then the other checks, and [Verifier.Commit] last: a request refused
// for another reason then leaves the assertion usable. A server whose issuer several processes share must give them a
// shared [ReplayStore]. What to answer to a client that is refused is in the error, see the variables; not the error's text.
//
// Client secrets and public clients do not exist here, as FAPI allows neither. JWT authorization grants, the other half
// of RFC 7523, are not client authentication and are not accepted as such. How clients are registered and where their
// keys come from is the caller's: see [Client].
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

// MethodPrivateKeyJWT is how client metadata (RFC 7591, token_endpoint_auth_method) and server metadata (RFC 8414,
// token_endpoint_auth_methods_supported) call the method.
const MethodPrivateKeyJWT = "private_key_jwt"

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
