package strictjson_test

import (
	"encoding/json"
	"testing"

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
