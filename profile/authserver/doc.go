// Package authserver implements an authorization server under the FAPI 2.0
// Security Profile and, as an option, FAPI 2.0 Message Signing.
//
// A [Server] stands in front of the login, the consent and the client
// registration of a host. Most hosts mount [Server.Handler] and write one
// function, [Config.Interact], which ends in [Server.Approve] or [Server.Deny].
//
// A host with codes and tokens of its own uses the checks alone:
//
//   - [Server.PushedRequest] and [Server.Push],
//   - [Server.Authorization], [Authorization.Binding], which the host stores
//     with its code, and [Server.Complete],
//   - [Server.TokenRequest], [TokenRequest.CheckBinding] and
//     [TokenRequest.Commit], which returns what the host binds its token to,
//   - [Server.ClientEndpoint] for endpoints of the host at which clients
//     authenticate, for example for the revocation of its tokens.
//
// # Order of checks
//
// Every endpoint checks the request first, then authenticates the client, then
// checks what the client may do, and then writes. A rejected request consumes
// neither a code nor a request_uri nor a proof, and the client can repeat it.
// There is one exception: a request_uri is consumed once the client has
// received an error response for it. If a store or a key fails later, the
// assertion and the proof may be consumed. Clients make new ones for each
// request.
//
// [Config.Store] keeps all state. If it redeems a code and then fails, the
// client's retry succeeds and is not a replay, see docs/stores.md.
//
// Ending an authorization ends all of its tokens. A replayed code and the
// revocation endpoint end it.
//
// The package shows no pages and keeps no users. It does not issue a token that
// is bound to neither a key nor a certificate.
package authserver
