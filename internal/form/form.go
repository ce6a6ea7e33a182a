// Package form parses the application/x-www-form-urlencoded body of a request
// to an OAuth endpoint. It bounds the body, and rejects bodies that two readers
// could understand differently.
package form

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

// MaxBytes bounds a body. The largest valid body has a request object of 64
// KiB.
const MaxBytes = 256 << 10

// maxParameters bounds the allocations for a body of MaxBytes.
const maxParameters = 256

// Errors of this package.
var (
	ErrMethod    = oautherr.New("request is not a POST", "invalid_request", http.StatusMethodNotAllowed, "use POST")
	ErrMediaType = oautherr.New("request body is not a form", "invalid_request", http.StatusBadRequest,
		"the body must be application/x-www-form-urlencoded")
	ErrTooLarge = oautherr.New("request body too large", "invalid_request", http.StatusRequestEntityTooLarge,
		"the body is too large")
	ErrMalformed = oautherr.New("malformed form", "invalid_request", http.StatusBadRequest,
		"the body is not a well-formed form")
	ErrReadBefore = oautherr.New("the body was read before ParseForm, by another reader", "invalid_request",
		http.StatusBadRequest, "the body could not be read")
	ErrDuplicate = oautherr.New("repeated parameter", "invalid_request", http.StatusBadRequest,
		"a parameter is repeated")
)

// Read parses the parameters in the body of a POST request. It ignores the
// parameters of the URL, and drops parameters without a value.
//
// Read consumes the body. It sets PostForm and Form of the request to one copy
// of the result, so that later readers receive the strict form. If the body was
// read before, it would seem empty, and the error is [ErrReadBefore].
func Read(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, ErrMethod
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, ErrMediaType
	}
	charset, err := charsetOf(types[0])
	if err != nil {
		return nil, err
	}
	if r.PostForm != nil {
		return nil, ErrReadBefore
	}
	values, err := read(r, !strings.EqualFold(charset, "utf-8"))
	if err != nil {
		return nil, err
	}
	r.PostForm = maps.Clone(values)
	r.Form = r.PostForm
	return values, nil
}

// charsetOf returns the charset of a Content-Type, by default utf-8.
func charsetOf(contentType string) (string, error) {
	if contentType == mediaType {
		return "utf-8", nil
	}
	typ, params, err := mime.ParseMediaType(contentType)
	if err != nil || typ != mediaType {
		return "", ErrMediaType // some proxies do not inspect multipart/form-data
	}
	charset, named := params["charset"]
	if !named {
		return "utf-8", nil
	}
	if !slices.ContainsFunc(charsets, func(c string) bool { return strings.EqualFold(c, charset) }) {
		return "", ErrMediaType
	}
	return charset, nil
}

const mediaType = "application/x-www-form-urlencoded"

// charsets are the charset parameters that do not change the meaning of an
// ASCII body. The media type does not define this parameter, but some HTTP
// libraries add it. It does not affect percent-encoded bytes: parameters are
// UTF-8 (RFC 6749 Appendix B).
var charsets = []string{"utf-8", "us-ascii", "iso-8859-1", "windows-1252"}

// read parses the body. ascii is true if the body names another charset than
// UTF-8. A raw byte outside ASCII is then ambiguous.
func read(r *http.Request, ascii bool) (url.Values, error) {
	if r.Body == nil {
		return url.Values{}, nil
	}
	body, err := readAll(r.Body, r.ContentLength)
	if err != nil {
		return nil, err
	}
	if body == "" && r.ContentLength > 0 {
		return nil, ErrReadBefore
	}
	if ascii && strings.ContainsFunc(body, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return nil, ErrMediaType
	}
	return Parse(body)
}

const (
	// blockSize is the most that readAll reads at a time.
	blockSize = 4 << 10
	// maxAhead is the most that readAll allocates for a byte that has arrived.
	// A sender can announce more than it sends.
	maxAhead = 16
)

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// readAll reads a body of at most MaxBytes. Usually it allocates the announced
// length once. The result does not depend on the announced length, unless that
// exceeds MaxBytes.
func readAll(body io.Reader, announced int64) (string, error) {
	if announced > MaxBytes {
		return "", ErrTooLarge
	}
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	var text strings.Builder
	for {
		n, err := body.Read(block[:min(blockSize, MaxBytes+1-text.Len())])
		arrived := text.Len() + n
		if arrived > MaxBytes {
			return "", ErrTooLarge
		}
		if arrived > text.Cap() { // Grow doubles the capacity and adds its argument
			text.Grow(max(n, min(int(announced), maxAhead*arrived)-2*text.Cap()))
		}
		text.Write(block[:n])
		if err == io.EOF {
			return text.String(), nil
		}
		if err != nil {
			return "", unreadable(err)
		}
	}
}

// unreadable returns the error for a failure of the body.
func unreadable(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) { // a bound of the host
		return ErrTooLarge
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// Parse parses the parameters of a body or of a query.
func Parse(encoded string) (url.Values, error) {
	separators := strings.Count(encoded, "&")
	if len(encoded) > MaxBytes || separators >= maxParameters {
		return nil, ErrTooLarge
	}
	values, err := parse(encoded, separators+1)
	if err != nil {
		return nil, err
	}
	if err := Check(values); err != nil {
		return nil, err
	}
	return values, nil
}

// Check drops parameters without a value, and rejects repeated ones.
func Check(values url.Values) error {
	for name, all := range values {
		if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
			return ErrMalformed
		}
		for _, value := range all {
			if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
				return ErrMalformed
			}
		}
		if name == "resource" { // RI-2-2: only this parameter may be repeated
			all = slices.DeleteFunc(all, func(value string) bool { return value == "" })
			values[name] = slices.Clip(all) // PostForm has the same, and both can grow
		} else if len(all) > 1 { // BASE-6749-3.1-1
			return oautherr.Describe(fmt.Errorf("%w: %.32q", ErrDuplicate, name),
				"a parameter is repeated: "+Printable(name))
		}
		if len(all) == 0 || all[0] == "" { // BASE-6749-3.1-1: empty is the same as omitted
			delete(values, name)
		}
	}
	return nil
}

// Printable returns at most 64 bytes of a name, with the characters that RFC
// 6749 §5.2 permits in error_description.
func Printable(name string) string {
	return syntax.ErrorText(name[:min(len(name), 64)])
}

// Clone returns a deep copy of values, which is never nil.
func Clone(values url.Values) url.Values {
	n := 0
	for _, all := range values {
		n += len(all)
	}
	clone, copies := make(url.Values, len(values)), make([]string, n)
	for name, all := range values {
		n = copy(copies, all)
		clone[name], copies = copies[:n:n], copies[n:]
	}
	return clone
}
