package strictjson_test

import (
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestRejected(t *testing.T) {
	for _, tc := range []struct{ name, in string }{
		{"empty", ``},
		{"only space", `  `},
		{"an array", `[]`},
		{"duplicate name", `{"htu":"a","htu":"b"}`},
		{"name differing in case", `{"typ":"a","TYP":"b"}`},
		{"duplicate behind an escape", `{"typ":"a","\u0074yp":"b"}`},
		{"Kelvin sign for k", `{"kid":"a","\u212aid":"b"}`},
		{"long s", `{"sub":"a","ſub":"b"}`},
		{"nested duplicate", `{"a":[{"amount":1,"amount":2}]}`},
		{"nested case variant", `{"cnf":{"jkt":"a","JKT":"b"}}`},
		{"bytes after the object", `{"a":1}x`},
		{"second object", `{"a":1}{"a":2}`},
		{"second array after the first", `{"a":[1][2]}`},
		{"NUL after the object", "{}\x00"},
		{"byte order mark", "\ufeff{}"},
		{"unterminated", `{"a":1`},
		{"unterminated string", `{"a":"b`},
		{"unterminated escape", `{"a":"b\`},
		{"trailing comma", `{"a":1,}`},
		{"trailing comma in array", `{"a":[1,]}`},
		{"comment", `{"a":1/**/}`},
		{"single quotes", `{'a':1}`},
		{"bare name", `{a:1}`},
		{"no colon", `{"a" 1}`},
		{"leading zero", `{"a":01}`},
		{"plus sign", `{"a":+1}`},
		{"no digit after point", `{"a":1.}`},
		{"no digit in exponent", `{"a":1e}`},
		{"NaN", `{"a":NaN}`},
		{"capital true", `{"a":True}`},
		{"raw newline in a string", "{\"a\":\"b\nc\"}"},
		{"raw newline after an escape", "{\"a\":\"\\t\n\"}"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}"},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}"},
		{"invalid UTF-8 in a name", "{\"\xff\":1}"},
		{"unknown escape", `{"a":"\x41"}`},
		{"short \\u", `{"a":"\u12"}`},
		{"lone high surrogate", `{"a":"\ud800"}`},
		{"lone low surrogate", `{"a":"\udc00"}`},
		{"high surrogate and a letter", `{"a":"\ud800\u0041"}`},
		{"33 deep", strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33)},
		{"deep arrays", `{"a":` + strings.Repeat(`[`, 100000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := strictjson.ParseObject([]byte(tc.in))
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			require.Empty(t, o.Names())
		})
	}
}

func TestManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{`)
	for i := range 10000 {
		b.WriteString(`"m` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + `":0,`)
	}
	_, err := strictjson.ParseObject([]byte(b.String() + `"last":1}`))
	require.NoError(t, err)
	_, err = strictjson.ParseObject([]byte(b.String() + `"last":1,"LAST":1}`))
	require.ErrorIs(t, err, strictjson.ErrInvalid)
}

// A document of many short strings with escapes takes little memory for each of
// its bytes. Assertions and proofs are parsed before their sender is known.
func TestMemoryOfEscapes(t *testing.T) {
	for name, text := range map[string]string{
		"values": `{"aud":["a"` + strings.Repeat(`,"\n"`, 5000) + `]}`,
		"names":  `{"aud":["a"],"other":[0` + strings.Repeat(`,{"\n":0}`, 5000) + `]}`,
	} {
		t.Run("attack: escapes in "+name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			o, err := strictjson.ParseObject(text)
			require.NoError(t, err)
			aud, _, err := o.StringOrStrings("aud")
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, "a", aud[0])
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40*len(text)))
		})
	}
}

func TestAccepted(t *testing.T) {
	o, err := strictjson.ParseObject([]byte(" {\"s\":\"\\u0061\\ud83d\\ude00é\\n\" , \"n\": 1700000000, \"f\":1700000000.5, \"e\":1e9,\"aud\":[\"x\",\"y\"],\"one\":\"z\"," +
		"\"t\":true,\"null\":null,\"sub\":{\"k\":\"v\"},\"neg\":-1,\"big\":1e300,\"mixed\":[\"a\",1]}\r\n"))
	require.NoError(t, err)

	s, ok, err := o.String("s")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "a😀é\n", s)
	_, ok, err = o.String("S")
	require.NoError(t, err)
	require.False(t, ok, "names are exact")
	_, ok, err = o.String("n")
	require.ErrorIs(t, err, strictjson.ErrInvalid)
	require.True(t, ok)
	_, ok, err = o.String("null")
	require.NoError(t, err)
	require.False(t, ok, "a null counts as absent")
	require.True(t, o.Null("null"))
	require.False(t, o.Null("s"))
	require.False(t, o.Null("none"))

	at, ok, err := o.Time("n")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, int64(1700000000), at.Unix())
	at, _, err = o.Time("f")
	require.NoError(t, err)
	require.Equal(t, int64(1700000000500), at.UnixMilli())
	at, _, err = o.Time("e")
	require.NoError(t, err)
	require.Equal(t, int64(1e9), at.Unix())
	for _, name := range []string{"s", "neg", "big"} {
		_, _, err = o.Time(name)
		require.ErrorIs(t, err, strictjson.ErrInvalid, name)
	}

	aud, _, err := o.StringOrStrings("aud")
	require.NoError(t, err)
	require.Equal(t, []string{"x", "y"}, aud)
	aud, _, err = o.StringOrStrings("one")
	require.NoError(t, err)
	require.Equal(t, []string{"z"}, aud)
	_, _, err = o.StringOrStrings("mixed")
	require.ErrorIs(t, err, strictjson.ErrInvalid)
	_, _, err = o.Strings("one")
	require.ErrorIs(t, err, strictjson.ErrInvalid)

	yes, _, err := o.Bool("t")
	require.NoError(t, err)
	require.True(t, yes)
	_, _, err = o.Bool("n")
	require.ErrorIs(t, err, strictjson.ErrInvalid)
	sub, _, err := o.Object("sub")
	require.NoError(t, err)
	require.Equal(t, []string{"k"}, sub.Names())
	_, _, err = o.Object("aud")
	require.ErrorIs(t, err, strictjson.ErrInvalid)
}

// encoding/json reads the same members from an accepted object.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":"\ud83d\ude00","b":[1,2,{"c":null}]}`, `{"a":1,"A":2}`, `{"a":-0.5e+3}`, `{"é":"\u00e9"}`, `{"a":1e999}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := strictjson.ParseObject(data)
		if err != nil {
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			require.Empty(t, o.Names())
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &want), "encoding/json refuses what we accept")
		require.Len(t, o.Names(), len(want))
		for name, value := range want {
			got, ok := o.Get(name)
			require.True(t, ok)
			require.Equal(t, string(value), string(got))
			var s string
			if json.Unmarshal(value, &s) == nil && value[0] == '"' {
				mine, _, err := o.String(name)
				require.NoError(t, err)
				require.Equal(t, s, mine)
			}
		}
		// A number may be JSON and not fit in a float64: encoding/json decides.
		var got, reference any
		if json.Unmarshal(data, &reference) != nil {
			require.ErrorIs(t, strictjson.Decode(data, &got), strictjson.ErrInvalid)
			return
		}
		require.NoError(t, strictjson.Decode(data, &got))
		require.True(t, reflect.DeepEqual(got, reference))
	})
}

func BenchmarkParseObject(b *testing.B) {
	data := []byte(`{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":1562262616,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo","nonce":"eyJ7S_zG.eyJH0-Z.HX4w-7v"}`)
	b.ReportAllocs()
	for b.Loop() {
		o, err := strictjson.ParseObject(data)
		if err != nil {
			b.Fatal(err)
		}
		if s, _, _ := o.String("htu"); s == "" {
			b.Fatal()
		}
	}
}

// Each accepted text is JSON, and each element of an accepted array is accepted
// alone.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"a":1},[null]]`, `"\ud83d\ude00"`, `-1.5e-7`, ` true `, `[{"a":1,"A":2}]`, `01`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := strictjson.Valid(data); err != nil {
			require.ErrorIs(t, err, strictjson.ErrInvalid)
			return
		}
		require.True(t, json.Valid(data))
		var items []json.RawMessage
		if json.Unmarshal(data, &items) == nil {
			for _, item := range items {
				require.NoError(t, strictjson.Valid(item))
			}
		}
	})
}

// Each byte, before and after other bytes, is read as encoding/json reads it.
func TestEveryByteOfAString(t *testing.T) {
	for c := range 256 {
		for _, form := range []string{`{"a":"%c"}`, `{"a":"b%cd"}`, `{"a":"%cd","e":1}`, `{"%c":1}`} {
			text := strings.Replace(form, "%c", string([]byte{byte(c)}), 1)
			var want map[string]any
			ok := json.Unmarshal([]byte(text), &want) == nil && utf8.ValidString(text)
			o, err := strictjson.ParseObject(text)
			require.Equal(t, ok, err == nil, "%q", text)
			if value, ok := want["a"].(string); ok && err == nil {
				a, _, err := o.String("a")
				require.NoError(t, err)
				require.Equal(t, value, a)
			}
		}
	}
}
