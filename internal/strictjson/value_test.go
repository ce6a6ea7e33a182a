package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestParsePlace(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		place    []any
	}{
		{"no value", ``, nil},
		{"bytes after the value", `[1] 2`, nil},
		{"an array without an end", `[1`, nil},
		{"the second element", `[1,x]`, []any{1}},
		{"a member", `{"a":x}`, []any{"a"}},
		{"the object with a duplicate member", `[{"a":[0,{"b":1,"B":1}]}]`, []any{0, "a", 1}},
		{"the innermost value", `{"a":[{"b":"\ud800"}]}`, []any{"a", 0, "b"}},
		{"an escaped name", `{"\u0061":x}`, []any{"a"}},
		{"attack: the deepest array", strings.Repeat(`[`, 100000), make([]any, 32)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, place, err := strictjson.Parse(tc.in, 0)
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			require.Zero(t, v)
			require.Len(t, place, len(tc.place))
			if len(tc.place) > 0 && tc.place[0] != nil {
				require.Equal(t, tc.place, place)
			}
		})
	}
}

func TestParseMaxItems(t *testing.T) {
	_, _, err := strictjson.Parse(`[1,2,3]`, 2)
	require.ErrorIs(t, err, strictjson.ErrTooMany)
	require.ErrorIs(t, err, strictjson.ErrInvalid)
	for _, in := range []string{`[1,2]`, `[[1,2,3]]`, `{"a":[1,2,3]}`, `[]`} {
		_, _, err := strictjson.Parse(in, 2)
		require.NoError(t, err, in)
	}
}

func TestParseValue(t *testing.T) {
	v, place, err := strictjson.Parse(` {"s": "\u00e9\n", "n": -1.50e+1, "t": true, "f": false, "z": null, "a": [ "x", {} ], "e": []} `, 0)
	require.NoError(t, err)
	require.Nil(t, place)
	for name, want := range map[string]strictjson.Value{
		"s": {Kind: strictjson.KindString, Raw: `"\u00e9\n"`, Text: "é\n"},
		"n": {Kind: strictjson.KindNumber, Raw: `-1.50e+1`},
		"t": {Kind: strictjson.KindBoolean, Raw: `true`},
		"f": {Kind: strictjson.KindBoolean, Raw: `false`},
		"z": {Kind: strictjson.KindNull, Raw: `null`},
		"e": {Kind: strictjson.KindArray, Raw: `[]`},
		"a": {Kind: strictjson.KindArray, Raw: `[ "x", {} ]`, Items: []strictjson.Value{
			{Kind: strictjson.KindString, Raw: `"x"`, Text: "x"}, {Kind: strictjson.KindObject, Raw: `{}`}}},
	} {
		require.Equal(t, &want, v.Get(name), name)
	}
	require.Len(t, v.Members, 7)
	require.Nil(t, v.Get("S"))
	_, ok := v.Get("a").Strings()
	require.False(t, ok)
	_, ok = v.Get("s").Strings()
	require.False(t, ok)
	list, ok := v.Get("e").Strings()
	require.True(t, ok)
	require.Empty(t, list)
}

// Parse accepts the texts that Valid accepts, and reads them as encoding/json
// does.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u00e9",null,{"b":true}]}`, `[{"a":1,"A":2}]`, `"\ud834\udd1e"`, `[-0.1e+5,]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, place, err := strictjson.Parse(text, 0)
		require.Equal(t, strictjson.Valid([]byte(text)), err)
		if err != nil {
			require.Zero(t, v)
			return
		}
		require.Nil(t, place)
		require.Equal(t, strings.Trim(text, " \t\r\n"), v.Raw)
		requireSame(t, v)
	})
}

func requireSame(t *testing.T, v strictjson.Value) {
	t.Helper()
	switch v.Kind {
	case strictjson.KindString:
		var want string
		require.NoError(t, json.Unmarshal([]byte(v.Raw), &want))
		require.Equal(t, want, v.Text)
	case strictjson.KindArray:
		var want []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(v.Raw), &want))
		require.Len(t, v.Items, len(want))
		for i, item := range v.Items {
			require.Equal(t, string(want[i]), item.Raw)
			requireSame(t, item)
		}
	case strictjson.KindObject:
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(v.Raw), &want))
		require.Len(t, v.Members, len(want))
		for _, m := range v.Members {
			require.Equal(t, string(want[m.Name]), m.Value.Raw)
			requireSame(t, m.Value)
		}
	default:
		require.True(t, json.Valid([]byte(v.Raw)))
	}
}
