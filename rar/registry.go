package rar

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	defaultMaxBytes   = 16 << 10
	defaultMaxEntries = 100
)

// RegistryConfig configures a [Registry].
type RegistryConfig struct {
	// Types are the known types, each name once. Required.
	Types []*Type
	// MaxBytes bounds the marshalled JSON text of one list of details. The
	// default is 16 KiB.
	MaxBytes int
	// MaxEntries bounds the number of details in a list. The default is 100.
	// Comparing two lists takes time in proportion to the product of their
	// lengths.
	MaxEntries int
}

// A Registry has the types of an authorization server or resource server, and
// parses their details. It is immutable and safe for concurrent use.
type Registry struct {
	types      map[string]*Type
	names      []string
	maxBytes   int
	maxEntries int
}

// NewRegistry returns a Registry. The error has every problem of cfg.
func NewRegistry(cfg RegistryConfig) (*Registry, error) {
	r := &Registry{
		types:    make(map[string]*Type, len(cfg.Types)),
		maxBytes: cmp.Or(cfg.MaxBytes, defaultMaxBytes), maxEntries: cmp.Or(cfg.MaxEntries, defaultMaxEntries),
	}
	var problems []error
	if len(cfg.Types) == 0 || r.maxBytes < 0 || r.maxEntries < 0 {
		problems = append(problems, fmt.Errorf("rar: invalid RegistryConfig: %d types, MaxBytes %d, MaxEntries %d",
			len(cfg.Types), cfg.MaxBytes, cfg.MaxEntries))
	}
	for i, t := range cfg.Types {
		switch {
		case t == nil || t.schema == nil:
			problems = append(problems, fmt.Errorf("rar: type %d not made by TypeOf or TypeFromSchema", i))
		case r.types[t.name] != nil:
			problems = append(problems, fmt.Errorf("rar: duplicate type %q", t.name))
		default:
			r.types[t.name] = t
			r.names = append(r.names, t.name)
		}
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	return r, nil
}

// Types returns the names of all types, in the order of the configuration. It
// is the metadata parameter authorization_details_types_supported, and the
// argument of [Registry.Parse] that permits every type.
func (r *Registry) Types() []string { return slices.Clone(r.names) }

// Type returns the type with that name, or nil.
func (r *Registry) Type(name string) *Type { return r.types[name] }

// Parse parses a JSON array of authorization details. The array is a request
// parameter, a claim of a token or of an introspection response, or stored by a
// server.
//
// The types in allowed may occur. An authorization server passes the types for
// which the client is registered (authorization_details_types).
// [Registry.Types] permits all types. If allowed is empty, no type may occur.
//
// The error is an [*Error] that names the faulty member.
func (r *Registry) Parse(raw []byte, allowed []string) (Details, error) {
	if len(raw) > r.maxBytes {
		return nil, failure(ErrTooLarge, "%d bytes, more than %d", len(raw), r.maxBytes).at(-1, "")
	}
	text := string(raw)
	if size := marshalledSize(text); size > r.maxBytes {
		return nil, failure(ErrTooLarge, "%d bytes when marshalled, more than %d", size, r.maxBytes).at(-1, "")
	}
	// RAR-2-1: one object is not an array.
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
		return nil, failure(ErrMalformed, "not an array").at(-1, "")
	}
	array, f := read(text, r.maxEntries)
	if f != nil {
		return nil, f.inList()
	}
	details := make(Details, len(array.Items)) // RAR-2-3: of one type or of several
	for i := range array.Items {
		d, typ, f := r.parseOne(array.Items[i], allowed)
		if f != nil {
			return nil, f.at(i, typ)
		}
		details[i] = d
	}
	return details, nil
}

// parseOne returns the detail, and the name of its type if it is known.
func (r *Registry) parseOne(object value, allowed []string) (Detail, string, *fault) {
	if object.Kind != objectKind { // RAR-2-1
		return Detail{}, "", failure(ErrMalformed, "not an object")
	}
	name := object.Get("type")
	switch {
	case name == nil: // RAR-2-2
		return Detail{}, "", failure(ErrMissingField, "").member("type")
	case name.Kind != stringKind:
		return Detail{}, "", failure(ErrFieldType, "").member("type")
	}
	t := r.types[name.Text]
	if t == nil { // RAR-5-1
		return Detail{}, "", failure(ErrUnknownType, "").member("type")
	}
	if !slices.Contains(allowed, t.name) { // RAR-10-2
		return Detail{}, t.name, failure(ErrTypeNotAllowed, "").member("type")
	}
	d, f := t.admit(object)
	return d, t.name, f
}

// New returns details of one type with the values of the arguments. Each
// argument is the struct of the type, or a value that marshals to such an
// object. The member type may be absent. An API uses New to describe the
// operation that it is about to perform, and a server to describe a grant. An
// argument may be JSON of a peer as a json.RawMessage, which New parses as
// strictly as Parse does.
//
// The error is an [*Error] if a value is not valid under the type, or if the
// registry does not have the type.
func (r *Registry) New(typeName string, values ...any) (Details, error) {
	t := r.types[typeName]
	if t == nil {
		return nil, failure(ErrUnknownType, "%q", clean(typeName, maxPathName)).at(-1, "")
	}
	made := make(Details, len(values))
	for i, v := range values {
		d, f := t.detailOf(v)
		if f != nil {
			return nil, f.at(i, t.name)
		}
		made[i] = d
	}
	if err := r.fits(made); err != nil {
		return nil, err
	}
	return made, nil
}

// fits reports whether Parse would accept the marshalled list.
func (r *Registry) fits(l Details) error {
	size := len("[]")
	for i, d := range l {
		if d.d == nil || r.types[d.d.typ.name] != d.d.typ {
			return failure(ErrUnknownType, "detail of another registry").at(i, d.Type())
		}
		size += len(",") + marshalledSize(d.d.value.Raw)
	}
	if size > r.maxBytes || len(l) > r.maxEntries {
		return failure(ErrTooLarge, "%d bytes in %d details, more than %d or %d",
			size, len(l), r.maxBytes, r.maxEntries).at(-1, "")
	}
	return nil
}

// marshalledSize returns the length of a JSON text after encoding/json has
// escaped it for HTML. Details that were accepted once must be accepted again
// when they return from a store or in a token.
func marshalledSize(text string) int {
	size := len(text)
	for i := range len(text) {
		switch text[i] {
		case '<', '>', '&':
			size += len(`\u003c`) - 1
		case 0xe2: // as in U+2028
			if strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029") {
				size += len(`\u2028`) - len("\u2028")
			}
		}
	}
	return size
}

// SchemaHandler returns a handler that publishes the schemas. Mount it at a
// path of its own. A GET request with the query parameter type, a type's name,
// returns the JSON Schema of that type (RFC 9396 §2). An unknown type is 404. A
// request without type returns an object with the query of each schema, for
// example {"types":{"payment":"?type=payment"}}. The handler is safe for
// concurrent use.
func (r *Registry) SchemaHandler() http.Handler {
	index := struct {
		Types map[string]string `json:"types"`
	}{make(map[string]string)}
	for _, name := range r.names {
		index.Types[name] = "?type=" + url.QueryEscape(name)
	}
	list, _ := json.Marshal(index) // strings are never an error
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		body, mediaType := list, "application/json"
		if query := req.URL.Query(); query.Has("type") {
			t := r.types[query.Get("type")]
			if t == nil || len(query["type"]) > 1 {
				http.Error(w, "no such type", http.StatusNotFound)
				return
			}
			body, mediaType = t.schema.document, "application/schema+json"
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body)
	})
}
