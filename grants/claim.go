package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// An Approval is what the user has consented to.
type Approval struct {
	// AuthorizationID stands for this one authorization and the tokens that will be issued for it: 16 to 128 visible ASCII
	// characters, never used before. A random one will do. Required.
	AuthorizationID string
	// Subject is the user. Required.
	Subject string
	// Scopes, Claims and AuthorizationDetails are what was consented now, without what a grant had before.
	Scopes               []Scope
	Claims               []string
	AuthorizationDetails json.RawMessage
	// Expires is when the grant is to end; zero means after [ManagerConfig].Lifetime, or, for merge, as it is.
	Expires time.Time
	// Data and Extra are those of [Grant]; nil leaves what a grant has.
	Data  json.RawMessage
	Extra map[string]json.RawMessage
}

// A Change is an approved request, which takes effect when it is claimed. Until then the host keeps it with the code: it
// survives encoding/json, and holds personal data. The zero Change is none.
type Change struct {
	c change
}

type change struct {
	Action          string    `json:"action"`
	ClientID        string    `json:"client_id"`
	AuthorizationID string    `json:"authorization_id"`
	Until           time.Time `json:"until"` // to be claimed
	Expires         time.Time `json:"expires,omitzero"`
	Added           Grant     `json:"added"` // ID, Subject and what was consented
}

// Action returns "create", "merge" or "replace".
func (c *Change) Action() string { return c.c.Action }

// GrantID returns the identifier that the grant has or will have. It goes into the token response, not into the
// authorization response (GM-5.3-1): until the claim there may be no such grant.
func (c *Change) GrantID() string { return c.c.Added.ID }

// AuthorizationID returns that of the approval.
func (c *Change) AuthorizationID() string { return c.c.AuthorizationID }

// String names the action and the grant.
func (c Change) String() string { return fmt.Sprintf("%s of grant %q", c.c.Action, c.c.Added.ID) }

// GoString is String.
func (c Change) GoString() string { return c.String() }

// LogValue is String for slog.
func (c Change) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes all of it.
func (c Change) MarshalJSON() ([]byte, error) { return json.Marshal(c.c) }

// UnmarshalJSON reads what MarshalJSON has written.
func (c *Change) UnmarshalJSON(data []byte) error {
	var read change
	if err := json.Unmarshal(data, &read); err != nil {
		return errors.New("grants: not a change")
	}
	c.c = read
	return nil
}

// Ends returns the end that the grant of a request would have if it were
// approved now without [Approval.Expires]. existing is the grant that
// [Manager.Existing] returned for the request. A merge does not change the end
// of the grant. Any other grant ends one [ManagerConfig].Lifetime after its
// approval.
func (m *Manager) Ends(request Request, existing Grant) time.Time {
	if request.action == actionMerge {
		return existing.ExpiresAt
	}
	return m.now().Add(m.cfg.Lifetime)
}

// Prepare turns an approved request into a [Change]. It writes nothing, since the client has no tokens yet: were the grant
// changed now, a client that never redeems its code would lose the refresh tokens that it has, and get no new ones.
//
// The request must not be zero. It returns [ErrGrantID] or [ErrStore] as Existing does; any other error means that the
// approval cannot be: a bound is exceeded, or the details cannot be merged.
func (m *Manager) Prepare(ctx context.Context, request Request, approval Approval) (*Change, error) {
	if request.IsZero() {
		return nil, errors.New("grants: Prepare for a request without grant_management_action")
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
		Until: now.Add(m.cfg.ClaimTime), Expires: approval.Expires.UTC().Truncate(time.Second),
		Added: Grant{
			ID: request.grantID, Subject: approval.Subject, Scopes: approval.Scopes, Claims: approval.Claims,
			AuthorizationDetails: approval.AuthorizationDetails, Data: approval.Data, Extra: approval.Extra,
		}.clone(),
	}}
	switch most := now.Add(m.cfg.Lifetime); {
	case approval.Expires.IsZero() && request.action == actionMerge:
		c.c.Expires = time.Time{}
	case approval.Expires.IsZero():
		c.c.Expires = most
	case !c.c.Expires.After(now) || c.c.Expires.After(most):
		return nil, fmt.Errorf("grants: approval: Expires is %v, not between now and %v", approval.Expires, most)
	}
	if request.action == actionCreate {
		c.c.Added.ID = newGrantID()
	}
	if err := c.c.Added.check(); err != nil {
		return nil, err
	}
	// Tried now, since at the token endpoint it is too late to tell the user.
	if _, err := m.permit(existing, c.c); err != nil {
		return nil, err
	}
	return c, nil
}

func checkApproval(a Approval) error {
	if len(a.AuthorizationID) < 16 || len(a.AuthorizationID) > 128 {
		return errors.New("grants: approval: AuthorizationID has not 16 to 128 characters")
	}
	for i := range len(a.AuthorizationID) {
		if c := a.AuthorizationID[i]; c <= ' ' || c > '~' {
			return errors.New("grants: approval: AuthorizationID has others than visible ASCII characters")
		}
	}
	if a.Subject == "" || len(a.Subject) > 255 {
		return errors.New("grants: approval: Subject has not 1 to 255 bytes")
	}
	return nil
}

// permit returns what a grant permits after a change. It touches nothing else of it.
func (m *Manager) permit(g Grant, c change) (Grant, error) {
	added := c.Added.clone()
	if c.Action == actionMerge { // GM-5.2-5: what there was and what is new, and GM-5.2-9: in the same grant
		scopes, err := mergeScopes(g.Scopes, added.Scopes)
		if err != nil {
			return Grant{}, err
		}
		added.Scopes = scopes
		added.Claims = slices.Concat(g.Claims, added.Claims)
		if len(g.AuthorizationDetails)+len(added.AuthorizationDetails) > 0 {
			details, err := m.cfg.MergeDetails(listOf(g.AuthorizationDetails), listOf(added.AuthorizationDetails))
			if err != nil {
				return Grant{}, fmt.Errorf("grants: merging authorization details: %w", err)
			}
			added.AuthorizationDetails = details
		}
	}
	// GM-5.2-7: without merge, what was consented now is all there is.
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

// listOf returns a copy of details, [] for none: a host's parser need not know another way to say so.
func listOf(details json.RawMessage) json.RawMessage {
	if len(details) == 0 {
		return json.RawMessage("[]")
	}
	return slices.Clone(details)
}

// Claim puts a change into effect, because tokens are about to be issued for it, and returns the grant as it is then: what
// the new tokens can be for, and ExpiresAt, beyond which none may last. Call it when the code has been found good and before
// it is marked as redeemed, so that a client can repeat a request that has failed: for one authorization the change is
// made once, however often it is claimed.
//
// It returns [ErrInactive] if the grant or this authorization is over, [ErrStore] or [ErrEvent]. Any other error means that the
// change cannot be made since others have come first: the grant would exceed a bound, or the details cannot be merged.
func (m *Manager) Claim(ctx context.Context, c *Change) (Grant, error) {
	if c == nil || c.c.AuthorizationID == "" {
		return Grant{}, errors.New("grants: Claim of a change that was not prepared")
	}
	op := operation{id: c.c.Added.ID, create: c.c.Action == actionCreate, owner: c.c.ClientID}
	op.apply = func(r *record, now time.Time) (*pendingEvent, error) { return m.claim(r, c.c, now) }
	g, err := m.do(ctx, op)
	if errors.Is(err, ErrNotFound) {
		return Grant{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	return g, err
}

// Plan returns the grant that [Manager.Claim] would return now, and writes
// nothing. A host calls Plan before it consumes a code that the client may need
// again. Plan shows whether the change is possible and which permissions the
// tokens will have. It returns the errors of Claim, except [ErrEvent].
func (m *Manager) Plan(ctx context.Context, c *Change) (Grant, error) {
	if c == nil || c.c.AuthorizationID == "" {
		return Grant{}, errors.New("grants: Plan called for an unprepared change")
	}
	r, _, err := m.load(ctx, c.c.Added.ID)
	switch {
	case errors.Is(err, ErrNotFound) && c.c.Action == actionCreate && isGrantID(c.c.Added.ID):
		r = new(record)
	case errors.Is(err, ErrNotFound):
		return Grant{}, fmt.Errorf("%w: %w", ErrInactive, err)
	case err != nil:
		return Grant{}, err
	}
	now := m.now()
	if _, err := m.claim(r, c.c, now); err != nil {
		return Grant{}, err
	}
	return r.Grant.clone().at(now), nil
}

// claim applies a change to a record.
func (m *Manager) claim(r *record, c change, now time.Time) (*pendingEvent, error) {
	isNew := r.Grant.Version == 0
	if at := r.find(c.AuthorizationID); at >= 0 {
		// The request is repeated. If there has been a later change, or an end, its tokens would be dead at birth.
		if g := r.Grant.at(now); g.Status != active || !r.current(c.AuthorizationID) {
			return nil, fmt.Errorf("%w: the authorization was superseded, or the grant is %s", ErrInactive, g.Status)
		}
		return nil, nil
	}
	if !now.Before(c.Until) { // GM-5.6.1-2: what nobody has claimed was never more than a prepared change
		return nil, fmt.Errorf("%w: to be claimed until %v, it is %v", ErrInactive, c.Until, now)
	}
	kind := map[string]string{actionCreate: created, actionMerge: merged, actionReplace: replaced}[c.Action]
	switch g := r.Grant.at(now); {
	case kind == "" || isNew != (kind == created):
		return nil, fmt.Errorf("%w: no grant for the action", ErrInactive)
	case isNew:
		// GM-5.6.1-1: active from the first claim; before that there is nothing that a client could know of.
		r.Grant = Grant{ID: c.Added.ID, ClientID: c.ClientID, Subject: c.Added.Subject, Status: active, CreatedAt: now, UpdatedAt: now}
	case g.Status != active || g.Subject != c.Added.Subject || !m.owns(c.ClientID, g):
		return nil, fmt.Errorf("%w: %s, or no longer this client's", ErrInactive, g.Status)
	}
	g, err := m.permit(r.Grant, c)
	if err != nil {
		return nil, err
	}
	if !now.Before(g.ExpiresAt) {
		return nil, fmt.Errorf("%w: expired at %v, before it was claimed", ErrInactive, g.ExpiresAt)
	}
	shortened := g.ExpiresAt.Before(r.Grant.ExpiresAt)
	r.Grant = g
	r.prune(now)
	if len(r.Authorizations) >= maxAuthorizations {
		return nil, fmt.Errorf("%w: %d authorizations with live tokens", ErrStore, len(r.Authorizations))
	}
	event := &pendingEvent{Kind: kind, By: c.ClientID, AuthorizationID: c.AuthorizationID}
	// GM-5.2-6, GM-5.2-8: the refresh tokens so far end with this write, whether or not anybody hears of it.
	var accessUntil int64
	if until := now.Add(m.cfg.AccessTokenLifetime + maxSkew); kind == merged && !(shortened && r.Grant.ExpiresAt.Before(until)) {
		accessUntil = until.Unix() // what they permit is still permitted, and they will not outlive the grant
	}
	event.EndedRefresh, event.EndedAccess = r.supersede(accessUntil) // GM-10-2
	r.Authorizations = append(r.Authorizations, authorization{ID: c.AuthorizationID, ClaimUntil: c.Until.Add(maxSkew).Unix()})
	return event, nil
}

// CheckRefresh says whether refresh tokens of an authorization are good, and returns the grant as it is now: a new access
// token must be for no more than that, and must not last beyond its ExpiresAt. Call it as late as possible, since a
// revocation may be under way. It returns [ErrInactive] or [ErrStore].
func (m *Manager) CheckRefresh(ctx context.Context, grantID, authorizationID string) (Grant, error) {
	r, _, err := m.load(ctx, grantID)
	if errors.Is(err, ErrNotFound) {
		return Grant{}, fmt.Errorf("%w: %w", ErrInactive, err)
	}
	if err != nil {
		return Grant{}, err
	}
	g := r.Grant.at(m.now())
	if g.Status != active { // GM-6.5-2
		return Grant{}, fmt.Errorf("%w: %s", ErrInactive, g.Status)
	}
	if !r.current(authorizationID) { // GM-5.2-6, GM-5.2-8
		return Grant{}, fmt.Errorf("%w: the authorization was superseded", ErrInactive)
	}
	return g, nil
}
