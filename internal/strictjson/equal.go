package strictjson

import "slices"

// Lookup returns v.Get, with an index if v has many members. Comparing two
// large objects would otherwise take quadratic time.
func (v *Value) Lookup() func(name string) *Value {
	if len(v.Members) <= 32 {
		return v.Get
	}
	index := make(map[string]*Value, len(v.Members))
	for i := range v.Members {
		index[v.Members[i].Name] = &v.Members[i].Value
	}
	return func(name string) *Value { return index[name] }
}

// Equal compares as JSON Schema does: members in any order, array elements in
// order, numbers by value. RAR-12-2: strings are compared by code point,
// whatever their escapes, without normalisation.
func (a *Value) Equal(b *Value) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case KindNumber:
		x, exact := ParseDecimal(a.Raw)
		y, both := ParseDecimal(b.Raw)
		return exact && both && x == y || a.Raw == b.Raw
	case KindString:
		return a.Text == b.Text
	case KindArray:
		return slices.EqualFunc(a.Items, b.Items, func(x, y Value) bool { return x.Equal(&y) })
	case KindObject:
		if len(a.Members) != len(b.Members) {
			return false
		}
		get := b.Lookup()
		for i := range a.Members {
			other := get(a.Members[i].Name)
			if other == nil || !a.Members[i].Value.Equal(other) {
				return false
			}
		}
		return true
	}
	return a.Raw == b.Raw
}
