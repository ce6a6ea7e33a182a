package jwt

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Reader reads the strict members of a JSON object: the documentation of
// [strictjson] has the rule. It keeps the first error. From then on its methods
// return zero values, so that the caller checks Err once for many members. A
// Reader is not safe for concurrent use.
type Reader struct {
	object    strictjson.Object
	malformed error
	err       error
}

// Read returns a Reader of an object, whose errors wrap malformed.
func Read(o strictjson.Object, malformed error) Reader {
	return Reader{object: o, malformed: malformed}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Fail records an error, which wraps the sentinel of the Reader.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", r.malformed, fmt.Errorf(format, args...))
	}
}

// keep records an error of an optional member and reports whether the member
// counts as present.
func (r *Reader) keep(present bool, err error) bool {
	if err != nil {
		r.err = fmt.Errorf("%w: %w", r.malformed, err)
	}
	return present && err == nil
}

func (r *Reader) require(name string, present bool) {
	if !present {
		r.Fail("missing %s", name)
	}
}

// String returns a string that must be present and not empty.
func (r *Reader) String(name string) string {
	value := r.NonEmpty(name)
	r.require(name, value != "")
	return value
}

// NonEmpty returns a string that may be absent, but not empty.
func (r *Reader) NonEmpty(name string) string {
	value, present := r.OptionalString(name)
	if present && value == "" {
		r.Fail("empty %s", name)
	}
	return value
}

// OptionalString returns a string that may be absent.
func (r *Reader) OptionalString(name string) (value string, present bool) {
	if r.err != nil {
		return "", false
	}
	value, present, err := r.object.String(name)
	return value, r.keep(present, err)
}

// Time returns a date that must be present.
func (r *Reader) Time(name string) time.Time {
	value, present := r.OptionalTime(name)
	r.require(name, present)
	return value
}

// OptionalTime returns a date that may be absent.
func (r *Reader) OptionalTime(name string) (value time.Time, present bool) {
	if r.err != nil {
		return time.Time{}, false
	}
	value, present, err := r.object.Time(name)
	return value, r.keep(present, err)
}

// Bool returns a boolean that must be present.
func (r *Reader) Bool(name string) bool {
	value, present, err := r.object.Bool(name)
	r.require(name, r.err == nil && r.keep(present, err))
	return value && r.err == nil
}

// Object returns an object that must be present.
func (r *Reader) Object(name string) strictjson.Object {
	value, present, err := r.object.Object(name)
	r.require(name, r.err == nil && r.keep(present, err))
	return value
}

// Audience returns aud, which must be a string, or an array of at least one.
func (r *Reader) Audience() []string {
	value := r.OptionalAudience()
	r.require("aud", len(value) > 0)
	return value
}

// OptionalAudience is Audience for an aud that may be absent or an empty array.
func (r *Reader) OptionalAudience() []string {
	if r.err != nil {
		return nil
	}
	value, present, err := r.object.StringOrStrings("aud")
	r.keep(present, err)
	return value
}

// ObjectArray returns an array of objects as it was written, or nil if it is
// absent.
func (r *Reader) ObjectArray(name string) json.RawMessage {
	if r.err != nil || r.object.Null(name) {
		return nil
	}
	raw, present := r.object.Get(name)
	if present && !IsObjectArray(raw) {
		r.Fail("%s is not an array of objects", name)
		return nil
	}
	return raw
}

// RejectNull records an error if a member is null. The other methods count it
// as absent.
func (r *Reader) RejectNull(name string) {
	if r.object.Null(name) {
		r.Fail("%s is null", name)
	}
}
