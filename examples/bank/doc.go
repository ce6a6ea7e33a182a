// Bank is an authorization server and an API under FAPI 2.0 in one program, with pages for people: login, consent, and
// the applications that one has let in. It is made of the public packages of this module and shows what a bank has to add
// to them: users, pages, registrations and an API.
//
//	go run ./examples/bank                     a bank for trying things out, with a client that examples/fintech is
//	go run ./examples/bank -config bank.json   a bank as the file says
//
// It prints one JSON line when it is ready, {"ready":true,"issuer":…}, and writes its log to the standard error. SIGINT
// and SIGTERM end it once the requests under way are answered. Everything is kept in memory and gone after that.
//
// # Configuration
//
// The file is one JSON object; a name that is not known, or a value that cannot be, ends the program with status 2 and a
// list of all such problems. Required is issuer alone.
//
//	issuer               the issuer identifier, an https URL; a path in it stands before all other paths
//	listen               host:port, by default those of issuer
//	mtls_listen          host:port on which clients are asked for certificates; published as mtls_endpoint_aliases of the
//	                     issuer's host with this port. Left out: no mutual TLS
//	tls_cert_file        PEM, as are all files; with
//	tls_key_file         this one. Left out: both are made at start, for localhost and the issuer's host, by an
//	                     authority of which only
//	write_ca_file        is kept: the certificate is written there
//	client_ca_file       who may vouch for clients with tls_client_auth
//	message_signing      parts of FAPI 2.0 Message Signing that are demanded of every client: a list of
//	                     authorization_request, authorization_response and introspection; empty: none
//	openid               true: ID tokens and user information
//	require_dpop_nonce   true: proofs need a nonce (RFC 9449 §8, §9)
//	request_uri_seconds  5 to 599, default 90
//	resources            absolute URIs that tokens can be for (RFC 8707); the first is this bank's own API and https, by
//	                     default the issuer
//	resource_servers     which clients are servers of which resources, and may introspect tokens for these:
//	                     {client_id: [resource, …]}. Any other client is told that every token is inactive. Left out: all
//	                     clients are told of all tokens, which is for tests, as nothing tells a server from a client then
//	access_token         jwt, the default, or opaque
//	users                [{"username": …, "password": …}, …]; the username is the subject in tokens
//	auto_approve         a username: everything is approved in its name and no page is shown. For tests alone
//	store                memory:, the default and the only one
//	clients              registrations in the form of RFC 7591, with client_id. Scopes, and authorization_details_types, that
//	                     the bank does not know are there as soon as a client has them, and mean nothing to its API. A
//	                     client without a scope has all that the bank knows: accounts, payments, offline_access and, with
//	                     openid, openid and profile. Tokens of one that says nothing of their binding are bound by DPoP
//
// The server has a key, made at start, for each algorithm that the clients' registrations name, and one for ES256 if none
// does. With the first of them it signs access tokens, and what is for clients that name none.
package main
