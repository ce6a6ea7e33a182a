package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/gofapi/fapi2/internal/strictjson"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// readSchema parses a schema document.
func readSchema(document []byte) (*jsonschema.Schema, error) {
	if _, f := read(string(document), 0); f != nil { // a bound that is rounded is another bound
		return nil, fmt.Errorf("schema%s: %w", f.path, f.reason)
	}
	s := new(jsonschema.Schema)
	if err := json.Unmarshal(document, s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return s, nil
}

// A compiled schema judges details.
type compiled struct {
	document  json.RawMessage // as it is published
	root      *node
	recursive *compiler // nil if no part of the schema contains itself
	title     string
}

// compileSchema compiles a schema for details of a type: objects with the
// member type and with no members that the schema does not define. It changes
// s.
func compileSchema(name string, s *jsonschema.Schema) (*compiled, error) {
	if s.Schema != "" && s.Schema != draft {
		return nil, fmt.Errorf("unsupported $schema %q, want %q", s.Schema, draft)
	}
	s.Schema = draft
	if s.Type == "" && s.Types == nil {
		s.Type = "object"
	}
	if s.Type != "object" {
		return nil, errors.New("schema is not for an object")
	}
	if err := declareType(name, s); err != nil {
		return nil, err
	}
	declareLocations(s)
	c := compiler{root: s, nodes: make(map[*jsonschema.Schema]*node), looping: make(map[*jsonschema.Schema]bool)}
	if err := c.examine(s, "", 0); err != nil {
		return nil, err
	}
	if err := c.close(s); err != nil {
		return nil, err
	}
	// RAR-5-2: there is no loader, and examine has rejected references that
	// need one. No schema is ever fetched.
	if _, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true}); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	root, err := c.compile(s)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	made := &compiled{document: document, root: root, title: s.Title}
	if c.contains(s, make(map[*jsonschema.Schema]bool)) {
		made.recursive = &c
	}
	return made, nil
}

// declareType adds the member type to the schema of an object.
func declareType(name string, s *jsonschema.Schema) error {
	if s.Properties == nil {
		s.Properties = make(map[string]*jsonschema.Schema)
	}
	described := s.Properties["type"]
	constant := any(name)
	declared := &jsonschema.Schema{Type: "string", Const: &constant}
	if described != nil {
		if described.Const != nil && *described.Const != constant ||
			described.Enum != nil && !slices.Contains(described.Enum, constant) {
			return fmt.Errorf("schema for another type than %q", name)
		}
		declared.Title, declared.Description = described.Title, described.Description
	}
	for property := range s.Properties {
		if property != "type" && strings.EqualFold(property, "type") {
			return fmt.Errorf("member %q differs from type only by case", property)
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
	looping map[*jsonschema.Schema]bool // on the way down in loops
}

// A part is a schema in another schema: the value of a keyword, or with a key
// an element or a member of that value.
type part struct {
	keyword, key string
	schema       *jsonschema.Schema
}

type parts []part

func (p parts) one(keyword string, s *jsonschema.Schema) parts {
	if s == nil {
		return p
	}
	return append(p, part{keyword, "", s})
}

func (p parts) list(keyword string, list []*jsonschema.Schema) parts {
	for i, s := range list {
		p = append(p, part{keyword, "/" + strconv.Itoa(i), s})
	}
	return p
}

func (p parts) named(keyword string, named map[string]*jsonschema.Schema) parts {
	for _, name := range slices.Sorted(maps.Keys(named)) {
		p = append(p, part{keyword, "/" + name, named[name]})
	}
	return p
}

// inPlace returns the schemas that judge the same value as s.
func (c *compiler) inPlace(s *jsonschema.Schema) parts {
	return parts(nil).list("allOf", s.AllOf).list("anyOf", s.AnyOf).list("oneOf", s.OneOf).one("not", s.Not).
		one("if", s.If).one("then", s.Then).one("else", s.Else).one("$ref", c.referred(s.Ref)).
		named("dependentSchemas", s.DependentSchemas)
}

// inner returns the schemas that judge values inside the value that s judges.
func inner(s *jsonschema.Schema) parts {
	return parts(nil).named("properties", s.Properties).named("patternProperties", s.PatternProperties).
		list("prefixItems", s.PrefixItems).one("items", s.Items).one("contains", s.Contains).
		one("additionalProperties", s.AdditionalProperties).one("unevaluatedItems", s.UnevaluatedItems).
		one("unevaluatedProperties", s.UnevaluatedProperties)
}

// other returns the schemas that judge names of members, or nothing by
// themselves.
func other(s *jsonschema.Schema) parts {
	return parts(nil).named("$defs", s.Defs).named("definitions", s.Definitions).one("propertyNames", s.PropertyNames)
}

// referred returns the schema to which a reference leads, or nil. References
// lead only into the document.
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

// examine rejects keywords that would be ignored, or that two readers could
// understand differently.
func (c *compiler) examine(s *jsonschema.Schema, path string, depth int) error {
	fail := func(format string, args ...any) error {
		if path == "" {
			path = "/"
		}
		return fmt.Errorf("schema at %s: %s", path, fmt.Sprintf(format, args...))
	}
	if s == nil {
		return fail("null is not a schema")
	}
	for keyword := range s.Extra { // probably a typing error, which would permit more
		if !strings.HasPrefix(keyword, "x-") {
			return fail("unknown keyword %q", keyword)
		}
	}
	switch {
	case s.Ref != "" && c.referred(s.Ref) == nil:
		return fail("unsupported $ref %q, want #/$defs/NAME of this schema", s.Ref)
	case s.DynamicRef != "" || s.DynamicAnchor != "" || s.Anchor != "" || s.Vocabulary != nil:
		return fail("unsupported anchor or vocabulary")
	case s.ID != "" && s != c.root:
		return fail("unsupported $id in a subschema")
	case s.ItemsArray != nil || s.AdditionalItems != nil || s.DependencySchemas != nil || s.DependencyStrings != nil:
		return fail("keyword of draft 7: use prefixItems, items, dependentRequired and dependentSchemas")
	case s.MultipleOf != nil && *s.MultipleOf <= 0:
		return fail("multipleOf is not positive")
	case c.loops(s):
		return fail("$ref leads back to itself")
	}
	for _, name := range append(s.Types, s.Type) {
		if _, ok := kinds[name]; !ok && name != "" {
			return fail("unknown type %q", name)
		}
	}
	if depth > strictjson.MaxDepth {
		return fail("nested too deep")
	}
	for _, p := range slices.Concat(c.inPlace(s), inner(s), other(s)) {
		if p.keyword == "$ref" { // examined in its own place
			continue
		}
		if err := c.examine(p.schema, path+"/"+p.keyword+p.key, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// loops reports whether s judges a value by judging the same value by s again,
// without end.
func (c *compiler) loops(s *jsonschema.Schema) bool {
	if s == nil {
		return false
	}
	if c.looping[s] {
		return true
	}
	c.looping[s] = true
	defer delete(c.looping, s)
	return slices.ContainsFunc(c.inPlace(s), func(p part) bool { return c.loops(p.schema) })
}

// close restricts every object in a detail to its defined members.
//
// RAR-5-2: JSON Schema permits unknown members by default, and a detail does
// not. The published schema states the restriction.
func (c *compiler) close(root *jsonschema.Schema) error {
	type place struct {
		s      *jsonschema.Schema
		wanted bool // a valid value must match s; false for a schema under not, if or contains
	}
	done := make(map[place]bool)
	var closed []*jsonschema.Schema
	var visit func(s *jsonschema.Schema, wanted, whole bool)
	// If whole is true, s judges a value alone and not as a part of a schema.
	visit = func(s *jsonschema.Schema, wanted, whole bool) {
		if s == nil || done[place{s, wanted}] {
			return
		}
		done[place{s, wanted}] = true
		if wanted && whole && c.wantsClosing(s) {
			closed = append(closed, s)
			nothing := &jsonschema.Schema{Not: &jsonschema.Schema{}}
			if len(c.inPlace(s)) == 0 {
				s.AdditionalProperties = nothing
			} else {
				s.UnevaluatedProperties = nothing
			}
		}
		for _, p := range c.inPlace(s) {
			// A closed schema under not would exclude less and permit more.
			visit(p.schema, wanted && p.keyword != "not" && p.keyword != "if", false)
		}
		for _, p := range inner(s) {
			visit(p.schema, wanted && p.keyword != "contains", true)
		}
	}
	visit(root, true, true)
	for _, s := range closed {
		if done[place{s, false}] {
			return errors.New("schema: an object to which not, if or contains refers must define additionalProperties")
		}
	}
	return nil
}

// wantsClosing reports whether s judges objects and leaves members without a
// name undefined in some case.
func (c *compiler) wantsClosing(s *jsonschema.Schema) bool {
	return !c.saysAll(s) && c.someInPlace(s, func(p *jsonschema.Schema) bool {
		return p.Type == "object" || slices.Contains(p.Types, "object") ||
			p.Properties != nil || p.PatternProperties != nil || p.Required != nil
	})
}

// saysAll reports whether s defines members without a name, whichever of its
// alternatives applies.
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
	return is(s) || slices.ContainsFunc(c.inPlace(s), func(p part) bool { return c.someInPlace(p.schema, is) })
}
