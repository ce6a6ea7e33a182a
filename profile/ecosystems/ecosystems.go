// Package ecosystems has the rules of ecosystems that use FAPI 2.0, as
// documents of package rules.
//
//	set, err := ecosystems.Rules("uae-cbuae")
//	…
//	server, err := authserver.New(authserver.Config{Rules: set, …})
//	client, err := client.New(ctx, client.Config{Rules: set, …})
//
// These are the documents:
//
//   - uae-cbuae: UAE Open Finance
//   - au-connectid: ConnectID, Australia
//   - sa-ksa: KSA Open Banking, Saudi Arabia
//   - uk-obl: UK Open Banking
//   - au-cdr: Consumer Data Right, Australia
//   - br-opf: Open Finance Brasil, without registration
//   - sg-singpass: Singpass and Myinfo, Singapore, for clients
//   - no-helseid: HelseID, Norway, for clients
//
// Each rule has the clause from which it comes. A document also lists the
// duties of the host that no rule expresses, and the questions that its texts
// left open. Read both before you rely on it: docs/ecosystems has a page for
// each document. The documents are not certified by the ecosystems.
//
// The rules of another ecosystem need no code. Write a document and read it
// with [rules.Parse].
package ecosystems

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/profile/rules"
)

// ErrUnknown means that no document has a name.
var ErrUnknown = errors.New("ecosystems: unknown ecosystem")

//go:embed documents/*.json
var documents embed.FS

// Names returns the names of the documents, sorted.
func Names() []string {
	entries, err := documents.ReadDir("documents")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = strings.TrimSuffix(entry.Name(), ".json")
	}
	return names
}

// Document returns the JSON document of an ecosystem, for example as the start
// of a document of your own. The error matches [ErrUnknown].
func Document(name string) ([]byte, error) {
	if names := Names(); !slices.Contains(names, name) {
		return nil, fmt.Errorf("%w %.64q, want one of %s", ErrUnknown, name, strings.Join(names, ", "))
	}
	return documents.ReadFile("documents/" + name + ".json")
}

// Rules returns the rules of an ecosystem. Each call returns a new Set, which
// the caller may change. Call [rules.Set.Validate] after a change. The error
// matches [ErrUnknown].
func Rules(name string) (*rules.Set, error) {
	document, err := Document(name)
	if err != nil {
		return nil, err
	}
	return rules.Parse(document)
}
