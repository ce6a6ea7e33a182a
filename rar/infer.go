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

// A describer is the type of a field with its own schema.
type describer interface{ JSONSchema() string }

// inferSchema makes the schema of a struct.
func inferSchema(t reflect.Type) (*jsonschema.Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is not a struct", t)
	}
	su := survey{seen: make(map[reflect.Type]bool), known: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {},
	}}
	if err := su.visit(t, t.String()); err != nil {
		return nil, err
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: su.known})
	if err != nil {
		return nil, err
	}
	rejectNull(s)
	return s, nil
}

// A survey rejects types whose JSON differs from the inferred schema, and
// collects the schemas of describers.
type survey struct {
	known map[reflect.Type]*jsonschema.Schema
	seen  map[reflect.Type]bool
}

func (su *survey) visit(t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if su.known[t] != nil || su.seen[t] || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	su.seen[t] = true
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
		return su.ownSchema(t, path)
	case has(reflect.TypeFor[json.Marshaler]()), has(reflect.TypeFor[json.Unmarshaler]()):
		return fmt.Errorf("%s: %v with custom JSON and without a method JSONSchema() string", path, t)
	case has(reflect.TypeFor[encoding.TextMarshaler]()), has(reflect.TypeFor[encoding.TextUnmarshaler]()):
		su.known[t] = &jsonschema.Schema{Type: "string"}
		return nil
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return fmt.Errorf("%s: inexact floating point number, want a string or json.Number", path)
	case reflect.Slice, reflect.Array, reflect.Map:
		text := reflect.TypeFor[encoding.TextMarshaler]()
		// A key with its own text may have one text for two names.
		if t.Kind() == reflect.Map && (t.Key().Kind() != reflect.String || t.Key().Implements(text)) {
			return fmt.Errorf("%s: %v has keys that are not strings", path, t)
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return fmt.Errorf("%s: %v is base64 in JSON, want a string", path, t)
		}
		return su.visit(t.Elem(), path)
	case reflect.Struct:
		return su.fields(t, path)
	}
	return nil
}

func (su *survey) fields(t reflect.Type, path string) error {
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
			return fmt.Errorf("%s: duplicate member %q", where, name)
		case slices.Contains(strings.Split(options, ","), "string"):
			return fmt.Errorf("%s: unsupported option string in a json tag", where)
		case name == "type" && field.Type.Kind() != reflect.String:
			return fmt.Errorf("%s: member type is not a string", where) // RAR-2-2
		}
		names[strings.ToLower(name)] = true
		if err := su.visit(field.Type, where); err != nil {
			return err
		}
	}
	return nil
}

func checkEmbedded(field reflect.StructField, path string) error {
	if field.Anonymous && (field.Type.Kind() != reflect.Struct || field.Tag.Get("json") != "") {
		return fmt.Errorf("%s: unsupported embedding, want a struct without a json tag", path)
	}
	return nil
}

// ownSchema adds the schema of a describer.
func (su *survey) ownSchema(t reflect.Type, path string) error {
	s, err := readSchema([]byte(reflect.New(t).Interface().(describer).JSONSchema()))
	if err != nil {
		return fmt.Errorf("%s: %v: %w", path, t, err)
	}
	su.known[t] = s
	return nil
}

// rejectNull removes null from the types of slices and pointers.
func rejectNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if i := slices.Index(s.Types, "null"); i >= 0 {
		switch s.Types = slices.Delete(slices.Clone(s.Types), i, i+1); len(s.Types) {
		case 0: // a schema without a type
			s.Types = nil
		case 1:
			s.Type, s.Types = s.Types[0], nil
		}
	}
	for _, property := range s.Properties {
		rejectNull(property)
	}
	rejectNull(s.Items)
	rejectNull(s.AdditionalProperties)
}
