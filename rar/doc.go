// Package rar implements rich authorization requests (RAR, RFC 9396):
// authorization details with schema, comparison, enrichment and description. A
// user who consents to a payment of 12.34 EUR to one payee permits that payment
// and nothing wider.
//
// Make a [Type] from a Go struct ([TypeOf]) or from a JSON Schema
// ([TypeFromSchema]). Its [TypeConfig] defines how details are compared and
// described. Package openbanking has types for accounts and payments. Package
// rartest tests a host's own types. A [Registry] holds the types and parses
// details strictly. It returns valid details, or an error with the index and
// the path of the faulty member.
//
// # Authorization servers
//
// [Registry.Parse] parses the details of a request, and accepts only the types
// that the client is registered for. Use pushed authorization requests, because
// details are long and the user of the browser could change them.
// [Registry.Enrich] adds the members that the server sets itself. The consent
// page shows each detail with [Detail.Describe]. The user narrows details,
// fills them in ([Edit]), or removes some. [Registry.CheckGrant] checks that
// the client requested all details that the server is about to grant.
// [Registry.Merge] adds them to the details that the user granted before. The
// server stores the JSON of [Details], and parses it later with
// [Registry.Types].
//
// A token request with authorization_details narrows one token, and the stored
// grant does not change. [Details.Covers] on the granted details decides
// whether the narrowing is permitted. A token or an introspection response for
// one API contains the result of [Details.ForResource]. A type may name the
// scope that is granted together with its details ([Details.Scopes]).
//
// # APIs
//
// An API parses the details of the verified token, and keeps the details that
// are for this API (ForResource). It makes a detail of its own with
// [Registry.New], which describes the operation that it is about to perform.
// [Details.Covers] decides whether the token permits the operation, and
// [Details.Covering] returns the granted detail. The order in the client's
// request cannot serve as that detail, because the client chooses its actions
// and locations. Package uses records the use of permissions that are good for
// one use.
//
// An API shares the types with its authorization server as code, or fetches
// their schemas from [Registry.SchemaHandler].
//
// # What counts as covered
//
// One granted detail of the same type must cover a requested detail. The values
// of several details are not mixed, because each detail permits every
// combination of its own values (RFC 9396 §2.2). A type without its own rule
// uses the strict rule, which denies every member that it does not know.
// Amounts are strings, or numbers whose text is compared exactly. A number that
// a JavaScript reader would round is rejected. Strings are compared code point
// by code point, without normalisation (RFC 9396 §12).
//
// # What counts as the same
//
// Two details are one permission if each covers the other. [Detail.Equal],
// Merge, CheckGrant and [Detail.Digest] agree on that, because all of them
// compare normal forms ([Detail.Normal]). The order of members, the order and
// repetition of elements in sets, escapes and the spelling of numbers do not
// matter. TypeConfig.Normalize adds the rules of the type, for example for the
// spelling of amounts and for defaults.
//
// # What it does not do
//
// The package does not know the meaning of scopes, tokens, grants or users;
// package profile combines them. It does not count uses. It has no clock, so
// the API checks whether an expiry has passed. Descriptions are escaped against
// invisible and misleading characters, but not for HTML, SQL or any other
// context.
package rar
