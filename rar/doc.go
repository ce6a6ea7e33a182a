// Package rar implements rich authorization requests (RAR, RFC 9396): authorization
// details with schema, comparison, enrichment and wording, so that consent to a
// payment of 12.34 EUR to one payee permits that payment and nothing wider.
//
// A [Type] is made of a Go struct ([TypeOf]) or of a JSON Schema ([TypeFromSchema]).
// Its [TypeConfig] says how two details compare and how one is described. Package
// openbanking has types for accounts and payments, and package rartest tests a
// host's own types. A [Registry] holds the types and reads details strictly: it
// returns valid details, or an error with the position and the path of the culprit.
//
// # Authorization servers
//
// [Registry.Parse] reads what a client pushes, with the types that the client is
// registered for. Use pushed authorization requests, because details are long and
// the browser's user could change them. [Registry.Enrich] adds what the server adds
// by itself. The consent page shows each detail with [Detail.Describe]; the user
// narrows details, fills them in ([Edit]), or leaves some out. [Registry.CheckGrant]
// confirms that what is about to be granted was requested, and [Registry.Merge] adds
// it to what the user granted before. A server stores the JSON that [Details] marshal
// to, and parses it again with [Registry.Types].
//
// A token request with authorization_details narrows one token: [Details.Covers] on
// the granted details decides, and the stored grant stays as it is. A token or an
// introspection response for one API contains [Details.ForResource]. A type may name
// the scope that is granted together with its details ([Details.Scopes]).
//
// # APIs
//
// An API says what it is about to do, and asks whether the token permits that. It
// parses the details of the verified token and keeps those that are for it, with
// ForResource. It makes a detail of its own with [Registry.New]: this action, on
// this thing. [Details.Covers] decides, and [Details.Covering] returns the granted
// detail. An order that a client sends is not such a detail: a client may write
// any action and location into it, and those never decide. Package uses records that a
// permission was used, for permissions that are for one use.
//
// An API shares the types with its authorization server as code, or gets their
// schemas from [Registry.SchemaHandler].
//
// # What counts as covered
//
// A requested detail must be within one granted detail of the same type. Values of
// several are not mixed, because each of them is a product of its values (RFC 9396
// §2.2). The rule of a type without one of its own is strict: it denies what it does
// not know. Amounts are strings, or numbers whose text is compared exactly; a number
// that a JavaScript reader would round is rejected. Strings are compared code point
// by code point, without normalisation (RFC 9396 §12).
//
// # What counts as the same
//
// Two details are one permission if each covers the other. [Detail.Equal], Merge,
// CheckGrant and [Detail.Digest] agree on that, because all work on normal forms
// ([Detail.Normal]): the order of members, the order and repetition of elements in
// sets, escapes and the spelling of numbers mean nothing. TypeConfig.Normalize adds
// what only the type knows, such as the spelling of amounts and defaults.
//
// # What it does not do
//
// It does not know scopes' meanings, tokens, grants or users; package profile puts
// them together. It does not count uses. It has no clock: whether an expiry has
// passed is for the API to decide. Descriptions are escaped against invisible and
// misleading characters, not for HTML, SQL or any other place that they are put in.
package rar
