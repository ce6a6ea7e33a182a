// Package rar implements rich authorization requests (RAR, RFC 9396): authorization details that say what is permitted with
// schema, comparison, enrichment and wording, so that consent to a payment of 12.34 EUR to one payee is a permission for that
// and for nothing wider.
//
// A [Type] is made of a Go struct ([TypeOf]) or of a JSON Schema ([TypeFromSchema]); its [TypeConfig] says how two details
// compare and how one is described. Types for accounts and payments are in package openbanking, a kit that tests a type of
// one's own in package rartest. A [Registry] holds the types and reads details, strictly: what it returns is valid, and one
// that it refuses is refused with the position and the path of the culprit.
//
// # Authorization servers
//
// [Registry.Parse] what a client pushes, with the types that the client is registered for; use pushed authorization requests,
// since details are long and the browser's user could change them. [Registry.Enrich] them, show each one with
// [Detail.Describe], let the user narrow or fill them in ([Edit], or leave some out), and have [Registry.CheckGrant] confirm
// that what is about to be granted was asked for. [Registry.Merge] adds them to what the user granted before. Store the JSON
// that [Details] marshal to, and parse it again with [Registry.Types]. A token request that has authorization_details
// narrows one token: [Details.Covers], granted first; the stored grant stays as it is. What goes into a token or an
// introspection response for one API goes through [Details.ForResource].
//
// # APIs
//
// Parse the details of the verified token, make a detail of what the request is about to do with [Registry.New], and let
// [Details.Covers] decide. An API shares the types with its authorization server as code, or gets their schemas from
// [Registry.SchemaHandler].
//
// # What counts as covered
//
// A requested detail has to be within one granted detail of the same type; values of several are not mixed, as each of them
// is a product of its values (§2.2). The rule of a type without one of its own is strict: it says no when it does not know.
// Amounts are strings, or numbers whose text is compared exactly; a number that a JavaScript reader would round is refused.
// Strings are compared code point by code point, without normalisation (§12).
//
// # What it does not do
//
// It does not know scopes, tokens, grants or users: package profile puts them together. It does not count how often a
// permission was used. It has no clock: whether an expiry has passed is a question for who serves the request. Descriptions
// are escaped against invisible and misleading characters, not for HTML, SQL or any other place they are put in.
package rar
