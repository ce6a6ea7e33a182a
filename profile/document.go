package profile

import (
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
// readDocument returns the names of the members of the wrong type.
func readDocument(data []byte, document any, strict ...string) (dropped []string, err error) {
	o, err := strictjson.ParseObject(data)
	if err != nil {
		return nil, err
	}
	dropped = readMembers(o, "", reflect.ValueOf(document).Elem())
	slices.Sort(dropped)
	for _, name := range dropped {
		if group, _, _ := strings.Cut(name, "."); slices.Contains(strict, group) {
			return nil, fmt.Errorf("%w: member %s has the wrong type", strictjson.ErrInvalid, name)
		}
	}
	return dropped, nil
}

func readMembers(o strictjson.Object, prefix string, v reflect.Value) (dropped []string) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
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
