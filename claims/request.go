// Package claims implements requests for single claims: the parameter claims of
// an authorization request (OpenID Connect Core 1.0 §5.5).
//
// An OpenID provider parses the parameter with [Parse]. It sends the claims
// that it has and that the user permits: [Set.Select] finds them among all
// claims of a user. A client writes the parameter as JSON. If it requested
// certain values, it parses its own parameter, and checks with [Set.Check] that
// a response has no others. Package profile/client does so for ID tokens.
//
// An absent claim is never an error of this package, even if it is essential
// (OpenID Connect Core 1.0 §5.5.1). The claims sub, acr and auth_time have
// rules of their own, which profile/authserver enforces. Requests for
// verified_claims (OpenID Connect for Identity Assurance) are parsed, and only
// [Set.Limit] evaluates them.
package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gofapi/fapi2/internal/strictjson"
)

var (
	// ErrMalformed means that a claims parameter is malformed.
	ErrMalformed = errors.New("claims: malformed parameter")
	// ErrValue means that a claim of a response has a value that was not
	// requested.
	ErrValue = errors.New("claims: value that was not requested")
)

const (
	maxBytes       = 16 << 10 // bytes
	maxClaims      = 256      // of one member
	verifiedClaims = "verified_claims"
)

// A Request is the claims parameter of an authorization request (OpenID Connect
// Core 1.0 §5.5). It requests single claims about the user. The zero Request
// requests none.
type Request struct {
	// IDToken contains the claims that are requested for the ID token.
	IDToken Set
	// UserInfo contains the claims that are requested for UserInfo responses.
	UserInfo Set
	// Other contains the members that OpenID Connect does not define, as JSON.
	// Ecosystems define some. It is nil if there are none.
	Other map[string]json.RawMessage
}

// A Set contains requested claims by name. A name may have a language tag
// (OpenID Connect Core 1.0 §5.2), as in "family_name#ja-Kana-JP".
type Set map[string]Claim

// A Claim is the request for one claim.
type Claim struct {
	// Essential reports that the client needs the claim for the task that the
	// user requested. OpenID Connect nevertheless permits a response without
	// the claim, except for acr.
	Essential bool
	// Values are the accepted values as JSON, the preferred one first. The
	// request has one as "value" or several as "values". If nil, every value is
	// accepted.
	Values []json.RawMessage
	// JSON is the whole request: null, an object, or, for verified_claims, also
	// an array. It contains members that OpenID Connect does not define.
	JSON json.RawMessage
}

// Parse parses the claims parameter of an authorization request. The text has
// at most 16 KiB, and each of its members has at most 256 claims. Members of a
// request that OpenID Connect does not define are ignored. An empty text is a
// request without claims. The error matches [ErrMalformed] and contains no
// value of the request.
func Parse(text string) (Request, error) {
	var c Request
	if text == "" {
		return c, nil
	}
	if len(text) > maxBytes {
		return c, fmt.Errorf("%w: %d bytes, want at most %d", ErrMalformed, len(text), maxBytes)
	}
	v, _, err := strictjson.Parse(text, 0)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if v.Kind != strictjson.KindObject {
		return c, fmt.Errorf("%w: not an object", ErrMalformed)
	}
	for i := range v.Members {
		m := &v.Members[i]
		switch m.Name {
		case "id_token":
			c.IDToken, err = newSet(m)
		case "userinfo":
			c.UserInfo, err = newSet(m)
		default:
			if c.Other == nil {
				c.Other = map[string]json.RawMessage{}
			}
			c.Other[m.Name] = json.RawMessage(m.Value.Raw)
		}
		if err != nil {
			return Request{}, err
		}
	}
	return c, nil
}

// newSet reads the member id_token or userinfo. The value null is a member
// without claims.
func newSet(m *strictjson.Member) (Set, error) {
	switch v := &m.Value; {
	case v.Kind == strictjson.KindNull:
		return nil, nil
	case v.Kind != strictjson.KindObject:
		return nil, fmt.Errorf("%w: %s is not an object", ErrMalformed, m.Name)
	case len(v.Members) > maxClaims:
		return nil, fmt.Errorf("%w: %d claims in %s, want at most %d",
			ErrMalformed, len(v.Members), m.Name, maxClaims)
	}
	claims := make(Set, len(m.Value.Members))
	for i := range m.Value.Members {
		claim := &m.Value.Members[i]
		requested, err := newClaim(claim.Name, &claim.Value)
		if err != nil {
			return nil, fmt.Errorf("%w in a claim of %s", err, m.Name)
		}
		claims[claim.Name] = requested
	}
	return claims, nil
}

func newClaim(name string, v *strictjson.Value) (Claim, error) {
	c := Claim{JSON: json.RawMessage(v.Raw)}
	switch {
	case v.Kind == strictjson.KindNull:
		return c, nil
	case v.Kind == strictjson.KindArray && name == verifiedClaims: // OpenID Connect for Identity Assurance §6.2
		return c, nil
	case v.Kind != strictjson.KindObject:
		return c, fmt.Errorf("%w: neither null nor an object", ErrMalformed)
	case name == verifiedClaims: // its claims have conditions of their own
		return c, nil
	}
	if essential := v.Get("essential"); essential != nil {
		if essential.Kind != strictjson.KindBoolean {
			return c, fmt.Errorf("%w: essential is not a boolean", ErrMalformed)
		}
		c.Essential = essential.Raw == "true"
	}
	value, values := v.Get("value"), v.Get("values")
	switch {
	case value != nil && values != nil:
		return c, fmt.Errorf("%w: both value and values", ErrMalformed)
	case value != nil:
		c.Values = []json.RawMessage{json.RawMessage(value.Raw)}
	case values != nil:
		if values.Kind != strictjson.KindArray || len(values.Items) == 0 {
			return c, fmt.Errorf("%w: values is not an array of values", ErrMalformed)
		}
		for i := range values.Items {
			c.Values = append(c.Values, json.RawMessage(values.Items[i].Raw))
		}
	}
	return c, nil
}

// IsZero reports whether the request has no members.
func (c Request) IsZero() bool { return len(c.IDToken)+len(c.UserInfo)+len(c.Other) == 0 }

// Accepts reports whether the claim may have a value. Values are compared as
// JSON: numbers by value, and members of objects in any order. A value that is
// not JSON is not accepted.
func (c Claim) Accepts(value json.RawMessage) bool {
	v, _, err := strictjson.Parse(string(value), 0)
	if err != nil {
		return false
	}
	return len(c.Values) == 0 || slices.ContainsFunc(c.Values, func(accepted json.RawMessage) bool {
		a, _, err := strictjson.Parse(string(accepted), 0)
		return err == nil && a.Equal(&v)
	})
}

// Strings returns the accepted values that are strings, for example of acr.
func (c Claim) Strings() []string {
	var texts []string
	for _, value := range c.Values {
		if v, _, err := strictjson.Parse(string(value), 0); err == nil && v.Kind == strictjson.KindString {
			texts = append(texts, v.Text)
		}
	}
	return texts
}

// Select returns the requested claims among those of a user, in a new map. It
// omits a claim whose value the request does not accept. The host decides about
// verified_claims: Select omits it.
func (r Set) Select(user map[string]any) map[string]any {
	selected := make(map[string]any, min(len(r), len(user)))
	for name, requested := range r {
		value, known := user[name]
		if !known || name == verifiedClaims {
			continue
		}
		if text, err := json.Marshal(value); err == nil && requested.Accepts(text) {
			selected[name] = value
		}
	}
	return selected
}

// Check returns an error if a claim of a response has a value that the request
// does not accept. A claim that is absent or null is not an error, and neither
// is another acr unless the request for acr is essential (OpenID Connect Core
// 1.0 §5.5.1.1). claim returns a claim as JSON, or nil if there is none, as the
// method Claim of an ID token does. The error matches [ErrValue] and contains
// no value.
func (r Set) Check(claim func(name string) json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(r)) {
		value := claim(name)
		if value == nil || string(value) == "null" || name == "acr" && !r[name].Essential {
			continue
		}
		if !r[name].Accepts(value) {
			return fmt.Errorf("%w: %.64q", ErrValue, name)
		}
	}
	return nil
}
