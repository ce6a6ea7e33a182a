package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Decode checks data and stores it in v, which is a pointer as for
// json.Unmarshal. It matches members to the fields of structs by exact name,
// and ignores unknown members. A null leaves a field unchanged.
func Decode(data []byte, v any) error {
	document, _, err := Parse(string(data), 0)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("%w: cannot decode into %T", ErrInvalid, v)
	}
	return decode(&document, target.Elem(), "the document")
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func decode(from *Value, v reflect.Value, name string) error {
	isNull := from.Kind == KindNull
	switch {
	case reflect.PointerTo(v.Type()).Implements(unmarshaler):
	case v.Kind() == reflect.Pointer && !isNull:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(from, v.Elem(), name)
	case v.Kind() == reflect.Struct && !isNull:
		if from.Kind != KindObject {
			return fmt.Errorf("%w: %s is not an object", ErrInvalid, name)
		}
		return decodeFields(from, v)
	case v.Kind() == reflect.Map && nests(v.Type()) && !isNull:
		return decodeMap(from, v, name)
	case nests(v.Type()) && !isNull:
		return decodeItems(from, v, name)
	}
	// The error of encoding/json may quote the value, which may be a secret.
	if json.Unmarshal([]byte(from.Raw), v.Addr().Interface()) != nil {
		return fmt.Errorf("%w: %s has the wrong type, want %s", ErrInvalid, name, v.Type())
	}
	return nil
}

// nests reports whether the elements of t may contain structs. encoding/json
// would ignore the case of their names.
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

func decodeMap(from *Value, v reflect.Value, name string) error {
	if from.Kind != KindObject || v.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("%w: %s is not an object", ErrInvalid, name)
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(from.Members)))
	for i := range from.Members {
		m := &from.Members[i]
		value := reflect.New(v.Type().Elem()).Elem()
		if err := decode(&m.Value, value, name+"["+quote(m.Name)+"]"); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(m.Name).Convert(v.Type().Key()), value)
	}
	return nil
}

func decodeItems(from *Value, v reflect.Value, name string) error {
	if from.Kind != KindArray || v.Kind() == reflect.Array && len(from.Items) != v.Len() {
		return fmt.Errorf("%w: %s is not an array of the right length", ErrInvalid, name)
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(from.Items), len(from.Items)))
	}
	for i := range from.Items {
		if err := decode(&from.Items[i], v.Index(i), fmt.Sprintf("%s[%d]", name, i)); err != nil {
			return err
		}
	}
	return nil
}

func decodeFields(from *Value, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct && field.Tag.Get("json") == "" {
			if err := decodeFields(from, v.Field(i)); err != nil {
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
		if member := from.Get(name); member != nil {
			if err := decode(member, v.Field(i), "member "+quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}
