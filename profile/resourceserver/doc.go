// Package resourceserver guards an API under the FAPI 2.0 Security Profile.
//
// A [Server] checks that the access token of a request is valid and meant for
// this API. It also checks that the sender has the key or certificate that the
// token is bound to. Most APIs use it as middleware, [Server.Require], and read
// the token with [TokenFromContext]. Frameworks whose middleware has another
// type call [Server.Authorize], and services without an http.ResponseWriter
// call [Server.Decide].
//
// A Server accepts the tokens of one or several authorization servers
// ([Config.Issuers]). It verifies JWT access tokens with the keys of their
// issuer. It looks other tokens up by introspection or in the host. A JWT is
// presented only to the issuer that it names, because a token must not be
// disclosed to another authorization server.
//
// Subjects, client identifiers and token identifiers are unique only within one
// issuer. An API with several issuers keys its data by [Token.Issuer] and
// [Token.Subject] together.
//
// After that, [Token.CheckScope], [Token.CheckDetails] (RFC 9396) and
// [Token.CheckStepUp] (RFC 9470) decide whether the token permits an operation.
// [Server.WriteError] writes the response to their errors.
//
// The package does not accept a token that is bound to neither a key nor a
// certificate. It does not accept a token in the query or body of a request.
package resourceserver
