// Package profiletest has what tests of FAPI 2.0 programs need: access tokens
// for APIs, and an authorization server with an API for clients.
//
// The test of a handler behind a [resourceserver.Server] puts a verified token
// into its context with [WithToken]. The test of a complete API lets it accept
// the tokens of an [Issuer], and adds tokens to its requests with
// [Issuer.SetToken]. The test of a client runs a [Server] in its process, gets
// a configuration from [Server.ClientConfig], and opens the client's
// authorization URLs with [Server.Browse].
//
// A [Clock] makes time pass in any of them. An Issuer opens no socket, so its
// tests can also run in a bubble of testing/synctest.
//
// All tokens, proofs and signatures are real, with keys that exist during the
// test only. A test therefore fails if the program does not check them. Misuse
// of a helper ends the test with a message that begins with "profiletest: ".
//
// The package does not replace a test against the authorization server that a
// program will use, and it has no faults of networks or stores. A Transport in
// HTTPClient of the configuration of a client can simulate a server that is
// down.
package profiletest
