package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Cut splits one member off a JSON object, so that a fault in that member does
// not invalidate the document. It returns the value of the member and the
// object without it. The value is nil if the member is absent.
//
// The remaining object follows all rules of this package. The value is JSON in
// which an object may have a repeated member. The caller checks each part of
// the value.
func Cut(data []byte, name string) (value, rest json.RawMessage, err error) {
	s := scanner{text: string(data), shallow: true}
	s.space()
	if s.peek() != '{' {
		return nil, nil, s.fail("not a JSON object")
	}
	var others strings.Builder
	err = s.object(0, func(member, text string, _ bool) bool {
		if member == name {
			value = json.RawMessage(text)
			return true
		}
		if others.Len() > 0 {
			others.WriteByte(',')
		}
		encoded, _ := json.Marshal(member) // a string of valid UTF-8
		others.Write(encoded)
		others.WriteByte(':')
		others.WriteString(text)
		return true
	}, nil)
	if err == nil {
		err = s.end()
	}
	rest = json.RawMessage("{" + others.String() + "}")
	if err == nil {
		err = Valid(rest)
	}
	if err != nil {
		return nil, nil, err
	}
	return value, rest, nil
}

// Elements returns the values of an array that [Cut] returned.
func Elements(array json.RawMessage) (values []json.RawMessage, err error) {
	if len(array) == 0 || array[0] != '[' || json.Unmarshal(array, &values) != nil {
		return nil, fmt.Errorf("%w: not an array", ErrInvalid)
	}
	return values, nil
}
