package rar

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/gofapi/fapi2/internal/syntax"
)

// TypeConfig configures a type. T is the struct that the type is made from, or
// [Detail] for a type that is made from a schema. All fields are optional. The
// functions are called concurrently and must not change their arguments.
//
// Check receives a detail before Normalize, and Enrich receives it as it was
// parsed. All other functions receive normal forms (see Normalize), so they do
// not have to handle different spellings.
type TypeConfig[T any] struct {
	// Title is the heading of the default description. It is the title of the
	// published schema, too, if the schema has none. The default is the title
	// of the schema, or else the name of the type.
	Title string

	// Check rejects details that a schema cannot exclude. For example, it
	// checks that a date exists and that two members are consistent. It is
	// called for every detail that matches the schema. Its error becomes an
	// [ErrFieldValue]; make it with [FieldError].
	Check func(detail T) error

	// Normalize returns the normal form of a detail. It chooses one spelling
	// for each amount, and one order for lists whose order does not matter. It
	// adds the default for an absent member. Details that cover each other must
	// have one normal form. The normal form must be valid, must be its own
	// normal form, and must permit exactly what the detail permits. Normalize
	// receives details whose common members are already normal: sets are sorted
	// and without duplicates, numbers have one spelling, members have one
	// order. If nil, that is the normal form.
	Normalize func(detail T) T

	// Covers reports whether granted alone permits everything that requested
	// permits. It returns nil, or an error that names the excess; make it with
	// [FieldError]. It must be reflexive and transitive, and details that cover
	// each other must have one normal form. Package rartest tests that. Covers
	// decides about every member, including the common ones (see [Common]). It
	// also decides about members that are absent or empty in requested: a
	// missing limit permits more than any limit.
	//
	// If nil, the strict rule applies. Both details must have the same members.
	// Each of locations, actions, datatypes and privileges in requested must be
	// a subset of the granted list. It may be empty only if the granted list
	// is. All other members must be equal. A list that is absent on one side
	// only is not covered in either direction, because an absent list could
	// mean all or none.
	//
	// Equality alone would not permit narrowing, and no rule fits all types
	// (RFC 9396 §6.1).
	Covers func(granted, requested T) error
	// CoversTogether reports whether several granted details together permit
	// requested. It is called with all granted details of the type if none of
	// them covers requested alone. It returns nil if they do, or an error. If
	// nil, only a single detail permits requested. Each detail permits every
	// combination of its own values (RFC 9396 §2.2). Two details, each with one
	// action and one location, therefore do not permit the other two
	// combinations.
	CoversTogether func(granted []T, requested T) error

	// Single returns the part of a detail that can be used once: the detail
	// without all members that a client can narrow. For a payment that is every
	// member except the actions and the locations. If granted covers requested,
	// Single must return the same for both. Otherwise a client that narrows its
	// token obtains a second permission. The part does not have to be valid
	// under the type. If nil, it is every member except locations, actions,
	// datatypes and privileges. Details of a type with Covers or CoversTogether
	// and without Single cannot be used once. See [Detail.Single].
	//
	// Changing the result of Single or Normalize makes used permissions usable
	// again. Do not change it while grants of the type live.
	Single func(detail T) T

	// Merge merges two details into one, for example two lists of permissions
	// for the same account. The result must cover both, and must not permit
	// anything that neither permits. It is called before a detail is added that
	// is not covered. If Merge is nil or returns false, both details are kept,
	// which is always correct.
	Merge func(existing, added T) (merged T, ok bool)

	// Enriches reports whether granted is a permitted completion of requested.
	// For example, the user chooses the accounts on the consent page (RFC 9396
	// §7.1). If nil, granted details can only narrow the requested ones.
	Enriches func(requested, granted T) error
	// Enrich returns a requested detail with the members that the server sets
	// itself, for example an identifier for later requests. The result must
	// satisfy Covers or Enriches.
	Enrich func(ctx context.Context, requested T) (T, error)

	// Describe returns the description of a detail for a consent page, in one
	// of Languages. It names everything that matters, and does not escape
	// ([Detail.Describe] does). If nil, the description lists all members.
	Describe func(detail T, language string) Description
	// Languages are the language tags (BCP 47) that Describe supports. The
	// first one is used if the user reads none of them.
	Languages []string

	// Scope is the scope that is granted together with details of this type. An
	// authorization server grants both or neither. An API that requires the
	// scope for a request receives the details with it. If empty, the type has
	// no scope.
	Scope string

	// Resources are the resource servers that receive details of this type
	// without locations, as absolute URIs. If nil, all resource servers receive
	// them. See [Details.ForResource].
	Resources []string
}

// A Type is a type of authorization details: its schema, and its functions that
// compare, merge, enrich and describe details. It is immutable, safe for
// concurrent use, and may be in several registries. Two types with one name are
// different: a detail never covers a detail of another Type.
type Type struct {
	name      string
	title     string
	schema    *compiled
	goType    reflect.Type // nil for a type that is made from a schema
	untyped   bool         // goType has no field for the member type
	languages []string
	resources []string
	scope     string

	decode  func(v *value) (any, *fault)
	textual bool                   // decode depends on the spelling of values
	check   func(parsed any) error // of the Go value, or of a Detail
	// normalize is Normalize of a type that was made from a schema. normalized
	// is that of a type made from a struct, and is called once for each detail.
	normalize  func(d Detail) Detail
	normalized func(typed any) any
	single     func(d Detail) (value, *fault)
	covers     func(granted, requested Detail) error
	together   func(granted []Detail, requested Detail) error
	merge      func(existing, added Detail) (Detail, bool, error)
	enriches   func(requested, granted Detail) error
	enrich     func(ctx context.Context, requested Detail) (Detail, error)
	describe   func(d Detail, language string) Description
}

// maxTypeName bounds the name of a type.
const maxTypeName = 256

// TypeOf makes a type from a Go struct. It infers the JSON Schema: names and
// omitempty from the json tags, descriptions from the jsonschema tags. Members
// without a field are rejected at every level. A member with omitempty or
// omitzero is optional, and every other member is required. null is always
// rejected, so that an absent member has one spelling. T does not need a field
// for the member type.
//
// A Go type cannot express every rule. A field's type may have a method
// JSONSchema() string that returns a JSON Schema (draft 2020-12), for example
// with an enumeration or a pattern. cfg.Check has the rules that a schema
// cannot express.
//
// TypeOf returns an error if the name is not 1 to 256 visible ASCII characters.
// The name should be a URI under your control, unless one operator runs all
// servers and clients (RFC 9396 §2.1).
//
// It also returns an error for fields whose JSON the schema would not describe:
//
//   - floating point numbers, []byte, and maps whose keys are not strings,
//   - the option string in a json tag,
//   - types with MarshalJSON but without JSONSchema. time.Time, json.Number and
//     json.RawMessage are supported.
//
// An amount is a string or a json.Number.
func TypeOf[T any](name string, cfg TypeConfig[T]) (*Type, error) {
	t := &Type{name: name, goType: reflect.TypeFor[T]()}
	schema, err := inferSchema(t.goType)
	if err != nil {
		return nil, fmt.Errorf("rar: type %q: %w", name, err)
	}
	t.untyped = schema.Properties["type"] == nil
	schema.Title = cmp.Or(schema.Title, cfg.Title)
	readers := decoders{made: make(map[reflect.Type]*decoder)}
	decode := readers.structOf(t.goType, "type")
	t.textual = readers.text
	t.decode = func(v *value) (any, *fault) {
		var typed T
		f := decode(v, reflect.ValueOf(&typed).Elem())
		return typed, f
	}
	if t.schema, err = compileSchema(name, schema); err == nil {
		err = configure(t, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("rar: type %q: %w", name, err)
	}
	return t, nil
}

// TypeFromSchema makes a type from a JSON Schema (draft 2020-12) for an object.
// If a schema for objects does not define other members (additionalProperties,
// unevaluatedProperties), they are rejected, and the published schema states
// that. Each of several alternatives defines them for itself.
//
// An unknown keyword is an error, unless it begins with x-. A $ref must be
// #/$defs/NAME and must not lead back to itself. No schema is ever fetched.
// Patterns are Go regular expressions, which take linear time and are not
// anchored. The keyword format is ignored.
//
// TypeFromSchema returns an error for a malformed schema, and for a name that
// [TypeOf] rejects.
func TypeFromSchema(name string, schema []byte, cfg TypeConfig[Detail]) (*Type, error) {
	t := &Type{name: name}
	s, err := readSchema(schema)
	if err == nil && bytes.TrimLeft(schema, " \t\r\n")[0] != '{' {
		err = errors.New("schema is not a JSON object")
	}
	if err == nil {
		s.Title = cmp.Or(s.Title, cfg.Title)
		t.schema, err = compileSchema(name, s)
	}
	if err == nil {
		err = configure(t, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("rar: type %q: %w", name, err)
	}
	return t, nil
}

// Name returns the value of the member type.
func (t *Type) Name() string { return t.name }

// Scope returns the scope that is granted together with details of the type
// (TypeConfig.Scope). It may be empty.
func (t *Type) Scope() string { return t.scope }

// Schema returns a copy of the JSON Schema that the type enforces.
func (t *Type) Schema() json.RawMessage { return bytes.Clone(t.schema.document) }

// as returns the normal form of a detail as the type's functions receive it.
func as[T any](d Detail) T {
	if d.d.typ.goType != nil {
		return d.d.typed.(T)
	}
	if form, f := d.d.form(); f == nil {
		d = Detail{form}
	}
	return any(d).(T)
}

// parsed returns a detail as it was parsed, as the type's functions receive it.
func parsed[T any](d Detail) (v T, f *fault) {
	if d.d.typ.goType == nil {
		return any(d).(T), nil
	}
	typed, f := d.d.typ.decode(&d.d.value)
	if f != nil {
		return v, f
	}
	return typed.(T), nil
}

func asAll[T any](list []Detail) []T {
	all := make([]T, len(list))
	for i, d := range list {
		all[i] = as[T](d)
	}
	return all
}

// configure converts the functions of cfg into functions of Details.
func configure[T any](t *Type, cfg TypeConfig[T]) error {
	if len(t.name) > maxTypeName || !syntax.IsScope(t.name) {
		return fmt.Errorf("malformed name, want 1 to %d visible ASCII characters", maxTypeName) // RAR-2.1-1
	}
	if cfg.Enrich != nil && cfg.Enriches == nil {
		return errors.New("Enrich without Enriches")
	}
	if slices.Contains(cfg.Languages, "") || len(cfg.Languages) > 0 && cfg.Describe == nil {
		return errors.New("empty tag in Languages, or Languages without Describe")
	}
	if cfg.Scope != "" && !syntax.IsScope(cfg.Scope) {
		return errors.New("malformed Scope, want one scope token (RFC 6749 §3.3)")
	}
	for _, resource := range cfg.Resources { // another form would match no resource server
		if f := checkLocation(resource); f != nil {
			return fmt.Errorf("Resources: %w", f.reason)
		}
	}
	t.scope = cfg.Scope
	t.title = cmp.Or(cfg.Title, t.schema.title, t.name)
	t.languages, t.resources = slices.Clone(cfg.Languages), slices.Clone(cfg.Resources)
	configureComparison(t, cfg)
	if f := cfg.Check; f != nil {
		t.check = func(detail any) error { return f(detail.(T)) }
	}
	if f := cfg.Describe; f != nil {
		t.describe = func(d Detail, language string) Description { return f(as[T](d), language) }
	}
	configureChange(t, cfg)
	return nil
}

// configureComparison converts the functions that compare details.
func configureComparison[T any](t *Type, cfg TypeConfig[T]) {
	if f := cfg.Normalize; f != nil && t.goType != nil {
		t.normalized = func(typed any) any { return f(typed.(T)) }
	} else if f != nil {
		t.normalize = func(d Detail) Detail { return any(f(any(d).(T))).(Detail) }
	}
	t.covers, t.single = coversByDefault, singleByDefault
	if f := cfg.Covers; f != nil {
		t.single = nil
		t.covers = onPair(f)
	}
	if f := cfg.Single; f != nil {
		t.single = func(d Detail) (value, *fault) {
			if err := ready(d); err != nil {
				return value{}, hookFault(ErrHook, err)
			}
			return jsonOf(f(as[T](d)))
		}
	}
	if f := cfg.CoversTogether; f != nil {
		if cfg.Single == nil { // CoversTogether has no single granted detail to narrow
			t.single = nil
		}
		t.together = func(granted []Detail, requested Detail) error {
			if err := ready(append(slices.Clip(granted), requested)...); err != nil {
				return err
			}
			return f(asAll[T](granted), as[T](requested))
		}
	}
	if f := cfg.Enriches; f != nil {
		t.enriches = onPair(f)
	}
}

// onPair returns f as a function of two Details.
func onPair[T any](f func(a, b T) error) func(a, b Detail) error {
	return func(a, b Detail) error {
		if err := ready(a, b); err != nil {
			return err
		}
		return f(as[T](a), as[T](b))
	}
}

// configureChange converts the functions that make details.
func configureChange[T any](t *Type, cfg TypeConfig[T]) {
	if f := cfg.Merge; f != nil {
		t.merge = func(existing, added Detail) (Detail, bool, error) {
			if err := ready(existing, added); err != nil {
				return Detail{}, false, err
			}
			v, ok := f(as[T](existing), as[T](added))
			if !ok {
				return Detail{}, false, nil
			}
			d, err := t.newDetail(v)
			return d, err == nil, err
		}
	}
	if f := cfg.Enrich; f != nil {
		t.enrich = func(ctx context.Context, requested Detail) (Detail, error) {
			before, invalid := parsed[T](requested)
			if invalid != nil {
				return Detail{}, invalid.at(0, t.name)
			}
			v, err := f(ctx, before)
			if err != nil {
				return Detail{}, err
			}
			return t.newDetail(v)
		}
	}
}
