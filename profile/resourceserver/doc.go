// Package resourceserver guards an API under the FAPI 2.0 Security Profile.
//
// A [Server] lets a request pass if its access token is valid, meant for this
// API, and bound to the key or certificate of the sender. Most APIs use it as
// middleware, [Server.Require], and read the token with [TokenFromContext].
//
// Access tokens are JWTs, which the API verifies with the keys of the
// authorization server ([Config.Keys]), or they are looked up by introspection
// ([Config.Introspection]) or by the host ([Config.Tokens]).
//
// The package does not accept a token that is bound to neither a key nor a
// certificate.
package resourceserver
