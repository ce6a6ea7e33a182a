package rar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
)

func TestTypeOf(t *testing.T) {
	typ, err := rar.TypeOf("all", rar.TypeConfig[everything]{Title: "Everything"})
	require.NoError(t, err)
	r := registry(t, typ)
	const full = `{"type":"all","string":"é","upper":"A","bool":true,"int":-5,"uint":65535,"actions":["x"],"identifier":"1","number":12.340,"raw":{"x":[1]},
		"time":"2027-01-01T00:00:00Z","pointer":{"a":-128},"list":[{"a":1,"b":"x"},{"a":2}],"array":["x","y"],"map":{"k":{"a":1}},"any":[1,"2"],"names":{"A":"1"}}`
	details := parse(t, r, "["+full+"]")
	v, err := rar.Get[everything](details[0])
	require.NoError(t, err)
	var want everything
	require.NoError(t, json.Unmarshal([]byte(full), &want))
	require.Equal(t, want, v, "as encoding/json has it")
	require.Equal(t, json.Number("12.340"), v.Number)
	again, err := r.New("all", v)
	require.NoError(t, err)
	require.True(t, again[0].Equal(details[0]))

	for _, tc := range []struct{ name, change, to, class, path string }{
		{"RAR-5-5 a required member", `"string":"é",`, ``, "missing", "[0].string"},
		{"RAR-5-2 a field that JSON leaves out", `"string"`, `"Left":"","string"`, "unknown field", "[0].Left"},
		{"RAR-5-2 a field that is not exported", `"string"`, `"hidden":"","string"`, "unknown field", "[0].hidden"},
		{"RAR-5-2 a member in another case", `"upper"`, `"Upper"`, "unknown field", "[0].Upper"},
		{"RAR-5-2 inside of a list", `"b":"x"`, `"c":"x"`, "unknown field", "[0].list[0].c"},
		{"RAR-5-2 inside of a map", `{"k":{"a":1}}`, `{"k":{"A":1}}`, "unknown field", "[0].map.k.A"},
		{"RAR-5-2 the type inside", `{"a":-128}`, `{"a":1,"type":"x"}`, "unknown field", "[0].pointer.type"},
		{"RAR-5-4 the schema of a field's type", `"upper":"A"`, `"upper":"a"`, "value", "[0].upper"},
		{"RAR-5-4 an integer out of range", `"uint":65535`, `"uint":65536`, "value", "[0].uint"},
		{"RAR-5-4 an integer below zero", `"uint":65535`, `"uint":-1`, "value", "[0].uint"},
		{"RAR-5-4 an integer that Go does not read", `"int":-5`, `"int":5e0`, "value", "[0].int"},
		{"RAR-5-4 no time", `2027-01-01T00:00:00Z`, `2027-01-01`, "value", "[0].time"},
		{"RAR-5-3 null for a pointer", `{"a":-128}`, `null`, "type", "[0].pointer"},
		{"RAR-5-3 null for a list", `["x"]`, `null`, "type", "[0].actions"},
		{"RAR-5-3 a string for a number", `12.340`, `"12.340"`, "type", "[0].number"},
		{"RAR-5-3 a number for a string", `"é"`, `1`, "type", "[0].string"},
		{"RAR-5-3 a fraction for an integer", `"int":-5`, `"int":5.5`, "type", "[0].int"},
		{"RAR-5-4 a longer array", `["x","y"]`, `["x","y","z"]`, "value", "[0].array"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Contains(t, full, tc.change)
			_, err := r.Parse([]byte("["+strings.Replace(full, tc.change, tc.to, 1)+"]"), r.Types())
			require.Equal(t, tc.path, requireClass(t, err, tc.class).Path)
		})
	}
	var published map[string]any
	require.NoError(t, json.Unmarshal(typ.Schema(), &published))
	require.Equal(t, "Everything", published["title"])
	require.Equal(t, false, published["additionalProperties"])
	require.Equal(t, map[string]any{"type": "string", "description": "a line of text"}, published["properties"].(map[string]any)["string"])
	require.Equal(t, map[string]any{"type": "string", "const": "all"}, published["properties"].(map[string]any)["type"])
	require.ElementsMatch(t, []any{"type", "string"}, published["required"])
	_ = want.hidden
}

func TestTypeOfWithOwnSchema(t *testing.T) {
	type holder struct {
		One    roomy            `json:"one,omitzero"`
		List   []roomy          `json:"list,omitempty"`
		Array  [1]roomy         `json:"array,omitzero"`
		Map    map[string]roomy `json:"map,omitempty"`
		Choice *choice          `json:"choice,omitempty"`
	}
	typ, err := rar.TypeOf("c", rar.TypeConfig[holder]{})
	require.NoError(t, err)
	require.NotContains(t, string(typ.Schema()), `"type":[]`, "a schema without a type stays one")
	r := registry(t, typ)
	for _, tc := range []struct{ name, members, class, path string }{
		{"a type in itself", `"one":{"amount":1,"children":[{"amount":2}]}`, "", ""},
		{"RAR-5-2 a field", `"one":{"amount":1,"unlimited":true}`, "unknown field", "[0].one.unlimited"},
		{"RAR-5-2 a type in itself", `"one":{"amount":1,"children":[{"unlimited":true}]}`, "unknown field", "[0].one.children[0].unlimited"},
		{"RAR-5-2 an element of a list", `"list":[{"amount":1},{"unlimited":true}]`, "unknown field", "[0].list[1].unlimited"},
		{"RAR-5-2 an element of an array", `"array":[{"amount":1,"unlimited":true}]`, "unknown field", "[0].array[0].unlimited"},
		{"RAR-5-2 an element of a map", `"map":{"k":{"amount":1,"unlimited":true}}`, "unknown field", "[0].map.k.unlimited"},
		{"RAR-5-2 a member in another case", `"map":{"k":{"Amount":1}}`, "unknown field", "[0].map.k.Amount"},
		{"a choice", `"choice":"a"`, "", ""},
		{"RAR-5-4 none of the choices", `"choice":"c"`, "value", "[0].choice"},
		{"RAR-5-4 null", `"choice":null`, "value", "[0].choice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := r.Parse([]byte(`[{"type":"c",`+tc.members+`}]`), r.Types())
			if tc.class == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, tc.path, requireClass(t, err, tc.class).Path)
		})
	}
}

// typeOf returns the error of TypeOf for T.
func typeOf[T any]() error {
	_, err := rar.TypeOf("x", rar.TypeConfig[T]{})
	return err
}

func TestTypeOfRejects(t *testing.T) {
	type (
		optionString struct {
			A int `json:"a,string"`
		}
		passesForType struct {
			Kind string `json:"Type"`
		}
		caseVariants struct {
			A string `json:"a"`
			B string `json:"A"`
		}
		numberType struct {
			Type int `json:"type"`
		}
	)
	for name, err := range map[string]error{
		"a string":                       typeOf[string](),
		"a pointer":                      typeOf[*pair](),
		"a floating point number":        typeOf[struct{ A float64 }](),
		"a floating point number inside": typeOf[struct{ A []map[string]*float32 }](),
		"bytes":                          typeOf[struct{ A []byte }](),
		"the option string":              typeOf[optionString](),
		"a map with number keys":         typeOf[struct{ A map[int]string }](),
		"MarshalJSON":                    typeOf[struct{ A marshals }](),
		"a malformed schema":             typeOf[struct{ A brokenSchema }](),
		"a function":                     typeOf[struct{ A func() }](),
		"a recursive type":               typeOf[recursive](),
		"an embedded pointer":            typeOf[struct{ *pair }](),
		"an embedded pointer in a type with its own schema": typeOf[struct{ A roomyPointer }](),
		"a map whose keys marshal to another text":          typeOf[struct{ A map[address]string }](),
		"a member that differs from type by case":           typeOf[passesForType](),
		"names that differ by case":                         typeOf[caseVariants](),
		"RAR-2-2 a type that is a number":                   typeOf[numberType](),
	} {
		require.Error(t, err, name)
	}
}

type upper string

func (upper) JSONSchema() string { return `{"type":"string","pattern":"^[A-Z]+$"}` }

type pair struct {
	A int8   `json:"a"`
	B string `json:"b,omitempty"`
}

type everything struct {
	Type   string `json:"type"`
	String string `json:"string" jsonschema:"a line of text"`
	Upper  upper  `json:"upper,omitempty"`
	Bool   bool   `json:"bool,omitempty"`
	Int    int64  `json:"int,omitempty"`
	Uint   uint16 `json:"uint,omitempty"`
	rar.Common
	Number  json.Number       `json:"number,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Time    time.Time         `json:"time,omitzero"`
	Pointer *pair             `json:"pointer,omitempty"`
	List    []pair            `json:"list,omitempty"`
	Array   [2]string         `json:"array,omitzero"`
	Map     map[string]pair   `json:"map,omitempty"`
	Any     any               `json:"any,omitempty"`
	Names   map[string]string `json:"names,omitempty"`
	Left    string            `json:"-"`
	hidden  string
}

type marshals struct{}

func (marshals) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type brokenSchema string

func (brokenSchema) JSONSchema() string { return `{"typ":"string"}` }

type recursive struct {
	Next *recursive `json:"next,omitempty"`
}

// The schema of a type may permit a member for which its Go type has no field.
// The functions that compare would not receive the member.
type roomy struct {
	Amount   int     `json:"amount"`
	Children []roomy `json:"children,omitempty"`
}

func (roomy) JSONSchema() string { return `{"type":"object","additionalProperties":true}` }

type choice string

func (choice) JSONSchema() string { return `{"enum":["a","b"]}` }

type roomyPointer struct{ *pair }

func (roomyPointer) JSONSchema() string { return `{"type":"object","additionalProperties":true}` }

type address string

func (a address) MarshalText() ([]byte, error) { return []byte(strings.ToLower(string(a))), nil }
