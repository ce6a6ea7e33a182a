// Package client implements clients for the FAPI 2.0 Security Profile and FAPI
// 2.0 Message Signing.
//
// [New] discovers an authorization server and returns a [Client] for one
// registration. A web application serves [Client.LoginHandler] and
// [Client.CallbackHandler], which store unfinished logins in the browsers
// ([Sessions]). The callback receives an ordinary *oauth2.Token.
// [Client.StoredToken] stores it for all processes of the application and
// refreshes it, and [Client.HTTPClient] calls APIs with it. [Client.UserInfo]
// requests the claims about the user. An application that uses several servers
// has a [Set], whose handlers find the server by the session.
//
// A client that acts for itself uses [Client.ClientCredentialsSource]. A
// command-line program uses package loopback. A host with handlers of its own
// calls [Client.Begin] and [Client.Finish]. A host that stores the tokens
// itself uses [Client.TokenSource]. A host that continues to use
// golang.org/x/oauth2 uses [Client.OAuth2].
//
// The client authenticates with signed assertions (private_key_jwt) or with a
// certificate. It pushes each authorization request (RFC 9126) with a PKCE
// challenge, and checks iss, state and the ID token. With a [profile.Profile],
// it signs requests and requires signed responses. Access tokens are bound to a
// DPoP key or to the certificate. The client rejects tokens that are not bound,
// and it sends tokens by https only.
//
// Errors that the server returned are *oauth2.RetrieveError. If the client
// rejects a response, the error matches an error of this package, and usually
// also one of the package that made the check.
//
// The package does not read access tokens and does not register clients.
package client
