// Package client implements a client under the FAPI 2.0 Security Profile and,
// as an option, FAPI 2.0 Message Signing.
//
// A [Client] discovers the authorization server, pushes requests, checks
// responses and returns an ordinary *oauth2.Token and *http.Client. [Sessions]
// keep the logins in progress in the browsers of the users. Applications on
// golang.org/x/oauth2 can use the connections alone, see [Client.OAuth2].
//
// The package does not read access tokens, and it does not send one that is not
// bound to the client's key or certificate.
package client
