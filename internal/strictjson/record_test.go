package strictjson_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestRecord(t *testing.T) {
	var w strictjson.Writer
	at := time.Date(2026, 1, 2, 3, 4, 5, 60, time.FixedZone("", 3600))
	w.String("kind", "test <&>")
	w.String("empty", "")
	w.Strings("list", []string{"a", "b\""})
	w.Strings("none", nil)
	w.Int("n", -7)
	w.Int("zero", 0)
	w.Bool("yes", true)
	w.Bool("no", false)
	w.Time("at", at)
	w.Time("whole", at.Truncate(time.Second))
	w.Time("never", time.Time{})
	w.Raw("raw", []byte(`{"a":[1, 2]}`))
	w.Raw("nothing", nil)
	w.Raws("raws", map[string]json.RawMessage{"b<": []byte("2"), "a": []byte("[]")})
	w.Raws("nil", nil)
	w.Object("inner", func(w *strictjson.Writer) { w.String("s", "x") })
	w.Object("bare", func(*strictjson.Writer) {})
	w.Objects("many", 2, func(w *strictjson.Writer, i int) { w.Int("i", int64(i)) })
	w.Objects("few", 0, nil)
	text := w.Bytes()
	require.Equal(t, `{"kind":"test <&>","list":["a","b\""],"n":-7,"yes":true,"at":1767319445.000000060,"whole":1767319445,`+
		`"raw":{"a":[1, 2]},"raws":{"a":[],"b<":2},"inner":{"s":"x"},"bare":{},"many":[{},{"i":1}]}`, string(text))

	r := strictjson.ReadRecord(text, "raw")
	require.Equal(t, "test <&>", r.String("kind"))
	require.Equal(t, []string{"a", "b\""}, r.Strings("list"))
	require.Equal(t, int64(-7), r.Int("n"))
	require.True(t, r.Bool("yes"))
	require.Equal(t, at.UTC(), r.Time("at"))
	require.Equal(t, at.UTC().Truncate(time.Second), r.Time("whole"))
	require.Equal(t, json.RawMessage(`{"a":[1, 2]}`), r.Raw("raw"))
	require.Equal(t, map[string]json.RawMessage{"a": []byte("[]"), "b<": []byte("2")}, r.Raws("raws"))
	require.Equal(t, "x", r.Object("inner").String("s"))
	require.Empty(t, r.Object("bare").String("s"))
	many := r.Objects("many")
	require.Len(t, many, 2)
	require.Equal(t, int64(1), many[1].Int("i"))
	require.NoError(t, r.Err())
	r.Damage("the first reason")
	r.Damage("another")
	require.ErrorIs(t, r.Err(), strictjson.ErrInvalid)
	require.ErrorContains(t, r.Err(), "the first reason")

	r = strictjson.ReadRecord([]byte(`{"later":[{"x":null}]}`))
	require.Empty(t, r.String("s"))
	require.Nil(t, r.Strings("s"))
	require.Zero(t, r.Int("s"))
	require.False(t, r.Bool("s"))
	require.True(t, r.Time("s").IsZero())
	require.Nil(t, r.Raw("s"))
	require.Nil(t, r.Raws("s"))
	require.Nil(t, r.Objects("s"))
	require.Empty(t, r.Object("s").Object("t").String("u"))
	require.NoError(t, r.Err(), "absent members are empty, and unknown ones are ignored")
	require.Equal(t, `{}`, string(new(strictjson.Writer).Bytes()))

	var outer strictjson.Writer
	outer.Members([]byte(`{}`))
	outer.Members([]byte(`{"a":1}`))
	outer.Members([]byte(`{}`))
	outer.Members([]byte(`{"b":2,"c":{}}`))
	require.Equal(t, `{"a":1,"b":2,"c":{}}`, string(outer.Bytes()))
}

func TestDamagedRecords(t *testing.T) {
	readers := map[string]func(*strictjson.Record){
		"String":  func(r *strictjson.Record) { r.String("m") },
		"Strings": func(r *strictjson.Record) { r.Strings("m") },
		"Int":     func(r *strictjson.Record) { r.Int("m") },
		"Bool":    func(r *strictjson.Record) { r.Bool("m") },
		"Time":    func(r *strictjson.Record) { r.Time("m") },
		"Raw":     func(r *strictjson.Record) { r.Raw("m") },
		"Raws":    func(r *strictjson.Record) { r.Raws("m") },
		"Object":  func(r *strictjson.Record) { r.Object("m") },
		"Objects": func(r *strictjson.Record) { r.Objects("m") },
	}
	for value, want := range map[string]string{
		`null`: `Raw`, `"x"`: `String Raw`, `7`: `Int Time Raw`, `1.5`: `Raw`, `1.000000005`: `Time Raw`, `1.00000000x`: ``, `1e2`: `Raw`,
		`-1.0000000+5`: ``, `9223372036854775808`: `Raw`, `true`: `Bool Raw`, `[]`: `Strings Raw Objects`, `["x"]`: `Strings Raw`, `["x",null]`: `Raw`,
		`[{}]`: `Raw Objects`, `[{},1]`: `Raw`, `{}`: `Raw Raws Object`, `{"a":1,"A":1}`: ``, `{"a":[{"b":1,"b":1}]}`: ``, `"\ud800"`: ``,
	} {
		for name, read := range readers {
			for _, raw := range [][]string{nil, {"m"}} {
				if raw != nil && name != "Raw" {
					continue
				}
				r := strictjson.ReadRecord([]byte(`{"m":`+value+`}`), raw...)
				read(r)
				ok := strings.Contains(" "+want+" ", " "+name+" ")
				require.Equal(t, ok, r.Err() == nil, "%s of %s", name, value)
				if !ok {
					require.ErrorIs(t, r.Err(), strictjson.ErrInvalid)
				}
			}
		}
	}
	for _, bad := range []string{``, `null`, `[]`, `{`, `{}{}`, `{"a":1,"a":1}`, `{"a":1,"A":1}`} {
		r := strictjson.ReadRecord([]byte(bad))
		require.ErrorIs(t, r.Err(), strictjson.ErrInvalid, bad)
		require.Empty(t, r.String("a"))
	}
	inner := strictjson.ReadRecord([]byte(`{"a":{"b":[{"c":1}]}}`))
	first := inner.Object("a").Objects("b")[0]
	require.Empty(t, first.String("c"))
	require.ErrorIs(t, inner.Err(), strictjson.ErrInvalid, "damage of an inner object damages the record")
}

// A value that was accepted alone can be stored a few levels below a record.
func TestRecordDepth(t *testing.T) {
	deepest := strings.Repeat(`[`, strictjson.MaxDepth) + strings.Repeat(`]`, strictjson.MaxDepth)
	require.NoError(t, strictjson.Valid([]byte(deepest)))
	for _, raw := range [][]string{nil, {"raw"}} {
		r := strictjson.ReadRecord([]byte(`{"a":[{"b":{"raw":`+deepest+`}}]}`), raw...)
		require.NoError(t, r.Err())
		r = strictjson.ReadRecord([]byte(`{"raw":`+strings.Repeat(`[`, 100000)+`}`), raw...)
		require.ErrorIs(t, r.Err(), strictjson.ErrInvalid)
	}
}

// A Record reads what a Writer wrote, and so does encoding/json. Both replace
// the same invalid bytes.
func FuzzWriter(f *testing.F) {
	for _, s := range []string{"", "x", "é\u2028", "\x00\x1f \x7f", `"\/`, "<&>", "\xff", "a\xc0\xafb", "\ud7ff\ufffd", "😀"} {
		f.Add(s, int64(1), int64(5))
	}
	f.Add("", int64(math.MinInt64), int64(-1))
	f.Fuzz(func(t *testing.T, s string, n, ns int64) {
		var clean string
		encoded, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(encoded, &clean))
		at := time.Unix(n, ns).UTC()
		var w strictjson.Writer
		for range 2 {
			w.String("s", s)
			w.Strings("l", []string{s, ""})
			w.Int("n", n)
			w.Time("t", at)
			w.Raws("r", map[string]json.RawMessage{s: json.RawMessage("7")})
			inner := w
			w = strictjson.Writer{}
			w.Raw("o", inner.Bytes())
		}
		text := w.Bytes()
		var theirs struct {
			O struct {
				O struct {
					S string
					L []string
					N int64
					R map[string]int
				}
			}
		}
		require.NoError(t, json.Unmarshal(text, &theirs))
		o := theirs.O.O
		require.Equal(t, []string{clean, clean, ""}, []string{o.S, o.L[0], o.L[1]})
		require.Equal(t, n, o.N)
		require.Equal(t, map[string]int{clean: 7}, o.R)
		r := strictjson.ReadRecord(text)
		mine := r.Object("o").Object("o")
		require.Equal(t, clean, mine.String("s"))
		require.Equal(t, []string{clean, ""}, mine.Strings("l"))
		require.Equal(t, n, mine.Int("n"))
		require.Equal(t, at, mine.Time("t"))
		require.Equal(t, map[string]json.RawMessage{clean: json.RawMessage("7")}, mine.Raws("r"))
		require.NoError(t, r.Err())
	})
}
