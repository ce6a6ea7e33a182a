// Package rar implements rich authorization requests (RAR, RFC 9396):
// authorization details with a schema, comparison, enrichment and description.
// A user who consents to a payment of 12.34 EUR to one payee permits that
// payment and nothing wider.
//
// A [Type] is made from a Go struct ([TypeOf]) or from a JSON Schema
// ([TypeFromSchema]). A [Registry] has the types and parses details strictly.
// Package openbanking has types for accounts and payments. Package rartest
// tests a host's own types. Package uses records details that are good for one
// use.
//
// An authorization server parses the details of a request ([Registry.Parse]),
// completes them ([Registry.Enrich]) and shows them on the consent page
// ([Detail.Describe]). It applies the choice of the user ([Edit]) and checks
// the result ([Registry.CheckGrant]). It writes [Details.ForResource] into
// tokens.
//
// An API parses the details of the verified token and keeps those that are for
// it (ForResource). It describes the operation that it is about to perform
// ([Registry.New]), and [Details.Covers] decides whether the token permits it.
//
// One granted detail must cover a requested detail alone, by the rule of the
// type. The strict rule is the default and denies every member that it does not
// know. Two details are one permission if each covers the other, whatever their
// spelling. docs/rich-authorization-requests.md explains these rules.
//
// The package does not know scopes, tokens, grants or users; package profile
// combines them. It does not count uses. It has no clock, so the API checks
// expiry dates. Descriptions are escaped against invisible and misleading
// characters, but not for HTML, SQL or any other context.
package rar
