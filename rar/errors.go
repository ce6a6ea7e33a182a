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

// Failures. Every error about authorization details is an [*Error], which says where, and matches one of these by errors.Is,
// which says what. Their wire form is invalid_authorization_details with status 400 unless it is said otherwise: RAR-8-1,
// the token endpoint answers as the authorization endpoint does.
var (
	// ErrMalformed says that the text is no JSON array of objects: an object, null, bytes after the array, one member name
	// twice in an object (be it in another case), invalid UTF-8, nesting beyond 32 levels.
	ErrMalformed = oautherr.New("rar: malformed authorization details", wireCode, http.StatusBadRequest, "not a valid JSON array of objects")
	// ErrTooLarge says that there are more bytes or entries than the registry takes, or that a detail is nested so that checking
	// it by its schema would take too long; a schema that contains itself can bring that about.
	ErrTooLarge = oautherr.New("rar: authorization details too large", wireCode, http.StatusBadRequest, "too large")
	// ErrUnknownType says that the registry has no such type (RAR-5-1).
	ErrUnknownType = oautherr.New("rar: unknown type", wireCode, http.StatusBadRequest, "unknown type")
	// ErrTypeNotAllowed says that the type exists and this client may not use it (RAR-10-2).
	ErrTypeNotAllowed = oautherr.New("rar: type not allowed", wireCode, http.StatusBadRequest, "type not allowed for this client")
	// ErrUnknownField says that a detail has a member that its type does not have (RAR-5-2).
	ErrUnknownField = oautherr.New("rar: unknown field", wireCode, http.StatusBadRequest, "unknown field")
	// ErrFieldType says that a member has the wrong JSON type (RAR-5-3).
	ErrFieldType = oautherr.New("rar: field of wrong type", wireCode, http.StatusBadRequest, "field of wrong type")
	// ErrFieldValue says that a member has a value that its type does not allow, or a number that a reader with floating
	// point numbers would round (RAR-5-4).
	ErrFieldValue = oautherr.New("rar: invalid value", wireCode, http.StatusBadRequest, "invalid value")
	// ErrMissingField says that a member is missing that its type requires (RAR-5-5).
	ErrMissingField = oautherr.New("rar: missing field", wireCode, http.StatusBadRequest, "missing field")

	// ErrNotCovered says that what is requested is more than what was granted (RAR-6-2). An API answers 403 and
	// insufficient_scope instead.
	ErrNotCovered = oautherr.New("rar: more than was granted", wireCode, http.StatusBadRequest, "more than was granted")
	// ErrNotRequested says that a host is about to grant what was not requested and is no enrichment that the type permits. It
	// is the host's mistake: server_error, status 500.
	ErrNotRequested = oautherr.New("rar: more than was requested", oautherr.ServerError, http.StatusInternalServerError, "")
	// ErrHook says that a function of a type's [TypeConfig] failed or returned what its type does not allow: server_error,
	// status 500. It wraps the function's error.
	ErrHook = oautherr.New("rar: a function of the type failed", oautherr.ServerError, http.StatusInternalServerError, "")
)

// An Error says which detail is wrong and where in it. Its text and the description for the peer name members and never
// contain their values (RAR-13-1: they are personal data as a rule, and logs are read by many).
type Error struct {
	// Index is the position in the array, from 0; -1 when the array itself is wrong.
	Index int
	// Type is the type of the detail; "" when it has none that is known.
	Type string
	// Path leads from the array to the culprit, as [0].instructedAmount.amount; "" is the array itself. Names with
	// characters other than letters, digits, - and _ are in brackets and quotes, what is not printable replaced by "?".
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

// Unwrap returns the sentinel and, if there is one, the reason.
func (e *Error) Unwrap() []error {
	if e.reason == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.reason}
}

// OAuthError returns the wire code and a description that names the culprit.
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

// HTTPStatus returns the status that goes with the code.
func (e *Error) HTTPStatus() int {
	_, _, status := oautherr.From(e.kind)
	return status
}

// FieldError makes an error that names a member, for the functions of a [TypeConfig]: path leads to it from the detail, as
// instructedAmount.amount, and reason says what is wrong with it, in words that do not quote the value. The package puts
// the position of the detail before it.
func FieldError(path, reason string) error { return &fieldError{path, reason} }

type fieldError struct{ path, reason string }

func (e *fieldError) Error() string { return e.path + ": " + e.reason }

// fault is a failure inside one value. Its path grows towards the front on the way out.
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

// inList makes the public error of a fault whose path begins at the array.
func (f *fault) inList() *Error {
	index := -1
	if number, _, ok := strings.Cut(strings.TrimPrefix(f.path, "["), "]"); ok {
		index, _ = strconv.Atoi(number)
	}
	return &Error{Index: index, Path: f.path, kind: f.kind, reason: f.reason}
}

// at makes the public error for the detail with the given index.
func (f *fault) at(index int, typ string) *Error {
	if index < 0 {
		return &Error{Index: -1, Type: typ, Path: f.path, kind: f.kind, reason: f.reason}
	}
	return &Error{Index: index, Type: typ, Path: f.item(index).path, kind: f.kind, reason: f.reason}
}

// hookFault is what a type's function said, as a failure of the given kind.
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

// maxPathName bounds how much of a peer's member name a path shows.
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

// clean makes text fit for error_description (RFC 6749 §5.2), and for a log.
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
