package configfile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/configfile"
)

type person struct {
	Name string `json:"name"`
	Age  int    `json:"age"`
}

type file struct {
	issuer  string
	openid  *bool
	seconds int
	parts   []string
	servers map[string][]string
	people  []person
	clients []json.RawMessage
}

func (f *file) members() []configfile.Member {
	return []configfile.Member{
		{Name: "issuer", Into: &f.issuer, Default: "required", Meaning: "The issuer."}, {Name: "openid", Into: &f.openid},
		{Name: "seconds", Into: &f.seconds}, {Name: "parts", Into: &f.parts}, {Name: "servers", Into: &f.servers},
		{Name: "people", Into: &f.people}, {Name: "clients", Into: &f.clients},
	}
}

func TestAGoodFileIsRead(t *testing.T) {
	var f file
	p := configfile.Read([]byte(`{"issuer":"x","openid":false,"seconds":5,"parts":["a"],"servers":{"s":["r"]},
		"people":[{"name":"n","age":2}],"clients":[{"b":1,"a":[2]}]}`), f.members())
	require.NoError(t, p.Err())
	no := false
	require.Equal(t, file{"x", &no, 5, []string{"a"}, map[string][]string{"s": {"r"}}, []person{{"n", 2}}, []json.RawMessage{[]byte(`{"b":1,"a":[2]}`)}}, f)
}

func TestEveryProblemHasItsLineAndTheTypeThatIsExpected(t *testing.T) {
	for _, tc := range []struct{ name, text, says string }{
		{"CASES E1: a string for true or false", "{\n\n\"openid\": \"yes\"}", "line 3: openid is a string, want true or false"},
		{"CASES E1: a fraction", `{"seconds": 5.5}`, "line 1: seconds is a number, want a whole number"},
		{"CASES E1: null", `{"issuer": null}`, "line 1: issuer is null, want a string"},
		{"CASES E1: a string for a list", `{"parts": "a"}`, "line 1: parts is a string, want a list of strings"},
		{"CASES E1: an element of a list", "{\"parts\": [\"a\",\n7]}", "line 2: parts[1] is a number, want a string"},
		{"CASES E1: a member of an element", "{\"people\": [{\"name\":\"n\"},\n{\"name\":\n4}]}", "line 3: people[1].name is a number, want a string"},
		{"CASES E1: an unknown member of an element", `{"people": [{"admin":true}]}`, "line 1: people[0].admin is unknown"},
		{"CASES E1: a member of an element twice", `{"people": [{"age":1,"age":2}]}`, "line 1: people[0].age is there twice"},
		{"CASES E1: a name twice in a map", `{"servers": {"a":[],"a":[]}}`, "line 1: servers.a is there twice"},
		{"CASES E1: a member twice", "{\"issuer\":\"a\",\n\"issuer\":\"b\"}", "line 2: issuer is there twice"},
		{"CASES E1: a name in other case", `{"Issuer":"a"}`, `line 1: "Issuer" is unknown`},
		{"CASES E1: a missing comma", "{\"issuer\":\"a\"\n\"openid\":true}", "line 2: the configuration is not JSON: "},
		{"CASES E1: no end", `{"issuer":`, "line 1: the configuration is not JSON: "},
		{"CASES E1: two objects", "{}\n{}", "line 2: the configuration is not JSON: "},
		{"CASES E1: nothing", "", "line 1: the configuration is not JSON: "},
		{"CASES E1: a list", "[]", "line 1: the configuration is a list, want an object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := configfile.Read([]byte(tc.text), new(file).members()).Err()
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "\n", "this and no other")
		})
	}
}

func TestAWrongTypeHidesNothing(t *testing.T) {
	f := new(file)
	p := configfile.Read([]byte("{\"openid\":1,\n\"parts\":[1,2],\n\"issuer\":\"x\",\n\"more\":1}"), f.members())
	p.Require(false, "issuer", "not an https URL")
	p.Require(false, "openid", "known to be wrong")
	p.Require(false, "seconds", "missing")
	require.True(t, p.Wrong("openid"))
	require.Equal(t, "x", f.issuer)
	require.Equal(t, "seconds: missing\nline 1: openid is a number, want true or false\nline 2: parts[0] is a number, want a string\n"+
		"line 2: parts[1] is a number, want a string\nline 3: issuer: not an https URL\nline 4: more is unknown", p.Err().Error(), "CASES E1")
}

func TestDescribe(t *testing.T) {
	var said strings.Builder
	configfile.Describe(&said, new(file).members())
	require.Contains(t, said.String(), "\n  issuer\n        a string; required.\n        The issuer.\n", "CASES E2")
	require.Contains(t, said.String(), "a list of objects with name, age", "CASES E2")
}
