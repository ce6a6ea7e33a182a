package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// ErrRequest reports an authorization request that the rules do not permit.
var ErrRequest = errors.New("rules: request outside the rules")

// CheckRequest checks the parameters of an authorization request before a
// client sends it. The error matches [ErrRequest], names each problem and
// quotes no values. A server checks the request again, with its own types.
func (s *Set) CheckRequest(params url.Values) error {
	var found []error
	problem := func(text string) {
		if text != "" {
			found = append(found, fmt.Errorf("%w: %s (%s)", ErrRequest, text, s.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Request.Parameters)) {
		if text := s.Request.Parameters[name].Problem(params[name]); text != "" {
			problem(name + " " + text)
		}
	}
	scopes := strings.Fields(params.Get("scope"))
	for _, name := range s.Request.Scopes {
		if !slices.Contains(scopes, name) {
			problem("missing scope " + name)
		}
	}
	requested, err := claims.Parse(params.Get("claims"))
	if err != nil {
		problem("malformed claims")
	} else {
		problem(s.ClaimsProblem(requested, params.Get("acr_values")))
	}
	var details []json.RawMessage
	if text := params.Get("authorization_details"); text != "" {
		if err := strictjson.Decode([]byte(text), &details); err != nil {
			problem("malformed authorization_details")
		}
	}
	problem(s.Request.AuthorizationDetails.problem(details))
	if s.Intent != nil {
		switch ids := s.Intent.IDs(scopes, requested, details); {
		case len(ids) > 1:
			problem("more than one consent")
		case len(ids) == 0 && s.Intent.Required:
			problem("missing consent")
		}
	}
	return errors.Join(found...)
}

// Problem returns what is wrong with the values of a parameter, or "". Only
// resource can have several values.
func (p Parameter) Problem(values []string) string {
	// RFC 6749 §3.1: an empty parameter is the same as an absent one.
	values = slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == "" })
	switch {
	case len(values) == 0 && p.Required:
		return "is missing"
	case len(values) > 0 && p.Forbidden:
		return "is not permitted"
	}
	for _, value := range values {
		switch n := utf8.RuneCountInString(value); {
		case n < p.MinLength:
			return fmt.Sprintf("has %d characters, want at least %d", n, p.MinLength)
		case p.MaxLength > 0 && n > p.MaxLength:
			return fmt.Sprintf("has %d characters, want at most %d", n, p.MaxLength)
		case !Permits(p.Values, value):
			return "has a value that is not permitted"
		}
	}
	return ""
}

// ClaimsProblem returns what is wrong with a claims parameter and with the
// parameter acr_values, or "".
func (s *Set) ClaimsProblem(requested claims.Request, acrValues string) string {
	acr, named := requested.IDToken["acr"]
	_, also := requested.UserInfo["acr"]
	switch s.ACR.Request {
	case "essential":
		if !acr.Essential {
			return "claims: acr is not essential for the ID token"
		}
	case "essential_without_values":
		if !acr.Essential || acr.Values != nil {
			return "claims: acr is not essential for the ID token without value and values"
		}
	case "forbidden":
		if named || also || acrValues != "" {
			return "unexpected request for acr"
		}
	}
	for _, name := range s.Claims.Essential {
		if len(requested.IDToken) > 0 && !requested.IDToken[name].Essential {
			return fmt.Sprintf("claims: %s is not essential for the ID token", name)
		}
	}
	if len(s.Claims.Top) == 0 {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(s.Claims.Top)) {
		if text := s.Claims.Top[name].problem(requested.Other[name]); text != "" {
			return "claims: " + name + " " + text
		}
	}
	return ""
}

func (i Integer) problem(value json.RawMessage) string {
	if value == nil {
		if i.Required {
			return "is missing"
		}
		return ""
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < i.Min || n > i.Max {
		return fmt.Sprintf("is not an integer from %d to %d", i.Min, i.Max)
	}
	return ""
}

func (a *AuthorizationDetails) problem(details []json.RawMessage) string {
	switch {
	case a.Required && len(details) == 0:
		return "authorization_details: each request needs a detail"
	case a.Max > 0 && len(details) > a.Max:
		return fmt.Sprintf("authorization_details: %d details, want at most %d", len(details), a.Max)
	}
	for i, detail := range details {
		var typed struct {
			Type string `json:"type"`
		}
		if err := strictjson.Decode(detail, &typed); err != nil || !Permits(a.Types, typed.Type) {
			return fmt.Sprintf("authorization_details[%d]: type is not permitted", i)
		}
	}
	return ""
}

// IDs returns the identifiers of consents in an authorization request, which
// the caller has yet to check. A claim whose value is not one string, or that
// is requested for UserInfo responses alone, has the identifier "".
func (i *Intent) IDs(scopes []string, requested claims.Request, details []json.RawMessage) (ids []string) {
	switch {
	case i.Scope != "":
		for _, scope := range scopes {
			if id, ok := strings.CutPrefix(scope, i.Scope); ok {
				ids = append(ids, id)
			}
		}
	case i.Claim != "":
		_, inIDToken := requested.IDToken[i.Claim]
		for _, set := range []claims.Set{requested.IDToken, requested.UserInfo} {
			claim, ok := set[i.Claim]
			if !ok {
				continue
			}
			var id string
			if len(claim.Values) == 1 && inIDToken {
				json.Unmarshal(claim.Values[0], &id) //nolint:errcheck // id stays empty
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	default:
		for _, detail := range details {
			if id, ok := member(detail, strings.Split(i.Detail, ".")); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// member returns the string at a path in an object.
func member(object json.RawMessage, path []string) (value string, ok bool) {
	for _, name := range path {
		var members map[string]json.RawMessage
		if strictjson.Decode(object, &members) != nil {
			return "", false
		}
		if object, ok = members[name]; !ok {
			return "", false
		}
	}
	json.Unmarshal(object, &value) //nolint:errcheck // value stays empty
	return value, true
}
