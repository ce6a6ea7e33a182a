// Package rules has the rules of an ecosystem as data.
//
// National and sector profiles use FAPI 2.0 with fewer choices: one signature
// algorithm, shorter lifetimes, a consent that exists before the request. A
// [Set] holds such rules. It is a Go value or a JSON document, and each of its
// members works without the others.
//
// The roles apply a Set:
//
//   - The field Rules of authserver.Config applies it to every request, and
//     ClientRules selects a Set for each client.
//   - The field Rules of client.Config makes a client send what its ecosystem
//     requires, and reject what it forbids.
//   - [Set.LintClient] and [Set.LintServer] check registrations and metadata.
//
// A Set can only narrow FAPI 2.0. [Set.Validate] rejects one that permits more,
// and so do [Parse] and the roles. Package ecosystems has documents of real
// ecosystems.
//
// Each member of a document has a source, which is the clause that requires
// it. A rule without a known source is not a rule. The file schema.json is the
// JSON Schema of documents, for example for an editor.
package rules
