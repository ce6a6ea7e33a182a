// Package par implements pushed authorization requests (PAR, RFC 9126), for both sides.
//
// A client sends the parameters of its authorization request directly to the authorization server, over an authenticated
// connection, and gets a request_uri for them. The browser carries that reference and nothing else, so nobody on the way
// can read or change the request, and a bad request fails before the user sees a page.
//
// # Authorization servers
//
// Read the form with [ParseForm], before anything else does, authenticate the client as at the token endpoint (with what
// ParseForm returns, or with r.PostFormValue), then [Server.Push]. At the
// authorization endpoint take client_id and request_uri with [ParseAuthorizationRequest], call [Server.Load], let the user
// log in and consent, and call [Server.Consume] when the authorization is complete, immediately before the code is issued.
// The two steps matter: link previews, preloading browsers and users who reload all fetch the page more than once, so the
// request may be loaded often and is used up only at the end. Pages in between, which belong to a login session that Load has
// begun, use [Server.Resume]: a slow login may outlast the request_uri. Load and Resume check the request once more; what they
// return beside such an error says where the client wants to hear of it.
//
// What every authorization request must satisfy is checked here: one response type (code), a redirect URI that is present
// and not plain http, no repeated parameters, no request_uri. What depends on the client and on the server's profile
// (registered redirect URIs, scopes, PKCE, response modes) is for [ServerConfig].Check, which is required; nothing is
// stored before it has agreed.
//
// An authorization server made of this package, clientauth and pkce is in the directory examples/embedding.
//
// One process needs no [Store]. Processes that serve the same issuer must share
// one.
//
// # Clients
//
// [Client.Push] sends the parameters, [AuthorizationURL] makes the URL for the browser. Parameters that
// golang.org/x/oauth2 would put into a URL come out of AuthCodeURL on a Config without AuthURL, by parsing the query.
//
// # What it does not do
//
// It does not authenticate clients, does not verify proofs of possession (DPoP) but takes the thumbprint of a verified
// key, and limits no rates. Signed request objects are for package jar,
// whose verified parameters go into PushRequest.Params; a "request" parameter itself is refused here, not ignored: a
// signature that nobody checked would let a client believe that it counted.
package par
