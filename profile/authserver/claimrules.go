package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/rules"
)

// errACRDenied is an [ErrLogin] for ecosystems that require this code.
var errACRDenied = fmt.Errorf("%w: %w", oautherr.New("authserver: required acr not met", "access_denied",
	http.StatusBadRequest, "the authentication that was asked for is not possible"), ErrLogin)

// unmetACR returns the error of a request for a class that no login meets.
func unmetACR(set *rules.Set) error {
	if set.ACR.Unmet == "access_denied" {
		return errACRDenied
	}
	return errACR
}

// checkClaimRules holds a request to the rules for acr and for the claims
// parameter.
func checkClaimRules(set *rules.Set, requested claims.Request, acrValues string) error {
	if text := set.ClaimsProblem(requested, acrValues); text != "" {
		return oautherr.Describe(fmt.Errorf("%w: %s (rules %.64s)", ErrParameter, text, set.Name), text)
	}
	return nil
}

// checkACRRule requires the class of the login for each ID token if the rules
// do.
func (a *Authorization) checkACRRule(approval Approval) error {
	if a.rules.ACR.InIDToken && approval.ACR == "" && slices.Contains(a.scopes, scopeOpenID) {
		return errors.New("authserver: approval: the rules require ACR")
	}
	return nil
}

// claimsOfScopes are the claims that a scope requests for UserInfo responses
// (OpenID Connect Core §5.4).
var claimsOfScopes = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
}

// limitUserInfo omits the claims of a UserInfo response that the client has
// requested neither one by one nor by a scope of its token. It keeps sub, which
// the endpoint compares.
func limitUserInfo(requested claims.Set, scopes []string, about map[string]any) (map[string]any, error) {
	all := claims.Set{}
	for _, scope := range scopes {
		for _, name := range claimsOfScopes[scope] {
			all[name] = claims.Claim{}
		}
	}
	maps.Copy(all, requested)
	limited := map[string]any{}
	if sub, ok := about["sub"]; ok {
		limited["sub"] = sub
	}
	encoded := make(map[string]json.RawMessage, len(about))
	for name, claim := range about {
		value, err := json.Marshal(claim)
		if err != nil {
			return nil, fmt.Errorf("authserver: UserInfo: %w", err)
		}
		encoded[name] = value
	}
	delete(encoded, "sub")
	for name, value := range all.Limit(encoded) {
		limited[name] = value
	}
	return limited, nil
}

// checkClaimSupport finds rules for claims and classes that this server does
// not meet.
func (cfg *Config) checkClaimSupport(bad func(format string, args ...any)) {
	if cfg.Rules == nil {
		return
	}
	known := func(name string) bool { return slices.Contains(cfg.Claims, name) }
	if some := cfg.Rules.Claims.Supported; len(some) > 0 && !slices.ContainsFunc(some, known) {
		bad("Claims has none of %q, which are Rules.Claims.Supported", some)
	}
	for _, name := range cfg.Rules.Claims.Required {
		if !known(name) {
			bad("Claims has no %q, which is among Rules.Claims.Required", name)
		}
	}
	for _, class := range cfg.Rules.ACR.Supported {
		if !slices.Contains(cfg.ACRValues, class) {
			bad("ACRValues has no %q, which is among Rules.ACR.Supported", class)
		}
	}
}
