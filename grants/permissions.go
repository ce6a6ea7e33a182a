package grants

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// Bounds of one grant. Texts are as long as encoding/json makes them: what has been let in once comes back from a store that
// way.
const (
	maxGrant      = 128 << 10 // all of it but the history
	maxScopePairs = 1024      // of a scope value and a resource
	maxScopeBytes = 32 << 10  // encoded
	maxClaims     = 256
	maxDetails    = 64 << 10
	maxEntries    = 256      // of authorization details
	maxHostBytes  = 16 << 10 // Data, and Extra
)

// own are the members of the answer to a query that Extra cannot replace; secret are those that it must not add.
var (
	own    = []string{"scopes", "claims", "authorization_details", "created_at", "last_updated_at", "last_updated", "expires_at", "updated_by"}
	secret = []string{"access_token", "refresh_token", "id_token", "code"} // GM-6-2
)

func scopeValues(scope string) []string { return strings.Fields(scope) }

// check brings the permissions of g into their normal form, and refuses what no grant may have.
func (g *Grant) check() error {
	scopes, err := mergeScopes(g.Scopes)
	if err != nil {
		return err
	}
	g.Scopes = scopes
	claims := slices.Clone(g.Claims)
	slices.Sort(claims)
	g.Claims = slices.Compact(claims)
	if len(g.Claims) > maxClaims {
		return fmt.Errorf("grants: %d claims, more than %d", len(g.Claims), maxClaims)
	}
	for _, name := range g.Claims {
		if name == "" || len(name) > 256 || !utf8.ValidString(name) {
			return errors.New("grants: a claim name that is empty, longer than 256 bytes or not UTF-8")
		}
	}
	if _, err := detailList(g.AuthorizationDetails); err != nil {
		return err
	}
	if len(g.AuthorizationDetails) == 0 || string(bytes.TrimSpace(g.AuthorizationDetails)) == "[]" {
		g.AuthorizationDetails = nil
	}
	if err := g.checkHost(); err != nil {
		return err
	}
	size, err := g.size()
	if err == nil && size > maxGrant {
		err = fmt.Errorf("grants: a grant of %d bytes, more than %d", size, maxGrant)
	}
	return err
}

// size returns how long g is as JSON, without its history.
func (g Grant) size() (int, error) {
	g.History = nil
	text, err := json.Marshal(g)
	return len(text), err
}

// checkHost checks what the host keeps with a grant.
func (g *Grant) checkHost() error {
	if len(g.Data) == 0 {
		g.Data = nil
	} else if len(g.Data) > maxHostBytes || strictjson.Valid(g.Data) != nil {
		return fmt.Errorf("grants: Data is not a JSON value of at most %d bytes", maxHostBytes)
	}
	size := 0
	for name, value := range g.Extra {
		size += len(name) + len(value)
		switch {
		case name == "" || !utf8.ValidString(name) || slices.Contains(own, name):
			return fmt.Errorf("grants: Extra cannot have the member %.64q", name)
		case slices.Contains(secret, name): // GM-6-2: tokens do not come back by this way
			return fmt.Errorf("grants: Extra must not have %.64q: the API shows no tokens", name)
		case size > maxHostBytes || strictjson.Valid(value) != nil:
			return fmt.Errorf("grants: Extra is not JSON of at most %d bytes", maxHostBytes)
		}
	}
	return nil
}

// mergeScopes returns the union of entries in a normal form: of values, each for some resource or none. Values that are for
// the same resources make one entry (GM-6.4-2: the grouping is ours to choose).
func mergeScopes(lists ...[]Scope) ([]Scope, error) {
	values := make(map[string][]string) // of a resource, "" for none
	pairs := 0
	for _, s := range slices.Concat(lists...) {
		names, resources := scopeValues(s.Scope), s.Resource
		if len(resources) == 0 {
			resources = []string{""}
		}
		if pairs += max(1, len(names)) * len(resources); pairs > 2*maxScopePairs { // of two lists that may be the same
			return nil, fmt.Errorf("grants: more than %d scopes", maxScopePairs)
		}
		for _, name := range names {
			if strings.ContainsFunc(name, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }) {
				return nil, fmt.Errorf("grants: %.64q is not a scope", name) // RFC 6749 §3.3
			}
		}
		for _, resource := range resources {
			if len(s.Resource) > 0 && !validResource(resource) {
				return nil, fmt.Errorf("grants: %.256q is no absolute URI without fragment", resource)
			}
			values[resource] = append(values[resource], names...)
		}
	}
	return groupScopes(values)
}

// groupScopes puts resources with the same values into one entry.
func groupScopes(values map[string][]string) ([]Scope, error) {
	groups := make(map[string][]string)
	var all []Scope
	size, pairs := 0, 0
	for resource, names := range values {
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
		slices.Sort(resources)
		all = append(all, Scope{Scope: scope, Resource: resources})
		size += len(scope) + len(strings.Join(resources, " "))
	}
	if pairs > maxScopePairs {
		return nil, fmt.Errorf("grants: more than %d scopes", maxScopePairs)
	}
	if size > maxScopeBytes {
		return nil, fmt.Errorf("grants: scopes of %d bytes, more than %d", size, maxScopeBytes)
	}
	slices.SortFunc(all, func(a, b Scope) int {
		return strings.Compare(strings.Join(a.Resource, " ")+"\n"+a.Scope, strings.Join(b.Resource, " ")+"\n"+b.Scope)
	})
	return all, nil
}

// validResource: RFC 8707 §2.
func validResource(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && !strings.Contains(resource, "#") && utf8.ValidString(resource)
}

// detailList takes authorization details apart.
func detailList(raw json.RawMessage) ([]json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > maxDetails {
		return nil, fmt.Errorf("grants: authorization details of %d bytes, more than %d", len(raw), maxDetails)
	}
	if strictjson.Valid(slices.Concat([]byte(`{"":`), raw, []byte{'}'})) != nil { // so deep that it can still be answered with
		return nil, errors.New("grants: authorization details are not JSON, or nested too deeply")
	}
	if text, err := json.Marshal(raw); err != nil || len(text) > maxDetails {
		return nil, fmt.Errorf("grants: authorization details of %d bytes, as encoding/json escapes them, more than %d", len(text), maxDetails)
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

// objects takes a JSON array of objects apart.
func objects(raw json.RawMessage) ([]json.RawMessage, error) {
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil || entries == nil {
		return nil, errors.New("not a JSON array")
	}
	for i, entry := range entries {
		if len(entry) == 0 || entry[0] != '{' {
			return nil, fmt.Errorf("[%d] is not an object", i)
		}
	}
	return entries, nil
}

// uniteDetails appends to existing what it does not have. Entries are the same if they are the same JSON, whatever the
// order of their members and the space between them.
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
	var union []json.RawMessage
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
	if union == nil {
		return nil, nil
	}
	return json.Marshal(union)
}

// canonical returns a form that equal values have in common. Numbers stay as they are written: 1 and 1.0 are kept apart,
// which gives no more than was consented.
func canonical(raw json.RawMessage) (string, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("grants: authorization details are not JSON")
	}
	form, err := json.Marshal(value)
	return string(form), err
}
