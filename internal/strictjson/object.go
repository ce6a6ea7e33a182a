package strictjson

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Valid reports whether data is one JSON value under the rules of this package.
func Valid(data []byte) error {
	s := scanner{text: string(data)}
	s.space()
	if err := s.value(0, nil); err != nil {
		return err
	}
	return s.end()
}

// An Object is a checked JSON object. It finds members by exact name. It shares
// no memory with the bytes that it was parsed from. It is safe for concurrent
// reading.
type Object struct {
	members []member
}

type member struct {
	name, value string // value is the JSON text
}

// ParseObject checks that data is exactly one JSON object.
func ParseObject[T ~[]byte | ~string](data T) (Object, error) {
	return parseObject(string(data), 0)
}

// ParseClaims is ParseObject for the claims of a JWT whose issuer may repeat
// members. See the package documentation.
func ParseClaims[T ~[]byte | ~string](data T) (Object, error) {
	return parseObject(string(data), maxRepeated)
}

func parseObject(text string, repeats int) (Object, error) {
	s := scanner{text: text, repeats: repeats}
	s.space()
	if s.peek() != '{' {
		return Object{}, s.fail("not a JSON object")
	}
	o := Object{members: make([]member, 0, 8)}
	err := s.object(0, func(name, value string, again bool) bool {
		if again {
			before, ok := o.Text(name) // exactly this name, in the same case
			return ok && before == value
		}
		o.members = append(o.members, member{name, value})
		return true
	}, nil)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return Object{}, err
	}
	return o, nil
}

// Get returns a copy of the JSON text of a member.
func (o Object) Get(name string) (json.RawMessage, bool) {
	text, ok := o.Text(name)
	if !ok {
		return nil, false
	}
	return json.RawMessage(text), true
}

// Text returns the JSON text of a member.
func (o Object) Text(name string) (string, bool) {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].value, true
		}
	}
	return "", false
}

// Has reports whether the member is present, even if it is null.
func (o Object) Has(name string) bool {
	_, ok := o.Text(name)
	return ok
}

// Names returns the member names in the order of the document.
func (o Object) Names() []string {
	names := make([]string, len(o.members))
	for i, m := range o.members {
		names[i] = m.name
	}
	return names
}

// value returns the JSON text of a member. A null counts as absent.
func (o Object) value(name string) (string, bool) {
	raw, ok := o.Text(name)
	return raw, ok && raw != null
}

const null = "null"

// Null reports whether the member is present and null. The other methods count
// such a member as absent. The caller rejects it if null must not count as
// absent.
func (o Object) Null(name string) bool {
	raw, _ := o.Text(name)
	return raw == null
}

// String returns a member that must be a JSON string if it is present.
func (o Object) String(name string) (value string, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return "", false, nil
	}
	value, ok = unquote(raw)
	if !ok {
		return "", true, wrongType(name, "a string")
	}
	return value, true, nil
}

// Time returns a member that must be a NumericDate (RFC 7519 §2) if it is
// present. It may have a fraction. The years are 1970 to 9999.
func (o Object) Time(name string) (t time.Time, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return time.Time{}, false, nil
	}
	const last = 253402300799 // 9999-12-31T23:59:59Z, the last instant of RFC 3339
	if sec, err := strconv.ParseInt(raw, 10, 64); err == nil {
		if sec < 0 || sec > last {
			return time.Time{}, true, wrongType(name, "a date between 1970 and 9999")
		}
		return time.Unix(sec, 0), true, nil
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || !(f >= 0 && f <= last) {
		return time.Time{}, true, wrongType(name, "a date between 1970 and 9999")
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)), true, nil
}

// Bool returns a member that must be a JSON boolean if it is present.
func (o Object) Bool(name string) (value, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return false, false, nil
	}
	switch raw {
	case "true":
		return true, true, nil
	case "false":
		return false, true, nil
	}
	return false, true, wrongType(name, "a boolean")
}

// Strings returns a member that must be an array of strings if it is present.
func (o Object) Strings(name string) (values []string, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return nil, false, nil
	}
	values, ok = stringArray(raw)
	if !ok {
		return nil, true, wrongType(name, "an array of strings")
	}
	return values, true, nil
}

// StringOrStrings returns a member that must be a string or an array of strings
// if it is present, such as aud.
func (o Object) StringOrStrings(name string) (values []string, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return nil, false, nil
	}
	if s, ok := unquote(raw); ok {
		return []string{s}, true, nil
	}
	if values, ok = stringArray(raw); ok {
		return values, true, nil
	}
	return nil, true, wrongType(name, "a string or an array of strings")
}

// Object returns a member that must be an object if it is present.
func (o Object) Object(name string) (sub Object, present bool, err error) {
	raw, ok := o.value(name)
	if !ok {
		return Object{}, false, nil
	}
	if raw[0] != '{' {
		return Object{}, true, wrongType(name, "an object")
	}
	sub, err = ParseObject(raw)
	return sub, true, err
}

// unquote returns the value of a checked JSON string.
func unquote(raw string) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	s := scanner{text: raw}
	value, err := s.str(true)
	return value, err == nil
}

// stringArray returns the elements of a checked JSON array of strings.
func stringArray(raw string) ([]string, bool) {
	if raw[0] != '[' {
		return nil, false
	}
	values := make([]string, 0, 4)
	s := scanner{text: raw, pos: 1}
	for s.space(); s.peek() != ']'; s.space() {
		if s.peek() == ',' {
			s.pos++
			s.space()
		}
		if s.peek() != '"' {
			return nil, false
		}
		value, err := s.str(true)
		if err != nil {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

func wrongType(name, want string) error {
	return fmt.Errorf("%w: member %s is not %s", ErrInvalid, quote(name), want)
}
