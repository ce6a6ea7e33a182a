package claims

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// Limit returns the claims of a response that the request contains, in a new
// map. The values are JSON. It is for profiles that permit no other claims. A
// claim with a language tag is requested by its name with or without the tag
// (OpenID Connect Core 1.0 §5.2). Limit omits a claim whose value the request
// does not accept.
//
// In verified_claims, Limit also omits the unrequested members of verification
// and claims (OpenID Connect for Identity Assurance). It omits an element whose
// verification the request does not accept, or in which no claim is left. A
// request that names no member of verification receives no element.
func (r Set) Limit(response map[string]json.RawMessage) map[string]json.RawMessage {
	limited := make(map[string]json.RawMessage, min(len(r), len(response)))
	for name, value := range response {
		base, _, _ := strings.Cut(name, "#")
		requested, ok := r[name]
		if !ok {
			requested, ok = r[base]
		}
		switch {
		case !ok:
		case base == verifiedClaims:
			if value = limitVerified(requested.JSON, value); value != nil {
				limited[name] = value
			}
		case requested.Accepts(value):
			limited[name] = value
		}
	}
	return limited
}

// limitVerified limits verified_claims. Request and response are each an object
// or an array of objects. It returns nil if nothing is left.
func limitVerified(request, response json.RawMessage) json.RawMessage {
	req, _, err := strictjson.Parse(string(request), 0)
	if err != nil {
		return nil
	}
	resp, _, err := strictjson.Parse(string(response), 0)
	if err != nil {
		return nil
	}
	var kept []json.RawMessage
	for _, wanted := range elements(&req) {
		for _, element := range elements(&resp) {
			text := limitElement(wanted, element)
			same := func(other json.RawMessage) bool { return string(other) == string(text) }
			if text != nil && !slices.ContainsFunc(kept, same) {
				kept = append(kept, text)
			}
		}
	}
	switch {
	case len(kept) == 0:
		return nil
	case len(kept) == 1 && resp.Kind == strictjson.KindObject:
		return kept[0]
	}
	text, _ := json.Marshal(kept) // JSON of JSON does not fail
	return text
}

// elements returns the elements of an array, or the value itself.
func elements(v *strictjson.Value) []*strictjson.Value {
	if v.Kind != strictjson.KindArray {
		return []*strictjson.Value{v}
	}
	list := make([]*strictjson.Value, len(v.Items))
	for i := range v.Items {
		list[i] = &v.Items[i]
	}
	return list
}

// limitElement limits one element of verified_claims to one element of the
// request, which names members of verification.
func limitElement(request, response *strictjson.Value) json.RawMessage {
	evidence := request.Get("verification")
	if evidence == nil || isCondition(evidence) { // the client has to name members
		return nil
	}
	verification := limitStructure(evidence, response.Get("verification"))
	wanted, has := request.Get("claims"), response.Get("claims")
	if verification == nil || wanted == nil || has == nil {
		return nil
	}
	kept := map[string]json.RawMessage{}
	for i := range has.Members {
		m := &has.Members[i]
		if condition := wanted.Get(m.Name); condition != nil && accepts(condition, &m.Value) {
			kept[m.Name] = json.RawMessage(m.Value.Raw)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	claims, _ := json.Marshal(kept)
	text, _ := json.Marshal(map[string]json.RawMessage{"verification": verification, "claims": claims})
	return text
}

// limitStructure limits a value of verification to the requested members. It
// returns nil if the value does not meet a condition of the request.
func limitStructure(request, response *strictjson.Value) json.RawMessage {
	switch {
	case request == nil || response == nil:
		return nil
	case isCondition(request):
		if !accepts(request, response) {
			return nil
		}
		return json.RawMessage(response.Raw)
	case request.Kind == strictjson.KindArray && response.Kind == strictjson.KindArray:
		kept := []json.RawMessage{}
		for i := range response.Items {
			for j := range request.Items {
				if text := limitStructure(&request.Items[j], &response.Items[i]); text != nil {
					kept = append(kept, text)
					break
				}
			}
		}
		if len(kept) == 0 {
			return nil
		}
		text, _ := json.Marshal(kept)
		return text
	case request.Kind == strictjson.KindObject && response.Kind == strictjson.KindObject:
		kept := map[string]json.RawMessage{}
		for i := range request.Members {
			m := &request.Members[i]
			value := response.Get(m.Name)
			if value == nil { // an absent member is not an error, see the package comment
				continue
			}
			text := limitStructure(&m.Value, value)
			if text == nil {
				return nil
			}
			kept[m.Name] = text
		}
		text, _ := json.Marshal(kept)
		return text
	}
	return nil
}

// conditions are the members of the request for one claim.
var conditions = []string{"essential", "value", "values", "max_age", "purpose"}

// isCondition reports whether a value requests the whole of a member, and not
// single members of it.
func isCondition(v *strictjson.Value) bool {
	if v.Kind == strictjson.KindNull {
		return true
	}
	other := func(m strictjson.Member) bool { return !slices.Contains(conditions, m.Name) }
	return v.Kind == strictjson.KindObject && !slices.ContainsFunc(v.Members, other)
}

// accepts reports whether the request for one claim accepts a value. It accepts
// none if the request is malformed.
func accepts(request, value *strictjson.Value) bool {
	c, err := newClaim("", request)
	return err == nil && c.Accepts(json.RawMessage(value.Raw))
}
