package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/google/jsonschema-go/jsonschema"
)

// isFalse reports whether s is the schema false, which permits nothing.
func isFalse(s *jsonschema.Schema) bool {
	text, err := json.Marshal(s)
	return err == nil && string(text) == "false"
}

// compile converts a schema into the form that judges details. It leaves rare
// keywords to the library.
func (c *compiler) compile(s *jsonschema.Schema) (*node, error) {
	if s == nil {
		return nil, nil
	}
	if n := c.nodes[s]; n != nil {
		return n, nil
	}
	n := &node{
		title: s.Title, required: s.Required, unique: s.UniqueItems,
		maxLength: unlimited, maxItems: unlimited, maxMembers: unlimited,
	}
	c.nodes[s] = n
	if err := c.compileValue(n, s); err != nil {
		return nil, err
	}
	var err error
	one := func(s *jsonschema.Schema) *node {
		child, e := c.compile(s)
		err = errors.Join(err, e)
		return child
	}
	several := func(list []*jsonschema.Schema) (nodes []*node) {
		for _, s := range list {
			nodes = append(nodes, one(s))
		}
		return nodes
	}
	n.allOf, n.anyOf, n.oneOf = several(s.AllOf), several(s.AnyOf), several(s.OneOf)
	n.not, n.ref = one(s.Not), one(c.referred(s.Ref))
	n.properties = make(map[string]*node, len(s.Properties))
	for name, property := range s.Properties {
		n.properties[name] = one(property)
	}
	if s.PrefixItems == nil {
		n.items = one(s.Items)
	}
	// Rare keywords, and those that depend on which alternative has applied.
	if c.compileClosing(n, s, one) || s.PrefixItems != nil || s.Contains != nil || s.PatternProperties != nil ||
		s.PropertyNames != nil || s.DependentSchemas != nil || s.DependentRequired != nil ||
		s.UnevaluatedItems != nil || s.If != nil {
		if err == nil {
			n.library, err = c.alone(s)
		}
	}
	return n, err
}

// alone resolves a schema by itself, with the definitions of the document.
func (c *compiler) alone(s *jsonschema.Schema) (*jsonschema.Resolved, error) {
	part := s.CloneSchemas()
	part.ID, part.Schema = "", ""
	definitions := (&jsonschema.Schema{Defs: c.root.Defs, Definitions: c.root.Definitions}).CloneSchemas()
	definitions.Schema, definitions.AllOf = draft, []*jsonschema.Schema{part}
	resolved, err := definitions.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return resolved, nil
}

// compileClosing compiles the keywords for members without a name of their own.
// It reports whether some of them are left to the library.
func (c *compiler) compileClosing(n *node, s *jsonschema.Schema, one func(*jsonschema.Schema) *node) (residual bool) {
	switch {
	case s.AdditionalProperties != nil && s.PatternProperties == nil:
		if n.closed = isFalse(s.AdditionalProperties); !n.closed {
			n.additional = one(s.AdditionalProperties)
		}
	case s.UnevaluatedProperties != nil && isFalse(s.UnevaluatedProperties):
		known := make(map[string]bool)
		exact, open := c.collect(s, known)
		if !open {
			n.known = known
		}
		return !exact || open
	}
	return s.UnevaluatedProperties != nil
}

// collect adds the names of all members that s and its parts name. exact
// reports that a name suffices: an alternative that does not apply names
// nothing. open reports that members without a name are permitted, too.
func (c *compiler) collect(s *jsonschema.Schema, known map[string]bool) (exact, open bool) {
	for name := range s.Properties {
		known[name] = true
	}
	exact = s.AnyOf == nil && s.OneOf == nil && s.Not == nil && s.If == nil && s.DependentSchemas == nil
	open = s.PatternProperties != nil || s.AdditionalProperties != nil
	for _, p := range c.inPlace(s) {
		partExact, partOpen := c.collect(p.schema, known)
		exact, open = exact && partExact, open || partOpen || p.schema.UnevaluatedProperties != nil
	}
	return exact, open
}

// compileValue compiles the keywords that judge a value by itself.
func (c *compiler) compileValue(n *node, s *jsonschema.Schema) error {
	for _, name := range append(s.Types, s.Type) {
		n.kinds |= kinds[name]
	}
	if s.Pattern != "" { // Go's regular expressions take linear time
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return fmt.Errorf("schema: pattern: %w", err)
		}
		n.pattern = pattern
		if s.Pattern == locationPattern {
			n.pattern = locationForm{}
		}
	}
	if s.Const != nil {
		constant, err := valueOf(*s.Const)
		if err != nil {
			return err
		}
		n.constant = &constant
	}
	for _, one := range s.Enum {
		v, err := valueOf(one)
		if err != nil {
			return err
		}
		n.enum = append(n.enum, v)
	}
	n.hasEnum = s.Enum != nil
	for _, bound := range []struct{ from, to *int }{
		{s.MinLength, &n.minLength}, {s.MaxLength, &n.maxLength}, {s.MinItems, &n.minItems}, {s.MaxItems, &n.maxItems},
		{s.MinProperties, &n.minMembers}, {s.MaxProperties, &n.maxMembers},
	} {
		if bound.from != nil {
			*bound.to = *bound.from
		}
	}
	for _, bound := range []struct {
		from      *float64
		low, high int
	}{{s.Minimum, 0, 1}, {s.ExclusiveMinimum, 1, 1}, {s.Maximum, -1, 0}, {s.ExclusiveMaximum, -1, -1}} {
		if bound.from != nil {
			n.bounds = append(n.bounds, numberBound{strictjson.FloatDecimal(*bound.from), bound.low, bound.high})
		}
	}
	if s.MultipleOf != nil {
		n.multipleOf = strictjson.FloatDecimal(*s.MultipleOf).Rat()
	}
	return nil
}

func valueOf(v any) (value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return value{}, fmt.Errorf("schema: %w", err)
	}
	read, f := read(string(text), 0)
	if f != nil {
		return value{}, fmt.Errorf("schema: %w", f.reason)
	}
	return read, nil
}
