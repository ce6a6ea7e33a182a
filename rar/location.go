package rar

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// locationPattern describes an absolute URI (RFC 3986 §4.3): a scheme, ASCII
// characters that a URI may have, no fragment.
const locationPattern = `^[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+$`

// locationForm matches what locationPattern matches, in a fraction of the time.
type locationForm struct{}

func (locationForm) MatchString(location string) bool {
	colon := strings.IndexByte(location, ':')
	if colon < 1 || colon == len(location)-1 || !isLetter(location[0]) {
		return false
	}
	for i := range colon {
		if c := location[i]; !isLetter(c) && !isDigit(c) && c != '+' && c != '.' && c != '-' {
			return false
		}
	}
	for i := colon + 1; i < len(location); i++ {
		switch c := location[i]; {
		case c == '%':
			if i+2 >= len(location) || !isHex(location[i+1]) || !isHex(location[i+2]) {
				return false
			}
			i += 2
		case !isLetter(c) && !isDigit(c) && strings.IndexByte("._~:/?@!$&'()*+,;=[]-", c) < 0:
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// checkLocation returns the fault of a location, or nil for a usable one.
//
// Resource servers are named by absolute URIs without fragment (RFC 8707 §2). A
// location of another form does not name a resource server. Characters that
// only look like those of a URI would deceive the user. So would user
// information before an @ and dot segments: they hide the real host or path.
func checkLocation(location string) *fault {
	switch {
	case !locationForm{}.MatchString(location):
		return failure(ErrFieldValue, "not an absolute URI of ASCII characters without fragment")
	case userInformation(location):
		return failure(ErrFieldValue, "URI with user information")
	case dotSegment(location):
		return failure(ErrFieldValue, "URI with dot segments")
	}
	u, err := url.Parse(location)
	scheme, _, _ := strings.Cut(location, ":")
	if err != nil || (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")) && u.Hostname() == "" {
		return failure(ErrFieldValue, "URI without host")
	}
	return nil
}

func userInformation(location string) bool {
	_, authority, ok := strings.Cut(location, "://")
	if end := strings.IndexAny(authority, "/?"); end >= 0 {
		authority = authority[:end]
	}
	return ok && strings.Contains(authority, "@")
}

// separators are the characters of dot segments and of their ends that a server
// may decode before it resolves the path. Some servers read a backslash as a
// slash.
var separators = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", "%3b", ";")

// dotSegment reports whether the path has a segment . or .., percent-encoded or
// not, which a server would resolve before it looks at the path. Some servers
// resolve a segment with parameters, as in /..;v=1/, too.
func dotSegment(location string) bool {
	location, _, _ = strings.Cut(location, "?")
	if strings.IndexByte(location, '%') >= 0 {
		location = separators.Replace(strings.ToLower(location))
	}
	for segment := range strings.SplitSeq(location, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		switch segment {
		case ".", "..":
			return true
		}
	}
	return false
}

// checkLocations checks the member locations of a detail of any type.
func checkLocations(object *value) *fault {
	locations := object.Get("locations")
	switch {
	case locations == nil:
		return nil
	case locations.Kind != arrayKind: // RAR-2.2-1
		return failure(ErrFieldType, "").member("locations")
	case len(locations.Items) == 0: // no resource server would ever see the detail
		return failure(ErrFieldValue, "empty list").member("locations")
	}
	for i := range locations.Items {
		if locations.Items[i].Kind != stringKind {
			return failure(ErrFieldType, "").item(i).member("locations")
		}
		if f := checkLocation(locations.Items[i].Text); f != nil {
			return f.item(i).member("locations")
		}
	}
	return nil
}

// declareLocations adds the format of locations to a schema that has this
// member, so that the published schema documents it.
func declareLocations(s *jsonschema.Schema) {
	declared := s.Properties["locations"]
	if declared == nil {
		return
	}
	one := 1
	if isFalse(declared) {
		return
	}
	location := &jsonschema.Schema{Type: "string", Pattern: locationPattern}
	form := &jsonschema.Schema{Type: "array", MinItems: &one, Items: location}
	form.Title, form.Description = declared.Title, declared.Description
	if !plainList(declared) {
		form.AllOf = []*jsonschema.Schema{declared}
	}
	s.Properties["locations"] = form
}

// plainList reports whether a schema requires an array of strings and nothing
// else.
func plainList(s *jsonschema.Schema) bool {
	bare := s.CloneSchemas()
	bare.Title, bare.Description = "", ""
	text, err := json.Marshal(bare)
	return err == nil && string(text) == `{"type":"array","items":{"type":"string"}}`
}

// ForResource returns the details that are for a resource server. A detail with
// locations is for it if one of them equals resource or is below it. A detail
// without locations is for it if its type permits that (TypeConfig.Resources).
// The resource is the resource indicator or base URL of the resource server.
// others are the further resource servers that the caller knows, for example
// those in the token's audience. A location at or below a longer one of others
// is for that other resource server.
//
// If other resource servers are below resource, others must contain all of
// them. The audience of a token may lack one of them, and a detail with several
// locations then appears to be for the resource above.
//
// URIs are compared character by character, and paths by whole segments:
// https://api.example/pay is not below https://api.example/p. An empty resource
// has no locations.
//
// The authorization server writes the result into tokens and introspection
// responses (RFC 9396 §9). A resource server applies the same rule with its own
// resource before it evaluates details. It never uses a location from the
// client's request.
func (l Details) ForResource(resource string, others ...string) Details {
	// RAR-13-1, RAR-9.1-1: to each resource server what it needs to know.
	var kept Details
	for _, d := range l {
		if d.d != nil && d.isFor(resource, others) {
			kept = append(kept, d)
		}
	}
	return kept
}

func (d Detail) isFor(resource string, others []string) bool {
	locations := d.d.value.Get("locations")
	if locations == nil {
		return d.d.typ.resources == nil || slices.Contains(d.d.typ.resources, resource)
	}
	for i := range locations.Items {
		location := locations.Items[i].Text
		nearer := func(other string) bool { return len(other) > len(resource) && atOrBelow(location, other) }
		if atOrBelow(location, resource) && !slices.ContainsFunc(others, nearer) {
			return true
		}
	}
	return false
}

// atOrBelow reports whether a location is a resource server's base URL or below
// it by whole path segments.
func atOrBelow(location, resource string) bool {
	below := strings.TrimSuffix(resource, "/") + "/"
	return resource != "" && (location == resource || strings.HasPrefix(location, below))
}
