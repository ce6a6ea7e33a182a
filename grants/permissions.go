package grants

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/strictjson"

	"github.com/gofapi/fapi2/internal/syntax"
)

// Bounds of one grant.
const (
	maxGrant      = 128 << 10 // as it is stored, without the history
	maxScopePairs = 1024      // of a scope value and a resource
	maxScopeBytes = 32 << 10  // encoded
	maxClaims     = 256
	maxDetails    = 64 << 10
	maxEntries    = 256      // of authorization details
	maxHostBytes  = 16 << 10 // of Data, and of Extra
)

// Members of the response to a query that Extra cannot have.
var (
	reserved = []string{
		"scopes", "claims", "authorization_details",
		"created_at", "last_updated_at", "last_updated", "expires_at", "updated_by",
	}
	secret = []string{"access_token", "refresh_token", "id_token", "code"} // GM-6-2
)

// check normalizes the permissions of g and rejects what exceeds a bound.
func (g *Grant) check() (err error) {
	if g.Scopes, err = mergeScopes(g.Scopes); err != nil {
		return err
	}
	claims := slices.Clone(g.Claims)
	slices.Sort(claims)
	g.Claims = slices.Compact(claims)
	if len(g.Claims) > maxClaims {
		return fmt.Errorf("grants: %d claims, more than %d", len(g.Claims), maxClaims)
	}
	for _, name := range g.Claims {
		if name == "" || len(name) > 256 || !utf8.ValidString(name) {
			return fmt.Errorf("grants: malformed claim name of %d bytes, want 1 to 256 bytes of UTF-8", len(name))
		}
	}
	entries, err := detailList(g.AuthorizationDetails)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		g.AuthorizationDetails = nil
	}
	if err := g.checkHost(); err != nil {
		return err
	}
	if size := g.size(); size > maxGrant {
		return fmt.Errorf("grants: a grant of %d bytes, more than %d", size, maxGrant)
	}
	return nil
}

// size returns the length of g in a record, without its history.
func (g Grant) size() int {
	g.History = nil
	var w strictjson.Writer
	g.write(&w)
	return len(w.Bytes())
}

// checkHost checks the values that the host stores with a grant.
func (g *Grant) checkHost() error {
	if len(g.Data) == 0 {
		g.Data = nil
	} else if len(g.Data) > maxHostBytes || strictjson.Valid(g.Data) != nil {
		return fmt.Errorf("grants: malformed Data, want a JSON value of at most %d bytes", maxHostBytes)
	}
	if len(g.Extra) == 0 {
		return nil
	}
	size, response := 0, strictjson.Writer{}
	for _, name := range slices.Concat(reserved, secret) {
		response.Bool(name, true)
	}
	for name, value := range g.Extra {
		size += len(name) + len(value)
		switch {
		case name == "" || !utf8.ValidString(name) || slices.Contains(reserved, name):
			return fmt.Errorf("grants: reserved or malformed member %.64q in Extra", name)
		case slices.Contains(secret, name): // GM-6-2
			return fmt.Errorf("grants: secret member %.64q in Extra, which clients can read", name)
		case size > maxHostBytes || strictjson.Valid(value) != nil:
			return fmt.Errorf("grants: malformed Extra, want JSON of at most %d bytes", maxHostBytes)
		}
		response.Raw(name, value)
	}
	// The record of the grant could not be read again, nor could a client read
	// the response to a query.
	if err := strictjson.Valid(response.Bytes()); err != nil {
		return fmt.Errorf("grants: members of Extra that differ only by case, or too many levels: %w", err)
	}
	return nil
}

// mergeScopes returns the normalized union of entries. Values that were granted
// for the same resources form one entry (GM-6.4-2).
func mergeScopes(lists ...[]Scope) ([]Scope, error) {
	values := make(map[string][]string) // by resource, "" for none
	pairs := 0
	for _, s := range slices.Concat(lists...) {
		names, resources := strings.Fields(s.Scope), s.Resource
		for _, resource := range resources {
			if !validResource(resource) {
				return nil, fmt.Errorf("grants: malformed resource %.256q, want a URI without fragment", resource)
			}
		}
		for _, name := range names {
			if !syntax.IsScope(name) {
				return nil, fmt.Errorf("grants: malformed scope %.64q", name)
			}
		}
		if len(resources) == 0 {
			resources = []string{""}
		}
		if pairs += max(1, len(names)) * len(resources); pairs > 2*maxScopePairs { // two lists may be equal
			return nil, fmt.Errorf("grants: more than %d scopes", maxScopePairs)
		}
		for _, resource := range resources {
			values[resource] = append(values[resource], names...)
		}
	}
	return groupScopes(values)
}

// groupScopes returns one entry for all resources with the same values.
func groupScopes(values map[string][]string) ([]Scope, error) {
	groups := make(map[string][]string) // resources by scope
	var all []Scope
	size, pairs := 0, 0
	for _, resource := range slices.Sorted(maps.Keys(values)) {
		names := values[resource]
		slices.Sort(names)
		names = slices.Compact(names)
		pairs += max(1, len(names))
		scope := strings.Join(names, " ")
		switch {
		case resource != "":
			groups[scope] = append(groups[scope], resource)
		case scope != "":
			all = append(all, Scope{Scope: scope})
			size += len(scope)
		}
	}
	for scope, resources := range groups {
		all = append(all, Scope{Scope: scope, Resource: resources})
		size += len(scope) + len(strings.Join(resources, " "))
	}
	switch {
	case pairs > maxScopePairs:
		return nil, fmt.Errorf("grants: more than %d scopes", maxScopePairs)
	case size > maxScopeBytes:
		return nil, fmt.Errorf("grants: scopes of %d bytes, more than %d", size, maxScopeBytes)
	}
	slices.SortFunc(all, func(a, b Scope) int { return slices.Compare(a.Resource, b.Resource) })
	return all, nil
}

// validResource reports whether resource is a resource indicator (RFC 8707 §2).
func validResource(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && !strings.Contains(resource, "#") && utf8.ValidString(resource)
}

// detailList splits authorization details into their entries.
func detailList(raw json.RawMessage) ([]json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxDetails {
		return nil, fmt.Errorf("grants: authorization details of %d bytes, more than %d", len(raw), maxDetails)
	}
	// The response to a query contains the details one level deeper.
	if strictjson.Valid(slices.Concat([]byte(`{"":`), raw, []byte{'}'})) != nil {
		return nil, errors.New("grants: authorization details: malformed JSON or too many levels")
	}
	if text, err := json.Marshal(raw); err != nil || len(text) > maxDetails {
		return nil, fmt.Errorf("grants: %d bytes of escaped authorization details, more than %d", len(text), maxDetails)
	}
	entries, err := objects(raw)
	if err != nil {
		return nil, fmt.Errorf("grants: authorization details: %w", err)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("grants: %d authorization details, more than %d", len(entries), maxEntries)
	}
	return entries, nil
}

// objects splits a JSON array of objects.
func objects(raw json.RawMessage) ([]json.RawMessage, error) {
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil || entries == nil {
		return nil, errors.New("malformed JSON array")
	}
	for i, entry := range entries {
		if len(entry) == 0 || entry[0] != '{' {
			return nil, fmt.Errorf("[%d] is not an object", i)
		}
	}
	return entries, nil
}

// uniteDetails is the default of [ManagerConfig].MergeDetails. Entries are
// equal if they are the same JSON, whatever their spaces and the order of their
// members.
func uniteDetails(existing, added json.RawMessage) (json.RawMessage, error) {
	old, err := detailList(existing)
	if err != nil {
		return nil, err
	}
	fresh, err := detailList(added)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	union := []json.RawMessage{}
	for _, entry := range slices.Concat(old, fresh) {
		form, err := canonical(entry)
		if err != nil {
			return nil, err
		}
		if !seen[form] {
			seen[form] = true
			union = append(union, entry)
		}
	}
	return json.Marshal(union)
}

// canonical returns a form that equal values share. Numbers remain as they are
// written: 1 and 1.0 differ, so that a merge permits no more than the user has
// granted.
func canonical(raw json.RawMessage) (string, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("grants: malformed authorization details")
	}
	form, err := json.Marshal(value)
	return string(form), err
}
