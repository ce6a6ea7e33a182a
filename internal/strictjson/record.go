package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recordLevels are the levels of a record above the JSON values in it. Each of
// these values can have [MaxDepth] levels, as where it came from.
const recordLevels = 8

// A Record reads the members of an object that a [Writer] wrote, in any order.
// An absent member is empty. If a member has another type or is null, the
// record is damaged: the member is empty, and Err returns an error. Unknown
// members are ignored. A Record is not safe for concurrent use, except for Raw.
type Record struct {
	value  *Value
	next   int // the member after the one that was read last
	damage *error
}

// ReadRecord reads a record in one pass. Its values share no memory with data.
// The values of members with the names in raw are for Raw only: they are
// checked, and not taken apart.
func ReadRecord(data []byte, raw ...string) *Record {
	s := scanner{text: string(data), raw: raw}
	r := &Record{value: new(Value), damage: new(error)}
	s.space()
	err := s.value(-recordLevels, r.value)
	if err == nil {
		err = s.end()
	}
	if err == nil && r.value.Kind != KindObject {
		err = s.fail("not a JSON object")
	}
	if err != nil {
		r.value, *r.damage = new(Value), err
	}
	return r
}

// Err returns the first error of the record, which includes its inner objects.
func (r *Record) Err() error { return *r.damage }

// Damage records that the record is damaged for a reason of the caller.
func (r *Record) Damage(reason string) {
	if *r.damage == nil {
		*r.damage = fmt.Errorf("%w: %s", ErrInvalid, reason)
	}
}

// get returns a member of a kind, or nil. Usually members are read in the order
// in which they were written.
func (r *Record) get(name string, kind Kind, want string) *Value {
	members := r.value.Members
	i := r.next
	if i >= len(members) || members[i].Name != name {
		i = slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
	}
	if i < 0 {
		return nil
	}
	r.next = i + 1
	if members[i].Value.Kind != kind {
		r.wrong(name, want)
		return nil
	}
	return &members[i].Value
}

func (r *Record) wrong(name, want string) {
	if *r.damage == nil {
		*r.damage = wrongType(name, want)
	}
}

// String returns a string.
func (r *Record) String(name string) string {
	if v := r.get(name, KindString, "a string"); v != nil {
		return v.Text
	}
	return ""
}

// Strings returns an array of strings. An empty array is nil.
func (r *Record) Strings(name string) []string {
	v := r.get(name, KindArray, "an array of strings")
	if v == nil || len(v.Items) == 0 {
		return nil
	}
	list, ok := v.Strings()
	if !ok {
		r.wrong(name, "an array of strings")
	}
	return list
}

// Int returns an integer.
func (r *Record) Int(name string) int64 {
	v := r.get(name, KindNumber, "an integer")
	if v == nil {
		return 0
	}
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if err != nil {
		r.wrong(name, "an integer")
		return 0
	}
	return n
}

// Bool returns a boolean.
func (r *Record) Bool(name string) bool {
	v := r.get(name, KindBoolean, "a boolean")
	return v != nil && v.Raw == "true"
}

// Time returns a time that Writer.Time wrote, in UTC.
func (r *Record) Time(name string) time.Time {
	v := r.get(name, KindNumber, "a time")
	if v == nil {
		return time.Time{}
	}
	seconds, fraction, found := strings.Cut(v.Raw, ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	ns := int64(0)
	if found && err == nil {
		if ns, err = strconv.ParseInt(fraction, 10, 64); len(fraction) != 9 {
			err = errors.New("not nanoseconds")
		}
	}
	if err != nil {
		r.wrong(name, "a time")
		return time.Time{}
	}
	return time.Unix(sec, ns).UTC()
}

// Raw returns a copy of the JSON text of a member, or nil if it is absent. It
// accepts every value, and is safe for concurrent use.
func (r *Record) Raw(name string) json.RawMessage {
	if v := r.value.Get(name); v != nil {
		return json.RawMessage(v.Raw)
	}
	return nil
}

// Raws returns the JSON texts of the members of an object. An empty object is
// nil. The texts are copies.
func (r *Record) Raws(name string) map[string]json.RawMessage {
	v := r.get(name, KindObject, "an object")
	if v == nil || len(v.Members) == 0 {
		return nil
	}
	all := make(map[string]json.RawMessage, len(v.Members))
	for _, m := range v.Members {
		all[m.Name] = json.RawMessage(m.Value.Raw)
	}
	return all
}

// Object returns an inner object. If it is absent, all of its members are
// empty.
func (r *Record) Object(name string) *Record {
	v := r.get(name, KindObject, "an object")
	if v == nil {
		v = new(Value)
	}
	return &Record{value: v, damage: r.damage}
}

// Objects returns the elements of an array of objects.
func (r *Record) Objects(name string) []Record {
	v := r.get(name, KindArray, "an array of objects")
	if v == nil || len(v.Items) == 0 {
		return nil
	}
	list := make([]Record, len(v.Items))
	for i := range v.Items {
		if v.Items[i].Kind != KindObject {
			r.wrong(name, "an array of objects")
		}
		list[i] = Record{value: &v.Items[i], damage: r.damage}
	}
	return list
}
