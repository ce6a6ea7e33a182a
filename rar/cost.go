package rar

import "github.com/google/jsonschema-go/jsonschema"

// contains reports whether a schema leads back to itself: by way of values inside of the one that it judges, or the schema
// would have been refused. done has false for those on the way down.
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
	// baseCost and byteCost bound how often a part of a recursive schema is applied to a part of a detail: so often, and so
	// often again for each byte. Without a bound a schema that tries a value in two ways at each level makes thirty levels
	// cost a billion times what one does.
	baseCost = 4096
	byteCost = 64
)

// affordable reports whether v can be judged by a schema that is recursive.
func (s *compiled) affordable(v *value) bool {
	if s.recursive == nil {
		return true
	}
	left := baseCost + byteCost*len(v.Raw)
	return s.recursive.spend(s.recursive.root, v, &left)
}

// spend takes from left what judging v by s may cost at most.
func (c *compiler) spend(s *jsonschema.Schema, v *value, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	all := func(list []*jsonschema.Schema, v *value) bool {
		for _, one := range list {
			if one != nil && !c.spend(one, v, left) {
				return false
			}
		}
		return true
	}
	if !all(c.inPlaceSchemas(s), v) {
		return false
	}
	for i := range v.Items {
		if !all([]*jsonschema.Schema{s.Items, s.Contains, s.UnevaluatedItems}, &v.Items[i]) || i < len(s.PrefixItems) && !c.spend(s.PrefixItems[i], &v.Items[i], left) {
			return false
		}
	}
	for i := range v.Members {
		name, inner := v.Members[i].Name, &v.Members[i].Value
		if !all([]*jsonschema.Schema{s.Properties[name], s.AdditionalProperties, s.UnevaluatedProperties}, inner) {
			return false
		}
		for _, one := range s.PatternProperties { // whether its pattern fits or not
			if !c.spend(one, inner, left) {
				return false
			}
		}
	}
	return true
}
