package strictjson

import (
	"fmt"
	"slices"
)

// A Kind is the kind of a [Value]. Kinds are bits, so several of them make a
// set.
type Kind byte

// The kinds of JSON values.
const (
	KindNull Kind = 1 << iota
	KindBoolean
	KindNumber
	KindString
	KindArray
	KindObject
)

// A Value is a checked JSON value.
type Value struct {
	Kind    Kind
	Raw     string   // the text of the value in the document
	Text    string   // the value of a string
	Items   []Value  // the elements of an array
	Members []Member // the members of an object, in the order of the document
}

// A Member is one member of an object.
type Member struct {
	Name  string
	Value Value
}

// ErrTooMany means that an array has more elements than [Parse] permits. It
// matches [ErrInvalid].
var ErrTooMany = fmt.Errorf("%w: too many elements", ErrInvalid)

// Parse checks that text is exactly one JSON value, and returns it. If maxItems
// is not 0 and text is an array with more elements, the error is [ErrTooMany].
//
// After an error, place leads from the text to the faulty value. Its elements
// are the names of members (string) and the indexes of elements (int).
func Parse(text string, maxItems int) (v Value, place []any, err error) {
	s := scanner{text: text, maxItems: maxItems}
	s.space()
	if err = s.value(0, &v); err == nil {
		err = s.end()
	}
	if err != nil {
		slices.Reverse(s.place)
		return Value{}, s.place, err
	}
	return v, nil, nil
}

// Get returns the member with that name, or nil.
func (v *Value) Get(name string) *Value {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return &v.Members[i].Value
		}
	}
	return nil
}

// Strings returns the elements of an array of strings. It reports false for any
// other value.
func (v *Value) Strings() ([]string, bool) {
	if v.Kind != KindArray {
		return nil, false
	}
	list := make([]string, len(v.Items))
	for i := range v.Items {
		if v.Items[i].Kind != KindString {
			return nil, false
		}
		list[i] = v.Items[i].Text
	}
	return list, true
}

// room is the expected number of members. An outer object usually has more than
// the objects in it.
func (s *scanner) room() int {
	if s.objects == 0 {
		return 12
	}
	return 4
}

// addMember appends a member and returns its value to be filled in. If v is
// nil, it returns nil.
func (v *Value) addMember(name string) *Value {
	if v == nil {
		return nil
	}
	v.Members = append(v.Members, Member{Name: name})
	return &v.Members[len(v.Members)-1].Value
}

// addItem is addMember for an element of an array.
func (v *Value) addItem() *Value {
	if v == nil {
		return nil
	}
	if v.Items == nil {
		v.Items = make([]Value, 0, 4)
	}
	v.Items = append(v.Items, Value{})
	return &v.Items[len(v.Items)-1]
}
