package grants

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"unicode/utf8"
)

// A Request has the checked grant management parameters of an authorization
// request. The zero Request is a request without them. [Manager.Check] returns
// all others.
type Request struct {
	clientID, action, grantID string
}

// IsZero reports whether the request has no grant management parameters.
func (r Request) IsZero() bool { return r.action == "" }

// Action returns "create", "merge" or "replace", or "" for the zero Request.
func (r Request) Action() string { return r.action }

// GrantID returns the grant to be changed. It is "" for a new one.
func (r Request) GrantID() string { return r.grantID }

// String returns the action and the grant ID.
func (r Request) String() string {
	return fmt.Sprintf("grant management request %q %q", r.action, r.grantID)
}

// Check checks the parameters grant_management_action and grant_id of an
// authorization request, as far as possible without a user (§5.4). Parameters
// of pushed requests and of request objects are checked alike. clientID is the
// authenticated client, 1 to 255 bytes. It is empty for a public client, which
// cannot use grant management.
//
// Check writes nothing. Call it when the request is pushed and again when the
// browser presents it: the grant may have ended in between. It returns
// [ErrRequest], [ErrClient], [ErrGrantID] or [ErrStore].
func (m *Manager) Check(ctx context.Context, clientID string, params url.Values) (Request, error) {
	for _, name := range []string{"grant_management_action", "grant_id"} {
		if len(params[name]) > 1 {
			return Request{}, fmt.Errorf("%w: repeated %s", ErrRequest, name)
		}
	}
	// GM-5.2-1: the origin of the parameters does not matter.
	action, id := params.Get("grant_management_action"), params.Get("grant_id")
	if action == actionUpdate && m.cfg.AcceptUpdate {
		action = actionMerge
	}
	switch {
	case action == "" && id != "": // GM-5.4-3
		return Request{}, fmt.Errorf("%w: grant_id without grant_management_action", ErrRequest)
	case action == "" && m.cfg.ActionRequired: // GM-5.4-5
		return Request{}, fmt.Errorf("%w: missing grant_management_action", ErrRequest)
	case action == "":
		return Request{}, nil
	case clientID == "" || len(clientID) > 255 || !utf8.ValidString(clientID): // GM-5.1-1
		return Request{}, fmt.Errorf("%w: malformed client ID of %d bytes", ErrClient, len(clientID))
	case action == actionQuery, action == actionRevoke, !m.supports(action): // GM-5.4-4, GM-5.2-3
		return Request{}, fmt.Errorf("%w: unsupported grant_management_action %.64q", ErrRequest, action)
	case action == actionCreate && id != "": // GM-5.4-2
		return Request{}, fmt.Errorf("%w: grant_id with create", ErrRequest)
	case action != actionCreate && id == "": // GM-5.2-4
		return Request{}, fmt.Errorf("%w: %s without grant_id", ErrRequest, action)
	}
	request := Request{clientID: clientID, action: action, grantID: id}
	if _, err := m.existing(ctx, request); err != nil {
		return Request{}, err
	}
	return request, nil
}

// Existing returns the grant that a request is to change, for the consent page,
// and checks that it belongs to the user (§5.4). The user is known only after
// the login. The client therefore receives the error [ErrGrantID] in the
// authorization response. For create, Existing returns the zero Grant.
func (m *Manager) Existing(ctx context.Context, request Request, subject string) (Grant, error) {
	g, err := m.existing(ctx, request)
	if err != nil || g.ID == "" {
		return Grant{}, err
	}
	if g.Subject != subject { // GM-5.4-1
		return Grant{}, fmt.Errorf("%w: the grant of another user", ErrGrantID)
	}
	return g, nil
}

// existing reads the grant of a request and checks its status and its client.
func (m *Manager) existing(ctx context.Context, request Request) (Grant, error) {
	if request.grantID == "" {
		return Grant{}, nil
	}
	r, err := m.read(ctx, request.grantID)
	switch {
	case errors.Is(err, ErrNotFound): // GM-5.4-1, GM-5.2-2
		return Grant{}, fmt.Errorf("%w: %w", ErrGrantID, err)
	case err != nil:
		return Grant{}, err
	case !m.owns(request.clientID, r.Grant): // GM-5.2-2, GM-10-1
		return Grant{}, fmt.Errorf("%w: the grant of another client", ErrGrantID)
	case r.Grant.Status != active:
		return Grant{}, fmt.Errorf("%w: %s", ErrGrantID, r.Grant.Status)
	}
	return r.Grant, nil
}
