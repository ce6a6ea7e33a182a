package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/gofapi/fapi2/internal/strictjson"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// readSchema reads a schema document.
func readSchema(document []byte) (*jsonschema.Schema, error) {
	if _, f := read(string(document), 0); f != nil { // a bound that is rounded is another bound
		return nil, fmt.Errorf("the schema%s: %w", f.path, f.reason)
	}
	s := new(jsonschema.Schema)
	if err := json.Unmarshal(document, s); err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	return s, nil
}

// compiled is a schema made ready.
type compiled struct {
	document  json.RawMessage // as it is published
	root      *node
	recursive *compiler // nil if no part of the schema contains itself
	title     string
}

// compileSchema makes a schema for details of a type: an object with the member type, and nothing in it that the schema
// does not name. It changes s.
func compileSchema(name string, s *jsonschema.Schema) (*compiled, error) {
	if s.Schema != "" && s.Schema != draft {
		return nil, fmt.Errorf("the schema is written for %q, not for %q", s.Schema, draft)
	}
	s.Schema = draft
	if s.Type == "" && s.Types == nil {
		s.Type = "object"
	}
	if s.Type != "object" {
		return nil, errors.New("the schema is not one of an object")
	}
	if err := declareType(name, s); err != nil {
		return nil, err
	}
	declareLocations(s)
	c := compiler{root: s, nodes: make(map[*jsonschema.Schema]*node), inPlace: make(map[*jsonschema.Schema]bool)}
	if err := c.examine(s, "", 0); err != nil {
		return nil, err
	}
	if err := c.close(s); err != nil {
		return nil, err
	}
	// RAR-5-2: no loader, and examine has refused references that would need one: nothing is ever fetched.
	if _, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true}); err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	root, err := c.compile(s)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	made := &compiled{document: document, root: root, title: s.Title}
	if c.contains(s, make(map[*jsonschema.Schema]bool)) {
		made.recursive = &c
	}
	return made, nil
}

// declareType puts the member type into the schema of an object.
func declareType(name string, s *jsonschema.Schema) error {
	if s.Properties == nil {
		s.Properties = make(map[string]*jsonschema.Schema)
	}
	described := s.Properties["type"]
	constant := any(name)
	declared := &jsonschema.Schema{Type: "string", Const: &constant}
	if described != nil {
		if described.Const != nil && *described.Const != constant || described.Enum != nil && !slices.Contains(described.Enum, constant) {
			return fmt.Errorf("the schema is one of another type than %q", name)
		}
		declared.Title, declared.Description = described.Title, described.Description
	}
	for property := range s.Properties {
		if property != "type" && strings.EqualFold(property, "type") {
			return fmt.Errorf("the member %q passes for type", property) // and every detail that had it would be malformed
		}
	}
	s.Properties["type"] = declared
	if !slices.Contains(s.Required, "type") {
		s.Required = append([]string{"type"}, s.Required...)
	}
	return nil
}

type compiler struct {
	root    *jsonschema.Schema
	nodes   map[*jsonschema.Schema]*node
	inPlace map[*jsonschema.Schema]bool // on the way down in loops
}

// inPlaceSchemas are those that judge the same value as s.
func (c *compiler) inPlaceSchemas(s *jsonschema.Schema) []*jsonschema.Schema {
	list := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	for _, one := range []*jsonschema.Schema{s.Not, s.If, s.Then, s.Else, c.referred(s.Ref)} {
		if one != nil {
			list = append(list, one)
		}
	}
	return append(list, sortedValues(s.DependentSchemas)...)
}

// innerSchemas are those that judge values inside of the value that s judges.
func innerSchemas(s *jsonschema.Schema) []*jsonschema.Schema {
	list := slices.Concat(sortedValues(s.Properties), sortedValues(s.PatternProperties), s.PrefixItems)
	for _, one := range []*jsonschema.Schema{s.Items, s.Contains, s.AdditionalProperties, s.UnevaluatedItems, s.UnevaluatedProperties} {
		if one != nil {
			list = append(list, one)
		}
	}
	return list
}

func sortedValues(m map[string]*jsonschema.Schema) (list []*jsonschema.Schema) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[name])
	}
	return list
}

// referred returns the schema that a reference means, nil when there is none. References lead into the document only.
func (c *compiler) referred(ref string) *jsonschema.Schema {
	unescape := func(name string) string { return strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~") }
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return c.root.Defs[unescape(name)]
	}
	if name, ok := strings.CutPrefix(ref, "#/definitions/"); ok {
		return c.root.Definitions[unescape(name)]
	}
	return nil
}

// examine refuses what would be ignored, or understood differently by two readers.
func (c *compiler) examine(s *jsonschema.Schema, path string, depth int) error {
	refuse := func(format string, args ...any) error {
		if path == "" {
			path = "/"
		}
		return fmt.Errorf("the schema at %s: %s", path, fmt.Sprintf(format, args...))
	}
	if s == nil {
		return refuse("null is no schema")
	}
	for keyword := range s.Extra { // a slip of the pen that would make the schema say less
		if !strings.HasPrefix(keyword, "x-") {
			return refuse("unknown keyword %q", keyword)
		}
	}
	switch {
	case s.Ref != "" && c.referred(s.Ref) == nil:
		return refuse("$ref %q is not #/$defs/NAME of this schema: nothing is fetched", s.Ref)
	case s.DynamicRef != "" || s.DynamicAnchor != "" || s.Anchor != "" || s.Vocabulary != nil:
		return refuse("anchors and vocabularies are not supported")
	case s.ID != "" && s != c.root:
		return refuse("$id inside of a schema is not supported")
	case s.ItemsArray != nil || s.AdditionalItems != nil || s.DependencySchemas != nil || s.DependencyStrings != nil:
		return refuse("a keyword of draft 7: use prefixItems, items, dependentRequired and dependentSchemas")
	case s.MultipleOf != nil && *s.MultipleOf <= 0:
		return refuse("multipleOf is not positive")
	case c.loops(s):
		return refuse("$ref leads back to itself")
	}
	for _, name := range append(s.Types, s.Type) {
		if _, ok := kinds[name]; !ok && name != "" {
			return refuse("unknown type %q", name)
		}
	}
	return c.examineChildren(s, path, depth)
}

func (c *compiler) examineChildren(s *jsonschema.Schema, path string, depth int) error {
	if depth > strictjson.MaxDepth {
		return fmt.Errorf("the schema at %s: nested too deep", path)
	}
	groups := []struct {
		keyword string
		named   map[string]*jsonschema.Schema
		listed  []*jsonschema.Schema
	}{
		{"properties", s.Properties, nil}, {"patternProperties", s.PatternProperties, nil}, {"$defs", s.Defs, nil},
		{"definitions", s.Definitions, nil}, {"dependentSchemas", s.DependentSchemas, nil},
		{"allOf", nil, s.AllOf}, {"anyOf", nil, s.AnyOf}, {"oneOf", nil, s.OneOf}, {"prefixItems", nil, s.PrefixItems},
	}
	for _, one := range []struct {
		keyword string
		schema  *jsonschema.Schema
	}{
		{"not", s.Not}, {"if", s.If}, {"then", s.Then}, {"else", s.Else}, {"items", s.Items}, {"contains", s.Contains},
		{"additionalProperties", s.AdditionalProperties}, {"propertyNames", s.PropertyNames},
		{"unevaluatedItems", s.UnevaluatedItems}, {"unevaluatedProperties", s.UnevaluatedProperties},
	} {
		if one.schema != nil {
			if err := c.examine(one.schema, path+"/"+one.keyword, depth+1); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		for _, name := range slices.Sorted(maps.Keys(g.named)) {
			if err := c.examine(g.named[name], path+"/"+g.keyword+"/"+name, depth+1); err != nil {
				return err
			}
		}
		for i, child := range g.listed {
			if err := c.examine(child, fmt.Sprintf("%s/%s/%d", path, g.keyword, i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// loops reports whether judging a value by s would mean to judge the same value by s again, for ever.
func (c *compiler) loops(s *jsonschema.Schema) bool {
	if s == nil {
		return false
	}
	if c.inPlace[s] {
		return true
	}
	c.inPlace[s] = true
	defer delete(c.inPlace, s)
	return slices.ContainsFunc(c.inPlaceSchemas(s), c.loops)
}

// close makes every object in a detail one of known members.
//
// RAR-5-2: JSON Schema takes unknown members unless it is told otherwise, a detail does not unless it is told that. The
// published schema says so as well.
func (c *compiler) close(root *jsonschema.Schema) error {
	type place struct {
		s      *jsonschema.Schema
		wanted bool // what s describes has to be there: s is not what a value is merely tried against
	}
	done := make(map[place]bool)
	var closed []*jsonschema.Schema
	var visit func(s *jsonschema.Schema, wanted, whole bool)
	visit = func(s *jsonschema.Schema, wanted, whole bool) { // whole: s judges a value alone, not as a part of another schema
		if s == nil || done[place{s, wanted}] {
			return
		}
		done[place{s, wanted}] = true
		if wanted && whole && c.wantsClosing(s) {
			closed = append(closed, s)
			nothing := &jsonschema.Schema{Not: &jsonschema.Schema{}}
			if len(c.inPlaceSchemas(s)) == 0 {
				s.AdditionalProperties = nothing
			} else {
				s.UnevaluatedProperties = nothing
			}
		}
		for _, part := range c.inPlaceSchemas(s) {
			// What not excludes, closed, would be less, and more would be let in.
			visit(part, wanted && part != s.Not && part != s.If, false)
		}
		for _, inner := range innerSchemas(s) {
			visit(inner, wanted && inner != s.Contains, true)
		}
	}
	visit(root, true, true)
	for _, s := range closed {
		if done[place{s, false}] {
			return errors.New("the schema: an object that not, if or contains refers to has to say itself what it takes besides its properties")
		}
	}
	return nil
}

// wantsClosing reports whether s judges objects and does not say in each case what members it takes that it does not name.
func (c *compiler) wantsClosing(s *jsonschema.Schema) bool {
	return !c.saysAll(s) && c.someInPlace(s, func(p *jsonschema.Schema) bool {
		return p.Type == "object" || slices.Contains(p.Types, "object") || p.Properties != nil || p.PatternProperties != nil || p.Required != nil
	})
}

// saysAll reports whether s says something about members without a name in it, whichever of its alternatives applies. One
// that does not apply says nothing.
func (c *compiler) saysAll(s *jsonschema.Schema) bool {
	each := func(list []*jsonschema.Schema) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(p *jsonschema.Schema) bool { return !c.saysAll(p) })
	}
	to := c.referred(s.Ref)
	return s.AdditionalProperties != nil || s.UnevaluatedProperties != nil || slices.ContainsFunc(s.AllOf, c.saysAll) ||
		each(s.AnyOf) || each(s.OneOf) || to != nil && c.saysAll(to) ||
		s.If != nil && s.Then != nil && s.Else != nil && c.saysAll(s.Then) && c.saysAll(s.Else)
}

func (c *compiler) someInPlace(s *jsonschema.Schema, is func(*jsonschema.Schema) bool) bool {
	return is(s) || slices.ContainsFunc(c.inPlaceSchemas(s), func(p *jsonschema.Schema) bool { return c.someInPlace(p, is) })
}
