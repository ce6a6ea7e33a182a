package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
)

const (
	// maxDetails bounds authorization details. A request object that contains
	// them is bounded to 64 KiB as well.
	maxDetails = 64 << 10
	// maxKeep bounds the host's part of a session, which must fit into a
	// cookie.
	maxKeep = 1 << 10
)

// A Request contains the permissions that an authorization or a token is
// requested for.
type Request struct {
	// Scopes are the requested scopes. With "openid", the token comes with an
	// ID token. Some servers issue a refresh token only with "offline_access".
	Scopes []string
	// Resources are the URIs of the APIs that the token is for (RFC 8707). If
	// empty, the server chooses them.
	Resources []string
	// AuthorizationDetails is a JSON array of objects that each have a type
	// (RFC 9396). It is sent unchanged. In [Client.Refresh] it narrows the
	// token. The function [AuthorizationDetails] returns the granted details,
	// which may differ. If nil, none are requested.
	AuthorizationDetails json.RawMessage
	// GrantManagementAction is create, merge or replace (Grant Management for
	// OAuth 2.0 §5.2), and only for [Client.Begin]. GrantID is the grant_id of
	// an earlier token. It is required for merge and replace, and must be empty
	// for create.
	GrantManagementAction, GrantID string
	// Params are further parameters, for example prompt, max_age, login_hint
	// and claims (OpenID Connect Core 1.0 §5.5). Parameters that the client
	// sets itself and repeated parameters are errors.
	Params url.Values
	// Keep is data of the host, at most 1 KiB. It is returned in the [Session]
	// and never sent to the server. If it is an address for a redirect, accept
	// only paths of the host.
	Keep string
}

// reserved reports whether the client sets a parameter itself, or must not send
// it. DPoP binds the code by the proof of the push. The client supports no
// other response modes and no request objects of the caller.
func reserved(name string) bool {
	switch name {
	case "client_id", "client_secret", "client_assertion", "client_assertion_type",
		"response_type", "response_mode", "redirect_uri", "scope", "resource", "authorization_details",
		"grant_management_action", "grant_id", "state", "nonce", "code_challenge", "code_challenge_method",
		"dpop_jkt", "request", "request_uri", "grant_type", "code", "code_verifier", "refresh_token":
		return true
	}
	return false
}

// params returns the parameters that a request adds to those of the client.
func (r Request) params() (url.Values, error) {
	params := make(url.Values, len(r.Params)+8)
	for name, values := range r.Params {
		switch {
		case reserved(name):
			return nil, fmt.Errorf("client: reserved parameter %q in Params", name)
		case len(values) > 1:
			return nil, fmt.Errorf("client: repeated parameter %.64q in Params", name)
		case len(values) == 1:
			params.Set(name, values[0])
		}
	}
	for _, scope := range r.Scopes {
		if !syntax.IsScope(scope) { // two scopes in one string could hide openid
			return nil, fmt.Errorf("client: malformed scope %.64q", scope)
		}
	}
	for _, resource := range r.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") { // RI-2-1
			return nil, fmt.Errorf("client: malformed resource %.256q, want an absolute URI without fragment", resource)
		}
	}
	if len(r.Keep) > maxKeep {
		return nil, fmt.Errorf("client: Keep of %d bytes, want at most %d", len(r.Keep), maxKeep)
	}
	if len(r.Scopes) > 0 {
		params.Set("scope", strings.Join(r.Scopes, " "))
	}
	if len(r.Resources) > 0 {
		params["resource"] = slices.Clone(r.Resources)
	}
	if r.AuthorizationDetails != nil {
		if err := checkDetails(r.AuthorizationDetails); err != nil {
			return nil, fmt.Errorf("client: AuthorizationDetails: %w", err)
		}
		if bytes.Equal(bytes.Join(bytes.Fields(r.AuthorizationDetails), nil), []byte("[]")) {
			return nil, errors.New("client: empty AuthorizationDetails")
		}
		params.Set("authorization_details", string(r.AuthorizationDetails))
	}
	return params, nil
}

// tokenParams returns the parameters of a token request. It involves no user
// and therefore manages no grant.
func (r Request) tokenParams() (url.Values, error) {
	if r.GrantManagementAction != "" || r.GrantID != "" {
		return nil, errors.New("client: GrantManagementAction or GrantID in a token request")
	}
	return r.params()
}

// checkDetails checks the syntax that all authorization details share. The
// server and the API check the members of each type.
func checkDetails(details json.RawMessage) error {
	if len(details) > maxDetails {
		return fmt.Errorf("%d bytes, want at most %d", len(details), maxDetails)
	}
	if err := strictjson.Valid(details); err != nil { // two parties could read two amounts in one object
		return err
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(details, &elements); err != nil || elements == nil { // RAR-2-1
		return errors.New("not an array")
	}
	for i, element := range elements {
		o, err := strictjson.ParseObject(element)
		if err != nil {
			return fmt.Errorf("[%d] is not an object", i)
		}
		if kind, _, err := o.String("type"); err != nil || kind == "" { // RAR-2-2: Type is another member
			return fmt.Errorf("[%d] has no type that is a string", i)
		}
	}
	return nil
}

// manageGrant adds the parameters of grant management (Grant Management for
// OAuth 2.0 §5).
func (r Request) manageGrant(server *profile.ServerMetadata, params url.Values) error {
	action := r.GrantManagementAction
	switch {
	case action == "" && r.GrantID != "": // GM-5.4-3
		return errors.New("client: GrantID without GrantManagementAction")
	case action == "" && server.GrantManagementActionRequired: // GM-5.4-5
		return errors.New("client: missing GrantManagementAction, required by the server")
	case action == "":
		return nil
	case action == "create" && r.GrantID != "": // GM-5.4-2
		return errors.New("client: GrantID with GrantManagementAction create")
	case action == "create":
	case action != "merge" && action != "replace":
		return errors.New("client: unknown GrantManagementAction, want create, merge or replace")
	case r.GrantID == "": // GM-5.2-4
		return errors.New("client: missing GrantID for GrantManagementAction " + action)
	default:
		params.Set("grant_id", r.GrantID)
	}
	// GM-7.1-1, GM-5.4-4: a server that does not support the action would
	// ignore it, and leave the old grant unchanged.
	if !slices.Contains(server.GrantManagementActionsSupported, action) {
		return fmt.Errorf("%w: grant_management_actions_supported lacks %s", profile.ErrServerMetadata, action)
	}
	params.Set("grant_management_action", action)
	return nil
}
