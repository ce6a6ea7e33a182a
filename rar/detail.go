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

// A Detail is one object of authorization_details that is valid under its type. It is immutable and safe for concurrent use.
// Only a [Registry] makes them; the zero Detail permits nothing and cannot be marshalled.
//
// RAR-13-1: it prints and logs as its type, as what it says about the user is for those who need it.
type Detail struct{ d *detail }

type detail struct {
	typ   *Type
	value value // as it was parsed
	typed any   // the normal form as the Go struct, if the type has one

	once  sync.Once
	forms forms
}

// Type returns the name of the type, "" for the zero Detail.
func (d Detail) Type() string {
	if d.d == nil {
		return ""
	}
	return d.d.typ.name
}

// MarshalJSON returns the object as it was parsed. See [Detail.Normal].
func (d Detail) MarshalJSON() ([]byte, error) {
	if d.d == nil {
		return nil, errors.New("rar: a Detail that no registry made")
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

// Common returns the members that RFC 9396 defines for all types, without those that have another form in this type.
func (d Detail) Common() Common {
	var c Common
	if d.d == nil {
		return c
	}
	list := func(name string) []string {
		if v := d.d.value.Get(name); v != nil {
			values, _ := v.Strings()
			return values
		}
		return nil
	}
	c.Locations, c.Actions, c.DataTypes, c.Privileges = list("locations"), list("actions"), list("datatypes"), list("privileges")
	if v := d.d.value.Get("identifier"); v != nil {
		c.Identifier = v.Text
	}
	return c
}

// String returns the type.
func (d Detail) String() string { return "rar.Detail(" + d.Type() + ")" }

// LogValue is String for package log/slog.
func (d Detail) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Details is a list of authorization details, which permits what any of them permits. It marshals to the JSON array. The
// Details in it are immutable, the list is an ordinary slice: append to it, cut it, range over it. nil permits nothing.
type Details []Detail

// MarshalJSON returns the array; for an empty list that is [].
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

// LogValue is String for package log/slog.
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

// Common has the members that RFC 9396 §2.2 defines for all types. Embed it in the struct of a type that uses them. A nil
// list is one that is absent.
type Common struct {
	// Locations are the resource servers that the detail is for, as absolute
	// URIs without fragment, of ASCII characters. See [Details.ForResource].
	Locations []string `json:"locations,omitempty" jsonschema:"resource servers where the detail is used"`
	// Actions are what may be done.
	Actions []string `json:"actions,omitempty" jsonschema:"kinds of actions to be taken at the resource"`
	// DataTypes are the kinds of data that it may be done with.
	DataTypes []string `json:"datatypes,omitempty" jsonschema:"kinds of data being requested from the resource"`
	// Identifier is the one thing at the API that it may be done with.
	Identifier string `json:"identifier,omitempty" jsonschema:"a specific resource available at the API"`
	// Privileges are the levels of privilege.
	Privileges []string `json:"privileges,omitempty" jsonschema:"types or levels of privilege being requested"`
}

// CoversCommon applies the default rule of [TypeConfig].Covers to the common members, for types with a rule of their own for
// the others: granted.CoversCommon(requested.Common).
func (granted Common) CoversCommon(requested Common) error {
	for _, list := range []struct {
		name               string
		granted, requested []string
	}{
		{"locations", granted.Locations, requested.Locations}, {"actions", granted.Actions, requested.Actions},
		{"datatypes", granted.DataTypes, requested.DataTypes}, {"privileges", granted.Privileges, requested.Privileges},
	} {
		if (list.granted == nil) != (list.requested == nil) || !narrows(list.granted, list.requested) {
			return FieldError(list.name, "not within what was granted")
		}
	}
	if granted.Identifier != requested.Identifier {
		return FieldError("identifier", "not the one that was granted")
	}
	return nil
}

// Get returns a detail as a T: the struct that its type is made of, or, if that is made of a schema, any T that its JSON
// can be decoded into by exact member names. Members that such a T has no field for are left out, limits among them; who
// decides about a permission asks [Details.Covers]. The result is the caller's to change.
//
// It returns an error when the type is made of another struct, or the JSON does not fit into T.
func Get[T any](d Detail) (T, error) {
	var v T
	switch want := reflect.TypeFor[T](); {
	case d.d == nil:
		return v, errors.New("rar: a Detail that no registry made")
	case d.d.typ.goType == want:
		typed, f := d.d.typ.decode(&d.d.value) // once more: the one that is there is shared
		if f != nil {
			return v, f.at(0, d.Type())
		}
		return typed.(T), nil
	case want == reflect.TypeFor[Detail]():
		return any(d).(T), nil
	case d.d.typ.goType != nil:
		return v, fmt.Errorf("rar: type %q is made of %v, not of %v", d.Type(), d.d.typ.goType, want)
	}
	if err := strictjson.Decode([]byte(d.d.value.Raw), &v); err != nil {
		var zero T
		return zero, fmt.Errorf("rar: type %q: %w", d.Type(), err)
	}
	return v, nil
}

// Edit returns a detail with changes: what the user has chosen on the consent page, be it less than was requested or an
// enrichment. T is as for [Get], but has to hold all of the detail, so that nothing gets lost on the way. The result is valid
// under the type, or there is an [*Error] with Index 0; [Registry.CheckGrant] tells whether it may be granted.
func Edit[T any](d Detail, change func(*T)) (Detail, error) {
	v, err := Get[T](d)
	if err != nil {
		return Detail{}, err
	}
	if d.d.typ.goType == nil { // of a struct the same one comes back
		if same, f := d.d.typ.detailOf(v); f != nil || !equal(&same.d.value, &d.d.value) {
			return Detail{}, fmt.Errorf("rar: a %T does not hold all of this detail of type %q", v, d.Type())
		}
	}
	change(&v)
	edited, f := d.d.typ.detailOf(v)
	if f != nil {
		return Detail{}, f.at(0, d.Type())
	}
	return edited, nil
}

// detailOf makes a detail of a Go value: one that is a Detail of the type already, or one that marshals to an object, with
// or without the member type.
func (t *Type) detailOf(v any) (Detail, *fault) {
	if d, ok := v.(Detail); ok {
		if d.d == nil || d.d.typ != t {
			return Detail{}, failure(ErrUnknownType, "not a detail of this type")
		}
		return d, nil
	}
	object, f := jsonOf(v)
	if f != nil {
		return Detail{}, f
	}
	return t.withType(object)
}

// withType makes a detail of an object with or without the member type. An empty
// one is a field of a struct that was not set.
func (t *Type) withType(object value) (Detail, *fault) {
	is := object.Get("type")
	if is != nil && (is.Kind != stringKind || is.Text != "") {
		return t.admit(object)
	}
	quoted, _ := json.Marshal(t.name) // a string cannot fail
	typed := value{Kind: objectKind, Members: make([]member, 1, len(object.Members)+1)}
	typed.Members[0] = member{Name: "type", Value: value{Kind: stringKind, Raw: string(quoted), Text: t.name}}
	rest := ""
	for i, m := range object.Members {
		switch {
		case m.Name == "type":
			continue
		case is != nil: // its place is in the middle
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
		return Detail{}, failure(ErrTooLarge, "nested so that the schema of the type, which contains itself, would take too long")
	}
	if f := t.schema.root.check(&object); f != nil {
		return Detail{}, f
	}
	if f := checkLocations(&object); f != nil {
		return Detail{}, f
	}
	d := &detail{typ: t, value: object}
	if t.decode == nil {
		return Detail{d}, t.refuse(Detail{d})
	}
	typed, f := t.typedForm(&object)
	if f != nil {
		return Detail{}, f
	}
	if f := t.refuse(typed); f != nil {
		return Detail{}, f
	}
	if d.typed = typed; t.normalized != nil {
		d.typed = t.normalized(typed)
	}
	return Detail{d}, nil
}

// refuse applies the type's Check.
func (t *Type) refuse(detail any) *fault {
	if t.check != nil {
		if err := t.check(detail); err != nil {
			return hookFault(ErrFieldValue, err)
		}
	}
	return nil
}
