package rar

import "github.com/google/jsonschema-go/jsonschema"

// contains reports whether a schema leads back to itself. It does so through
// inner values only, because examine rejects other loops. done is false for the
// schemas on the way down.
func (c *compiler) contains(s *jsonschema.Schema, done map[*jsonschema.Schema]bool) bool {
	if ready, ok := done[s]; ok {
		return !ready
	}
	done[s] = false
	for _, child := range append(c.inPlaceSchemas(s), innerSchemas(s)...) {
		if c.contains(child, done) {
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
	all := func(list []*jsonschema.Schema, v *value) bool {
		for _, one := range list {
			if one != nil && !c.charge(one, v, left) {
				return false
			}
		}
		return true
	}
	if !all(c.inPlaceSchemas(s), v) {
		return false
	}
	for i := range v.Items {
		if !all([]*jsonschema.Schema{s.Items, s.Contains, s.UnevaluatedItems}, &v.Items[i]) {
			return false
		}
		if i < len(s.PrefixItems) && !c.charge(s.PrefixItems[i], &v.Items[i], left) {
			return false
		}
	}
	for i := range v.Members {
		name, inner := v.Members[i].Name, &v.Members[i].Value
		if !all([]*jsonschema.Schema{s.Properties[name], s.AdditionalProperties, s.UnevaluatedProperties}, inner) {
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
