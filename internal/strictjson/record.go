package strictjson

import (
	"encoding/json"
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
	of        *nodes
	from, end int // the nodes of the object
	next      int // the member after the one that was read last
}

// nodes are the values in a record, each before its members or elements.
type nodes struct {
	list   []node
	raw    []string // names of members whose inner values are not nodes
	hidden bool     // the scanner is in such a member
	damage error
}

type node struct {
	name, text string // text is JSON
	end        int    // the node after the last inner value
}

// add checks a value and adds its nodes.
func (n *nodes) add(s *scanner, depth int, name string) error {
	i, start := len(n.list), s.pos
	n.list = append(n.list, node{name: name})
	n.hidden = slices.Contains(n.raw, name)
	err := s.value(depth, nil)
	n.hidden = false
	n.list[i].text, n.list[i].end = s.text[start:s.pos], len(n.list)
	return err
}

// ReadRecord reads a record in one pass. Its values share no memory with data.
// The members with the names in raw are read with Raw only. Their values are
// checked and not taken apart.
func ReadRecord(data []byte, raw ...string) *Record {
	of := &nodes{list: make([]node, 0, 32), raw: raw}
	s := scanner{text: string(data), nodes: of}
	s.space()
	err := s.inner(-recordLevels, "", nil)
	if err == nil {
		err = s.end()
	}
	if err == nil && of.list[0].text[0] != '{' {
		err = s.fail("not a JSON object")
	}
	if err != nil {
		of.damage = err
		return &Record{of: of} // without members
	}
	return of.object(0)
}

// object returns the object at a node.
func (n *nodes) object(i int) *Record {
	return &Record{of: n, from: i + 1, end: n.list[i].end, next: i + 1}
}

// Err returns the first error of the record, which includes its inner objects.
func (r *Record) Err() error { return r.of.damage }

// Damage records that the record is damaged for a reason of the caller.
func (r *Record) Damage(reason string) {
	if r.of.damage == nil {
		r.of.damage = fmt.Errorf("%w: %s", ErrInvalid, reason)
	}
}

func (r *Record) wrong(name, want string) {
	if r.of.damage == nil {
		r.of.damage = wrongType(name, want)
	}
}

// find returns the node of a member, or -1. Usually members are read in the
// order in which they were written.
func (r *Record) find(name string) int {
	list := r.of.list
	if i := r.next; i < r.end && list[i].name == name {
		return i
	}
	for i := r.from; i < r.end; i = list[i].end {
		if list[i].name == name {
			return i
		}
	}
	return -1
}

// get returns the node of a member whose text begins with one of some bytes, or
// -1. The first byte of a JSON value determines its type.
func (r *Record) get(name, first, want string) int {
	i := r.find(name)
	if i < 0 {
		return -1
	}
	r.next = r.of.list[i].end
	if strings.IndexByte(first, r.of.list[i].text[0]) < 0 {
		r.wrong(name, want)
		return -1
	}
	return i
}

// String returns a string.
func (r *Record) String(name string) string {
	i := r.get(name, `"`, "a string")
	if i < 0 {
		return ""
	}
	text, _ := unquote(r.of.list[i].text)
	return text
}

// Strings returns an array of strings. An empty array is nil.
func (r *Record) Strings(name string) []string {
	i := r.get(name, "[", "an array of strings")
	if i < 0 || r.of.list[i].end == i+1 {
		return nil
	}
	elements := r.of.list[i+1 : r.of.list[i].end]
	texts := make([]string, len(elements))
	for i, element := range elements {
		var ok bool
		if texts[i], ok = unquote(element.text); !ok {
			r.wrong(name, "an array of strings")
			return nil
		}
	}
	return texts
}

const number = "-0123456789"

// Int returns an integer.
func (r *Record) Int(name string) int64 {
	i := r.get(name, number, "an integer")
	if i < 0 {
		return 0
	}
	n, err := strconv.ParseInt(r.of.list[i].text, 10, 64)
	if err != nil {
		r.wrong(name, "an integer")
		return 0
	}
	return n
}

// Bool returns a boolean.
func (r *Record) Bool(name string) bool {
	i := r.get(name, "tf", "a boolean")
	return i >= 0 && r.of.list[i].text == "true"
}

// Time returns a time that Writer.Time wrote, in UTC.
func (r *Record) Time(name string) time.Time {
	i := r.get(name, number, "a time")
	if i < 0 {
		return time.Time{}
	}
	seconds, fraction, found := strings.Cut(r.of.list[i].text, ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	ns, err2 := int64(0), error(nil)
	if found {
		ns, err2 = strconv.ParseInt(fraction, 10, 64)
	}
	if err != nil || err2 != nil || found && len(fraction) != 9 {
		r.wrong(name, "a time")
		return time.Time{}
	}
	return time.Unix(sec, ns).UTC()
}

// Raw returns a copy of the JSON text of a member, or nil if it is absent. It
// accepts every value, and is safe for concurrent use.
func (r *Record) Raw(name string) json.RawMessage {
	if i := r.find(name); i >= 0 {
		return json.RawMessage(r.of.list[i].text)
	}
	return nil
}

// Raws returns the JSON texts of the members of an object. An empty object is
// nil. The texts are copies.
func (r *Record) Raws(name string) map[string]json.RawMessage {
	i := r.get(name, "{", "an object")
	if i < 0 || r.of.list[i].end == i+1 {
		return nil
	}
	all := make(map[string]json.RawMessage)
	for i, end := i+1, r.of.list[i].end; i < end; i = r.of.list[i].end {
		all[r.of.list[i].name] = json.RawMessage(r.of.list[i].text)
	}
	return all
}

// Object returns an inner object. If it is absent, all of its members are
// empty.
func (r *Record) Object(name string) *Record {
	i := r.get(name, "{", "an object")
	if i < 0 {
		return &Record{of: r.of}
	}
	return r.of.object(i)
}

// Objects returns the elements of an array of objects.
func (r *Record) Objects(name string) (objects []*Record) {
	i := r.get(name, "[", "an array of objects")
	if i < 0 {
		return nil
	}
	for i, end := i+1, r.of.list[i].end; i < end; i = r.of.list[i].end {
		if r.of.list[i].text[0] != '{' {
			r.wrong(name, "an array of objects")
			return nil
		}
		objects = append(objects, r.of.object(i))
	}
	return objects
}
