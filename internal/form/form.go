// Package form reads the application/x-www-form-urlencoded body of a request to an OAuth endpoint, bounded and without
// room for two readings of it.
package form

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// MaxBytes bounds a body: the largest honest one holds a request object of 64 KiB.
const MaxBytes = 256 << 10

// maxParameters bounds what a body of MaxBytes can make us allocate.
const maxParameters = 256

// Failures.
var (
	ErrMethod     = oautherr.New("request is not a POST", "invalid_request", http.StatusMethodNotAllowed, "use POST")
	ErrMediaType  = oautherr.New("request body is not a form", "invalid_request", http.StatusBadRequest, "the body must be application/x-www-form-urlencoded")
	ErrTooLarge   = oautherr.New("request body too large", "invalid_request", http.StatusRequestEntityTooLarge, "the body is too large")
	ErrMalformed  = oautherr.New("malformed form", "invalid_request", http.StatusBadRequest, "the body is not a well-formed form")
	ErrReadBefore = oautherr.New("the body was read before ParseForm, by another reader of the request, which leaves nothing to check strictly",
		"invalid_request", http.StatusBadRequest, "the body could not be read")
	ErrDuplicate = oautherr.New("repeated parameter", "invalid_request", http.StatusBadRequest, "a parameter is repeated")
)

// Read reads the parameters of a POST. Parameters of the URL do not count. Parameters without a value are dropped.
//
// The request's body is used up. Its PostForm and Form are then set to copies of what is returned, so that nobody who asks
// for them later reads a laxer form of it. A body that somebody has read before is an error, as it would look empty.
func Read(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, ErrMethod
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, ErrMediaType
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, ErrMediaType // multipart/form-data above all: its parameters would pass some proxies unseen
	}
	charset, named := params["charset"]
	if named && !slices.ContainsFunc(charsets, func(c string) bool { return strings.EqualFold(c, charset) }) {
		return nil, ErrMediaType
	}
	if r.PostForm != nil {
		return nil, ErrReadBefore
	}
	values, err := read(r, named && !strings.EqualFold(charset, "utf-8"))
	if err != nil {
		return nil, err
	}
	r.PostForm, r.Form = maps.Clone(values), maps.Clone(values)
	return values, nil
}

// charsets are the charset parameters that do not change the meaning of a body
// of ASCII. The media type does not define this parameter, but some HTTP
// libraries add it. It does not affect percent-encoded bytes: parameters are
// UTF-8 (RFC 6749 Appendix B).
var charsets = []string{"utf-8", "us-ascii", "iso-8859-1", "windows-1252"}

// read reads the body. ascii is true if the body names another charset than
// UTF-8. A raw byte outside ASCII is then ambiguous.
func read(r *http.Request, ascii bool) (url.Values, error) {
	if r.Body == nil {
		return url.Values{}, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(body) == 0 && r.ContentLength > 0 {
		return nil, ErrReadBefore
	}
	if ascii && bytes.ContainsFunc(body, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return nil, ErrMediaType
	}
	return Parse(string(body))
}

// Parse reads parameters in form encoding, a body's or a query's.
func Parse(encoded string) (url.Values, error) {
	if len(encoded) > MaxBytes || strings.Count(encoded, "&") >= maxParameters {
		return nil, ErrTooLarge
	}
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, ErrMalformed // the library's text quotes the input
	}
	if err := Check(values); err != nil {
		return nil, err
	}
	return values, nil
}

// Check drops parameters without a value and refuses repeated ones.
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
		if name == "resource" { // RI-2-2: the one parameter that may be repeated
			all = slices.DeleteFunc(all, func(value string) bool { return value == "" })
			values[name] = all
		} else if len(all) > 1 { // BASE-6749-3.1-1
			return oautherr.Describe(fmt.Errorf("%w: %.32q", ErrDuplicate, name), "a parameter is repeated: "+Printable(name))
		}
		if len(all) == 0 || all[0] == "" { // BASE-6749-3.1-1: empty is the same as omitted
			delete(values, name)
		}
	}
	return nil
}

// Printable returns at most 64 bytes of a name. It keeps what RFC 6749 §5.2 allows in error_description.
func Printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, name[:min(len(name), 64)])
}
