package rar

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
)

type (
	value  = strictjson.Value
	member = strictjson.Member
)

const (
	nullKind    = strictjson.KindNull
	booleanKind = strictjson.KindBoolean
	numberKind  = strictjson.KindNumber
	stringKind  = strictjson.KindString
	arrayKind   = strictjson.KindArray
	objectKind  = strictjson.KindObject
	integerKind = objectKind << 1 // of a number in a schema only
)

// read parses a JSON text. If maxItems is not 0, it bounds the elements of an
// outermost array. A number that floating point would round is a fault.
func read(text string, maxItems int) (value, *fault) {
	v, place, err := strictjson.Parse(text, maxItems)
	if err == nil {
		return v, inexact(&v)
	}
	f := &fault{kind: ErrMalformed, reason: err}
	if errors.Is(err, strictjson.ErrTooMany) {
		f = failure(ErrTooLarge, "more than %d details", maxItems)
	}
	for _, step := range slices.Backward(place) {
		switch step := step.(type) {
		case string:
			f.member(step)
		case int:
			f.item(step)
		}
	}
	return value{}, f
}

// inexact returns a fault for the first number that does not survive, or nil.
func inexact(v *value) *fault {
	if v.Kind == numberKind && !strictjson.Survives(v.Raw) {
		return failure(ErrFieldValue, "the number would lose precision, send it as a string")
	}
	for i := range v.Items {
		if f := inexact(&v.Items[i]); f != nil {
			return f.item(i)
		}
	}
	for i := range v.Members {
		if f := inexact(&v.Members[i].Value); f != nil {
			return f.member(v.Members[i].Name)
		}
	}
	return nil
}

// canonical appends the value as JSON. Equal values have equal texts.
func canonical(to []byte, v *value) []byte {
	switch v.Kind {
	case numberKind:
		d, _ := strictjson.ParseDecimal(v.Raw)
		return append(to, d.Text()...)
	case stringKind:
		return appendString(to, v.Text)
	case arrayKind:
		to = append(to, '[')
		for i := range v.Items {
			if i > 0 {
				to = append(to, ',')
			}
			to = canonical(to, &v.Items[i])
		}
		return append(to, ']')
	case objectKind:
		byName := func(a, b member) int { return strings.Compare(a.Name, b.Name) }
		sorted := slices.SortedFunc(slices.Values(v.Members), byName)
		to = append(to, '{')
		for i := range sorted {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendString(to, sorted[i].Name), ':')
			to = canonical(to, &sorted[i].Value)
		}
		return append(to, '}')
	}
	return append(to, v.Raw...)
}

// appendString appends a JSON string.
func appendString(to []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(to, quoted...)
}

// plain returns the value as encoding/json decodes it into an any. Each number
// fits, because read has checked it.
func plain(v *value) any {
	switch v.Kind {
	case nullKind:
		return nil
	case booleanKind:
		return v.Raw == "true"
	case numberKind:
		f, _ := strconv.ParseFloat(v.Raw, 64)
		return f
	case stringKind:
		return v.Text
	case arrayKind:
		list := make([]any, len(v.Items))
		for i := range v.Items {
			list[i] = plain(&v.Items[i])
		}
		return list
	}
	object := make(map[string]any, len(v.Members))
	for i := range v.Members {
		object[v.Members[i].Name] = plain(&v.Members[i].Value)
	}
	return object
}
