// Package configfile reads the configuration files of the example programs. The
// same table of members reads a file and describes it for -h, so the two agree.
package configfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// A Member is one member of a configuration file, which is a JSON object.
type Member struct {
	// Name is the name of the member.
	Name string
	// Into is a pointer to a value of the member's type. Read stores into it.
	Into any
	// Default describes the value that applies if the file does not have the
	// member. "required" means that the file must have it.
	Default string
	// Meaning is a sentence or two.
	Meaning string
}

// A Problem is a fault in a file. It does not contain values that could be
// secrets.
type Problem struct {
	Line int // 0 if the file has no such member
	Text string
}

// Error returns the text with the line.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// Problems collects what is wrong with a file.
type Problems struct {
	data  []byte
	lines map[string]int
	wrong map[string]bool
	raw   map[string]json.RawMessage
	list  []Problem
}

// Read stores the members of a file and returns the problems. Each member may
// occur once, with its exact name, because encoding/json alone keeps the last
// of two. A member of the wrong type is reported and not stored. All other
// members are stored nevertheless.
func Read(data []byte, members []Member) *Problems {
	p := &Problems{data: data, lines: map[string]int{}, wrong: map[string]bool{}, raw: map[string]json.RawMessage{}}
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(data, new(json.RawMessage)); {
	case errors.As(err, &syntax):
		p.at(syntax.Offset, "the configuration is not JSON: %v", err)
		return p
	case !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")):
		p.at(0, "the configuration is %s, want an object", kind(data))
		return p
	}
	known, seen := map[string]reflect.Value{}, map[string]bool{}
	for _, m := range members {
		known[m.Name] = reflect.ValueOf(m.Into).Elem()
	}
	p.object("", data, 0, func(name, path string, value []byte, offset int64) {
		if seen[name] {
			p.at(offset, "%s is there twice", path)
			return
		}
		seen[name] = true
		target, ok := known[name]
		if !ok {
			p.at(offset, "%s is unknown", path)
			return
		}
		p.raw[name] = value
		before := len(p.list)
		p.store(target, path, value, offset)
		p.wrong[name] = len(p.list) > before
	})
	return p
}

// Wrong reports whether a member has a value of the wrong type. Its value is
// then unknown.
func (p *Problems) Wrong(member string) bool { return p.wrong[member] }

// Raw returns the value of a member as it is written.
func (p *Problems) Raw(member string) json.RawMessage { return p.raw[member] }

// Add records a problem with a member, or with an element of it such as
// "users[1]".
func (p *Problems) Add(member, format string, args ...any) {
	p.list = append(p.list, Problem{p.lines[member], member + ": " + fmt.Errorf(format, args...).Error()})
}

// Require records a problem with a member, unless ok. It does nothing if the
// member is of the wrong type, which has been recorded.
func (p *Problems) Require(ok bool, member, format string, args ...any) {
	if !ok && !p.wrong[member] {
		p.Add(member, format, args...)
	}
}

// Err returns all problems in the order of their lines, or nil.
func (p *Problems) Err() error {
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	all := make([]error, len(p.list))
	for i, problem := range p.list {
		all[i] = problem
	}
	return errors.Join(all...)
}

func (p *Problems) line(offset int64) int { return 1 + bytes.Count(p.data[:offset], []byte("\n")) }

func (p *Problems) at(offset int64, format string, args ...any) {
	p.list = append(p.list, Problem{p.line(offset), fmt.Sprintf(format, args...)})
}

// object calls member for each member of an object, which is JSON.
func (p *Problems) object(path string, data []byte, at int64,
	member func(name, path string, value []byte, offset int64)) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.Token() //nolint:errcheck // the caller has seen the brace
	for d.More() {
		token, _ := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return // the whole file is JSON
		}
		inside := fmt.Sprintf("%.64q", name)
		if path != "" {
			inside = path + "." + name
		} else if isPlain(name) {
			inside = name
		}
		member(name, inside, value, at+d.InputOffset()-int64(len(value)))
	}
}

func isPlain(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z')
	})
}

// store decodes a value into target and records what does not fit.
func (p *Problems) store(target reflect.Value, path string, value []byte, at int64) {
	p.lines[path] = p.line(at)
	found := kind(value)
	mismatch := func() { p.at(at, "%s is %s, want %s", path, found, TypeName(target.Type())) }
	switch t := target.Type(); {
	case t == reflect.TypeFor[json.RawMessage]():
		target.SetBytes(bytes.Clone(value))
	case found == "null":
		mismatch()
	case t.Kind() == reflect.Pointer:
		target.Set(reflect.New(t.Elem()))
		p.store(target.Elem(), path, value, at)
	case t.Kind() == reflect.Slice && found == "a list":
		p.elements(target, path, value, at)
	case t.Kind() == reflect.Map && found == "an object":
		target.Set(reflect.MakeMap(t))
		p.object(path, value, at, func(name, path string, value []byte, offset int64) {
			into := reflect.New(t.Elem()).Elem()
			p.store(into, path, value, offset)
			if target.MapIndex(reflect.ValueOf(name)).IsValid() {
				p.at(offset, "%s is there twice", path)
			}
			target.SetMapIndex(reflect.ValueOf(name), into)
		})
	case t.Kind() == reflect.Struct && found == "an object":
		p.members(target, path, value, at)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		mismatch()
	default:
		if json.Unmarshal(value, target.Addr().Interface()) != nil {
			mismatch()
		}
	}
}

// elements stores the elements of a list.
func (p *Problems) elements(target reflect.Value, path string, value []byte, at int64) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.Token() //nolint:errcheck // the caller has seen the bracket
	target.Set(reflect.MakeSlice(target.Type(), 0, 4))
	for i := 0; d.More(); i++ {
		var element json.RawMessage
		if d.Decode(&element) != nil {
			return // the whole file is JSON
		}
		into := reflect.New(target.Type().Elem()).Elem()
		p.store(into, fmt.Sprintf("%s[%d]", path, i), element, at+d.InputOffset()-int64(len(element)))
		target.Set(reflect.Append(target, into))
	}
}

// members stores the members of a struct, by their names for package json.
func (p *Problems) members(target reflect.Value, path string, value []byte, at int64) {
	fields, seen := map[string]reflect.Value{}, map[string]bool{}
	for i := range target.NumField() {
		name, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = target.Field(i)
	}
	p.object(path, value, at, func(name, path string, value []byte, offset int64) {
		switch field, ok := fields[name]; {
		case !ok:
			p.at(offset, "%s is unknown", path)
		case seen[name]:
			p.at(offset, "%s is there twice", path)
		default:
			p.store(field, path, value, offset)
		}
		seen[name] = true
	})
}

// kind names the kind of a JSON value.
func kind(value []byte) string {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 {
		return "empty"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return string(value)
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// TypeName names a type as the file has it.
func TypeName(t reflect.Type) string {
	if t == reflect.TypeFor[json.RawMessage]() {
		return "an object"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return TypeName(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list of " + plural(t.Elem())
	case reflect.Map:
		return "an object"
	case reflect.Struct:
		var names []string
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
		return "an object with " + strings.Join(names, ", ")
	default:
		return "a string"
	}
}

func plural(t reflect.Type) string {
	name := TypeName(t)
	if name == "a string" {
		return "strings"
	}
	return strings.Replace(name, "an object", "objects", 1)
}

const width = 80

// Describe writes the table for -h.
func Describe(out io.Writer, members []Member) {
	for _, m := range members {
		fmt.Fprintf(out, "\n  %s\n", m.Name)
		about := TypeName(reflect.TypeOf(m.Into).Elem()) + "; "
		if m.Default == "required" {
			about += "required"
		} else {
			about += "default: " + cmp.Or(m.Default, "none")
		}
		wrap(out, about+".")
		wrap(out, m.Meaning)
	}
}

func wrap(out io.Writer, text string) {
	const indent = "        "
	line := indent
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > width {
			fmt.Fprintln(out, strings.TrimRight(line, " "))
			line = indent
		}
		line += word + " "
	}
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}
