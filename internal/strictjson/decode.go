package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Decode checks data and stores it in v, a pointer as for json.Unmarshal. Members are matched to the fields of structs
// by exact name only; unknown members are ignored. A null leaves a field as it is.
func Decode(data []byte, v any) error {
	if err := Valid(data); err != nil {
		return err
	}
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("%w: cannot decode into %T", ErrInvalid, v)
	}
	return decode(data, target.Elem(), "the document")
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func decode(raw []byte, v reflect.Value, name string) error {
	null := string(raw) == "null"
	switch {
	case reflect.PointerTo(v.Type()).Implements(unmarshaler):
	case v.Kind() == reflect.Pointer && !null:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(raw, v.Elem(), name)
	case v.Kind() == reflect.Struct && !null:
		o, err := ParseObject(raw)
		if err != nil {
			return fmt.Errorf("%w: %s is not an object", ErrInvalid, name)
		}
		return decodeFields(o, v)
	case nests(v.Type()) && !null:
		return decodeEach(raw, v, name)
	}
	// The library's own text may quote the value, which may be a secret.
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return fmt.Errorf("%w: %s has the wrong type, want %s", ErrInvalid, name, v.Type())
	}
	return nil
}

// nests reports whether values of type t hold others that may be structs, in which encoding/json would match names of any
// case.
func nests(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		switch t.Elem().Kind() {
		case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			return true
		}
	}
	return false
}

func decodeEach(raw []byte, v reflect.Value, name string) error {
	if v.Kind() == reflect.Map {
		o, err := ParseObject(raw)
		if err != nil || v.Type().Key().Kind() != reflect.String {
			return fmt.Errorf("%w: %s is not an object", ErrInvalid, name)
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(o.members)))
		for _, m := range o.members {
			value := reflect.New(v.Type().Elem()).Elem()
			if err := decode([]byte(m.value), value, name+"["+quote(m.name)+"]"); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(m.name).Convert(v.Type().Key()), value)
		}
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || v.Kind() == reflect.Array && len(items) != v.Len() {
		return fmt.Errorf("%w: %s is not an array of the right length", ErrInvalid, name)
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	}
	for i, item := range items {
		if err := decode(item, v.Index(i), fmt.Sprintf("%s[%d]", name, i)); err != nil {
			return err
		}
	}
	return nil
}

func decodeFields(o Object, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct && field.Tag.Get("json") == "" {
			if err := decodeFields(o, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		if raw, ok := o.Get(name); ok {
			if err := decode(raw, v.Field(i), "member "+quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}
