package jar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A kind is the use of a member of a request object, and its JSON type.
type kind int

const (
	text       kind = iota // a parameter that is a string (JAR-4-2)
	unknown                // a parameter if it is a string, otherwise an unknown claim
	seconds                // a parameter that is a number
	uris                   // a string, or an array of strings
	array                  // JSON, and an array
	object                 // JSON, and an object
	value                  // JSON by configuration
	claim                  // of the JWT, not a parameter
	reference              // to another request
	credential             // of the client
)

// kindOf returns the kind of a name. extra contains the names of parameters
// whose values are JSON.
func kindOf(name string, extra []string) kind {
	switch name {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti":
		return claim
	case paramRequest, paramRequestURI:
		return reference
	case "client_assertion", "client_assertion_type", "client_secret":
		return credential
	case "max_age":
		return seconds
	case "resource": // RI-2.1-1
		return uris
	case "authorization_details": // RAR-3-1
		return array
	case "claims":
		return object
	case paramClientID, "response_type", "response_mode", "redirect_uri", "scope", "state", "nonce", "code_challenge",
		"code_challenge_method", "dpop_jkt", "display", "prompt", "ui_locales", "claims_locales", "id_token_hint",
		"login_hint", "acr_values", "grant_management_action", "grant_id": // GM-5.2-11
		return text
	}
	if slices.Contains(extra, name) {
		return value
	}
	return unknown
}

// checkExtra rejects names whose type is fixed.
func checkExtra(extra []string) error {
	for _, name := range extra {
		if name == "" || kindOf(name, nil) != unknown {
			return fmt.Errorf("JSONParameters contains %.64q, whose type is fixed", name)
		}
	}
	return nil
}

// encode returns the claims for params, in a new map. Its errors contain no
// values.
func encode(params url.Values, extra []string) (map[string]any, error) {
	params = form.Clone(params)
	if err := form.Check(params); err != nil { // repeated, or not UTF-8, which encoding/json would replace
		return nil, errors.New(err.Error()) // without a wire form, because the error is for the client itself
	}
	claims := make(map[string]any, len(params)+7)
	for name, values := range params {
		var err error
		switch k := kindOf(name, extra); k {
		case reference: // JAR-4-1
			err = errors.New("reference to another request")
		case credential: // RFC 9126 §3: a parameter of the form
			err = errors.New("client authentication inside a request object")
		case claim:
			err = errors.New("reserved for the signer")
		case text, unknown:
			claims[name] = values[0]
		case uris: // RI-2.1-1: a string, or an array for several
			claims[name] = values
			if len(values) == 1 {
				claims[name] = values[0]
			}
		default:
			claims[name], err = toJSON(k, values[0])
		}
		if err != nil {
			return nil, fmt.Errorf("parameter %.64q: %w", name, err)
		}
	}
	return claims, nil
}

// toJSON returns the JSON in the text of a parameter.
func toJSON(k kind, text string) (json.RawMessage, error) {
	if strictjson.Valid([]byte(text)) != nil {
		return nil, errors.New("not strict JSON")
	}
	raw := compact([]byte(text))
	first := raw[0]
	switch k {
	case seconds: // JAR-4-2: a number without leading zeros
		if n, err := strconv.ParseUint(text, 10, maxSecondsBits); err != nil || strconv.FormatUint(n, 10) != text {
			return nil, errors.New("not a number of seconds")
		}
	case array: // RAR-3-1: not a string with JSON in it
		if first != '[' {
			return nil, errors.New("not a JSON array")
		}
	case object:
		if first != '{' {
			return nil, errors.New("not a JSON object")
		}
	default:
		if first == '"' || first == 'n' { // a reader would see a plain string or an absent parameter
			return nil, errors.New("JSON string or null")
		}
	}
	return raw, nil
}

// maxSecondsBits bounds JSON numbers to those that every reader keeps exact.
const maxSecondsBits = 53

// decode returns the parameters of the object as a plain form would contain
// them, and the names of unknown members that no form could contain.
func decode(o strictjson.Object, extra []string) (params url.Values, dropped []string, err error) {
	names := o.Names()
	if len(names) > maxClaims {
		return nil, nil, fmt.Errorf("%w: %d claims, at most %d", ErrParameter, len(names), maxClaims)
	}
	params = make(url.Values, len(names))
	optional := o.Lenient()
	for _, name := range names {
		var values []string
		var err error
		switch k := kindOf(name, extra); k {
		case reference: // JAR-4-1, CS-6: not even an empty one
			return nil, nil, fmt.Errorf("%w: %s", ErrNested, name)
		case credential: // RFC 9126 §3: an assertion would be stored with the request
			return nil, nil, fmt.Errorf("%w: %s", ErrCredentials, name)
		case claim:
			continue
		case unknown: // RFC 6749 §3.1, RFC 7519 §4: no form could carry another type
			values = []string{optional.String(name)}
		case uris: // RI-2.1-1
			values, _, err = o.StringOrStrings(name)
		default:
			values = make([]string, 1)
			values[0], err = fromJSON(o, name, k)
		}
		if err != nil { // JAR-4-2: without the parameter it would be another request
			err = fmt.Errorf("%w: %w", ErrParameter, err)
			name = form.Printable(name)
			return nil, nil, oautherr.Describe(err, "the parameter "+name+" in the request object has the wrong type")
		}
		params[name] = values
	}
	// BASE-6749-3.1-1: an empty parameter counts as omitted. A NUL is an error,
	// as it is in a form.
	if err := form.Check(params); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrParameter, err) // with the wire form of an error in the object
	}
	return params, optional.Dropped(), nil
}

// fromJSON returns the text of a parameter with a single value. A null is the
// empty text, which counts as omitted.
func fromJSON(o strictjson.Object, name string, k kind) (string, error) {
	if k == text || o.Null(name) {
		s, _, err := o.String(name)
		return s, err
	}
	raw, _ := o.Get(name)
	first := raw[0]
	if (k == array || k == object) && first == '"' {
		return fromString(o, name, k)
	}
	switch k {
	case seconds:
		f, err := strconv.ParseFloat(string(raw), 64) // some encoders write an integer as 60.0 or 6e1
		if err != nil || !(f >= 0 && f < 1<<maxSecondsBits) || f != float64(uint64(f)) {
			return "", fmt.Errorf("member %s is not a number of seconds", name)
		}
		return strconv.FormatUint(uint64(f), 10), nil
	case array:
		if first != '[' {
			return "", fmt.Errorf("member %s is not an array", name)
		}
	case object:
		if first != '{' {
			return "", fmt.Errorf("member %s is not an object", name)
		}
	default:
		if first == '"' {
			return "", fmt.Errorf("member %.64q is a string", name)
		}
	}
	return string(compact(raw)), nil
}

// fromString returns the text of a JSON parameter that is a string containing
// JSON. RAR-3-1 requires an array, but some client libraries copy the
// parameters of a form unchanged. The string is parsed like the form parameter.
func fromString(o strictjson.Object, name string, k kind) (string, error) {
	s, _, err := o.String(name)
	if err != nil || s == "" {
		return "", err
	}
	raw, err := toJSON(k, s)
	if err != nil {
		return "", fmt.Errorf("member %s is a string: %w", name, err)
	}
	return string(raw), nil
}

// compact removes the whitespace of valid JSON and changes nothing else.
func compact(raw []byte) json.RawMessage {
	b := bytes.NewBuffer(make([]byte, 0, len(raw)))
	_ = json.Compact(b, raw) // never fails for valid JSON
	return b.Bytes()
}
