package testkit

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"
)

// Fill sets the exported fields of the structure that v points to, each with a
// probability of three quarters, to values that are hard to store. A codec that
// forgets a field is found. Texts are UTF-8, slices are not empty, and times
// are in UTC.
func Fill(r *rand.Rand, v any) { fill(r, reflect.ValueOf(v).Elem()) }

func fill(r *rand.Rand, v reflect.Value) {
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		*to = time.Unix(r.Int64N(1<<36), r.Int64N(2)*r.Int64N(1e9)).UTC()
		return
	case *json.RawMessage:
		*to = fillJSON(r)
		return
	case *map[string]json.RawMessage:
		*to = map[string]json.RawMessage{"a" + fillText(r): fillJSON(r), "b": fillJSON(r)}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fillText(r))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64() - r.Int64())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		n := 1 + r.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && r.IntN(4) > 0 {
				fill(r, v.Field(i))
			}
		}
	}
}

func fillText(r *rand.Rand) string {
	all := []string{"", "client-1", "a&b<c> d", "\"\\\x00\n\x7f", "é\u2028😀", strings.Repeat("x", 100)}
	return all[r.IntN(len(all))]
}

func fillJSON(r *rand.Rand) json.RawMessage {
	deepest := strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32)
	all := []string{
		`[]`, `[{"type":"pay","amount":{"currency":"EUR","value":"1.00"}}]`, `{"v":"\u0026", "w": null}`,
		`null`, `-7.0e1`, deepest,
	}
	return json.RawMessage(all[r.IntN(len(all))])
}

// Damage returns text with a changed byte, or only its beginning.
func Damage(r *rand.Rand, text []byte) []byte {
	text = append([]byte(nil), text...)
	if i := r.IntN(len(text)); r.IntN(3) > 0 {
		text[i] = `{}[]",:x17 n\`[r.IntN(13)]
	} else {
		text = text[:i]
	}
	return text
}
