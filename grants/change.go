package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

// An Approval is the consent of a user.
type Approval struct {
	// AuthorizationID identifies this authorization and its tokens: 16 to 128
	// visible ASCII characters that are new for each approval, for example
	// random ones. Required.
	AuthorizationID string
	// Subject is the user: 1 to 255 bytes of UTF-8. Required.
	Subject string
	// Scopes, Claims and AuthorizationDetails are the permissions of this
	// consent, without those that the grant already has.
	Scopes               []Scope
	Claims               []string
	AuthorizationDetails json.RawMessage
	// Expires is the end of the grant. If zero, it is the result of
	// [Manager.Ends].
	Expires time.Time
	// Data and Extra replace those of the [Grant]. If nil, the grant keeps its
	// own.
	Data  json.RawMessage
	Extra map[string]json.RawMessage
}

// A Change is an approved request that takes effect when it is claimed. The
// host stores it with the code as JSON. It contains personal data. The zero
// Change cannot be claimed.
type Change struct {
	c change
}

type change struct {
	Action          string
	ClientID        string
	AuthorizationID string
	Until           time.Time // the end of the time to claim
	Expires         time.Time
	Added           Grant // ID, Subject, and the permissions of the consent
}

// Action returns "create", "merge" or "replace".
func (c *Change) Action() string { return c.c.Action }

// GrantID returns the identifier that the grant has or will have. A new grant
// exists only after the claim. The ID therefore belongs into the token response
// and not into the authorization response (§5.3).
func (c *Change) GrantID() string { return c.c.Added.ID } // GM-5.3-1

// AuthorizationID returns the ID of the approval.
func (c *Change) AuthorizationID() string { return c.c.AuthorizationID }

// String returns the action and the grant ID, without personal data.
func (c Change) String() string { return fmt.Sprintf("%s of grant %q", c.c.Action, c.c.Added.ID) }

// GoString returns String.
func (c Change) GoString() string { return c.String() }

// LogValue returns String for package log/slog.
func (c Change) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON implements json.Marshaler.
func (c Change) MarshalJSON() ([]byte, error) {
	var w strictjson.Writer
	w.String("action", c.c.Action)
	w.String("client_id", c.c.ClientID)
	w.String("authorization_id", c.c.AuthorizationID)
	w.Time("until", c.c.Until)
	w.Time("expires", c.c.Expires)
	w.Object("added", c.c.Added.write)
	return w.Bytes(), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Change) UnmarshalJSON(data []byte) error {
	r := strictjson.ReadRecord(data, rawMembers...)
	c.c = change{
		Action:          r.String("action"),
		ClientID:        r.String("client_id"),
		AuthorizationID: r.String("authorization_id"),
		Until:           r.Time("until"),
		Expires:         r.Time("expires"),
		Added:           readGrant(r.Object("added")),
	}
	if r.Err() != nil {
		*c = Change{}
		return errors.New("grants: malformed change")
	}
	return nil
}

// Ends returns the end of the grant if the request is approved now without
// [Approval].Expires. existing is the result of [Manager.Existing]. A merge
// does not change the end. Any other grant ends one [ManagerConfig].Lifetime
// after its approval.
func (m *Manager) Ends(request Request, existing Grant) time.Time {
	if request.action == actionMerge {
		return existing.ExpiresAt
	}
	return m.now().Add(m.cfg.Lifetime)
}

// Prepare returns the [Change] for an approved request. It writes nothing: a
// client that never redeems its code would otherwise lose its refresh tokens.
//
// The request must not be zero. Prepare returns [ErrGrantID] or [ErrStore] like
// Existing. Any other error means that the approval is invalid: it exceeds a
// bound, or the details cannot be merged.
func (m *Manager) Prepare(ctx context.Context, request Request, approval Approval) (*Change, error) {
	if request.IsZero() {
		return nil, errors.New("grants: approval of a request without grant_management_action")
	}
	if err := checkApproval(approval); err != nil {
		return nil, err
	}
	existing, err := m.Existing(ctx, request, approval.Subject)
	if err != nil {
		return nil, err
	}
	now := m.now()
	c := &Change{change{
		Action: request.action, ClientID: request.clientID, AuthorizationID: approval.AuthorizationID,
		Until: now.Add(m.cfg.ClaimTime),
		Added: Grant{
			ID: request.grantID, Subject: approval.Subject, Scopes: approval.Scopes, Claims: approval.Claims,
			AuthorizationDetails: approval.AuthorizationDetails, Data: approval.Data, Extra: approval.Extra,
		}.clone(),
	}}
	switch {
	case !approval.Expires.IsZero():
		if c.c.Expires, err = m.checkEnd(approval.Expires, now); err != nil {
			return nil, err
		}
	case request.action != actionMerge:
		c.c.Expires = now.Add(m.cfg.Lifetime)
	}
	if request.action == actionCreate {
		c.c.Added.ID = newGrantID()
	}
	if err := c.c.Added.check(); err != nil {
		return nil, err
	}
	// An error at the token endpoint would be too late for the user.
	if _, err := m.permit(existing, c.c); err != nil {
		return nil, err
	}
	return c, nil
}

// checkEnd returns the end of a grant in whole seconds.
func (m *Manager) checkEnd(end, now time.Time) (time.Time, error) {
	end = end.UTC().Truncate(time.Second)
	if last := now.Add(m.cfg.Lifetime); !end.After(now) || end.After(last) {
		return time.Time{}, fmt.Errorf("grants: invalid end %v, want a time after %v and not after %v", end, now, last)
	}
	return end, nil
}

func checkApproval(a Approval) error {
	if id := a.AuthorizationID; len(id) < 16 || len(id) > 128 || !syntax.IsVisible(id) {
		return errors.New("grants: malformed AuthorizationID, want 16 to 128 visible ASCII characters")
	}
	if a.Subject == "" || len(a.Subject) > 255 || !utf8.ValidString(a.Subject) { // JSON would change other bytes
		return fmt.Errorf("grants: malformed Subject of %d bytes, want 1 to 255 bytes of UTF-8", len(a.Subject))
	}
	return nil
}

// permit returns a grant with the permissions that it has after a change.
func (m *Manager) permit(g Grant, c change) (Grant, error) {
	added := c.Added.clone()
	if c.Action == actionMerge { // GM-5.2-5, GM-5.2-9
		scopes, err := mergeScopes(g.Scopes, added.Scopes)
		if err != nil {
			return Grant{}, err
		}
		added.Scopes = scopes
		added.Claims = slices.Concat(g.Claims, added.Claims)
		if old, fresh := g.AuthorizationDetails, added.AuthorizationDetails; len(old)+len(fresh) > 0 {
			if added.AuthorizationDetails, err = m.cfg.MergeDetails(listOf(old), listOf(fresh)); err != nil {
				return Grant{}, fmt.Errorf("grants: MergeDetails: %w", err)
			}
		}
	}
	// GM-5.2-7: a replacement has the permissions of the consent only.
	g.Scopes, g.Claims, g.AuthorizationDetails = added.Scopes, added.Claims, added.AuthorizationDetails
	if added.Data != nil {
		g.Data = added.Data
	}
	if added.Extra != nil {
		g.Extra = added.Extra
	}
	if !c.Expires.IsZero() {
		g.ExpiresAt = c.Expires
	}
	return g, g.check()
}

// listOf returns a copy of details, and [] for nil, so that a host's parser
// always receives an array.
func listOf(details json.RawMessage) json.RawMessage {
	if len(details) == 0 {
		return json.RawMessage("[]")
	}
	return slices.Clone(details)
}

// Claim makes a change take effect and returns the grant with the permissions
// of the new tokens. No token may live beyond its ExpiresAt. Call Claim when
// the code has passed all checks and before the code is consumed. The client
// can then retry a request that failed: Claim changes the grant once for each
// authorization, even if it is repeated.
//
// Claim returns [ErrInactive] if the grant or this authorization has ended,
// [ErrStore] or [ErrEvent]. Any other error means that the change is no longer
// possible after other claims. The grant would exceed a bound, or the details
// cannot be merged.
func (m *Manager) Claim(ctx context.Context, c *Change) (Grant, error) {
	if c == nil || c.c.AuthorizationID == "" {
		return Grant{}, errUnprepared
	}
	g, err := m.do(ctx, operation{
		id: c.c.Added.ID, create: c.c.Action == actionCreate, owner: c.c.ClientID,
		apply: func(r *record, now time.Time) (*pendingEvent, error) { return m.claim(r, c.c, now) },
	})
	return g, orInactive(err)
}

// Plan returns the grant that [Manager.Claim] would return now. It writes
// nothing. Call Plan before a code is consumed that the client may need again.
// Plan shows whether the change is possible and which permissions the tokens
// will have. It returns the errors of Claim, except [ErrEvent].
func (m *Manager) Plan(ctx context.Context, c *Change) (Grant, error) {
	if c == nil || c.c.AuthorizationID == "" {
		return Grant{}, errUnprepared
	}
	r, _, err := m.load(ctx, c.c.Added.ID)
	if errors.Is(err, ErrNotFound) && c.c.Action == actionCreate && isGrantID(c.c.Added.ID) {
		r, err = new(record), nil
	}
	if err != nil {
		return Grant{}, orInactive(err)
	}
	now := m.now()
	if _, err := m.claim(r, c.c, now); err != nil {
		return Grant{}, err
	}
	return r.Grant.at(now), nil
}

var errUnprepared = errors.New("grants: unprepared change")

// orInactive returns [ErrInactive] for a grant that does not exist at the token
// endpoint.
func orInactive(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrInactive, err)
	}
	return err
}

// claim applies a change to a record. It returns a nil event if the change was
// applied before.
func (m *Manager) claim(r *record, c change, now time.Time) (*pendingEvent, error) {
	if r.knows(c.AuthorizationID) {
		// After a later change, or the end, the new tokens would be invalid at
		// once.
		if g := r.Grant.at(now); g.Status != active || !r.current(c.AuthorizationID) {
			return nil, fmt.Errorf("%w: superseded authorization in a grant that is %s", ErrInactive, g.Status)
		}
		return nil, nil
	}
	if !now.Before(c.Until) { // GM-5.6.1-2: nothing was written that would need removing
		return nil, fmt.Errorf("%w: expired change, claimable until %v, now %v", ErrInactive, c.Until, now)
	}
	kind := map[string]string{actionCreate: created, actionMerge: merged, actionReplace: replaced}[c.Action]
	isNew := r.Grant.Version == 0
	switch g := r.Grant.at(now); {
	case kind == "" || isNew != (kind == created):
		return nil, fmt.Errorf("%w: missing grant", ErrInactive)
	case isNew: // GM-5.6.1-1: the client learns the ID with its first tokens
		r.Grant = Grant{ID: c.Added.ID, ClientID: c.ClientID, Subject: c.Added.Subject, Status: active}
		r.Grant.CreatedAt, r.Grant.UpdatedAt = now, now
	case g.Status != active || g.Subject != c.Added.Subject || !m.owns(c.ClientID, g):
		return nil, fmt.Errorf("%w: %s, or not a grant of this client", ErrInactive, g.Status)
	}
	g, err := m.permit(r.Grant, c)
	if err != nil {
		return nil, err
	}
	if !now.Before(g.ExpiresAt) {
		return nil, fmt.Errorf("%w: grant expired at %v, before its claim", ErrInactive, g.ExpiresAt)
	}
	shortened := g.ExpiresAt.Before(r.Grant.ExpiresAt)
	r.Grant = g
	r.prune(now)
	if len(r.Authorizations) >= maxAuthorizations {
		return nil, fmt.Errorf("%w: %d authorizations with live tokens", ErrStore, len(r.Authorizations))
	}
	// Access tokens survive a merge, because their permissions do. They must
	// not outlive the grant.
	accessUntil, until := int64(0), now.Add(m.cfg.AccessTokenLifetime+maxSkew)
	if kind == merged && !(shortened && g.ExpiresAt.Before(until)) {
		accessUntil = until.Unix()
	}
	event := &pendingEvent{Kind: kind, By: c.ClientID, AuthorizationID: c.AuthorizationID}
	event.EndedRefresh, event.EndedAccess = r.supersede(accessUntil) // GM-5.2-6, GM-5.2-8; access tokens: GM-10-2
	claimUntil := c.Until.Add(maxSkew).Unix()
	r.Authorizations = append(r.Authorizations, authorization{ID: c.AuthorizationID, ClaimUntil: claimUntil})
	return event, nil
}

// CheckRefresh checks that the refresh tokens of an authorization are valid,
// and returns the grant. A new access token must not permit more and must not
// live beyond ExpiresAt. Call CheckRefresh as late as possible, because a
// revocation may be in progress. It returns [ErrInactive] or [ErrStore].
func (m *Manager) CheckRefresh(ctx context.Context, grantID, authorizationID string) (Grant, error) {
	r, err := m.read(ctx, grantID)
	switch {
	case err != nil:
		return Grant{}, orInactive(err)
	case r.Grant.Status != active: // GM-6.5-2
		return Grant{}, fmt.Errorf("%w: %s", ErrInactive, r.Grant.Status)
	case !r.current(authorizationID): // GM-5.2-6, GM-5.2-8
		return Grant{}, fmt.Errorf("%w: superseded authorization", ErrInactive)
	}
	return r.Grant, nil
}
