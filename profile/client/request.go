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
	// maxDetails bounds the authorization details of a request or a token: a
	// request object, which has them inside, may have no more than 64 KiB
	// either.
	maxDetails = 64 << 10
	// maxKeep bounds what a host adds to a session, which has to fit into a
	// cookie.
	maxKeep = 1 << 10
)

// A Request says what an authorization, or a token, is to be for.
type Request struct {
	Scopes    []string // with "openid" the token comes with an ID token
	Resources []string // RFC 8707; empty: the server's choice
	// AuthorizationDetails are rich authorization requests (RFC 9396): a JSON
	// array of objects, each with a type that is a string, sent as it is. In
	// [Client.Refresh] they narrow the token (RAR-6-1). nil: none.
	// [AuthorizationDetails] has what was granted, which may be less, or say
	// more.
	AuthorizationDetails json.RawMessage
	// GrantManagementAction is create, merge or replace (Grant Management for
	// OAuth 2.0 §5.2), for [Client.Begin] alone. merge and replace are about
	// the grant GrantID, which came as grant_id with the token; create has
	// none.
	GrantManagementAction, GrantID string
	// Params are further parameters: prompt, max_age, login_hint and so on. One
	// that belongs to the protocol, and so to the client, is an error, as is a
	// repeated one.
	Params url.Values
	// Keep is the host's own, up to 1 KiB: it comes back in the [Session] and
	// is never sent. If it is where the browser is to go afterwards, be sure
	// that it is a path of yours (SP-5.3.3.1-4).
	Keep string
}

// reserved says whether a parameter of a request is the client's own business.
// DPoP binds the code by the proof that goes with the push; request objects and
// other response modes are nothing that this client could answer for.
func reserved(name string) bool {
	switch name {
	case "client_id", "client_secret", "client_assertion", "client_assertion_type", "response_type", "response_mode", "redirect_uri",
		"scope", "resource", "authorization_details", "grant_management_action", "grant_id", "state", "nonce", "code_challenge",
		"code_challenge_method", "dpop_jkt", "request", "request_uri", "grant_type", "code", "code_verifier", "refresh_token":
		return true
	}
	return false
}

// params returns what the caller wants to send.
func (r Request) params() (url.Values, error) {
	params := make(url.Values, len(r.Params)+8)
	for name, values := range r.Params {
		switch {
		case reserved(name):
			return nil, fmt.Errorf("client: Params must not have %q", name)
		case len(values) > 1:
			return nil, fmt.Errorf("client: Params has %.64q repeated", name)
		case len(values) == 1:
			params.Set(name, values[0])
		}
	}
	for _, scope := range r.Scopes {
		if !syntax.IsScope(scope) { // two in one string would hide an openid from us
			return nil, fmt.Errorf("client: %.64q is not one scope", scope)
		}
	}
	for _, resource := range r.Resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") { // RI-2-1
			return nil, fmt.Errorf("client: resource %.256q is no absolute URI without fragment", resource)
		}
	}
	if len(r.Keep) > maxKeep {
		return nil, fmt.Errorf("client: Keep has %d bytes, at most %d", len(r.Keep), maxKeep)
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
			return nil, errors.New("client: AuthorizationDetails: an empty array asks for nothing")
		}
		params.Set("authorization_details", string(r.AuthorizationDetails))
	}
	return params, nil
}

// tokenParams are those of a request that asks the user nothing, and so manages
// no grant.
func (r Request) tokenParams() (url.Values, error) {
	if r.GrantManagementAction != "" || r.GrantID != "" {
		return nil, errors.New("client: grants are managed by authorization requests alone")
	}
	return r.params()
}

// checkDetails checks the form that authorization details have in every
// message. What belongs to a type is the server's and the API's to say.
func checkDetails(details json.RawMessage) error {
	if len(details) > maxDetails {
		return fmt.Errorf("%d bytes, at most %d", len(details), maxDetails)
	}
	if err := strictjson.Valid(details); err != nil { // of two amounts each party could read another one
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
		if kind, _, err := o.String("type"); err != nil || kind == "" { // RAR-2-2; Type is another member
			return fmt.Errorf("[%d] has no type that is a string", i)
		}
	}
	return nil
}

// manageGrant adds the parameters of grant management to those of an
// authorization request, if the server can do that.
func (r Request) manageGrant(server *profile.ServerMetadata, params url.Values) error {
	refused := func(text string) error { return errors.New("client: " + text) }
	switch action := r.GrantManagementAction; action {
	case "":
		switch {
		case r.GrantID != "": // GM-5.4-3
			return refused("GrantID without GrantManagementAction")
		case server.GrantManagementActionRequired: // GM-5.4-5
			return refused("the server requires a GrantManagementAction")
		}
		return nil
	case "create":
		if r.GrantID != "" { // GM-5.4-2
			return refused("GrantManagementAction create makes a new grant, and GrantID is not empty")
		}
	case "merge", "replace":
		if r.GrantID == "" { // GM-5.2-4
			return refused("GrantManagementAction " + action + " needs a GrantID")
		}
		params.Set("grant_id", r.GrantID)
	default:
		return refused("GrantManagementAction is none of create, merge and replace")
	}
	// GM-7.1-1, GM-5.4-4: a server that does not know the action would leave it
	// out, and the old grant as it is.
	if !slices.Contains(server.GrantManagementActionsSupported, r.GrantManagementAction) {
		return fmt.Errorf("%w: grant_management_actions_supported lacks %s", profile.ErrServerMetadata, r.GrantManagementAction)
	}
	params.Set("grant_management_action", r.GrantManagementAction)
	return nil
}
