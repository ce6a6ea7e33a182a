// Package profile composes the building blocks of this module into FAPI 2.0: an authorization server, a resource server
// and a client that keep to the FAPI 2.0 Security Profile (Final, February 2025), called Baseline here.
//
// # Which part to take
//
// An [AuthorizationServer] stands in front of the login, consent and client registration that a host already has. Most
// hosts mount its [AuthorizationServer.Handler] and write one function, [AuthorizationServerConfig.Interact], that ends
// in [AuthorizationServer.Approve] or [AuthorizationServer.Deny]. A host with codes and tokens of its own takes the checks
// alone: [AuthorizationServer.PushedRequest] and Push; [AuthorizationServer.Authorization] with [Authorization.Binding], to
// be stored with the host's code, and [AuthorizationServer.Complete]; [AuthorizationServer.TokenRequest] with
// [TokenRequest.CheckBinding] and [TokenRequest.Commit], after which it issues a token bound to [TokenRequest.Confirmation];
// [AuthorizationServer.RevocationRequest] and [RevocationRequest.Commit]. The handlers are a few lines around these.
//
// Access tokens are JWTs, which an API reads by itself, and which end before their time only at APIs that ask
// ([ResourceServerConfig].Revoked). With [AuthorizationServerConfig].AccessTokens they are opaque, and APIs have to ask what
// they say. Whatever ends an authorization, a code that comes twice or the revocation endpoint, ends all of its tokens.
//
// A [ResourceServer] checks in one call that an access token is valid, meant for this API, and presented by the client
// that it was issued to. A [Client] does the whole flow and returns an ordinary *oauth2.Token and *http.Client. [Sessions] keep
// its logins under way in their browsers. For one that uses golang.org/x/oauth2 already, [Client.OAuth2] has the connections alone.
//
// # Order of checks
//
// Every endpoint looks first at what it can judge from the request alone, then at who sends it, then at what that client
// may do, and only then writes anything. So a request that fails a check leaves no trace: no replay row, no used code, no
// used request_uri; and it can be repeated once the cause is gone. What is refused when the user comes is the one exception:
// once the client has been told of it, the request_uri is used up. Where a store or a key fails after that, proof and
// assertion may be used up, which cost the client nothing; a code, a refresh token or a request_uri is not.
//
// # What this package does not do
//
// It shows no pages and keeps no users. Tokens are bound to a DPoP key (RFC 9449) or a client certificate (RFC 8705), and
// clients authenticate by private_key_jwt or by certificate; it never issues or accepts a token that is bound to nothing, and
// no option makes it.
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
