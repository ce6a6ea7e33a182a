package rar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/rar"
)

func TestTypeFromSchemaRejects(t *testing.T) {
	for _, tc := range []struct{ name, schema string }{
		{"nothing", ``}, {"malformed JSON", `{`}, {"two values", `{}{}`}, {"an array", `[]`}, {"a number", `1`},
		{"false", `false`}, {"a schema of a string", `{"type":"string"}`}, {"a schema of objects and null", `{"type":["object","null"]}`},
		{"a keyword twice", `{"type":"object","type":"object"}`}, {"keywords that differ by case", `{"properties":{},"Properties":{}}`},
		{"a misspelled keyword", `{"requierd":["a"]}`}, {"a misspelled keyword inside", `{"properties":{"a":{"maxlength":3}}}`},
		{"an unknown JSON type", `{"properties":{"a":{"type":"text"}}}`}, {"an unknown JSON type in a list", `{"properties":{"a":{"type":["string","date"]}}}`},
		{"a type that is a number", `{"properties":{"a":{"type":1}}}`}, {"required is a string", `{"required":"a"}`}, {"minimum is a string", `{"properties":{"a":{"minimum":"1"}}}`},
		{"multipleOf zero", `{"properties":{"a":{"multipleOf":0}}}`}, {"multipleOf below zero", `{"properties":{"a":{"multipleOf":-1}}}`},
		{"a bound that would be rounded", `{"properties":{"a":{"maximum":9007199254740993}}}`},
		{"a value that would be rounded", `{"properties":{"a":{"enum":[9007199254740993]}}}`},
		{"a broken pattern", `{"properties":{"a":{"pattern":"("}}}`}, {"a pattern with a back-reference", `{"properties":{"a":{"pattern":"(a)\\1"}}}`},
		{"a broken pattern of names", `{"patternProperties":{"(":{}}}`},
		{"null for a schema", `{"properties":{"a":null}}`}, {"null in a list of schemas", `{"allOf":[null]}`},
		{"attack: a reference to another document", `{"properties":{"a":{"$ref":"https://evil.example/schema.json"}}}`},
		{"attack: a reference to a file", `{"properties":{"a":{"$ref":"file:///etc/passwd"}}}`},
		{"a reference to a neighbour", `{"$id":"https://a.example/","properties":{"a":{"$ref":"b.json"}}}`},
		{"a reference to the schema of schemas", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`},
		{"a reference to nothing", `{"properties":{"a":{"$ref":"#/$defs/a"}}}`}, {"a reference into the middle", `{"properties":{"a":{},"b":{"$ref":"#/properties/a"}}}`},
		{"a reference to the whole", `{"properties":{"a":{"$ref":"#"}}}`}, {"a reference to itself", `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}`}, {"references in a circle", `{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`},
		{"a reference to itself under if", `{"$ref":"#/$defs/a","$defs":{"a":{"if":{"$ref":"#/$defs/a"}}}}`}, {"a dynamic reference", `{"$dynamicRef":"#a"}`}, {"an anchor", `{"properties":{"a":{"$anchor":"a"}}}`},
		{"an id inside", `{"properties":{"a":{"$id":"https://a.example/"}}}`}, {"a vocabulary", `{"$vocabulary":{"https://a.example/":true}}`},
		{"draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#"}`}, {"a schema of another kind", `{"$schema":"https://a.example/"}`},
		{"a list of items as in draft 7", `{"properties":{"a":{"items":[{}]}}}`}, {"dependencies as in draft 7", `{"dependencies":{"a":["b"]}}`},
		{"another type's", `{"properties":{"type":{"const":"d"}}}`}, {"other types'", `{"properties":{"type":{"enum":["d","e"]}}}`},
		{"a default that does not fit", `{"properties":{"a":{"type":"string","default":1}}}`},
		{"a member that differs from type by case", `{"properties":{"Type":{}}}`},
		{"an object under not that does not define other members", `{"properties":{"a":{"$ref":"#/$defs/a"}},"not":{"properties":{"b":{"$ref":"#/$defs/a"}}},"$defs":{"a":{"properties":{"c":{"properties":{"d":{}}}}}}}`},
		{"nested too deep", strings.Repeat(`{"properties":{"a":`, 20) + `{}` + strings.Repeat(`}}`, 20)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			typ, err := rar.TypeFromSchema("c", []byte(tc.schema), rar.TypeConfig[rar.Detail]{})
			require.Nil(t, typ)
			require.ErrorContains(t, err, `rar: type "c": `)
		})
	}
	for _, name := range []string{"", "a b", "ä", "a\n", `a"`, `a\`, strings.Repeat("x", 257)} {
		_, err := rar.TypeFromSchema(name, []byte(`{}`), rar.TypeConfig[rar.Detail]{})
		require.Error(t, err, "RAR-2.1-1 %q", name)
		_, err = rar.TypeOf(name, rar.TypeConfig[limit]{})
		require.Error(t, err, "RAR-2.1-1 %q", name)
	}
	for _, cfg := range []rar.TypeConfig[limit]{
		{Languages: []string{"en"}}, {Languages: []string{""}, Describe: func(limit, string) rar.Description { return rar.Description{} }},
	} {
		_, err := rar.TypeOf("limit", cfg)
		require.Error(t, err)
	}
}

// Members that a schema does not name are rejected, unless the schema defines
// them.
func TestClosing(t *testing.T) {
	for _, tc := range []struct {
		name, schema, members string
		class                 string // "" is accepted
		path                  string
	}{
		{"RAR-5-2 an empty schema", `{}`, `"a":1`, "unknown field", "[0].a"},
		{"RAR-5-2 properties", `{"properties":{"a":{}}}`, `"a":1,"b":1`, "unknown field", "[0].b"},
		{"RAR-5-2 an object inside", `{"properties":{"a":{"type":"object"}}}`, `"a":{"b":1}`, "unknown field", "[0].a.b"},
		{"RAR-5-2 an object that is known by its properties", `{"properties":{"a":{"properties":{"b":{}}}}}`, `"a":{"c":1}`, "unknown field", "[0].a.c"},
		{"RAR-5-2 an object in a list", `{"properties":{"a":{"items":{"properties":{"b":{}}}}}}`, `"a":[{"b":1},{"c":1}]`, "unknown field", "[0].a[1].c"},
		{"RAR-5-2 behind a reference", `{"properties":{"a":{"$ref":"#/$defs/a~1~0"}},"$defs":{"a/~":{"properties":{"b":{}}}}}`, `"a":{"b":1,"c":1}`, "unknown field", "[0].a.c"},
		{"a member behind a reference", `{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"properties":{"b":{}}}}}`, `"a":{"b":1}`, "", ""},
		{"members of two schemas", `{"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, `"a":1,"b":1`, "", ""},
		{"RAR-5-2 members of none of two schemas", `{"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, `"c":1`, "unknown field", "[0].c"},
		{"a member of one alternative", `{"oneOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}`, `"b":1`, "", ""},
		{"RAR-5-2 a member of an alternative that does not apply", `{"oneOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}`, `"b":1,"a":1`, "value", "[0]"},
		{"RAR-5-2 a member of no alternative", `{"oneOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}`, `"b":1,"c":1`, "unknown field", "[0].c"},
		{"a schema that says what it takes", `{"additionalProperties":{"type":"string"}}`, `"a":"x"`, "", ""},
		{"a schema that says what it takes, and something else", `{"additionalProperties":{"type":"string"}}`, `"a":1`, "type", "[0].a"},
		{"a schema that takes all", `{"additionalProperties":true}`, `"a":{"b":{}}`, "", ""},
		{"a schema that takes nothing", `{"additionalProperties":false}`, `"a":1`, "unknown field", "[0].a"},
		{"names of a pattern", `{"patternProperties":{"^x-":{}}}`, `"x-a":1`, "", ""},
		{"names of a pattern with another value", `{"patternProperties":{"^x-":{"type":"string"}}}`, `"x-a":1`, "value", "[0]"},
		{"RAR-5-4 an inner value that the library rejects", `{"properties":{"a":{"items":{"properties":{"b":{"contains":{"const":1}}}}}}}`, `"a":[{"b":[1]},{"b":[2]}]`, "value", "[0].a[1].b"},
		{"RAR-5-2 a member that one alternative lets in", `{"oneOf":[{"properties":{"a":{}},"required":["a"]},{"additionalProperties":{"type":"string"},"required":["b"]}]}`, `"b":"x","c":"y"`, "", ""},
		{"RAR-5-2 names of no pattern", `{"properties":{"a":{}},"patternProperties":{"^x-":{}}}`, `"a":1,"b":1`, "value", "[0]"},
		{"RAR-5-2 an alternative that is open does not open the other", `{"oneOf":[{"properties":{"a":{}},"required":["a"],"additionalProperties":true},{"properties":{"b":{}},"required":["b"]}]}`, `"b":1,"c":1`, "value", "[0]"},
		{"alternatives that are all open", `{"anyOf":[{"required":["a"],"additionalProperties":true},{"required":["b"],"additionalProperties":true}]}`, `"b":1,"c":1`, "", ""},
		{"RAR-5-2 what is excluded opens nothing", `{"properties":{"a":{}},"not":{"required":["b"],"additionalProperties":true}}`, `"a":1,"c":1`, "value", "[0]"},
		{"RAR-5-2 a condition opens nothing", `{"properties":{"a":{}},"if":{"required":["b"],"additionalProperties":true}}`, `"a":1,"c":1`, "value", "[0]"},
		{"RAR-5-2 one consequence opens nothing", `{"properties":{"a":{}},"if":{"required":["a"]},"then":{"additionalProperties":true}}`, `"c":1`, "value", "[0]"},
		{"RAR-5-4 what is excluded stays so when there is more in it", `{"properties":{"a":{"properties":{"b":{},"c":{}}}},"not":{"properties":{"a":{"properties":{"b":{"const":"USD"}}}}}}`, `"a":{"b":"USD","c":1}`, "value", "[0]"},
		{"what is not excluded", `{"properties":{"a":{"properties":{"b":{},"c":{}}}},"not":{"properties":{"a":{"properties":{"b":{"const":"USD"}}}}}}`, `"a":{"b":"EUR","c":1}`, "", ""},
		{"RAR-5-4 a condition holds when there is more in it", `{"properties":{"a":{"properties":{"b":{},"c":{}}}},"if":{"properties":{"a":{"properties":{"b":{"const":1}}}}},"then":{"required":["d"]}}`, `"a":{"b":1,"c":1}`, "value", "[0]"},
		{"names of a pattern alone", `{"patternProperties":{"^x-":{}},"additionalProperties":false}`, `"y":1`, "value", "[0]"},
		{"a member of which nothing is said", `{"properties":{"a":{}}}`, `"a":{"b":[{"c":1}]}`, "", ""},
		{"a tree", `{"properties":{"a":{"$ref":"#/$defs/tree"}},"$defs":{"tree":{"type":"object","properties":{"l":{"$ref":"#/$defs/tree"},"n":{"type":"integer"}}}}}`, `"a":{"l":{"l":{"n":1}}}`, "", ""},
		{"RAR-5-3 deep in a tree", `{"properties":{"a":{"$ref":"#/$defs/tree"}},"$defs":{"tree":{"type":"object","properties":{"l":{"$ref":"#/$defs/tree"},"n":{"type":"integer"}}}}}`, `"a":{"l":{"l":{"n":"1"}}}`, "type", "[0].a.l.l.n"},
		{"RAR-5-2 deep in a tree", `{"properties":{"a":{"$ref":"#/$defs/tree"}},"$defs":{"tree":{"type":"object","properties":{"l":{"$ref":"#/$defs/tree"},"n":{"type":"integer"}}}}}`, `"a":{"l":{"l":{"m":1}}}`, "unknown field", "[0].a.l.l.m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := registry(t, fromSchema(t, "c", tc.schema))
			details, err := r.Parse([]byte(`[{"type":"c",`+tc.members+`}]`), r.Types())
			if tc.class == "" {
				require.NoError(t, err)
				require.Len(t, details, 1)
				return
			}
			require.Equal(t, tc.path, requireClass(t, err, tc.class).Path)
		})
	}
}

// attack: a recursive schema that tries each value in two ways doubles the work
// with each level.
func TestRecursiveSchemas(t *testing.T) {
	both := `{"type":"object","properties":{"c":{"anyOf":[{"$ref":"#/$defs/n"},{"$ref":"#/$defs/n"}]},"x":{"type":"boolean"}}}`
	twice := registry(t, fromSchema(t, "c", `{"properties":{"n":{"$ref":"#/$defs/n"}},"$defs":{"n":`+both+`}}`))
	once := registry(t, fromSchema(t, "c", `{"properties":{"n":{"$ref":"#/$defs/n"}},"$defs":{"n":{"oneOf":[
		{"properties":{"not":{"$ref":"#/$defs/n"}},"required":["not"]},{"properties":{"all":{"type":"array","items":{"$ref":"#/$defs/n"}}},"required":["all"]},
		{"properties":{"is":{"type":"string"}},"required":["is"]}]}}}`))
	deep := func(open, last, end string, levels int) string {
		return `[{"type":"c","n":` + strings.Repeat(open, levels) + last + strings.Repeat(end, levels) + `}]`
	}
	wide := strings.TrimSuffix(strings.Repeat(`{"is":"x"},`, 1000), ",")
	for _, tc := range []struct {
		name string
		r    *rar.Registry
		json string
		want string
	}{
		{"a few levels", twice, deep(`{"c":`, `{"x":true}`, `}`, 5), ""},
		{"a few levels with a fault below", twice, deep(`{"c":`, `{"x":1}`, `}`, 5), "value"},
		{"as many levels as there may be", twice, deep(`{"c":`, `{"x":1}`, `}`, 28), "too large"},
		{"as many levels, where each level has one way", once, deep(`{"not":`, `{"is":"x"}`, `}`, 28), ""},
		{"lists in lists", once, deep(`{"all":[`, `{"is":"x"}`, `]}`, 13), ""},
		{"a list that is as long as it may be", once, deep(`{"all":[`, wide, `]}`, 1), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			_, err := tc.r.Parse([]byte(tc.json), tc.r.Types())
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				requireClass(t, err, tc.want)
			}
			require.Less(t, time.Since(start), 2*time.Second)
		})
	}
}

func TestKeywords(t *testing.T) {
	for _, tc := range []struct {
		name, schema, value string
		class               string
	}{
		{"integer", `{"type":"integer"}`, `1.0`, ""}, {"integer with exponent", `{"type":"integer"}`, `12e-1`, "type"}, {"a big integer", `{"type":"integer"}`, `1e300`, ""},
		{"minus zero", `{"const":0}`, `-0.0`, ""}, {"const", `{"const":{"a":[1,null]}}`, `{"a":[1.0,null]}`, ""}, {"const null", `{"const":null}`, `null`, ""}, {"const null and something else", `{"const":null}`, `0`, "value"},
		{"minimum", `{"minimum":0.1}`, `0.1`, ""}, {"below minimum", `{"minimum":0.1}`, `0.0999`, "value"}, {"at an exclusive minimum", `{"exclusiveMinimum":-1}`, `-1.00`, "value"}, {"above it", `{"exclusiveMinimum":-1}`, `-0.5`, ""},
		{"maximum", `{"maximum":-5}`, `-5`, ""}, {"above maximum", `{"maximum":-5}`, `-4`, "value"}, {"at an exclusive maximum", `{"exclusiveMaximum":1e2}`, `100`, "value"}, {"far below", `{"exclusiveMaximum":1e2}`, `-1e200`, ""},
		{"multipleOf is exact", `{"multipleOf":0.01}`, `12.34`, ""}, {"not a multiple", `{"multipleOf":0.01}`, `12.345`, "value"}, {"zero is a multiple", `{"multipleOf":7}`, `0`, ""}, {"bounds are for numbers", `{"minimum":5}`, `"1"`, ""},
		{"length in characters", `{"maxLength":2}`, `"äö"`, ""}, {"too long", `{"maxLength":2}`, `"aäö"`, "value"}, {"too short", `{"minLength":1}`, `""`, "value"},
		{"a pattern is not anchored", `{"pattern":"b"}`, `"abc"`, ""}, {"pattern", `{"pattern":"^b$"}`, `"abc"`, "value"}, {"a pattern that is slow elsewhere", `{"pattern":"^(a+)+$"}`, `"` + strings.Repeat("a", 5000) + `b"`, "value"},
		{"enum", `{"enum":["a",1]}`, `1.0`, ""}, {"none of enum", `{"enum":["a",1]}`, `"A"`, "value"}, {"an empty enum", `{"enum":[]}`, `1`, "value"},
		{"items", `{"items":{"type":"string"}}`, `["a",1]`, "type"}, {"minItems", `{"minItems":1}`, `[]`, "value"}, {"maxItems", `{"maxItems":1}`, `[1,2]`, "value"},
		{"uniqueItems", `{"uniqueItems":true}`, `[1,1.0]`, "value"}, {"unique objects", `{"uniqueItems":true}`, `[{"a":1,"b":2},{"b":2,"a":1}]`, "value"}, {"different ones", `{"uniqueItems":true}`, `["1",1,[1],{"a":1},{"a":"1"},null,false]`, ""},
		{"minProperties", `{"type":"object","additionalProperties":true,"minProperties":1}`, `{}`, "value"}, {"maxProperties", `{"type":"object","additionalProperties":true,"maxProperties":1}`, `{"a":1,"b":1}`, "value"},
		{"required", `{"properties":{"a":{}},"required":["a"]}`, `{}`, "missing"}, {"anyOf", `{"anyOf":[{"type":"string"},{"minimum":3}]}`, `2`, "value"}, {"oneOf", `{"oneOf":[{"minimum":1},{"minimum":2}]}`, `3`, "value"},
		{"not", `{"not":{"type":"string"}}`, `"a"`, "value"}, {"not, and it is not", `{"not":{"type":"string"}}`, `1`, ""}, {"allOf", `{"allOf":[{"minimum":1},{"maximum":2}]}`, `3`, "value"}, {"the schema false", `false`, `1`, "value"},
		{"if and then", `{"if":{"minimum":5},"then":{"multipleOf":5}}`, `7`, "value"}, {"if and else", `{"if":{"minimum":5},"else":{"multipleOf":2}}`, `4`, ""}, {"contains", `{"contains":{"const":"a"}}`, `["b"]`, "value"},
		{"prefixItems", `{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}`, `["a",1]`, ""}, {"dependentRequired", `{"type":"object","additionalProperties":true,"dependentRequired":{"a":["b"]}}`, `{"a":1}`, "value"},
		{"propertyNames", `{"type":"object","additionalProperties":true,"propertyNames":{"maxLength":1}}`, `{"ab":1}`, "value"}, {"null is no string", `{"type":"string"}`, `null`, "type"}, {"several types", `{"type":["string","null"]}`, `null`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := registry(t, fromSchema(t, "c", `{"properties":{"a":`+tc.schema+`}}`))
			_, err := r.Parse([]byte(`[{"type":"c","a":`+tc.value+`}]`), r.Types())
			if tc.class == "" {
				require.NoError(t, err)
				return
			}
			at := requireClass(t, err, tc.class)
			require.True(t, strings.HasPrefix(at.Path, "[0]"), at.Path)
		})
	}
}

// oracles are schemas that both this package and the library judge.
var oracles = []string{
	commonSchema,
	`{"properties":{"a":{"type":["string","integer"],"minLength":2,"maxLength":3,"pattern":"b","minimum":-1,"exclusiveMaximum":10},
		"b":{"type":"array","items":{"type":"object","properties":{"c":{"enum":["x",1,null,[1,{"y":false}]]}},"required":["c"]},"minItems":1,"maxItems":2,"uniqueItems":true}},"required":["b"]}`,
	`{"allOf":[{"properties":{"a":{"$ref":"#/$defs/n"}}},{"properties":{"b":{"items":{"$ref":"#/$defs/n"}}}}],"$defs":{"n":{"anyOf":[{"type":"number","multipleOf":2},{"type":"object","properties":{"c":{}},"maxProperties":1}]}}}`,
	`{"properties":{"a":{"oneOf":[{"contains":{"const":1}},{"contains":{"const":2}},{"prefixItems":[{"const":3}],"minItems":1}],"type":"array"},
		"b":{"not":{"if":{"type":"string"},"then":{"minLength":2},"else":{"$ref":"#/$defs/n"}}}},"$defs":{"n":{"dependentRequired":{"x":["y"]},"type":"object"}}}`,
	`{"properties":{"a":{"oneOf":[{"const":"x"},{"type":"string","minLength":1},{"not":{"type":"string"}}]},"b":{"additionalProperties":{"type":"boolean"},"minProperties":1,"type":"object"}}}`,
}

// This package and the library agree.
func FuzzSchema(f *testing.F) {
	for _, seed := range []string{
		`{"type":"c"}`, `{"type":"c","actions":["a"],"b":1}`, `{"type":"c","a":"ab","b":[{"c":1},{"c":[1,{"y":false}]}]}`, `{"type":"c","a":5,"b":[{"c":null},{"c":null}]}`,
		`{"type":"c","a":4,"b":[4,{"c":1},{"d":1}]}`, `{"type":"c","a":"x","b":{"k":true}}`, `{"type":"c","a":["x"],"b":{}}`, `{"type":"d"}`, `{"type":"c","a":[1,2],"b":"x"}`, `{"type":"c","a":[3,2],"b":{"x":1}}`, `{"type":"c","a":[1],"b":{"x":1,"y":2}}`, `{"a":1e0}`, `[]`, `{"type":"c","a":-1.0}`,
	} {
		f.Add(seed)
	}
	type oracle struct {
		r        *rar.Registry
		resolved *jsonschema.Resolved
	}
	var all []oracle
	for _, schema := range oracles {
		typ := fromSchema(f, "c", schema)
		s := new(jsonschema.Schema)
		require.NoError(f, json.Unmarshal(typ.Schema(), s))
		resolved, err := s.Resolve(nil)
		require.NoError(f, err)
		all = append(all, oracle{registry(f, typ), resolved})
	}
	f.Fuzz(func(t *testing.T, text string) {
		var instance any
		if len(text) > 2000 || strictjson.Valid([]byte(text)) != nil || json.Unmarshal([]byte(text), &instance) != nil {
			return
		}
		for i, o := range all {
			_, err := o.r.Parse([]byte("["+text+"]"), o.r.Types())
			if err != nil && strings.Contains(err.Error(), "lose precision") {
				continue
			}
			require.Equal(t, o.resolved.Validate(instance) == nil, err == nil, "%d %s: %v", i, text, err)
		}
	})
}
