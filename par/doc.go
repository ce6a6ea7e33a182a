// Package par implements pushed authorization requests (PAR, RFC 9126) for
// clients and authorization servers.
//
// A client sends its authorization request directly to the authorization
// server, over an authenticated connection, and receives a request_uri. The
// browser carries only that reference. No other party can read or change the
// request, and an invalid request fails before the user sees a page.
//
// An authorization server reads the form with [ParseForm], authenticates the
// client as at the token endpoint, and calls [Server.Push]. At the
// authorization endpoint it calls [ParseAuthorizationRequest] and
// [Server.Load]. It calls [Server.Consume] when the user has decided,
// immediately before it issues the code. Link previews and reloads fetch the
// page more than once, so Load does not consume the request. Pages between
// arrival and decision call [Server.Resume], which permits a slow login. The
// example in examples/embedding is a server made of this package, clientauth
// and pkce.
//
// The Server checks what every request must satisfy: the response type code, a
// safe redirect URI, no repeated parameters and no request_uri. The host checks
// the rest in [ServerConfig].Check. One process needs no [Store]. Processes
// that serve the same issuer must share one.
//
// A client sends its parameters with [Client.Push] and makes the URL for the
// browser with [AuthorizationURL]. Parameters of golang.org/x/oauth2 come from
// AuthCodeURL of a Config without AuthURL, as a query to be parsed.
//
// The package does not authenticate clients, verify DPoP proofs or limit rates.
// Package jar verifies signed request objects, and its result is pushed as
// PushRequest.Params. The Server rejects a request parameter: a client could
// otherwise rely on a signature that was not checked.
package par
