package authserver

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// checkRequestRules applies the rules for the parameters of an authorization
// request.
func checkRequestRules(set *rules.Set, params url.Values) error {
	if len(set.Request.Parameters) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(set.Request.Parameters)) {
		rule := set.Request.Parameters[name]
		if problem := rule.Problem(params[name]); problem != "" {
			return parameterError(set, rule.Error, name+" "+problem)
		}
	}
	return nil
}

// parameterError is an [ErrParameter] with the code of a rule, which may be
// empty. The client receives the text.
func parameterError(set *rules.Set, code, text string) error {
	sentinel := ErrParameter
	if code != "" {
		row := oautherr.New("authserver: parameter outside the rules", code, http.StatusBadRequest, "")
		sentinel = fmt.Errorf("%w: %w", row, ErrParameter)
	}
	return oautherr.Describe(fmt.Errorf("%w: %s (rules %.64s)", sentinel, text, set.Name), text)
}

// checkPushForm checks the names of the parameters in the form of a push.
func checkPushForm(set *rules.Set, form url.Values) error {
	return checkNames(set, set.Request.PushForm, form, "in the form of a pushed request")
}

func checkNames(set *rules.Set, permitted []string, params url.Values, where string) error {
	for name := range params {
		if !rules.Permits(permitted, name) {
			return parameterError(set, "", fmt.Sprintf("%.64q is not permitted %s", name, where))
		}
	}
	return nil
}

// checkFrontChannel checks the names of the parameters that a browser has at
// the authorization endpoint. It runs before the request is loaded: a link with
// another parameter changes nothing, and the browser receives a page.
func (s *Server) checkFrontChannel(ctx context.Context, clientID string, params url.Values) error {
	set := s.cfg.rules()
	if s.cfg.ClientRules != nil {
		client, err := s.client(ctx, clientID)
		if err != nil {
			return err
		}
		set = s.rulesIn(ctx, client)
	}
	return checkNames(set, set.Request.FrontChannel, params, "at the authorization endpoint")
}

// checkScopeRules checks that a request has the scopes that each request needs.
func checkScopeRules(set *rules.Set, scopes []string) error {
	for _, name := range set.Request.Scopes {
		if !slices.Contains(scopes, name) {
			err := fmt.Errorf("%w: missing %s (rules %.64s)", ErrScope, name, set.Name)
			return oautherr.Describe(err, "each request needs the scope "+name)
		}
	}
	return nil
}

// checkDetailRules checks number and types of the requested details.
func checkDetailRules(set *rules.Set, details rar.Details) error {
	rule := set.Request.AuthorizationDetails
	text := ""
	switch {
	case rule.Required && len(details) == 0:
		text = "authorization_details: each request needs a detail"
	case rule.Max > 0 && len(details) > rule.Max:
		text = fmt.Sprintf("authorization_details: %d details, want at most %d", len(details), rule.Max)
	}
	if text != "" {
		return oautherr.Describe(fmt.Errorf("%w: %s (rules %.64s)", ErrAuthorizationDetails, text, set.Name), text)
	}
	return checkDetailTypes(set, details)
}

// checkDetailTypes checks the types of details that a client requests for a
// user or for itself.
func checkDetailTypes(set *rules.Set, details rar.Details) error {
	for i, d := range details {
		if !rules.Permits(set.Request.AuthorizationDetails.Types, d.Type()) {
			return detailError(i, d, "", "type is not permitted by the rules")
		}
	}
	return nil
}

// checkTokenMembers requires the members of an ecosystem in the responses of
// the token endpoint.
func checkTokenMembers(set *rules.Set, approval Approval) error {
	for _, name := range set.TokenMembers {
		if value := bytes.TrimSpace(approval.TokenMembers[name]); len(value) == 0 || string(value) == "null" {
			return fmt.Errorf("authserver: approval: TokenMembers without %s, which the rules %.64s require",
				name, set.Name)
		}
	}
	return nil
}
