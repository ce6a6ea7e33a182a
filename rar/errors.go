package rar

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
)

const wireCode = "invalid_authorization_details"

// Every error about authorization details is an [*Error] that matches one of
// these errors. Unless documented otherwise, the wire form is
// invalid_authorization_details with status 400, at the token endpoint as well
// (RFC 9396 §5).
var (
	// ErrMalformed means that the text is not a JSON array of objects. An
	// object, null, bytes after the array, invalid UTF-8 and nesting beyond 32
	// levels are malformed. So is an object with one member name twice, even if
	// the case differs.
	ErrMalformed = oautherr.New("rar: malformed authorization details", wireCode, http.StatusBadRequest,
		"not a valid JSON array of objects")
	// ErrTooLarge means that there are more bytes or details than the registry
	// permits. It also means that a detail is nested so that its recursive
	// schema would take too long.
	ErrTooLarge = oautherr.New("rar: authorization details too large", wireCode, http.StatusBadRequest, "too large")
	// ErrUnknownType means that the registry does not have the type.
	ErrUnknownType = oautherr.New("rar: unknown type", wireCode, http.StatusBadRequest, "unknown type")
	// ErrTypeNotAllowed means that the registry has the type, and the client
	// may not use it (RFC 9396 §10).
	ErrTypeNotAllowed = oautherr.New("rar: type not allowed", wireCode, http.StatusBadRequest,
		"type not allowed for this client")
	// ErrUnknownField means that a detail has a member that its type does not
	// define.
	ErrUnknownField = oautherr.New("rar: unknown field", wireCode, http.StatusBadRequest, "unknown field")
	// ErrFieldType means that a member has the wrong JSON type.
	ErrFieldType = oautherr.New("rar: field of wrong type", wireCode, http.StatusBadRequest, "field of wrong type")
	// ErrFieldValue means that the type does not permit the value of a member,
	// or that floating point would round a number.
	ErrFieldValue = oautherr.New("rar: invalid value", wireCode, http.StatusBadRequest, "invalid value")
	// ErrMissingField means that a required member is missing.
	ErrMissingField = oautherr.New("rar: missing field", wireCode, http.StatusBadRequest, "missing field")

	// ErrNotCovered means that the requested details exceed the granted ones.
	// An API reports insufficient_scope with status 403 instead.
	ErrNotCovered = oautherr.New("rar: more than was granted", wireCode, http.StatusBadRequest, "more than was granted")
	// ErrNotRequested means that a host is about to grant a detail that the
	// client did not request, and that is not a permitted enrichment. It is an
	// error of the host: server_error with status 500.
	ErrNotRequested = oautherr.New("rar: more than was requested", oautherr.ServerError,
		http.StatusInternalServerError, "")
	// ErrHook means that a function of [TypeConfig] failed, or returned a value
	// that its type does not permit. It is server_error with status 500 and
	// wraps the error of the function.
	ErrHook = oautherr.New("rar: function of the type failed", oautherr.ServerError,
		http.StatusInternalServerError, "")
)

// An Error names the faulty detail and the faulty member. Its text and its
// description for the client contain names of members, and never their values,
// because values are often personal data (RFC 9396 §13). An Error is safe for
// concurrent use.
type Error struct {
	// Index is the position in the array, from 0. It is -1 if the array itself
	// is faulty.
	Index int
	// Type is the type of the detail. It is empty if the type is missing or
	// unknown.
	Type string
	// Path leads from the array to the faulty member, for example
	// [0].instructedAmount.amount. It is empty for the array itself. A name
	// with characters other than letters, digits, - and _ is in brackets and
	// quotes, with ? for each unprintable character.
	Path string

	kind   error
	reason error // may be nil
}

// Error returns the local text.
func (e *Error) Error() string {
	text := e.kind.Error()
	if e.Path != "" {
		text += " at " + e.Path
	}
	if e.Type != "" {
		text += " (" + e.Type + ")"
	}
	if e.reason != nil {
		text += ": " + e.reason.Error()
	}
	return text
}

// Unwrap returns the sentinel and, if there is one, the cause.
func (e *Error) Unwrap() []error {
	if e.reason == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.reason}
}

// OAuthError returns the wire code, and a description that names the faulty
// member.
func (e *Error) OAuthError() (code, description string) {
	code, description, _ = oautherr.From(e.kind)
	switch {
	case description == "" || e.Index < 0:
		return code, description
	case e.Type != "":
		return code, "authorization_details" + e.Path + " (" + e.Type + "): " + description
	}
	return code, "authorization_details" + e.Path + ": " + description
}

// HTTPStatus returns the HTTP status of the wire code.
func (e *Error) HTTPStatus() int {
	_, _, status := oautherr.From(e.kind)
	return status
}

// FieldError returns an error that names a member, for the functions of a
// [TypeConfig]. The path leads from the detail to the member, for example
// instructedAmount.amount. The reason must not quote the value. The package
// prepends the position of the detail to the path.
func FieldError(path, reason string) error { return &fieldError{path, reason} }

type fieldError struct{ path, reason string }

func (e *fieldError) Error() string { return e.path + ": " + e.reason }

// A fault is an error inside one value. Its path grows at the front on the way
// out.
type fault struct {
	kind   error
	path   string
	reason error
}

func failure(kind error, reason string, args ...any) *fault {
	if reason == "" {
		return &fault{kind: kind}
	}
	return &fault{kind: kind, reason: fmt.Errorf(reason, args...)}
}

func (f *fault) member(name string) *fault {
	f.path = pathName(name) + f.path
	return f
}

func (f *fault) item(i int) *fault {
	f.path = "[" + strconv.Itoa(i) + "]" + f.path
	return f
}

// inList returns the public error of a fault whose path begins at the array.
func (f *fault) inList() *Error {
	index := -1
	if number, _, ok := strings.Cut(strings.TrimPrefix(f.path, "["), "]"); ok {
		index, _ = strconv.Atoi(number)
	}
	return &Error{Index: index, Path: f.path, kind: f.kind, reason: f.reason}
}

// at returns the public error for the detail with the given index.
func (f *fault) at(index int, typ string) *Error {
	if index < 0 {
		return &Error{Index: -1, Type: typ, Path: f.path, kind: f.kind, reason: f.reason}
	}
	return &Error{Index: index, Type: typ, Path: f.item(index).path, kind: f.kind, reason: f.reason}
}

// hook returns the fault as a failure of a type's function.
func (f *fault) hook() *fault {
	f.kind = ErrHook
	return f
}

// hookFault returns the error of a type's function as a fault.
func hookFault(kind, err error) *fault {
	f := &fault{kind: kind, reason: err}
	if at := (*fieldError)(nil); errors.As(err, &at) && at.path != "" {
		f.path = "." + clean(at.path, len(at.path))
		if err == error(at) {
			f.reason = errors.New(at.reason)
		}
	}
	return f
}

// maxPathName bounds the part of a peer's member name that a path shows.
const maxPathName = 64

func pathName(name string) string {
	for i := range len(name) {
		if !isWord(name[i]) {
			return "['" + clean(name, maxPathName) + "']"
		}
	}
	if name == "" || len(name) > maxPathName {
		return "['" + clean(name, maxPathName) + "']"
	}
	return "." + name
}

// clean returns text with the characters that error_description permits (RFC
// 6749 §5.2).
func clean(text string, limit int) string {
	var b []byte
	for _, r := range text {
		if len(b) == limit {
			break
		}
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '\'' {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
