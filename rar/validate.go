package rar

import (
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/gofapi/fapi2/internal/strictjson"
)

const unlimited = math.MaxInt

var kinds = map[string]strictjson.Kind{
	"null": nullKind, "boolean": booleanKind, "integer": integerKind, "number": numberKind | integerKind,
	"string": stringKind, "array": arrayKind, "object": objectKind,
}

// A node judges values as a JSON Schema does. It reports the place and the kind
// of a fault, and compares numbers exactly. It implements the common keywords,
// and leaves the others to the library.
type node struct {
	title   string
	library *jsonschema.Resolved // judges the other keywords; nil if there are none

	kinds    strictjson.Kind // a set; 0 permits any
	constant *value
	enum     []value
	hasEnum  bool

	bounds     []numberBound
	multipleOf *big.Rat

	minLength, maxLength int // in code points
	pattern              interface{ MatchString(s string) bool }

	items              *node
	minItems, maxItems int
	unique             bool

	properties             map[string]*node
	required               []string
	closed                 bool            // only properties are permitted
	known                  map[string]bool // if not nil, only these names are permitted
	additional             *node
	minMembers, maxMembers int

	allOf, anyOf, oneOf []*node
	not, ref            *node
}

// A numberBound requires that comparing a number with limit results in a value
// from low to high.
type numberBound struct {
	limit     strictjson.Decimal
	low, high int
}

// check judges v.
func (n *node) check(v *value) *fault {
	if n.kinds != 0 && !n.accepts(v) { // RAR-5-3, RAR-2.2-1
		return failure(ErrFieldType, "")
	}
	same := func(e value) bool { return e.Equal(v) }
	if n.constant != nil && !n.constant.Equal(v) || n.hasEnum && !slices.ContainsFunc(n.enum, same) {
		return failure(ErrFieldValue, "value is not in the list") // RAR-5-4
	}
	var f *fault
	switch v.Kind {
	case numberKind:
		f = n.checkNumber(v)
	case stringKind:
		f = n.checkString(v)
	case arrayKind:
		f = n.checkArray(v)
	case objectKind:
		f = n.checkObject(v)
	}
	if f != nil {
		return f
	}
	return n.checkLogic(v)
}

func (n *node) accepts(v *value) bool {
	if v.Kind != numberKind || n.kinds&numberKind != 0 {
		return n.kinds&v.Kind != 0
	}
	d, ok := strictjson.ParseDecimal(v.Raw)
	return ok && n.kinds&integerKind != 0 && d.Integral()
}

func (n *node) checkNumber(v *value) *fault {
	if n.bounds == nil && n.multipleOf == nil {
		return nil
	}
	d, _ := strictjson.ParseDecimal(v.Raw)
	for _, b := range n.bounds {
		if c := d.Compare(b.limit); c < b.low || c > b.high {
			return failure(ErrFieldValue, "number out of range")
		}
	}
	if n.multipleOf != nil && !d.Rat().Quo(d.Rat(), n.multipleOf).IsInt() {
		return failure(ErrFieldValue, "number is not a multiple")
	}
	return nil
}

func (n *node) checkString(v *value) *fault {
	if n.minLength > 0 || n.maxLength < unlimited {
		switch length := utf8.RuneCountInString(v.Text); {
		case length < n.minLength:
			return failure(ErrFieldValue, "%d characters, fewer than %d", length, n.minLength)
		case length > n.maxLength:
			return failure(ErrFieldValue, "%d characters, more than %d", length, n.maxLength)
		}
	}
	if n.pattern != nil && !n.pattern.MatchString(v.Text) {
		return failure(ErrFieldValue, "value does not match the pattern")
	}
	return nil
}

func (n *node) checkArray(v *value) *fault {
	switch count := len(v.Items); {
	case count < n.minItems:
		return failure(ErrFieldValue, "%d elements, fewer than %d", count, n.minItems)
	case count > n.maxItems:
		return failure(ErrFieldValue, "%d elements, more than %d", count, n.maxItems)
	}
	var seen map[string]bool
	if n.unique {
		seen = make(map[string]bool, len(v.Items))
	}
	for i := range v.Items {
		if n.items != nil {
			if f := n.items.check(&v.Items[i]); f != nil {
				return f.item(i)
			}
		}
		if n.unique {
			key := string(canonical(nil, &v.Items[i]))
			if seen[key] {
				return failure(ErrFieldValue, "duplicate element").item(i)
			}
			seen[key] = true
		}
	}
	return nil
}

func (n *node) checkObject(v *value) *fault {
	for i := range v.Members {
		name, inner := v.Members[i].Name, &v.Members[i].Value
		child, ok := n.properties[name]
		switch {
		case !ok && (n.closed || n.known != nil && !n.known[name]): // RAR-5-2
			return failure(ErrUnknownField, "").member(name)
		case !ok:
			child = n.additional
		}
		if child != nil {
			if f := child.check(inner); f != nil {
				return f.member(name)
			}
		}
	}
	for _, name := range n.required {
		if v.Get(name) == nil { // RAR-5-5
			return failure(ErrMissingField, "").member(name)
		}
	}
	switch count := len(v.Members); {
	case count < n.minMembers:
		return failure(ErrFieldValue, "%d members, fewer than %d", count, n.minMembers)
	case count > n.maxMembers:
		return failure(ErrFieldValue, "%d members, more than %d", count, n.maxMembers)
	}
	return nil
}

func (n *node) checkLogic(v *value) *fault {
	if n.ref != nil {
		if f := n.ref.check(v); f != nil {
			return f
		}
	}
	for _, part := range n.allOf {
		if f := part.check(v); f != nil {
			return f
		}
	}
	fits := func(part *node) bool { return part.check(v) == nil }
	if n.anyOf != nil && !slices.ContainsFunc(n.anyOf, fits) {
		return failure(ErrFieldValue, "no alternative matches")
	}
	if n.oneOf != nil {
		count := 0
		for _, part := range n.oneOf {
			if fits(part) {
				count++
			}
		}
		if count != 1 {
			return failure(ErrFieldValue, "%d alternatives match, want one", count)
		}
	}
	if n.not != nil && fits(n.not) {
		return failure(ErrFieldValue, "excluded value")
	}
	if n.library != nil && n.library.Validate(plain(v)) != nil { // its error quotes values
		return failure(ErrFieldValue, "value does not match the schema")
	}
	return nil
}
