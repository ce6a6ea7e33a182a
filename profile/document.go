package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// readDocument reads a metadata document into a struct, by exact member names.
// The document must be one JSON object without duplicate names and without
// names that differ only by case. A member that is null, or of the wrong type,
// counts as absent, because the members that this program uses may still be
// correct. Strict members must have their type unless they are null. They name
// the issuer, the trusted parties and the endpoints for certificates. Ignoring
// a malformed one would skip a check.
//
// readDocument returns the names of the members of the wrong type, and the
// members that the struct does not have.
func readDocument(
	data []byte, document any, strict ...string,
) (dropped []string, other map[string]json.RawMessage, err error) {
	o, err := strictjson.ParseObject(data)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range o.Names() {
		if isMember(reflect.TypeOf(document).Elem(), name) {
			continue
		}
		if other == nil {
			other = map[string]json.RawMessage{}
		}
		other[name], _ = o.Get(name)
	}
	dropped = readMembers(o, "", reflect.ValueOf(document).Elem())
	slices.Sort(dropped)
	for _, name := range dropped {
		if group, _, _ := strings.Cut(name, "."); slices.Contains(strict, group) {
			return nil, nil, fmt.Errorf("%w: member %s has the wrong type", strictjson.ErrInvalid, name)
		}
	}
	return dropped, other, nil
}

// isMember reports whether a struct has a field for a member, in any letter
// case.
func isMember(document reflect.Type, name string) bool {
	for i := range document.NumField() {
		if strings.EqualFold(memberName(document.Field(i)), name) {
			return true
		}
	}
	return false
}

// memberName returns the name of the member of a field, or "".
func memberName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

func readMembers(o strictjson.Object, prefix string, v reflect.Value) (dropped []string) {
	for i := range v.NumField() {
		name := memberName(v.Type().Field(i))
		raw, ok := o.Get(name)
		if name == "" || !ok || string(raw) == "null" {
			continue
		}
		field := v.Field(i)
		if field.Kind() == reflect.Pointer { // a group of members
			sub, _, err := o.Object(name)
			if err != nil {
				dropped = append(dropped, prefix+name)
				continue
			}
			field.Set(reflect.New(field.Type().Elem()))
			dropped = append(dropped, readMembers(sub, prefix+name+".", field.Elem())...)
			continue
		}
		value := reflect.New(field.Type())
		if strictjson.Decode(raw, value.Interface()) != nil || hasNull(raw, field) {
			dropped = append(dropped, prefix+name)
			continue
		}
		field.Set(value.Elem())
	}
	return dropped
}

// hasNull reports whether a list of strings has a null element. Package json
// reads null as an empty string.
func hasNull(raw []byte, field reflect.Value) bool {
	if field.Kind() != reflect.Slice {
		return false
	}
	var elements []any
	return strictjson.Decode(raw, &elements) != nil || slices.Contains(elements, nil)
}

// whyAbsent joins the problems of a document and adds the dropped members,
// because one of them may be the member that is reported as missing.
func whyAbsent(problems []error, dropped []string) error {
	err := errors.Join(problems...)
	if err == nil || len(dropped) == 0 {
		return err
	}
	return fmt.Errorf("%w (of the wrong type, so absent: %.500s)", err, strings.Join(dropped, ", "))
}
