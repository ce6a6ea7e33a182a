package rar

import (
	"encoding/json"
	"reflect"
)

// withEmpty restores the empty lists and maps of a Go value that omitempty has
// removed from its JSON. An empty list may permit nothing where an absent list
// permits everything. The functions that compare details distinguish the two.
func withEmpty(of reflect.Value, v *value) {
	if writesItself(of.Type()) {
		return
	}
	switch of.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !of.IsNil() {
			withEmpty(of.Elem(), v)
		}
	case reflect.Slice, reflect.Array:
		for i := range min(of.Len(), len(v.Items)) {
			withEmpty(of.Index(i), &v.Items[i])
		}
	case reflect.Map:
		for i := range v.Members {
			m := &v.Members[i]
			if key := reflect.ValueOf(m.Name).Convert(of.Type().Key()); of.MapIndex(key).IsValid() {
				withEmpty(of.MapIndex(key), &m.Value)
			}
		}
	case reflect.Struct:
		if v.Kind == objectKind {
			withEmptyMembers(of, v)
		}
	}
}

func withEmptyMembers(of reflect.Value, v *value) {
	for _, field := range reflect.VisibleFields(of.Type()) {
		name := jsonName(field)
		if name == "" {
			continue
		}
		inner, there := of.FieldByIndex(field.Index), v.Get(name)
		switch kind := inner.Kind(); {
		case there != nil:
			withEmpty(inner, there)
		case writesItself(inner.Type()):
		case kind == reflect.Slice && !inner.IsNil() && inner.Len() == 0:
			v.Members = append(v.Members, member{Name: name, Value: value{Kind: arrayKind, Raw: "[]"}})
		case kind == reflect.Map && !inner.IsNil() && inner.Len() == 0:
			v.Members = append(v.Members, member{Name: name, Value: value{Kind: objectKind, Raw: "{}"}})
		}
	}
}

// writesItself reports whether the JSON of a type may differ from its fields.
func writesItself(t reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}
