package strictjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Decode checks data and stores it in v, which is a pointer as for
// json.Unmarshal. It matches members to the fields of structs by exact name,
// and ignores unknown members. A null leaves a field unchanged. The strings in
// v are parts of one copy of data.
func Decode(data []byte, v any) error {
	document, _, err := Parse(string(data), 0)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("%w: cannot decode into %T", ErrInvalid, v)
	}
	if bad := shapeOf(target.Type().Elem()).decode(&document, target.Elem()); bad != nil {
		return fmt.Errorf("%w: %s %s", ErrInvalid, bad.within("the document").place, bad.problem)
	}
	return nil
}

// A misfit is a value that does not fit its target. Its place is complete if it
// begins with the name of a member. Until then it is a list of indexes, which
// the caller completes. A value that fits costs no text.
type misfit struct{ place, problem string }

func (m *misfit) within(outer string) *misfit {
	if m.place == "" || m.place[0] == '[' {
		m.place = outer + m.place
	}
	return m
}

// A shape determines how values of one type are decoded.
type shape struct {
	way    way
	fields []field // of a struct
}

type field struct {
	name  string
	index []int
	shape *shape
}

type way byte

const (
	byJSON way = iota // everything that encoding/json decodes
	toRaw
	toPointer
	toStruct
	toMap
	toItems
	toString
	toBool
	toInt
	toStrings
)

// shapes has the *shape of each reflect.Type that was decoded. The types are
// those of the program, so their number is bounded.
var shapes sync.Map

// shapeOf returns the shape of a type. The shapes of elements are found when
// they are needed, because types can be recursive.
func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{way: wayOf(t)}
	if s.way == toStruct {
		s.fields = fieldsOf(t, nil)
	}
	known, _ := shapes.LoadOrStore(t, s)
	return known.(*shape)
}

func wayOf(t reflect.Type) way {
	implements := reflect.PointerTo(t).Implements
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[json.RawMessage]():
		return toRaw
	case implements(reflect.TypeFor[json.Unmarshaler]()):
		return byJSON
	case kind == reflect.Pointer:
		return toPointer
	case kind == reflect.Struct:
		return toStruct
	case nests(t) && kind == reflect.Map:
		return toMap
	case nests(t):
		return toItems
	case implements(reflect.TypeFor[encoding.TextUnmarshaler]()), t == reflect.TypeFor[json.Number]():
		return byJSON
	case kind == reflect.String:
		return toString
	case kind == reflect.Bool:
		return toBool
	case reflect.Int <= kind && kind <= reflect.Int64:
		return toInt
	case t == reflect.TypeFor[[]string]():
		return toStrings
	}
	return byJSON
}

// nests reports whether the elements of t may contain structs. encoding/json
// would ignore the case of their names.
func nests(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		switch t.Elem().Kind() {
		case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			return true
		}
	}
	return false
}

// fieldsOf returns the fields of a struct, together with those of embedded
// structs.
func fieldsOf(t reflect.Type, outer []int) (fields []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(outer[:len(outer):len(outer)], i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
			fields = append(fields, fieldsOf(f.Type, index)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{name, index, shapeOf(f.Type)})
	}
	return fields
}

func (s *shape) decode(from *Value, v reflect.Value) *misfit {
	how := s.way
	if from.Kind == KindNull && how != toRaw {
		how = byJSON
	}
	switch how {
	case toRaw:
		v.SetBytes([]byte(from.Raw))
		return nil
	case toPointer:
		v.Set(reflect.New(v.Type().Elem()))
		return shapeOf(v.Type().Elem()).decode(from, v.Elem())
	case toStruct:
		return s.decodeFields(from, v)
	case toMap:
		return decodeMap(from, v)
	case toItems:
		return decodeItems(from, v)
	}
	if how == byJSON || !decodeLeaf(how, from, v) {
		// The error of encoding/json may quote the value, which may be a
		// secret.
		if json.Unmarshal([]byte(from.Raw), v.Addr().Interface()) != nil {
			return &misfit{problem: "has the wrong type, want " + v.Type().String()}
		}
	}
	return nil
}

// decodeLeaf stores a value without encoding/json, which would check it again.
// It reports false if the value is not of the usual kind.
func decodeLeaf(how way, from *Value, v reflect.Value) bool {
	switch {
	case how == toString && from.Kind == KindString:
		v.SetString(from.Text)
	case how == toBool && from.Kind == KindBoolean:
		v.SetBool(from.Raw == "true")
	case how == toInt:
		n, err := strconv.ParseInt(from.Raw, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
	case how == toStrings:
		list, ok := from.Strings()
		if !ok {
			return false
		}
		*v.Addr().Interface().(*[]string) = list
	default:
		return false
	}
	return true
}

func decodeMap(from *Value, v reflect.Value) *misfit {
	t := v.Type()
	if from.Kind != KindObject || t.Key().Kind() != reflect.String {
		return &misfit{problem: "is not an object"}
	}
	v.Set(reflect.MakeMapWithSize(t, len(from.Members)))
	elements := shapeOf(t.Elem())
	for i := range from.Members {
		m := &from.Members[i]
		value := reflect.New(t.Elem()).Elem()
		if bad := elements.decode(&m.Value, value); bad != nil {
			return bad.within("[" + quote(m.Name) + "]")
		}
		v.SetMapIndex(reflect.ValueOf(m.Name).Convert(t.Key()), value)
	}
	return nil
}

func decodeItems(from *Value, v reflect.Value) *misfit {
	if from.Kind != KindArray || v.Kind() == reflect.Array && len(from.Items) != v.Len() {
		return &misfit{problem: "is not an array of the right length"}
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(from.Items), len(from.Items)))
	}
	elements := shapeOf(v.Type().Elem())
	for i := range from.Items {
		if bad := elements.decode(&from.Items[i], v.Index(i)); bad != nil {
			return bad.within("[" + strconv.Itoa(i) + "]")
		}
	}
	return nil
}

func (s *shape) decodeFields(from *Value, v reflect.Value) *misfit {
	if from.Kind != KindObject {
		return &misfit{problem: "is not an object"}
	}
	for i := range s.fields {
		f := &s.fields[i]
		if member := from.Get(f.name); member != nil {
			if bad := f.shape.decode(member, v.FieldByIndex(f.index)); bad != nil {
				return bad.within("member " + quote(f.name))
			}
		}
	}
	return nil
}
