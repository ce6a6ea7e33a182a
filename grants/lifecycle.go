package grants

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Get returns a grant, whatever its status and its client, for the host's own
// use, for example on pages for users. It returns [ErrNotFound] or [ErrStore].
func (m *Manager) Get(ctx context.Context, grantID string) (Grant, error) {
	r, err := m.read(ctx, grantID)
	if err != nil {
		return Grant{}, err
	}
	return r.Grant, nil
}

// Query returns a live grant of the client or of its sector. For any other
// grant it returns [ErrNotFound]. If the store fails, it returns [ErrStore].
func (m *Manager) Query(ctx context.Context, clientID, grantID string) (Grant, error) {
	return m.query(ctx, clientID, "", grantID)
}

// query is Query. A subject limits it to the grants of that user.
func (m *Manager) query(ctx context.Context, clientID, subject, grantID string) (Grant, error) {
	r, err := m.read(ctx, grantID)
	switch {
	case err != nil:
		return Grant{}, err
	case !m.visible(clientID, subject, r.Grant): // GM-6.6-4, GM-10-1
		return Grant{}, fmt.Errorf("%w: the grant of another client or user", ErrNotFound)
	case r.Grant.Status != active:
		return Grant{}, fmt.Errorf("%w: %s", ErrNotFound, r.Grant.Status)
	}
	return r.Grant, nil
}

func (m *Manager) visible(clientID, subject string, g Grant) bool {
	return m.owns(clientID, g) && (subject == "" || subject == g.Subject)
}

// Revoke ends a grant of the client or of its sector, together with its refresh
// tokens (§6.5). [ManagerConfig].EndAccess or Events revokes the access tokens.
// Revoke returns [ErrNotFound] like Query, [ErrStore] or [ErrEvent]. After
// ErrEvent a retry delivers the event. With EndAccess and an Index, a failure
// of Events is not an error, and [Manager.DeliverPending] delivers the event.
func (m *Manager) Revoke(ctx context.Context, clientID, grantID string) error {
	return m.revokeFor(ctx, clientID, "", grantID)
}

// revokeFor is Revoke. A subject limits it to the grants of that user.
func (m *Manager) revokeFor(ctx context.Context, clientID, subject, grantID string) error {
	return m.revoke(ctx, grantID, clientID, func(g Grant) bool { return m.visible(clientID, subject, g) })
}

// Withdraw ends a grant like Revoke, on behalf of the authorization server, for
// example because the user withdraws the consent or fraud is suspected.
func (m *Manager) Withdraw(ctx context.Context, grantID string) error {
	return m.revoke(ctx, grantID, byServer, func(Grant) bool { return true })
}

func (m *Manager) revoke(ctx context.Context, grantID, by string, visible func(Grant) bool) error {
	op := operation{id: grantID, urgent: true}
	op.apply = func(r *record, now time.Time) (*pendingEvent, error) {
		g := r.Grant.at(now)
		switch {
		case !visible(g):
			return nil, fmt.Errorf("%w: the grant of another client or user", ErrNotFound)
		case g.Status == revoked && len(r.Pending) > 0: // the delivery is still to do
			return nil, nil
		case g.Status != active:
			return nil, fmt.Errorf("%w: %s", ErrNotFound, g.Status)
		}
		return r.end(revoked, by), nil
	}
	_, err := m.do(ctx, op)
	if errors.Is(err, errListener) && m.cfg.EndAccess != nil && m.cfg.Index != nil {
		return nil
	}
	return err
}

// end sets a final status.
func (r *record) end(status, by string) *pendingEvent {
	r.Grant.Status = status
	event := &pendingEvent{Kind: status, By: by}
	event.EndedRefresh, event.EndedAccess = r.supersede(0) // GM-6.5-2, GM-6.5-3
	r.Authorizations = nil
	return event
}

// Expire delivers the event of a grant's expiry. A host that wants this event
// calls Expire at [Grant].ExpiresAt or later. The grant expires even without
// the call. Expire returns [ErrInactive] if the grant was revoked or has not
// expired, and otherwise the errors of Revoke.
func (m *Manager) Expire(ctx context.Context, grantID string) error {
	_, err := m.do(ctx, operation{id: grantID, apply: func(r *record, now time.Time) (*pendingEvent, error) {
		switch g := r.Grant.at(now); {
		case r.Grant.Status == expired:
			return nil, nil
		case g.Status != expired:
			return nil, fmt.Errorf("%w: %s, expiry %v", ErrInactive, g.Status, g.ExpiresAt)
		}
		return r.end(expired, byServer), nil
	}})
	return err
}

// Update changes the permissions of a grant on behalf of the authorization
// server (§5.6.2). Examples are the consent of another holder of a joint
// account, and the end of an account. edit may change Scopes, Claims,
// AuthorizationDetails, ExpiresAt, Data and Extra. Other changes are ignored.
// edit is called again after a concurrent change and must not have other
// effects. If edit returns an error, the grant is not changed and Update
// returns that error.
//
// Refresh tokens remain valid, and [Manager.CheckRefresh] returns the new
// permissions for them. Access tokens live until they expire, even if they
// permit more than the grant then does. If that is not acceptable, revoke the
// grant. Update returns [ErrNotFound], [ErrInactive], [ErrStore] or [ErrEvent].
func (m *Manager) Update(ctx context.Context, grantID string, edit func(g *Grant) error) (Grant, error) {
	return m.do(ctx, operation{id: grantID, apply: func(r *record, now time.Time) (*pendingEvent, error) {
		g := r.Grant.at(now).clone()
		if g.Status != active {
			return nil, fmt.Errorf("%w: %s", ErrInactive, g.Status)
		}
		err := edit(&g)
		if err != nil {
			return nil, err
		}
		edited := r.Grant // GM-5.6.2-1
		edited.Scopes, edited.Claims, edited.AuthorizationDetails = g.Scopes, g.Claims, g.AuthorizationDetails
		edited.Data, edited.Extra = g.Data, g.Extra
		edited = edited.clone()
		if !g.ExpiresAt.Truncate(time.Second).Equal(r.Grant.ExpiresAt) {
			if edited.ExpiresAt, err = m.checkEnd(g.ExpiresAt, now); err != nil {
				return nil, err
			}
		}
		if err := edited.check(); err != nil {
			return nil, err
		}
		r.Grant = edited
		return &pendingEvent{Kind: updated, By: byServer}, nil
	}})
}

// Deliver delivers the pending event of a grant, if one exists. Each change
// does so too. Deliver is for a host that retries a failed delivery without
// waiting for the next change. [Manager.DeliverPending] does so for all grants.
func (m *Manager) Deliver(ctx context.Context, grantID string) error {
	_, err := m.do(ctx, operation{id: grantID, urgent: true, apply: func(*record, time.Time) (*pendingEvent, error) {
		return nil, nil
	}})
	return err
}
