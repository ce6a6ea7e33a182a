package rar

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
)

type kind byte

const (
	nullKind kind = 1 << iota
	booleanKind
	integerKind // of a number in a schema only
	numberKind
	stringKind
	arrayKind
	objectKind
)

// A value is a JSON value that strictjson has accepted.
type value struct {
	kind    kind
	raw     string // as it was written
	text    string // a string's own
	items   []value
	members []member
}

type member struct {
	name  string
	value value
}

func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// lookup returns get, made fast for an object with so many members that looking through them for each of another one's would
// take long.
func (v *value) lookup() func(name string) *value {
	if len(v.members) <= 32 {
		return v.get
	}
	index := make(map[string]*value, len(v.members))
	for i := range v.members {
		index[v.members[i].name] = &v.members[i].value
	}
	return func(name string) *value { return index[name] }
}

// strings returns the elements of an array of strings.
func (v *value) strings() ([]string, bool) {
	if v.kind != arrayKind {
		return nil, false
	}
	list := make([]string, len(v.items))
	for i := range v.items {
		if v.items[i].kind != stringKind {
			return nil, false
		}
		list[i] = v.items[i].text
	}
	return list, true
}

// reader builds values out of a text that strictjson.Valid has accepted, so it need not look for errors other than numbers
// that lose precision.
type reader struct {
	text  string
	pos   int
	depth int // of objects
}

func read(text string) (value, *fault) {
	r := reader{text: text}
	r.space()
	return r.value()
}

func (r *reader) space() {
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *reader) value() (value, *fault) {
	start := r.pos
	v, f := value{}, (*fault)(nil)
	switch c := r.text[r.pos]; c {
	case '{':
		v.kind = objectKind
		v.members, f = r.object()
	case '[':
		v.kind = arrayKind
		v.items, f = r.array()
	case '"':
		v.kind, v.text = stringKind, r.str()
	case 't', 'n':
		v.kind = booleanKind
		if c == 'n' {
			v.kind = nullKind
		}
		r.pos += len("null")
	case 'f':
		v.kind = booleanKind
		r.pos += len("false")
	default:
		v.kind = numberKind
		for r.pos < len(r.text) && strings.IndexByte("+-.0123456789Ee", r.text[r.pos]) >= 0 {
			r.pos++
		}
		if !survives(r.text[start:r.pos]) {
			f = failure(ErrFieldValue, "the number would lose precision, send it as a string")
		}
	}
	v.raw = r.text[start:r.pos]
	return v, f
}

func (r *reader) object() ([]member, *fault) {
	room := 4
	if r.depth == 0 { // a detail has more members than what is in it
		room = 12
	}
	members := make([]member, 0, room)
	r.depth++
	defer func() { r.depth-- }()
	r.pos++ // {
	for r.more('}') {
		name := r.str()
		r.space()
		r.pos++ // :
		r.space()
		v, f := r.value()
		if f != nil {
			return nil, f.member(name)
		}
		members = append(members, member{name, v})
	}
	return members, nil
}

func (r *reader) array() ([]value, *fault) {
	items := make([]value, 0, 4)
	r.pos++ // [
	for r.more(']') {
		v, f := r.value()
		if f != nil {
			return nil, f.item(len(items))
		}
		items = append(items, v)
	}
	return items, nil
}

// more steps over what is between two elements and reports whether there is another one, or steps over the end.
func (r *reader) more(end byte) bool {
	r.space()
	if r.text[r.pos] == ',' {
		r.pos++
		r.space()
	}
	if r.text[r.pos] == end {
		r.pos++
		return false
	}
	return true
}

func (r *reader) str() string {
	start := r.pos
	r.pos++
	escaped := false
	for ; r.text[r.pos] != '"'; r.pos++ {
		if r.text[r.pos] == '\\' {
			escaped = true
			r.pos++
		}
	}
	r.pos++
	if !escaped {
		return r.text[start+1 : r.pos-1]
	}
	var s string
	_ = json.Unmarshal([]byte(r.text[start:r.pos]), &s) // strictjson has accepted it
	return s
}

// equal compares as JSON Schema does: members in any order, array elements in theirs, numbers by value. RAR-12-2: strings
// are compared by code point, whatever escapes they were written with, and nothing is normalised.
func equal(a, b *value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case numberKind:
		x, _ := parseDecimal(a.raw)
		y, _ := parseDecimal(b.raw)
		return x == y
	case stringKind:
		return a.text == b.text
	case arrayKind:
		return slices.EqualFunc(a.items, b.items, func(x, y value) bool { return equal(&x, &y) })
	case objectKind:
		if len(a.members) != len(b.members) {
			return false
		}
		get := b.lookup()
		for i := range a.members {
			other := get(a.members[i].name)
			if other == nil || !equal(&a.members[i].value, other) {
				return false
			}
		}
		return true
	}
	return a.raw == b.raw
}

// canonical appends the value as JSON. Equal values have equal texts.
func (v *value) canonical(to []byte) []byte {
	switch v.kind {
	case numberKind:
		d, _ := parseDecimal(v.raw)
		return append(to, d.text()...)
	case stringKind:
		return appendString(to, v.text)
	case arrayKind:
		to = append(to, '[')
		for i := range v.items {
			if i > 0 {
				to = append(to, ',')
			}
			to = v.items[i].canonical(to)
		}
		return append(to, ']')
	case objectKind:
		sorted := slices.SortedFunc(slices.Values(v.members), func(a, b member) int { return strings.Compare(a.name, b.name) })
		to = append(to, '{')
		for i := range sorted {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendString(to, sorted[i].name), ':')
			to = sorted[i].value.canonical(to)
		}
		return append(to, '}')
	}
	return append(to, v.raw...)
}

// appendString appends a JSON string.
func appendString(to []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(to, quoted...)
}

// plain returns the value as encoding/json would decode it into an any. Numbers fit: the reader has seen to it.
func (v *value) plain() any {
	switch v.kind {
	case nullKind:
		return nil
	case booleanKind:
		return v.raw == "true"
	case numberKind:
		f, _ := strconv.ParseFloat(v.raw, 64)
		return f
	case stringKind:
		return v.text
	case arrayKind:
		list := make([]any, len(v.items))
		for i := range v.items {
			list[i] = v.items[i].plain()
		}
		return list
	}
	object := make(map[string]any, len(v.members))
	for i := range v.members {
		object[v.members[i].name] = v.members[i].value.plain()
	}
	return object
}

// split finds the elements of a JSON array, or the member values of an object, without checking more than it needs for it.
// It reports false when the text is no such thing, or when there are more than limit; then parts has one more than that.
func split(text string, limit int) (names, parts []string, ok bool) {
	text = strings.Trim(text, " \t\r\n")
	if len(text) < 2 || text[0] != '[' && text[0] != '{' || text[len(text)-1] != text[0]+2 {
		return nil, nil, false
	}
	object := text[0] == '{'
	depth, start := 0, 1
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case c == '[' || c == '{':
			depth++
		case (c == ']' || c == '}') && depth > 0:
			depth--
		case depth == 0 && c == ':' && object && len(names) == len(parts):
			names = append(names, strings.Trim(text[start:i], " \t\r\n\""))
			start = i + 1
		case depth == 0 && (c == ',' || i == len(text)-1):
			if i == len(text)-1 && len(parts) == 0 && strings.Trim(text[start:i], " \t\r\n") == "" {
				return nil, nil, true // empty
			}
			if parts = append(parts, text[start:i]); len(parts) > limit || object && len(names) != len(parts) {
				return nil, parts, false
			}
			start = i + 1
		}
	}
	return names, parts, start == len(text)
}

// locate finds the innermost value that strictjson refuses in a text that it refuses: the object that has a name twice, say.
func locate(text string, depth int) *fault {
	err := strictjson.Valid([]byte(text))
	if err == nil {
		return nil
	}
	if depth < strictjson.MaxDepth {
		names, parts, _ := split(text, len(text))
		for i, part := range parts {
			if f := locate(part, depth+1); f != nil && names == nil {
				return f.item(i)
			} else if f != nil {
				return f.member(names[i])
			}
		}
	}
	return &fault{kind: ErrMalformed, reason: err}
}
