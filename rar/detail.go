package rar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Detail is one object of authorization_details that is valid under its type.
// Only a [Registry] makes details. A Detail is immutable and safe for
// concurrent use. The zero Detail permits nothing and cannot be marshalled.
//
// A Detail prints and logs only its type, because its members may be personal
// data (RFC 9396 §13).
type Detail struct{ d *detail }

type detail struct {
	typ   *Type
	value value // as it was parsed
	typed any   // the normal form as the Go struct, if the type has one

	once  sync.Once
	forms forms
}

// Type returns the name of the type. It is empty for the zero Detail.
func (d Detail) Type() string {
	if d.d == nil {
		return ""
	}
	return d.d.typ.name
}

// MarshalJSON returns the object as it was parsed. See [Detail.Normal].
func (d Detail) MarshalJSON() ([]byte, error) {
	if d.d == nil {
		return nil, errors.New("rar: Detail not made by a registry")
	}
	return []byte(d.d.value.Raw), nil
}

// Equal reports whether two details are one permission: each covers the other
// by the rule of their type. Their spelling does not matter. Equal details have
// equal digests.
func (d Detail) Equal(other Detail) bool {
	if d.d == nil || other.d == nil {
		return d.d == other.d
	}
	t := d.d.typ
	return t == other.d.typ && t.covers(d, other) == nil && t.covers(other, d) == nil
}

// Common returns the members that RFC 9396 §2.2 defines for all types. It omits
// the members that have another form in this type.
func (d Detail) Common() Common {
	var c Common
	if d.d == nil {
		return c
	}
	for i, list := range c.sets() {
		if v := d.d.value.Get(setMembers[i]); v != nil {
			*list, _ = v.Strings()
		}
	}
	if v := d.d.value.Get("identifier"); v != nil {
		c.Identifier = v.Text
	}
	return c
}

// String returns the type.
func (d Detail) String() string { return "rar.Detail(" + d.Type() + ")" }

// LogValue returns String for package log/slog.
func (d Detail) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Details is a list of authorization details. It permits everything that one of
// them permits, and nil permits nothing. It marshals to the JSON array. Details
// is an ordinary slice: append to it, slice it, range over it. Its elements are
// immutable.
type Details []Detail

// MarshalJSON returns the JSON array, which is [] for an empty list.
func (l Details) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, d := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		raw, err := d.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b.Write(raw)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// String returns the types.
func (l Details) String() string {
	names := make([]string, len(l))
	for i, d := range l {
		names[i] = d.Type()
	}
	return "rar.Details(" + strings.Join(names, " ") + ")"
}

// LogValue returns String for package log/slog.
func (l Details) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Scopes returns the scopes that are granted together with the details
// (TypeConfig.Scope), sorted and without duplicates. A type without a scope
// adds none.
func (l Details) Scopes() []string {
	var scopes []string
	for _, d := range l {
		if d.d != nil && d.d.typ.scope != "" {
			scopes = append(scopes, d.d.typ.scope)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Common has the members that RFC 9396 §2.2 defines for all types. A type that
// uses them embeds Common in its struct. A nil list is absent.
type Common struct {
	// Locations are the resource servers that the detail is for, as absolute
	// URIs of ASCII characters without fragment. See [Details.ForResource].
	Locations []string `json:"locations,omitempty" jsonschema:"resource servers where the detail is used"`
	// Actions are the permitted actions.
	Actions []string `json:"actions,omitempty" jsonschema:"kinds of actions to be taken at the resource"`
	// DataTypes are the permitted kinds of data.
	DataTypes []string `json:"datatypes,omitempty" jsonschema:"kinds of data being requested from the resource"`
	// Identifier is the permitted resource at the API.
	Identifier string `json:"identifier,omitempty" jsonschema:"a specific resource available at the API"`
	// Privileges are the permitted levels of privilege.
	Privileges []string `json:"privileges,omitempty" jsonschema:"types or levels of privilege being requested"`
}

// CoversCommon applies the default rule of [TypeConfig].Covers to the common
// members. A type with its own rule for the other members calls
// granted.CoversCommon(requested.Common).
func (granted Common) CoversCommon(requested Common) error {
	for i, list := range requested.sets() {
		have := *granted.sets()[i]
		if (have == nil) != (*list == nil) || !narrows(have, *list) {
			return FieldError(setMembers[i], "exceeds the granted list")
		}
	}
	if granted.Identifier != requested.Identifier {
		return FieldError("identifier", "differs from the granted one")
	}
	return nil
}

// sets returns the lists of c in the order of setMembers.
func (c *Common) sets() [len(setMembers)]*[]string {
	return [...]*[]string{&c.Locations, &c.Actions, &c.DataTypes, &c.Privileges}
}

// Get returns a detail as a T. If its type is made from a struct, T is that
// struct. If its type is made from a schema, T is any type into which the JSON
// decodes by exact member names. Members for which such a T has no field are
// lost, limits included. Use [Details.Covers] to decide about a permission. The
// caller may change the result.
//
// Get returns an error if the type is made from another struct, or if the JSON
// does not fit into T.
func Get[T any](d Detail) (T, error) {
	var v T
	switch want := reflect.TypeFor[T](); {
	case d.d == nil:
		return v, errors.New("rar: Detail not made by a registry")
	case d.d.typ.goType == want:
		typed, f := d.d.typ.decode(&d.d.value) // a fresh copy: d.d.typed is shared
		if f != nil {
			return v, f.at(0, d.Type())
		}
		return typed.(T), nil
	case want == reflect.TypeFor[Detail]():
		return any(d).(T), nil
	case d.d.typ.goType != nil:
		return v, fmt.Errorf("rar: type %q is made from %v, not from %v", d.Type(), d.d.typ.goType, want)
	}
	if err := strictjson.Decode([]byte(d.d.value.Raw), &v); err != nil {
		var zero T
		return zero, fmt.Errorf("rar: type %q: %w", d.Type(), err)
	}
	return v, nil
}

// Edit returns a changed copy of a detail. It applies the choice of the user on
// the consent page, which narrows or enriches the detail. T is as for [Get],
// and must hold all members of the detail. [Registry.CheckGrant] reports
// whether the result may be granted. If the result is not valid under the type,
// the error is an [*Error] with Index 0.
func Edit[T any](d Detail, change func(*T)) (Detail, error) {
	v, err := Get[T](d)
	if err != nil {
		return Detail{}, err
	}
	if d.d.typ.goType == nil { // a struct holds all members
		if same, f := d.d.typ.detailOf(v); f != nil || !same.d.value.Equal(&d.d.value) {
			return Detail{}, fmt.Errorf("rar: %T does not hold all members of this detail of type %q", v, d.Type())
		}
	}
	change(&v)
	return d.d.typ.newDetail(v)
}

// newDetail is detailOf with the public error.
func (t *Type) newDetail(v any) (Detail, error) {
	d, f := t.detailOf(v)
	if f != nil {
		return Detail{}, f.at(0, t.name)
	}
	return d, nil
}

// detailOf makes a detail of a Go value. The value is a Detail of this type, or
// marshals to an object with or without the member type.
func (t *Type) detailOf(v any) (Detail, *fault) {
	if d, ok := v.(Detail); ok {
		if d.d == nil || d.d.typ != t {
			return Detail{}, failure(ErrUnknownType, "detail of another type")
		}
		return d, nil
	}
	object, f := jsonOf(v)
	if f != nil {
		return Detail{}, f
	}
	return t.withType(object)
}

// withType makes a detail of an object with or without the member type. An
// empty member type is a field of a struct that was not set.
func (t *Type) withType(object value) (Detail, *fault) {
	is := object.Get("type")
	if is != nil && (is.Kind != stringKind || is.Text != "") {
		return t.admit(object)
	}
	quoted, _ := json.Marshal(t.name) // a string is never an error
	typed := value{Kind: objectKind, Members: make([]member, 1, len(object.Members)+1)}
	typed.Members[0] = member{Name: "type", Value: value{Kind: stringKind, Raw: string(quoted), Text: t.name}}
	rest := ""
	for i, m := range object.Members {
		switch {
		case m.Name == "type":
			continue
		case is != nil: // the empty member type may be anywhere
			name, _ := json.Marshal(m.Name)
			rest += "," + string(name) + ":" + m.Value.Raw
		case i == 0:
			rest = "," + strings.TrimLeft(object.Raw[1:len(object.Raw)-1], " \t\r\n")
		}
		typed.Members = append(typed.Members, m)
	}
	typed.Raw = `{"type":` + string(quoted) + rest + "}"
	return t.admit(typed)
}

// admit checks an object against the type.
func (t *Type) admit(object value) (Detail, *fault) {
	if !t.schema.affordable(&object) {
		return Detail{}, failure(ErrTooLarge, "nested too deep for the recursive schema of the type")
	}
	if f := t.schema.root.check(&object); f != nil {
		return Detail{}, f
	}
	if f := checkLocations(&object); f != nil {
		return Detail{}, f
	}
	d := &detail{typ: t, value: object}
	if t.decode == nil {
		return Detail{d}, t.reject(Detail{d})
	}
	typed, f := t.typedForm(&object)
	if f != nil {
		return Detail{}, f
	}
	if f := t.reject(typed); f != nil {
		return Detail{}, f
	}
	if d.typed = typed; t.normalized != nil {
		d.typed = t.normalized(typed)
	}
	return Detail{d}, nil
}

// reject applies the type's Check.
func (t *Type) reject(detail any) *fault {
	if t.check != nil {
		if err := t.check(detail); err != nil {
			return hookFault(ErrFieldValue, err)
		}
	}
	return nil
}
