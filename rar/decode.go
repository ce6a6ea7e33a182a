package rar

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// A decoder stores a value that fits a schema in a Go variable of one type. It
// is made once for each type, and matches members by exact name. For rare types
// it uses encoding/json, which reads the text again and ignores the case of
// names.
type decoder func(v *value, to reflect.Value) *fault

func doesNotFit(t reflect.Type) *fault {
	return failure(ErrFieldValue, "value does not fit into %v", t)
}

// decoders are the decoders that are made or in progress. A type may contain
// itself.
type decoders struct {
	made map[reflect.Type]*decoder
	// text reports that a decoder reads the JSON text itself. One value can
	// have several texts.
	text bool
}

func (d *decoders) of(t reflect.Type) decoder {
	if made := d.made[t]; made != nil {
		return func(v *value, to reflect.Value) *fault { return (*made)(v, to) }
	}
	made := new(decoder)
	d.made[t] = made
	*made = d.make(t)
	return *made
}

func (d *decoders) make(t reflect.Type) decoder {
	byJSON := func(v *value, to reflect.Value) *fault {
		if json.Unmarshal([]byte(v.Raw), to.Addr().Interface()) != nil { // its error quotes the value
			return doesNotFit(t)
		}
		return nil
	}
	switch pointer := reflect.PointerTo(t); {
	case t == reflect.TypeFor[json.Number]():
	case pointer.Implements(reflect.TypeFor[json.Unmarshaler]()),
		pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		d.text = true
		return byJSON
	}
	switch t.Kind() {
	case reflect.String:
		return decodeString
	case reflect.Bool:
		return decodeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return decodeInteger
	case reflect.Pointer:
		return decodePointer(t, d.of(t.Elem()))
	case reflect.Slice, reflect.Array:
		return decodeList(t, d.of(t.Elem()))
	case reflect.Map:
		return decodeMap(t, d.of(t.Elem()))
	case reflect.Struct:
		return d.structOf(t, "")
	}
	d.text = true
	return byJSON
}

func decodeString(v *value, to reflect.Value) *fault {
	switch {
	case v.Kind == stringKind:
		to.SetString(v.Text)
	case v.Kind == numberKind && to.Type() == reflect.TypeFor[json.Number]():
		to.SetString(v.Raw)
	default:
		return doesNotFit(to.Type())
	}
	return nil
}

func decodeBool(v *value, to reflect.Value) *fault {
	if v.Kind != booleanKind {
		return doesNotFit(to.Type())
	}
	to.SetBool(v.Raw == "true")
	return nil
}

func decodeInteger(v *value, to reflect.Value) *fault {
	if to.CanInt() {
		if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil && !to.OverflowInt(n) {
			to.SetInt(n)
			return nil
		}
	} else if n, err := strconv.ParseUint(v.Raw, 10, 64); err == nil && !to.OverflowUint(n) {
		to.SetUint(n)
		return nil
	}
	return doesNotFit(to.Type())
}

func decodePointer(t reflect.Type, decode decoder) decoder {
	return func(v *value, to reflect.Value) *fault {
		to.Set(reflect.New(t.Elem()))
		return decode(v, to.Elem())
	}
}

func decodeList(t reflect.Type, decode decoder) decoder {
	return func(v *value, to reflect.Value) *fault {
		if v.Kind != arrayKind || t.Kind() == reflect.Array && len(v.Items) != t.Len() {
			return doesNotFit(t)
		}
		if t.Kind() == reflect.Slice {
			to.Set(reflect.MakeSlice(t, len(v.Items), len(v.Items)))
		}
		for i := range v.Items {
			if f := decode(&v.Items[i], to.Index(i)); f != nil {
				return f.item(i)
			}
		}
		return nil
	}
}

func decodeMap(t reflect.Type, decode decoder) decoder {
	return func(v *value, to reflect.Value) *fault {
		if v.Kind != objectKind {
			return doesNotFit(t)
		}
		to.Set(reflect.MakeMapWithSize(t, len(v.Members)))
		for i := range v.Members {
			element := reflect.New(t.Elem()).Elem()
			if f := decode(&v.Members[i].Value, element); f != nil {
				return f.member(v.Members[i].Name)
			}
			to.SetMapIndex(reflect.ValueOf(v.Members[i].Name).Convert(t.Key()), element)
		}
		return nil
	}
}

// structOf ignores the member with the name ignored. It rejects a member that
// the schema permits and for which T has no field. The functions that compare
// details would never see that member.
func (d *decoders) structOf(t reflect.Type, ignored string) decoder {
	type field struct {
		index  []int
		decode decoder
	}
	fields := make(map[string]field)
	for _, f := range reflect.VisibleFields(t) {
		if name := jsonName(f); name != "" {
			fields[name] = field{f.Index, d.of(f.Type)}
		}
	}
	return func(v *value, to reflect.Value) *fault {
		if v.Kind != objectKind {
			return doesNotFit(t)
		}
		for i := range v.Members {
			name := v.Members[i].Name
			f, ok := fields[name]
			switch {
			case ok:
				if wrong := f.decode(&v.Members[i].Value, to.FieldByIndex(f.index)); wrong != nil {
					return wrong.member(name)
				}
			case name != ignored:
				return failure(ErrUnknownField, "").member(name)
			}
		}
		return nil
	}
}

// jsonName returns the name that encoding/json gives to a field. It is empty if
// encoding/json ignores the field.
func jsonName(f reflect.StructField) string {
	tag := f.Tag.Get("json")
	if f.Anonymous || !f.IsExported() || tag == "-" {
		return ""
	}
	if name, _, _ := strings.Cut(tag, ","); name != "" {
		return name
	}
	return f.Name
}
