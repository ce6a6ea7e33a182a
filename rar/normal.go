package rar

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// One permission can have several spellings. Members may be in another order,
// an element of a set may be repeated, a number may be 1e1. A letter may be
// escaped, and a default may be absent. All functions that compare, merge,
// digest or count details work on normal forms. They therefore agree on which
// details are the same.

// setMembers are the common fields whose arrays are sets.
var setMembers = [...]string{"locations", "actions", "datatypes", "privileges"}

// withSets returns a detail in which each set is sorted and without repetition.
// The raw texts of changed sets are missing.
func withSets(v *value) value {
	changed := *v
	for i := range v.Members {
		m := &v.Members[i]
		if !slices.Contains(setMembers[:], m.Name) || increasing(m.Value.Items) {
			continue
		}
		list, ok := m.Value.Strings()
		if !ok {
			continue
		}
		slices.Sort(list)
		list = slices.Compact(list)
		set := value{Kind: arrayKind, Items: make([]value, len(list))}
		for k, text := range list {
			set.Items[k] = value{Kind: stringKind, Text: text}
		}
		if &changed.Members[0] == &v.Members[0] {
			changed.Members = slices.Clone(v.Members)
		}
		changed.Members[i].Value = set
	}
	return changed
}

// increasing reports whether the items are strings in strictly increasing
// order.
func increasing(items []value) bool {
	for i := 1; i < len(items); i++ {
		if items[i].Kind != stringKind || items[i-1].Text >= items[i].Text {
			return false
		}
	}
	return true
}

func numbersAreNormal(v *value) bool {
	if v.Kind == numberKind {
		d, _ := strictjson.ParseDecimal(v.Raw)
		return d.Text() == v.Raw
	}
	for i := range v.Items {
		if !numbersAreNormal(&v.Items[i]) {
			return false
		}
	}
	for i := range v.Members {
		if !numbersAreNormal(&v.Members[i].Value) {
			return false
		}
	}
	return true
}

// normal returns the part of a detail's normal form that does not depend on its
// type, with its text.
func normal(v *value) value {
	sets := withSets(v)
	text := string(canonical(nil, &sets))
	if text == v.Raw {
		return *v
	}
	made, _ := read(text, 0) // numbers keep their values
	return made
}

// typedForm decodes a detail in the part of its normal form that does not
// depend on the type.
func (t *Type) typedForm(v *value) (any, *fault) {
	if !t.textual && numbersAreNormal(v) {
		form := withSets(v)
		return t.decode(&form)
	}
	if _, f := t.decode(v); f != nil { // otherwise Get could fail for a spelling
		return nil, f
	}
	form := normal(v)
	return t.decode(&form)
}

// forms are derived from a detail on demand.
type forms struct {
	normal *detail
	fault  *fault
}

// form returns the detail in normal form, or the fault of the type's Normalize.
func (d *detail) form() (*detail, *fault) {
	d.once.Do(func() {
		// If Normalize panics, the detail has no normal form, now and later:
		// without a fault it would be taken for a detail that demands nothing.
		d.forms.fault = failure(ErrHook, "Normalize panicked")
		d.forms.normal, d.forms.fault = d.normalise()
	})
	return d.forms.normal, d.forms.fault
}

func (d *detail) normalise() (*detail, *fault) {
	made := &detail{typ: d.typ, value: normal(&d.value), typed: d.typed}
	made.once.Do(func() { made.forms.normal = made }) // Normalize may use it
	switch t := d.typ; {
	case t.normalize != nil: // of a schema
		n := t.normalize(Detail{made})
		if n.d == nil || n.d.typ != t {
			return nil, failure(ErrHook, "Normalize returned a detail of another type")
		}
		made.value = normal(&n.d.value)
	case t.normalized != nil: // typed is the result
		v, f := jsonOf(d.typed)
		if f != nil {
			return nil, f.hook()
		}
		withEmpty(reflect.ValueOf(d.typed), &v)
		made.value = normal(&v)
	}
	return made, nil
}

// jsonOf returns a Go value as a JSON object.
func jsonOf(v any) (value, *fault) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return value{}, failure(ErrMalformed, "%T does not marshal", v)
	}
	object, f := read(strings.TrimSpace(b.String()), 0)
	if f == nil && object.Kind != objectKind {
		f = failure(ErrMalformed, "not an object")
	}
	return object, f
}

// ready returns an error if the type's Normalize fails for one of the details.
func ready(details ...Detail) error {
	for _, d := range details {
		if d.d.typ.normalize != nil {
			if _, f := d.d.form(); f != nil {
				return f.reason
			}
		}
	}
	return nil
}

// compared returns the value that the default rule compares.
func (d Detail) compared() (*value, *fault) {
	if d.d.typ.normalize == nil && d.d.typ.normalized == nil {
		return &d.d.value, nil // the rule ignores the order of sets and the spelling of numbers
	}
	form, f := d.d.form()
	if f != nil {
		return nil, f
	}
	return &form.value, nil
}

// Normal returns the detail in its normal form, in which the functions of
// [TypeConfig] receive it. The form has sorted members and the shortest
// spelling of each number. Each element of locations, actions, datatypes and
// privileges occurs once, in sorted order. TypeConfig.Normalize adds the rules
// of the type. The normal form is equal to the detail. Equal details have one
// normal form.
//
// It returns an [*Error] that matches [ErrHook] if the type's Normalize returns
// a detail that is not valid under the type.
func (d Detail) Normal() (Detail, error) {
	if d.d == nil {
		return Detail{}, failure(ErrUnknownType, "Detail not made by a registry").at(-1, "")
	}
	form, f := d.d.form()
	if f == nil {
		var made Detail
		if made, f = d.d.typ.withType(form.value); f == nil {
			return made, nil
		}
	}
	return Detail{}, f.hook().at(0, d.Type())
}

// Digest returns 43 characters of base64url that identify the detail's type and
// normal form. Details of one registry have equal digests if and only if they
// are equal. The digest is the same in every process that has the type. It may
// change when the type changes. It is a plain hash, so a reader who guesses the
// detail can confirm the guess.
//
// Digest is empty for the zero Detail, and for a detail for which the type's
// Normalize fails.
func (d Detail) Digest() string {
	if d.d == nil {
		return ""
	}
	form, f := d.d.form()
	if f != nil {
		return ""
	}
	return digest("detail", d.Type(), form.value.Raw)
}

// digest hashes strings with their lengths, so that each list has its own text.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte{byte(len(part) >> 24), byte(len(part) >> 16), byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Single returns 43 characters of base64url that identify the part of the
// detail that can be used once (TypeConfig.Single). That part excludes all
// members that a client can narrow. A detail and every detail that it covers
// have the same Single. Narrowing a token therefore does not create a second
// permission. Single is a plain hash, like [Detail.Digest]. Package uses
// records by it which permissions were used.
//
// The error is an [*Error]. It matches [ErrHook] if one of the type's functions
// fails, or if the type does not define which part can be used once.
func (d Detail) Single() (string, error) {
	if d.d == nil {
		return "", failure(ErrUnknownType, "Detail not made by a registry").at(-1, "")
	}
	if d.d.typ.single == nil {
		return "", failure(ErrHook, "type with Covers or CoversTogether but without Single").at(0, d.Type())
	}
	v, f := d.d.typ.single(d)
	if f != nil {
		return "", f.hook().at(0, d.Type())
	}
	return digest("single", d.Type(), normal(&v).Raw), nil
}

// singleByDefault is for types with the default rule, which narrows only sets.
func singleByDefault(d Detail) (value, *fault) {
	form, f := d.d.form()
	if f != nil {
		return value{}, f
	}
	isSet := func(m member) bool { return slices.Contains(setMembers[:], m.Name) }
	return value{Kind: objectKind, Members: slices.DeleteFunc(slices.Clone(form.value.Members), isSet)}, nil
}
