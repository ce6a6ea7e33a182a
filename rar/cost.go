package rar

import (
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// contains reports whether a schema leads back to itself. It does so through
// inner values only, because examine rejects other loops. done is false for the
// schemas on the way down.
func (c *compiler) contains(s *jsonschema.Schema, done map[*jsonschema.Schema]bool) bool {
	if ready, ok := done[s]; ok {
		return !ready
	}
	done[s] = false
	for _, p := range append(c.inPlace(s), inner(s)...) {
		if c.contains(p.schema, done) {
			return true
		}
	}
	done[s] = true
	return false
}

const (
	// baseCost and byteCost bound how often parts of a recursive schema are
	// applied to a detail: baseCost times, and byteCost times for each byte. A
	// schema may try each value in two ways at each level. Without a bound,
	// thirty levels would cost a billion times as much as one.
	baseCost = 4096
	byteCost = 64
)

// affordable reports whether judging v takes few enough steps. Schemas that are
// not recursive are always affordable.
func (s *compiled) affordable(v *value) bool {
	if s.recursive == nil {
		return true
	}
	left := baseCost + byteCost*len(v.Raw)
	return s.recursive.charge(s.recursive.root, v, &left)
}

// charge subtracts from left the maximum cost of judging v by s. It reports
// whether left suffices.
func (c *compiler) charge(s *jsonschema.Schema, v *value, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	all := func(v *value, list ...*jsonschema.Schema) bool {
		return !slices.ContainsFunc(list, func(s *jsonschema.Schema) bool { return s != nil && !c.charge(s, v, left) })
	}
	for _, p := range c.inPlace(s) {
		if !c.charge(p.schema, v, left) {
			return false
		}
	}
	for i := range v.Items {
		item := &v.Items[i]
		if !all(item, s.Items, s.Contains, s.UnevaluatedItems) ||
			i < len(s.PrefixItems) && !c.charge(s.PrefixItems[i], item, left) {
			return false
		}
	}
	for i := range v.Members {
		inner := &v.Members[i].Value
		if !all(inner, s.Properties[v.Members[i].Name], s.AdditionalProperties, s.UnevaluatedProperties) {
			return false
		}
		for _, one := range s.PatternProperties { // even if its pattern does not match
			if !c.charge(one, inner, left) {
				return false
			}
		}
	}
	return true
}
