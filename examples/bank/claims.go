package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
)

// verifiedClaims is the claim that has claims with their evidence (OpenID
// Connect for Identity Assurance 1.0 §5).
const verifiedClaims = "verified_claims"

// transaction is the claim that identifies the response in the records of the
// bank (RFC 8417 §2.2).
const transaction = "txn"

// protocolClaims are the claims of ID tokens that the server makes itself.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash",
	"s_hash", "cnf", transaction,
}

// claimsOfScopes are the claims of a scope (OpenID Connect Core §5.4).
var claimsOfScopes = map[string][]string{
	"profile": {
		"preferred_username", "name", "family_name", "given_name", "middle_name", "nickname", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email": {"email", "email_verified"}, "address": {"address"}, "phone": {"phone_number", "phone_number_verified"},
}

// checkClaims checks the claims of the users.
func (c *config) checkClaims(p *configfile.Problems) {
	c.claimsOf = make(map[string]object, len(c.users))
	for i, u := range c.users {
		at := fmt.Sprintf("users[%d]", i)
		about := object{"preferred_username": u.Username}
		for name, raw := range u.Claims {
			p.Require(!slices.Contains(protocolClaims, name), at, "claims: %.100q is a claim that the server makes",
				name)
			var value any
			p.Require(json.Unmarshal(raw, &value) == nil && value != nil, at, "claims: %.100q is null", name)
			if name == verifiedClaims {
				_, err := parseVerified(raw)
				p.Require(err == nil, at, "claims: verified_claims: %w", err)
			}
			about[name] = raw
		}
		p.Require(len(u.Claims) == 0 || c.openid || p.Wrong("openid"), at, "claims: needs openid")
		c.claimsOf[u.Username] = about
	}
}

// supportedClaims returns the names of the claims that some user has, and of
// those that the bank makes.
func (c *config) supportedClaims() []string {
	names := map[string]bool{"preferred_username": true, transaction: true}
	for name, has := range map[string]bool{"acr": len(c.acrValues) > 0, c.durationClaim: c.durationClaim != ""} {
		if has {
			names[name] = true
		}
	}
	for _, set := range c.allRules() {
		if set.Intent != nil && set.Intent.Claim != "" {
			names[set.Intent.Claim] = true
		}
	}
	for _, about := range c.claimsOf {
		for name := range about {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// about returns the claims about a user. A user that the configuration no
// longer lists has only a name.
func (c *config) about(user string) object {
	if about, ok := c.claimsOf[user]; ok {
		return about
	}
	return object{"preferred_username": user}
}

// requestedClaims returns the claims about a user that a client has requested
// one by one.
func (c *config) requestedClaims(user string, requested claims.Set) (object, error) {
	about := c.about(user)
	selected := requested.Select(about)
	if _, ok := requested[transaction]; ok {
		selected[transaction] = rand.Text()
	}
	request, isRequested := requested[verifiedClaims]
	if verified, ok := about[verifiedClaims].(json.RawMessage); ok && isRequested {
		found, err := selectVerified(request.JSON, verified)
		if err != nil {
			return nil, err
		}
		if found != nil {
			selected[verifiedClaims] = found
		}
	}
	return selected, nil
}

// loginClass returns the authentication context class of a login: the first
// requested one that logins at this bank meet, or the default.
func (c *config) loginClass(a *authserver.Authorization) string {
	for _, class := range append(a.Claims().IDToken["acr"].Strings(), a.ACRValues()...) {
		if slices.Contains(c.acrValues, class) {
			return class
		}
	}
	if len(c.acrValues) == 0 {
		return ""
	}
	return c.acrValues[0]
}

// shownClaims describes the claims that the client receives because it has
// requested them one by one.
func (c *config) shownClaims(a *authserver.Authorization, user, language string) (fields []rar.Field, err error) {
	all := object{}
	for _, requested := range []claims.Set{a.Claims().IDToken, a.Claims().UserInfo} {
		selected, err := c.requestedClaims(user, requested)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, selected)
	}
	delete(all, transaction)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, ok := all[name].(string)
		if raw, isJSON := all[name].(json.RawMessage); isJSON && json.Unmarshal(raw, &text) == nil {
			ok = true
		}
		if !ok {
			raw, err := json.Marshal(all[name])
			if err != nil {
				return nil, err
			}
			text = string(raw)
		}
		fields = append(fields, rar.Field{Label: name, Value: rar.EscapeText(text, language)})
	}
	return fields, nil
}

// userInfo returns the claims that this bank has about a user. A client
// receives a claim that its scope includes, or that it requested by name.
func (b *bank) userInfo(
	ctx context.Context, token *resourceserver.Token, requested claims.Set,
) (map[string]any, error) {
	user, err := b.server.LocalSubject(ctx, token)
	if err != nil {
		return nil, err
	}
	selected, err := b.cfg.requestedClaims(user, requested)
	if err != nil {
		return nil, err
	}
	for name, value := range b.cfg.about(user) {
		for scope, names := range claimsOfScopes {
			if token.HasScope(scope) && slices.Contains(names, name) {
				selected[name] = value
			}
		}
	}
	return selected, nil
}

// A verified is the value of verified_claims, or an element of a request for
// it. In a request, a member is null, or an object with the accepted value.
type verified struct {
	Verification map[string]json.RawMessage `json:"verification"`
	Claims       map[string]json.RawMessage `json:"claims"`
}

// parseVerified parses the value of verified_claims, which is an object or a
// list of objects.
func parseVerified(raw json.RawMessage) (all []verified, err error) {
	if err = json.Unmarshal(raw, &all); err != nil {
		all = make([]verified, 1)
		err = json.Unmarshal(raw, &all[0])
	}
	return all, err
}

// selectVerified returns the parts of verified claims that a client requested,
// or nil. A client receives no claim and no evidence that it did not name.
func selectVerified(request, value json.RawMessage) (any, error) {
	requests, err := parseVerified(request)
	if err != nil {
		return nil, nil //nolint:nilerr // a malformed request for an optional claim requests nothing
	}
	all, err := parseVerified(value)
	if err != nil {
		return nil, err
	}
	var found []object
	for _, one := range all {
		for _, wanted := range requests {
			verification, ok := wanted.evidence(one)
			about := namedIn(wanted.Claims, one.Claims)
			if ok && len(about) > 0 {
				found = append(found, object{"verification": verification, "claims": about})
				break
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return found, nil
}

// evidence returns the requested evidence. The trust framework is always part
// of it. If the evidence does not have a requested value, ok is false.
func (wanted verified) evidence(has verified) (_ object, ok bool) {
	selected := object{"trust_framework": has.Verification["trust_framework"]}
	for name, request := range wanted.Verification {
		value, exists := has.Verification[name]
		if accepted := accepts(request, value); exists && !accepted {
			return nil, false
		} else if exists {
			selected[name] = value
		}
	}
	return selected, selected["trust_framework"] != nil
}

// namedIn returns the claims that a request names, as far as they exist and
// have an accepted value.
func namedIn(requested, has map[string]json.RawMessage) object {
	selected := object{}
	for name, request := range requested {
		if value, ok := has[name]; ok && accepts(request, value) {
			selected[name] = value
		}
	}
	return selected
}

// accepts reports whether a request, which is null or has value or values,
// accepts a value.
func accepts(request, value json.RawMessage) bool {
	var wanted struct {
		Value  json.RawMessage   `json:"value"`
		Values []json.RawMessage `json:"values"`
	}
	if json.Unmarshal(request, &wanted) != nil {
		return false
	}
	claim := claims.Claim{Values: wanted.Values}
	if wanted.Value != nil {
		claim.Values = []json.RawMessage{wanted.Value}
	}
	return claim.Accepts(value)
}
