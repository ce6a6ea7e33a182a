// Package jar implements JWT-Secured Authorization Requests (JAR, RFC 9101)
// with the restrictions of FAPI 2.0 Message Signing, both sides. It supports
// signed request objects that are pushed (RFC 9126 §3).
//
// A client puts all parameters of its authorization request into a JSON Web
// Token (JWT) and signs it. The authorization server can prove later which
// request it received. Use JAR if a server requires it or if such evidence is
// needed. A pushed request is protected in transit without JAR.
//
// A client has one [Signer] for each authorization server. [Signer.Form]
// returns the form to push, to which the client adds client authentication. A
// request object can be used once, so a client signs a new one to retry a push.
//
// An authorization server authenticates the client of a form and calls
// [Verifier.Check]. It treats [Request.Params] like the parameters of a plain
// form: PKCE, response type, redirect URI and scope are not checked yet. It
// calls [Verifier.Commit] after all other checks, so that a rejected request,
// for example one without a DPoP nonce, does not use up the object.
// [Verifier.Verify] makes both calls.
//
// A parameter that is null counts as absent. A known parameter of the wrong
// type is an error that names it. authorization_details and claims may also be
// strings that contain JSON. [Request.Dropped] names the unknown members that
// no form parameter could represent.
//
// Keep [Request.Raw] and [Request.PublicKey] as evidence for as long as the
// request may be disputed (Message Signing §7). The client may remove the key
// from its key set. The package does not authenticate clients, store requests
// or fetch a request_uri. It rejects encrypted request objects.
package jar

import "time"

// Parameters of the form that is pushed (JAR-5-2, RFC 9101 §5).
const (
	paramRequest    = "request"
	paramRequestURI = "request_uri"
	paramClientID   = "client_id"
)

const (
	// objectTyp is the media type of request objects without application/,
	// which a reader adds (JAR-4-6).
	objectTyp = "oauth-authz-req+jwt"

	maxObject = 64 << 10 // bytes; ten times a usual request with large authorization_details
	maxKeyID  = 1024
	maxClaims = 256 // as many as a form may have parameters

	// maxLifetime bounds the time from nbf to exp (MS-5.3.1-4, MS-5.3.2-4), and
	// maxAge the time since nbf (MS-5.3.1-3).
	maxLifetime = time.Hour
	maxAge      = time.Hour
)
