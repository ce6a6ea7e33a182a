package strictjson

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A Writer writes a record that [ReadRecord] reads: one JSON object, with
// members in the order of the calls. A method writes no member for an empty
// value. Unlike encoding/json, it does not escape "&", "<" and ">". It replaces
// invalid UTF-8 with U+FFFD, like encoding/json.
//
// The caller writes each name once. The zero Writer is ready for use. It is not
// safe for concurrent use.
type Writer struct {
	text   []byte
	buffer *[]byte // of the pool, from which text began
}

// maxPooled bounds the buffers that the pool keeps.
const maxPooled = 16 << 10

var buffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, 2048)
	return &buffer
}}

// Bytes ends the object and returns it. The Writer must not be used again.
func (w *Writer) Bytes() []byte {
	if len(w.text) == 0 {
		return []byte("{}")
	}
	text := append(w.text, '}')
	object := make([]byte, len(text))
	copy(object, text)
	if cap(text) <= maxPooled {
		*w.buffer = text[:0]
		buffers.Put(w.buffer)
	}
	*w = Writer{}
	return object
}

// next writes what is between two members.
func (w *Writer) next() {
	switch n := len(w.text); {
	case n == 0:
		w.buffer = buffers.Get().(*[]byte)
		w.text = append(*w.buffer, '{')
	case w.text[n-1] != '{':
		w.text = append(w.text, ',')
	}
}

// name begins a member.
func (w *Writer) name(name string) {
	w.next()
	w.text = append(appendString(w.text, name), ':')
}

// String writes a string.
func (w *Writer) String(name, value string) {
	if value != "" {
		w.name(name)
		w.text = appendString(w.text, value)
	}
}

// Strings writes an array of strings.
func (w *Writer) Strings(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	for i, value := range values {
		w.text = appendString(append(w.text, separator(i, '[')), value)
	}
	w.text = append(w.text, ']')
}

// Int writes an integer.
func (w *Writer) Int(name string, value int64) {
	if value != 0 {
		w.name(name)
		w.text = strconv.AppendInt(w.text, value, 10)
	}
}

// Bool writes true.
func (w *Writer) Bool(name string, value bool) {
	if value {
		w.name(name)
		w.text = append(w.text, "true"...)
	}
}

// Time writes the seconds since 1970, with nanoseconds as a fraction if there
// are any.
func (w *Writer) Time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	w.name(name)
	w.text = strconv.AppendInt(w.text, t.Unix(), 10)
	if ns := t.Nanosecond(); ns != 0 {
		mark := len(w.text)
		w.text = strconv.AppendInt(w.text, int64(time.Second)+int64(ns), 10) // ten digits
		w.text[mark] = '.'
	}
}

// Raw writes a JSON value. The caller has checked the value.
func (w *Writer) Raw(name string, value []byte) {
	if len(value) > 0 {
		w.name(name)
		w.text = append(w.text, value...)
	}
}

// Members writes the members of an object that another Writer has written.
func (w *Writer) Members(object []byte) {
	if members := object[1 : len(object)-1]; len(members) > 0 {
		w.next()
		w.text = append(w.text, members...)
	}
}

// Raws writes an object of JSON values, in the order of their names. The caller
// has checked the values.
func (w *Writer) Raws(name string, values map[string]json.RawMessage) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	for i, key := range slices.Sorted(maps.Keys(values)) {
		w.text = append(appendString(append(w.text, separator(i, '{')), key), ':')
		w.text = append(w.text, values[key]...)
	}
	w.text = append(w.text, '}')
}

// Object writes an object with the members that write writes. The object may be
// empty.
func (w *Writer) Object(name string, write func(*Writer)) {
	w.name(name)
	w.text = append(w.text, '{')
	write(w)
	w.text = append(w.text, '}')
}

// Objects writes an array of n objects.
func (w *Writer) Objects(name string, n int, write func(w *Writer, i int)) {
	if n == 0 {
		return
	}
	w.name(name)
	for i := range n {
		w.text = append(w.text, separator(i, '['), '{')
		write(w, i)
		w.text = append(w.text, '}')
	}
	w.text = append(w.text, ']')
}

// separator returns the byte before the element i of an array or object.
func separator(i int, first byte) byte {
	if i == 0 {
		return first
	}
	return ','
}

// appendString appends a JSON string.
func appendString(text []byte, s string) []byte {
	const digits, short = "0123456789abcdef", "\b\f\n\r\t"
	text = append(text, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		text = append(text, s[done:i]...)
		switch {
		case c == '"' || c == '\\':
			text = append(text, '\\', c)
		case strings.IndexByte(short, c) >= 0:
			text = append(text, '\\', "bfnrt"[strings.IndexByte(short, c)])
		case c < ' ':
			text = append(text, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			text = append(text, "\uFFFD"...)
		}
		i += size
		done = i
	}
	return append(append(text, s[done:]...), '"')
}
