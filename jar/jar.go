// Package jar implements JWT-Secured Authorization Requests (JAR, RFC 9101) as FAPI 2.0 Message Signing narrows them:
// signed request objects that are pushed (RFC 9126 §3), for both sides.
//
// A client puts every parameter of its authorization request into a JSON Web Token (JWT) and signs it, so that the
// authorization server can prove later what it was asked for. Pushing alone protects the request on its way; sign it as
// well where such a proof is wanted or the server demands it.
//
// # Clients
//
// Keep one [Signer] for each authorization server. [Signer.Form] turns the parameters of an authorization request into
// the form to push, which needs nothing more than client authentication. A push that has failed without an answer is
// signed anew, because a request object is good for one use.
//
// # Authorization servers
//
// Read the form, authenticate the client, then call [Verifier.Check] and treat [Request.Params] exactly as the parameters
// of a plain form: PKCE, response type, redirect URI, scope and so on are still unchecked, and their faults keep the error
// codes of their own. Call [Verifier.Commit] last, when nothing can fail any more; a request that is refused for another
// reason, such as a missing DPoP nonce, then leaves the object usable. [Verifier.Verify] does both at once. No parameter
// outside of the object counts, and none but those of client authentication may be there.
//
// Keep [Request.Raw] and [Request.PublicKey] as evidence for as long as the request may be disputed. The parameters alone
// prove nothing, and a key may be gone from the client's key set tomorrow (Message Signing §7).
//
// A parameter that is null counts as absent. A known parameter of the wrong
// type is an error that names it. authorization_details and claims may also be
// strings that contain JSON. [Request.Dropped] names the unknown members that
// no form parameter could represent.
//
// # What it does not do
//
// The package does not authenticate clients, store requests or fetch a
// request_uri. It does not decrypt, and rejects encrypted request objects.
package jar

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Parameters of the form that is pushed (JAR-5-2, RFC 9101 §5).
const (
	paramRequest    = "request"
	paramRequestURI = "request_uri"
	paramClientID   = "client_id"
)

const (
	// objectTyp is the media type of request objects without application/, which a reader puts back (JAR-4-6).
	objectTyp = "oauth-authz-req+jwt"

	maxObject   = 64 << 10 // bytes; ten times an honest request with large authorization_details
	maxClientID = 1024     // bytes; room for client identifiers that are URLs
	maxKeyID    = 1024
	maxClaims   = 256 // as many as a form may have parameters
	maxKeys     = 8   // that are tried for one object

	// maxLifetime is how far exp may be from nbf (MS-5.3.1-4, MS-5.3.2-4), and maxAge how long ago nbf may be (MS-5.3.1-3).
	maxLifetime = time.Hour
	maxAge      = time.Hour
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
