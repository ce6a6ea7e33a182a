package rar

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/jsonschema-go/jsonschema"
)

// isFalse recognises the schema false, which accepts nothing.
func isFalse(s *jsonschema.Schema) bool {
	text, err := json.Marshal(s)
	return err == nil && string(text) == "false"
}

// compile turns a schema into the form that details are judged by. What only the library can judge is left to it.
func (c *compiler) compile(s *jsonschema.Schema) (*node, error) {
	if s == nil {
		return nil, nil
	}
	if n := c.nodes[s]; n != nil {
		return n, nil
	}
	n := &node{title: s.Title, maxLength: unlimited, maxItems: unlimited, maxMembers: unlimited, required: s.Required, unique: s.UniqueItems}
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
	residual := c.compileClosing(n, s, one)
	// What depends on which of several schemas has applied, and what is rare.
	if residual || s.PrefixItems != nil || s.Contains != nil || s.PatternProperties != nil || s.PropertyNames != nil || s.DependentSchemas != nil ||
		s.DependentRequired != nil || s.UnevaluatedItems != nil || s.If != nil {
		if err == nil {
			n.library, err = c.alone(s)
		}
	}
	return n, err
}

// alone makes a schema one that the library can judge by without the document around it.
func (c *compiler) alone(s *jsonschema.Schema) (*jsonschema.Resolved, error) {
	part := s.CloneSchemas()
	part.ID, part.Schema = "", ""
	definitions := (&jsonschema.Schema{Defs: c.root.Defs, Definitions: c.root.Definitions}).CloneSchemas()
	definitions.Schema, definitions.AllOf = draft, []*jsonschema.Schema{part}
	resolved, err := definitions.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	return resolved, nil
}

// compileClosing compiles what is said about members without a name of their own. It reports whether something is left to
// say.
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

// collect adds the names of all members that s and its parts name. It reports whether being named is all that it takes, as
// an alternative that does not apply names nothing, and whether members without a name are let in as well.
func (c *compiler) collect(s *jsonschema.Schema, known map[string]bool) (exact, open bool) {
	for name := range s.Properties {
		known[name] = true
	}
	exact = s.AnyOf == nil && s.OneOf == nil && s.Not == nil && s.If == nil && s.DependentSchemas == nil
	open = s.PatternProperties != nil || s.AdditionalProperties != nil
	for _, part := range c.inPlaceSchemas(s) {
		partExact, partOpen := c.collect(part, known)
		exact, open = exact && partExact, open || partOpen || part.UnevaluatedProperties != nil
	}
	return exact, open
}

// compileValue compiles the keywords that judge a value by itself.
func (c *compiler) compileValue(n *node, s *jsonschema.Schema) error {
	for _, name := range append(s.Types, s.Type) {
		n.kinds |= kinds[name]
	}
	if s.Pattern != "" { // Go's regular expressions need linear time, whatever the pattern and the text
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return fmt.Errorf("the schema: pattern: %w", err)
		}
		n.pattern = pattern
		if s.Pattern == locationPattern {
			n.pattern = locationForm{}
		}
	}
	accepted := s.Enum
	if s.Const != nil {
		constant, err := valueOf(*s.Const)
		if err != nil {
			return err
		}
		n.constant = &constant
	}
	for _, one := range accepted {
		v, err := valueOf(one)
		if err != nil {
			return err
		}
		n.enum = append(n.enum, v)
	}
	n.hasEnum = s.Enum != nil
	for _, bound := range []struct {
		from *int
		to   *int
	}{
		{s.MinLength, &n.minLength}, {s.MaxLength, &n.maxLength}, {s.MinItems, &n.minItems}, {s.MaxItems, &n.maxItems},
		{s.MinProperties, &n.minMembers}, {s.MaxProperties, &n.maxMembers},
	} {
		if bound.from != nil {
			*bound.to = *bound.from
		}
	}
	for _, bound := range []struct {
		from *float64
		low  int
		high int
	}{{s.Minimum, 0, 1}, {s.ExclusiveMinimum, 1, 1}, {s.Maximum, -1, 0}, {s.ExclusiveMaximum, -1, -1}} {
		if bound.from != nil {
			n.bounds = append(n.bounds, numberBound{floatDecimal(*bound.from), bound.low, bound.high})
		}
	}
	if s.MultipleOf != nil {
		n.multipleOf = floatDecimal(*s.MultipleOf).rat()
	}
	return nil
}

func valueOf(v any) (value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return value{}, fmt.Errorf("the schema: %w", err)
	}
	read, f := read(string(text), 0)
	if f != nil {
		return value{}, fmt.Errorf("the schema: %w", f.reason)
	}
	return read, nil
}
