package strictjson_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestRepeatedMembers(t *testing.T) {
	const iss = `"iss":"https://as.example"`
	for _, tc := range []struct{ name, in string }{
		{"twice in a row", `{` + iss + `,` + iss + `}`},
		{"apart", `{` + iss + `,"a":1,` + iss + `}`},
		{"with other blanks around", `{ "iss" : "https://as.example" ,` + iss + `}`},
		{"a name that is escaped once", `{"\u0069ss":"https://as.example",` + iss + `}`},
		{"three times", `{` + iss + `,` + iss + `,` + iss + `}`},
		{"eight repetitions", `{` + iss + strings.Repeat(`,`+iss, 8) + `}`},
		{"an object", `{` + iss + `,"o":{"a":[1]},"o":{"a":[1]}}`},
	} {
		t.Run("CASES F1: one member: "+tc.name, func(t *testing.T) {
			o, err := strictjson.ParseClaims(tc.in)
			require.NoError(t, err)
			got, _, err := o.String("iss")
			require.NoError(t, err)
			require.Equal(t, "https://as.example", got)
			seen := map[string]bool{}
			for _, name := range o.Names() {
				require.False(t, seen[name], name)
				seen[name] = true
			}
			_, err = strictjson.ParseObject(tc.in)
			require.ErrorIs(t, err, strictjson.ErrInvalid, "everything else stays strict")
			require.ErrorIs(t, strictjson.Valid([]byte(tc.in)), strictjson.ErrInvalid)
		})
	}
	for _, tc := range []struct{ name, in string }{
		{"another value", `{` + iss + `,"iss":"https://evil.example"}`},
		{"another value at the third time", `{` + iss + `,` + iss + `,"iss":"https://evil.example"}`},
		{"another spelling of the value", `{` + iss + `,"iss":"https:\/\/as.example"}`},
		{"blanks inside the value", `{"o":{"a":1},"o":{"a": 1}}`},
		{"another spelling of a number", `{"exp":1,"exp":1.0}`},
		{"another case of the name", `{` + iss + `,"Iss":"https://as.example"}`},
		{"both, in another case", `{` + iss + `,` + iss + `,"ISS":"https://as.example"}`},
		{"null and a value", `{"a":null,"a":1}`},
		{"in an inner object", `{"cnf":{"jkt":"x","jkt":"x"}}`},
		{"in the inner object of a repeated member", `{"o":{"a":1,"a":1},"o":{"a":1,"a":1}}`},
		{"in a list", `{"a":[{"b":1,"b":1}]}`},
		{"nine repetitions", `{` + iss + strings.Repeat(`,`+iss, 9) + `}`},
		{"the end is missing", `{` + iss + `,` + iss},
	} {
		t.Run("CASES F1: attack: "+tc.name, func(t *testing.T) {
			o, err := strictjson.ParseClaims(tc.in)
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			require.Empty(t, o.Names())
		})
	}
	t.Run("among many members", func(t *testing.T) {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"m%d":%d,`, i, i)
		}
		_, err := strictjson.ParseClaims(`{` + b.String() + `"m7":7}`)
		require.NoError(t, err)
		_, err = strictjson.ParseClaims(`{` + b.String() + `"M7":7}`)
		require.ErrorIs(t, err, strictjson.ErrInvalid)
		_, err = strictjson.ParseClaims(`{` + b.String() + `"m7":8}`)
		require.ErrorIs(t, err, strictjson.ErrInvalid)
	})
}

// ParseClaims accepts each text that ParseObject accepts. The first and the
// last of repeated members are equal.
func FuzzParseClaims(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"a":1}`, `{"a":1,"A":1}`, `{"a":{"b":1,"b":1}}`, `{"a":1,"a":2}`, `{"a":null,"a":null,"b":"x"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		claims, err := strictjson.ParseClaims(data)
		strict, strictErr := strictjson.ParseObject(data)
		if err != nil {
			require.Error(t, strictErr)
			require.Empty(t, claims.Names())
			return
		}
		if strictErr == nil {
			require.Equal(t, strict, claims)
		}
		var last map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(data), &last))
		require.Len(t, claims.Names(), len(last))
		for name, want := range last {
			got, _ := claims.Text(name)
			require.Equal(t, string(want), got)
		}
	})
}

func TestObjectNamesAndValues(t *testing.T) {
	t.Run("a name outside ASCII among many", func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`{"kid":0`)
		for i := range 20 {
			b.WriteString(`,"m` + strconv.Itoa(i) + `":0`)
		}
		_, err := strictjson.ParseObject([]byte(b.String() + `,"\u212aid":1}`))
		require.ErrorIs(t, err, strictjson.ErrInvalid, "the Kelvin sign folds to k in the map, too")
		_, err = strictjson.ParseObject([]byte(b.String() + `,"KID":1}`))
		require.ErrorIs(t, err, strictjson.ErrInvalid)
		_, err = strictjson.ParseObject([]byte(b.String() + `,"kíd":1}`))
		require.NoError(t, err)
	})
	t.Run("the empty name twice", func(t *testing.T) {
		_, err := strictjson.ParseObject([]byte(`{"":1,"":2}`))
		require.ErrorIs(t, err, strictjson.ErrInvalid)
	})
	t.Run("null is present", func(t *testing.T) {
		o, err := strictjson.ParseObject([]byte(`{"crit":null}`))
		require.NoError(t, err)
		require.True(t, o.Has("crit"))
		require.False(t, o.Has("CRIT"))
	})
	t.Run("dates", func(t *testing.T) {
		for value, good := range map[string]bool{
			"0": true, "-0": true, "0.0": true, "253402300799": true, "253402300800": false, "253402300799.5": false, "1e400": false,
			"-1e-300": false, "9223372036854775808": false, "1e-400": true, `"1700000000"`: false, "[1]": false, "true": false, "{}": false,
		} {
			o, err := strictjson.ParseObject([]byte(`{"exp":` + value + `}`))
			require.NoError(t, err)
			at, present, err := o.Time("exp")
			require.True(t, present)
			require.Equal(t, good, err == nil, value)
			require.Equal(t, !good, at.IsZero(), value)
		}
	})
	t.Run("an error quotes at most the start of a name and never a value", func(t *testing.T) {
		_, err := strictjson.ParseObject([]byte(`{"` + strings.Repeat("n", 5000) + `" "s3cret"}`))
		require.ErrorIs(t, err, strictjson.ErrInvalid)
		require.Less(t, len(err.Error()), 200)
		_, err = strictjson.ParseObject([]byte(`{"d":"s3cret",}`))
		require.NotContains(t, err.Error(), "s3cret")
	})
	t.Run("what Get returns cannot be appended to over what follows", func(t *testing.T) {
		data := []byte(`{"a":1,"b":2}`)
		o, err := strictjson.ParseObject(data)
		require.NoError(t, err)
		raw, _ := o.Get("a")
		_ = append(raw, 'x')
		require.Equal(t, `{"a":1,"b":2}`, string(data))
	})
}
