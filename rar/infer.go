package rar

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// describer is a field's type that brings its own schema.
type describer interface{ JSONSchema() string }

// inferSchema makes the schema of a struct.
func inferSchema(t reflect.Type) (*jsonschema.Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", t)
	}
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {},
	}
	if err := survey(t, t.String(), known, make(map[reflect.Type]bool)); err != nil {
		return nil, err
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, err
	}
	refuseNull(s)
	return s, nil
}

// survey looks for types whose JSON is not what would be inferred, and collects the schemas that types bring.
func survey(t reflect.Type, path string, known map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known[t] != nil || seen[t] || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	seen[t] = true
	has := func(methods reflect.Type) bool {
		return t.Kind() != reflect.Interface && (t.Implements(methods) || reflect.PointerTo(t).Implements(methods))
	}
	switch {
	case has(reflect.TypeFor[describer]()):
		if t.Kind() == reflect.Struct && !has(reflect.TypeFor[json.Unmarshaler]()) {
			for _, field := range reflect.VisibleFields(t) {
				if err := checkEmbedded(field, path+"."+field.Name); err != nil {
					return err
				}
			}
		}
		return bring(t, path, known)
	case has(reflect.TypeFor[json.Marshaler]()), has(reflect.TypeFor[json.Unmarshaler]()):
		return fmt.Errorf("%s: %v makes its own JSON: give it a method JSONSchema() string", path, t)
	case has(reflect.TypeFor[encoding.TextMarshaler]()), has(reflect.TypeFor[encoding.TextUnmarshaler]()):
		known[t] = &jsonschema.Schema{Type: "string"}
		return nil
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return fmt.Errorf("%s: a floating point number is not exact: use a string or json.Number", path)
	case reflect.Slice, reflect.Array, reflect.Map:
		text := reflect.TypeFor[encoding.TextMarshaler]()
		if t.Kind() == reflect.Map && (t.Key().Kind() != reflect.String || t.Key().Implements(text)) { // two names may be one key
			return fmt.Errorf("%s: %v is not keyed by strings", path, t)
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return fmt.Errorf("%s: %v is base64 in JSON: use a string", path, t)
		}
		return survey(t.Elem(), path, known, seen)
	case reflect.Struct:
		return surveyFields(t, path, known, seen)
	}
	return nil
}

func surveyFields(t reflect.Type, path string, known map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) error {
	names := make(map[string]bool)
	for _, field := range reflect.VisibleFields(t) {
		where := path + "." + field.Name
		if err := checkEmbedded(field, where); err != nil {
			return err
		}
		if field.Anonymous {
			continue
		}
		name := jsonName(field)
		_, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "":
			continue
		case names[strings.ToLower(name)]:
			return fmt.Errorf("%s: a second member %q", where, name)
		case slices.Contains(strings.Split(options, ","), "string"):
			return fmt.Errorf("%s: the option string in a json tag", where)
		case name == "type" && field.Type.Kind() != reflect.String:
			return fmt.Errorf("%s: the member type is a string", where) // RAR-2-2
		}
		names[strings.ToLower(name)] = true
		if err := survey(field.Type, where, known, seen); err != nil {
			return err
		}
	}
	return nil
}

func checkEmbedded(field reflect.StructField, path string) error {
	if field.Anonymous && (field.Type.Kind() != reflect.Struct || field.Tag.Get("json") != "") {
		return fmt.Errorf("%s: embedded, and not a struct without a json tag: make it a field", path)
	}
	return nil
}

// bring takes the schema that t has a method for.
func bring(t reflect.Type, path string, known map[reflect.Type]*jsonschema.Schema) error {
	s, err := readSchema([]byte(reflect.New(t).Interface().(describer).JSONSchema()))
	if err != nil {
		return fmt.Errorf("%s: %v: %w", path, t, err)
	}
	known[t] = s
	return nil
}

// refuseNull takes back that a nil slice or pointer may be written as null.
func refuseNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if i := slices.Index(s.Types, "null"); i >= 0 {
		switch s.Types = slices.Delete(slices.Clone(s.Types), i, i+1); len(s.Types) {
		case 0: // of a schema without a type
			s.Types = nil
		case 1:
			s.Type, s.Types = s.Types[0], nil
		}
	}
	for _, property := range s.Properties {
		refuseNull(property)
	}
	refuseNull(s.Items)
	refuseNull(s.AdditionalProperties)
}
