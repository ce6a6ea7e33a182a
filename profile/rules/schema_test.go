package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// A schema is a part of schema.json.
type schema struct {
	Description string             `json:"description"`
	Type        string             `json:"type"`
	Ref         string             `json:"$ref"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	Enum        []string           `json:"enum"`
	Defs        map[string]*schema `json:"$defs"`
	// Additional is false, true or the schema of the values of a map.
	Additional json.RawMessage `json:"additionalProperties"`
}

func readSchema(t testing.TB) (*schema, []byte) {
	text, err := os.ReadFile("schema.json")
	require.NoError(t, err)
	var root schema
	require.NoError(t, json.Unmarshal(text, &root))
	return &root, text
}

// values returns the schema of the values of a map.
func (s *schema) values(t testing.TB) *schema {
	var values schema
	require.NoError(t, json.Unmarshal(s.Additional, &values))
	return &values
}

// TestSchemaHasTheMembersOfTheType compares each member of the type with the
// schema, in both directions.
func TestSchemaHasTheMembersOfTheType(t *testing.T) {
	root, _ := readSchema(t)
	var compare func(path string, of reflect.Type, s *schema)
	compare = func(path string, of reflect.Type, s *schema) {
		if name, found := strings.CutPrefix(s.Ref, "#/$defs/"); found {
			s = root.Defs[name]
			require.NotNil(t, s, path)
		}
		switch {
		case of.Kind() == reflect.Pointer:
			compare(path, of.Elem(), s)
		case of == reflect.TypeFor[rules.Span]():
			require.Contains(t, []*schema{root.Defs["span"], root.Defs["duration"]}, s, path)
		case of == reflect.TypeFor[json.RawMessage]():
		case of.Kind() == reflect.Struct:
			require.Equal(t, "object", s.Type, path)
			require.Equal(t, "false", string(s.Additional), path)
			var names []string
			for i := range of.NumField() {
				name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				names = append(names, name)
				require.Contains(t, s.Properties, name, path)
				require.NotEmpty(t, s.Properties[name].Description, path+"."+name)
				compare(path+"."+name, of.Field(i).Type, s.Properties[name])
			}
			require.ElementsMatch(t, names, slices.Collect(maps.Keys(s.Properties)), path)
		case of.Kind() == reflect.Map:
			require.Equal(t, "object", s.Type, path)
			if string(s.Additional) != "true" {
				compare(path+".*", of.Elem(), s.values(t))
			}
		case of.Kind() == reflect.Slice:
			require.Equal(t, "array", s.Type, path)
			compare(path+"[]", of.Elem(), s.Items)
		default:
			want := map[reflect.Kind]string{
				reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
			}[of.Kind()]
			require.Equal(t, want, s.Type, path)
		}
	}
	compare("", reflect.TypeFor[rules.Set](), root)
}

// asType returns the schema as a type of details, whose parser applies it.
func asType(t testing.TB) func(document string) error {
	_, text := readSchema(t)
	const name = `"properties": {`
	text = []byte(strings.Replace(string(text), name, name+`"type": {"type": "string"},`, 1))
	typ, err := rar.TypeFromSchema("rules", text, rar.TypeConfig[rar.Detail]{})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{typ}})
	require.NoError(t, err)
	return func(document string) error {
		_, err := registry.Parse([]byte(`[{"type": "rules",`+strings.TrimPrefix(strings.TrimSpace(document), "{")+`]`), []string{"rules"})
		return err
	}
}

func TestSchemaAcceptsDocuments(t *testing.T) {
	check := asType(t)
	require.NoError(t, check(whole))
	for _, name := range ecosystems.Names() {
		document, err := ecosystems.Document(name)
		require.NoError(t, err)
		require.NoError(t, check(string(document)), name)
	}
	for _, document := range []string{
		`{"unknown": true, "name": "x"}`, `{"title": "no name"}`, `{"name": "X"}`, `{"name": "x", "Title": "x"}`,
		`{"name": "x", "algorithms": {"signing": ["RS256"]}}`, `{"name": "x", "algorithms": {"rsa_bits": 1024}}`,
		`{"name": "x", "lifetimes": {"code": "soon"}}`, `{"name": "x", "lifetimes": {"request_object": ["1m", "2m"]}}`,
		`{"name": "x", "lifetimes": {"code": ["1s"]}}`, `{"name": "x", "request": {"parameters": {"a": {"color": "red"}}}}`,
		`{"name": "x", "claims": {"top": {"a": {"min": "1"}}}}`, `{"name": "x", "bindings": []}`,
		`{"name": "x", "bindings": ["mTLS", "mTLS"]}`,
	} {
		require.Error(t, check(document), document)
	}
}

// TestSchemaHasTheValuesOfTheType tries each value of any enumeration at each
// place: the schema permits it if and only if Validate does.
func TestSchemaHasTheValuesOfTheType(t *testing.T) {
	root, _ := readSchema(t)
	type place struct {
		document string // with %s for the value
		enum     []string
	}
	var places []place
	var pool []string
	var walk func(document string, s *schema)
	walk = func(document string, s *schema) {
		if name, found := strings.CutPrefix(s.Ref, "#/$defs/"); found {
			s = root.Defs[name]
		}
		if s.Items != nil {
			document, s = fmt.Sprintf(document, "[%s]"), s.Items
		}
		if len(s.Enum) > 0 {
			places = append(places, place{document, s.Enum})
			pool = append(pool, s.Enum...)
		}
		for name, member := range s.Properties {
			walk(fmt.Sprintf(document, fmt.Sprintf(`{%q:%%s}`, name)), member)
		}
	}
	for name, member := range root.Properties {
		walk(fmt.Sprintf(`{"name":"x","sources":{%q:"§1"},%q:%%s}`, name, name), member)
	}
	require.Greater(t, len(places), 15)
	for _, p := range places {
		for _, value := range pool {
			_, err := rules.Parse([]byte(fmt.Sprintf(p.document, fmt.Sprintf("%q", value))))
			require.Equal(t, slices.Contains(p.enum, value), err == nil, "%s with %s: %v", p.document, value, err)
		}
	}
}
