package strictjson_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

type key struct {
	Kid string `json:"kid"`
}

func TestDecodeRejectsCaseVariants(t *testing.T) {
	require.ErrorIs(t, strictjson.Decode([]byte(`{"Issuer":"bad","issuer":"good"}`), &metadata{}), strictjson.ErrInvalid)
}

func TestDecodeExactNames(t *testing.T) {
	var m metadata
	require.NoError(t, strictjson.Decode([]byte(`{"Issuer":"bad","METHODS":["x"],"aliases":{"x":"y"},"keys":[{"KID":"no"},{"kid":"yes"}],"Skip":"s","flag":true,"raw":{"a":1},"seconds":5}`), &m))
	yes := true
	require.Equal(t, metadata{Aliases: map[string]string{"x": "y"}, Keys: []key{{}, {"yes"}}, Flag: &yes, Raw: json.RawMessage(`{"a":1}`), base: base{5}}, m)

	for _, bad := range []string{`{"issuer":5}`, `{"keys":{}}`, `{"keys":[1]}`, `[]`, `{"seconds":1.5}`, `{"flag":"yes"}`} {
		require.ErrorIs(t, strictjson.Decode([]byte(bad), &metadata{}), strictjson.ErrInvalid, bad)
	}
	require.ErrorIs(t, strictjson.Decode([]byte(`{}`), m), strictjson.ErrInvalid)
	err := strictjson.Decode([]byte(`{"seconds":"s3cret"}`), &m)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestDecodeNestedNamesAreExact(t *testing.T) {
	var v struct {
		Pointers []*key           `json:"pointers"`
		Map      map[string]key   `json:"map"`
		Deep     [][]key          `json:"deep"`
		Pair     [2]key           `json:"pair"`
		Slices   map[string][]key `json:"slices"`
	}
	require.NoError(t, strictjson.Decode([]byte(`{"pointers":[{"KID":"x"},null],"map":{"a":{"Kid":"x"},"b":{"kid":"y"}},"deep":[[{"kID":"x"}]],"pair":[{"KID":"x"},{}],"slices":{"a":[{"KID":"x"}]}}`), &v))
	require.Equal(t, []*key{{}, nil}, v.Pointers)
	require.Equal(t, map[string]key{"a": {}, "b": {"y"}}, v.Map)
	require.Equal(t, [][]key{{{}}}, v.Deep)
	require.Equal(t, [2]key{}, v.Pair)
	require.Equal(t, map[string][]key{"a": {{}}}, v.Slices)
	for _, bad := range []string{`{"pair":[{}]}`, `{"map":[]}`, `{"pointers":{}}`, `{"deep":[{}]}`} {
		require.ErrorIs(t, strictjson.Decode([]byte(bad), &v), strictjson.ErrInvalid, bad)
	}
}

type metadata struct {
	Issuer  string            `json:"issuer"`
	Methods []string          `json:"methods,omitempty"`
	Aliases map[string]string `json:"aliases"`
	Keys    []key             `json:"keys"`
	Skip    string            `json:"-"`
	Flag    *bool             `json:"flag"`
	Raw     json.RawMessage   `json:"raw"`
	base
}

type base struct {
	Seconds int `json:"seconds"`
}

// encoding/json decodes the same values, if no name has letters whose case it
// would ignore.
func FuzzDecode(f *testing.F) {
	type inner struct {
		Text string            `json:"1"`
		Map  map[string]string `json:"2"`
		Next *inner            `json:"3"`
	}
	type numbers struct {
		Small int8    `json:"4"`
		Float float64 `json:"5"`
	}
	type document struct {
		numbers
		Text   string                     `json:"1"`
		Number json.Number                `json:"2"`
		Flag   bool                       `json:"3"`
		Size   int                        `json:"6"`
		Date   *time.Time                 `json:"7"`
		List   []string                   `json:"8"`
		Raw    json.RawMessage            `json:"9"`
		Raws   []json.RawMessage          `json:"10"`
		Map    map[string]json.RawMessage `json:"11"`
		Inner  inner                      `json:"12"`
		Inners []*inner                   `json:"13"`
		Any    any                        `json:"14"`
	}
	for _, value := range []string{
		`null`, `true`, `0`, `-7`, `-0`, `127`, `-129`, `1.5`, `1e2`, `9223372036854775808`, `""`, `"x"`, `"7"`, `"é\ud83d\ude00\n"`,
		`"2026-01-02T03:04:05Z"`, `[]`, `["x","y"]`, `["x",null]`, `["x",1]`, `[{"1":"x"},null]`, `{}`, `{"1":"x","2":{"a":"b"},"3":{"1":"y"}}`, `{ "1": [ ] }`,
	} {
		for member := range 15 {
			f.Add(fmt.Sprintf(`{"%d":%s}`, member, value))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		flag := time.Unix(0, 0)
		mine := document{Text: "before", Flag: true, Size: 7, List: []string{"a", "b", "c"}, Date: &flag, Inner: inner{Text: "before"}}
		theirs := mine
		theirs.List = slices.Clone(mine.List)
		err := strictjson.Decode([]byte(text), &mine)
		if strictjson.Valid([]byte(text)) != nil {
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			return
		}
		if json.Unmarshal([]byte(text), &theirs) != nil {
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			return
		}
		require.NoError(t, err)
		require.Equal(t, theirs, mine)
	})
}

// An error names the place of the value that does not fit.
func TestDecodePlace(t *testing.T) {
	var v struct {
		Map  map[string][]key `json:"map"`
		List [][]int          `json:"list"`
	}
	for in, want := range map[string]string{
		`[]`:                        `the document is not an object`,
		`{"list":[[1],[2,"x"]]}`:    `member "list"[1] has the wrong type, want []int`,
		`{"map":{"a":[{},1]}}`:      `member "map"["a"][1] is not an object`,
		`{"map":{"a":[{"kid":1}]}}`: `member "kid" has the wrong type, want string`,
	} {
		require.EqualError(t, strictjson.Decode([]byte(in), &v), "invalid JSON: "+want)
	}
	require.EqualError(t, strictjson.Decode([]byte(`[[],[{},7]]`), new([][]key)), "invalid JSON: the document[1][1] is not an object")
}
