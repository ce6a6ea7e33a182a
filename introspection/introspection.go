// Package introspection implements OAuth 2.0 Token Introspection (RFC 7662) and
// its signed responses, which are JSON Web Tokens (JWT, RFC 9701). FAPI 2.0
// Message Signing requires such responses.
//
// A resource server calls [Client.Introspect] with an access token. The result
// is a [Token] with the same methods as one of package accesstoken. Use JWT
// access tokens if a lifetime of minutes is short enough. Use introspection for
// tokens that must end when they are revoked, or that contain more than a
// client may read or a header field can carry. APIs that must keep evidence
// also use it: archive [Token.Signed] with the public key that verifies it.
//
// An authorization server parses the request with [ParseRequest]. It
// authenticates the resource server, for example with package clientauth, from
// [Request.Form] and the certificate of the connection. Then it looks up the
// token and calls [Responder.Write]. A [Responder] reports each token only to a
// [ResourceServer] in its audience.
//
// A Client cannot check that the sender of a token has the key that the token
// is bound to. The caller compares [Token.JKT] and [Token.X5TS256] with the
// proof and the certificate of the request. The introspection request has no
// DPoP proof, because only the client has the key for it.
//
// A response does not name the token of its request: only the TLS connection
// binds it. A signed response must therefore be recent, see
// [ClientConfig.MaxAge]. It can be encrypted as well: see
// [ResourceServer].Encrypt and [DecryptionKey]. The package does not accept
// RS256, the default of RFC 9701, because FAPI 2.0 forbids it.
package introspection

const (
	typ       = "token-introspection+jwt"
	mediaJWT  = "application/" + typ // INT-9701-5-1
	mediaJSON = "application/json"

	// maxResponse bounds a response. Authorization details can make it long.
	maxResponse = 64 << 10
	// maxTokenBytes bounds a token. A longer one does not fit into a header
	// field.
	maxTokenBytes = 16 << 10
)
