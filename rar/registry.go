package rar

import (
	"encoding/json"
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
	// Types are the types that exist, each name once. Required.
	Types []*Type
	// MaxBytes bounds the JSON text of one list of details, as it is marshalled. 0 means 16 KiB.
	MaxBytes int
	// MaxEntries bounds the number of details in a list. 0 means 100. Comparing two lists takes time in proportion to the
	// product of their lengths.
	MaxEntries int
}

// A Registry knows the types of an authorization server or of a resource server, and reads details of these types. It is
// immutable and safe for concurrent use.
type Registry struct {
	types      map[string]*Type
	names      []string
	maxBytes   int
	maxEntries int
}

// NewRegistry checks cfg and returns a Registry.
func NewRegistry(cfg RegistryConfig) (*Registry, error) {
	r := &Registry{types: make(map[string]*Type, len(cfg.Types)), maxBytes: cfg.MaxBytes, maxEntries: cfg.MaxEntries}
	if r.maxBytes == 0 {
		r.maxBytes = defaultMaxBytes
	}
	if r.maxEntries == 0 {
		r.maxEntries = defaultMaxEntries
	}
	if len(cfg.Types) == 0 || r.maxBytes < 0 || r.maxEntries < 0 {
		return nil, fmt.Errorf("rar: %d types, MaxBytes %d, MaxEntries %d", len(cfg.Types), cfg.MaxBytes, cfg.MaxEntries)
	}
	for _, t := range cfg.Types {
		if t == nil || t.schema == nil {
			return nil, fmt.Errorf("rar: a Type that neither TypeOf nor TypeFromSchema made")
		}
		if r.types[t.name] != nil {
			return nil, fmt.Errorf("rar: type %q is there twice", t.name)
		}
		r.types[t.name] = t
		r.names = append(r.names, t.name)
	}
	return r, nil
}

// Types returns the names of all types, in their order in the configuration: the metadata parameter
// authorization_details_types_supported, and the list for [Registry.Parse] where every type is allowed.
func (r *Registry) Types() []string { return slices.Clone(r.names) }

// Type returns the type of that name, nil if there is none.
func (r *Registry) Type(name string) *Type { return r.types[name] }

// Parse reads a JSON array of authorization details: the parameter authorization_details of a request, the claim of a token
// or of an introspection response, or what a server has stored.
//
// allowed are the types that may occur, an authorization server's registration of the client (its
// authorization_details_types); [Registry.Types] allows all. nil and an empty list are the same and allow none, so that a
// client that was registered without types gets no details.
//
// It returns an [*Error] that names the culprit.
func (r *Registry) Parse(raw []byte, allowed []string) (Details, error) {
	whole := func(kind error, reason string, args ...any) error { return failure(kind, reason, args...).at(-1, "") }
	if len(raw) > r.maxBytes {
		return nil, whole(ErrTooLarge, "%d bytes, more than %d", len(raw), r.maxBytes)
	}
	text := string(raw)
	if size := marshalledSize(text); size > r.maxBytes {
		return nil, whole(ErrTooLarge, "%d bytes when marshalled, more than %d", size, r.maxBytes)
	}
	if start := strings.TrimLeft(text, " \t\r\n"); start == "" || start[0] != '[' { // RAR-2-1: one object is no array of one
		return nil, whole(ErrMalformed, "not an array")
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

// parseOne returns the detail and, as far as it is known, the name of its type.
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

// New makes details of one type out of Go values: of the struct that the type is made of, or anything that marshals to such
// an object. An API says with it what it is about to do, a server what it grants. The member type may be absent.
// A value may be the JSON of a peer as a json.RawMessage, which New reads as strictly as Parse does.
//
// It returns an [*Error] when a value is not valid under the type, or there is no such type.
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

// fits reports whether Parse would take what the list marshals to.
func (r *Registry) fits(l Details) error {
	size := len("[]")
	for i, d := range l {
		if d.d == nil || r.types[d.d.typ.name] != d.d.typ {
			return failure(ErrUnknownType, "not a detail of this registry").at(i, d.Type())
		}
		size += len(",") + marshalledSize(d.d.value.Raw)
	}
	if size > r.maxBytes || len(l) > r.maxEntries {
		return failure(ErrTooLarge, "%d bytes in %d details, more than %d or %d", size, len(l), r.maxBytes, r.maxEntries).at(-1, "")
	}
	return nil
}

// marshalledSize is the length that a JSON text may have after encoding/json has escaped it for HTML: what was accepted
// once has to be accepted when it comes back from a store or in a token.
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

// SchemaHandler publishes the schemas. Mount it at a path of its own. A GET with the query parameter type (RFC 9396 §2: the
// name of a type, percent-encoded) returns the JSON Schema of that type; without it, a JSON object whose member types maps
// the name of each type to the query of its schema, as {"types":{"payment":"?type=payment"}}. An unknown type is 404.
func (r *Registry) SchemaHandler() http.Handler {
	index := struct {
		Types map[string]string `json:"types"`
	}{make(map[string]string)}
	for _, name := range r.names {
		index.Types[name] = "?type=" + url.QueryEscape(name)
	}
	list, _ := json.Marshal(index) // strings cannot fail
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
