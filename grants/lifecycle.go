package grants

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

const (
	// maxAttempts bounds how often a change is tried against others that come first.
	maxAttempts = 256
	// deliveryTime is how long events may take after their request has gone.
	deliveryTime = 10 * time.Second
)

// An operation changes one grant.
type operation struct {
	id     string
	create bool // a missing grant is a new one
	urgent bool // made even if an earlier event cannot be delivered
	// owner is the client that keeps more by the change. It is empty for changes
	// that must not fail when a client keeps too much, such as a revocation.
	owner string
	// apply changes the record and returns the event of it, or nil if there is nothing to change. It may be called several
	// times, each time with another record.
	apply func(r *record, now time.Time) (*pendingEvent, error)
}

// do makes a change and delivers its event. No change comes before the event of the one before has been delivered, so that
// events are delivered in order and at most one waits, but for a revocation.
func (m *Manager) do(ctx context.Context, op operation) (Grant, error) {
	if !isGrantID(op.id) {
		return Grant{}, fmt.Errorf("%w: not an identifier of this server", ErrNotFound)
	}
	unlock, err := m.locks.lock(ctx, op.id)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrStore, err)
	}
	defer unlock()
	for attempt := range maxAttempts {
		g, err := m.try(ctx, op)
		if !errors.Is(err, errAgain) {
			return g, err
		}
		if err := pause(ctx, attempt); err != nil {
			return Grant{}, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	return Grant{}, fmt.Errorf("%w: too many changes at the same time", ErrStore)
}

// errAgain says that somebody in another process was first: once more, with what is there now.
var errAgain = errors.New("grants: changed by another process")

func (m *Manager) try(ctx context.Context, op operation) (Grant, error) {
	r, version, err := m.load(ctx, op.id)
	if op.create && errors.Is(err, ErrNotFound) {
		r, version, err = new(record), 0, nil
	}
	if err != nil {
		return Grant{}, err
	}
	if len(r.Pending) > 0 && !op.urgent {
		if err := m.settle(ctx, r, version); err != nil {
			return Grant{}, err
		}
		version++
	}
	now := m.now()
	before := r.Grant.clone()
	event, err := op.apply(r, now)
	if err != nil {
		return Grant{}, err
	}
	if event != nil {
		r.Grant.step(event.Kind, event.By, now)
		if m.cfg.Events != nil {
			event.Time = now
			before.History = nil
			event.Old = before
			r.Pending = append(r.Pending, *event)
		}
		if err := m.save(expiring.WithOwner(ctx, op.owner), r, version); err != nil {
			return Grant{}, err
		}
		version++
	}
	g := r.Grant.clone().at(now)
	if len(r.Pending) > 0 {
		// That the delivery could not be noted is nobody's concern but the host's, who may see the event again.
		if err := m.settle(ctx, r, version); errors.Is(err, ErrEvent) {
			return Grant{}, err
		}
	}
	return g, nil
}

// settle delivers the events that wait, and notes that. It goes on when the request is cancelled: whoever revokes a grant
// and hangs up has revoked it all the same, and others have to hear of it.
func (m *Manager) settle(ctx context.Context, r *record, version int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryTime)
	defer cancel()
	if err := m.deliver(ctx, r); err != nil {
		return err
	}
	r.Pending = nil
	return m.save(ctx, r, version)
}

// pause waits longer with each attempt, up to a few milliseconds, for a random time so that two do not stay in step.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(rand.N(min(time.Duration(attempt+1)*100*time.Microsecond, 5*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Get returns a grant, whatever its status and whoever owns it: for pages on which users see what they have permitted, and
// for the host's own use. It returns [ErrNotFound] or [ErrStore].
func (m *Manager) Get(ctx context.Context, grantID string) (Grant, error) {
	r, _, err := m.load(ctx, grantID)
	if err != nil {
		return Grant{}, err
	}
	return r.Grant.at(m.now()), nil
}

// Query returns a live grant that belongs to the client, or to another one of its sector. For everything else, and for a
// grant that has ended, it returns [ErrNotFound]; otherwise [ErrStore].
func (m *Manager) Query(ctx context.Context, clientID, grantID string) (Grant, error) {
	return m.query(ctx, clientID, "", grantID)
}

// query is Query for a token that stands for a user, if subject is not empty.
func (m *Manager) query(ctx context.Context, clientID, subject, grantID string) (Grant, error) {
	r, _, err := m.load(ctx, grantID)
	if err != nil {
		return Grant{}, err
	}
	g := r.Grant.at(m.now())
	if !m.visible(clientID, subject, g) { // GM-6.6-4, GM-10-1
		return Grant{}, fmt.Errorf("%w: another client's or user's", ErrNotFound)
	}
	if g.Status != active {
		return Grant{}, fmt.Errorf("%w: %s", ErrNotFound, g.Status)
	}
	return g, nil
}

func (m *Manager) visible(clientID, subject string, g Grant) bool {
	return m.owns(clientID, g) && (subject == "" || subject == g.Subject)
}

// Revoke ends a grant for a client to which it belongs, and with it all refresh tokens (§6.5); [ManagerConfig].Events hears
// of it and has to end the access tokens. It returns [ErrNotFound] as Query does, [ErrStore] or [ErrEvent]; after the last
// of these a repetition delivers what was not delivered.
func (m *Manager) Revoke(ctx context.Context, clientID, grantID string) error {
	return m.revokeFor(ctx, clientID, "", grantID)
}

func (m *Manager) revokeFor(ctx context.Context, clientID, subject, grantID string) error {
	return m.revoke(ctx, grantID, func(g Grant) (by string, allowed bool) {
		return clientID, m.visible(clientID, subject, g)
	})
}

// Withdraw is Revoke by the authorization server: because the user says so, or fraud is suspected.
func (m *Manager) Withdraw(ctx context.Context, grantID string) error {
	return m.revoke(ctx, grantID, func(Grant) (string, bool) { return byServer, true })
}

func (m *Manager) revoke(ctx context.Context, grantID string, by func(Grant) (string, bool)) error {
	op := operation{id: grantID, urgent: true}
	op.apply = func(r *record, now time.Time) (*pendingEvent, error) {
		who, allowed := by(r.Grant)
		if !allowed {
			return nil, fmt.Errorf("%w: another client's or user's", ErrNotFound)
		}
		g := r.Grant.at(now)
		if g.Status == revoked && len(r.Pending) > 0 {
			return nil, nil // what is left to do is the delivery
		}
		if g.Status != active {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, g.Status)
		}
		return r.end(revoked, who), nil
	}
	_, err := m.do(ctx, op)
	return err
}

// end makes the status final.
func (r *record) end(status, by string) *pendingEvent {
	r.Grant.Status = status
	event := &pendingEvent{Kind: status, By: by}
	event.EndedRefresh, event.EndedAccess = r.supersede(0) // GM-6.5-2, GM-6.5-3
	r.Authorizations = nil
	return event
}

// Expire delivers the event of a grant's expiry, for hosts that let others know: run it at [Grant].ExpiresAt or later. The
// expiry itself does not wait for it. It returns [ErrInactive] if the grant has been revoked, or if it has not expired,
// and otherwise as Revoke.
func (m *Manager) Expire(ctx context.Context, grantID string) error {
	op := operation{id: grantID}
	op.apply = func(r *record, now time.Time) (*pendingEvent, error) {
		switch g := r.Grant.at(now); {
		case r.Grant.Status == expired:
			return nil, nil
		case g.Status != expired:
			return nil, fmt.Errorf("%w: it is %s, and expires at %v", ErrInactive, g.Status, g.ExpiresAt)
		}
		return r.end(expired, byServer), nil
	}
	_, err := m.do(ctx, op)
	return err
}

// Update lets the authorization server change what a grant permits, by itself (GM-5.6.2-1): when another party to a joint
// account has agreed, or an account has been closed. edit may change Scopes, Claims, AuthorizationDetails, ExpiresAt, Data and
// Extra; what else it does to the grant is ignored. It is called again when another change has come first, each time with
// the grant as it is, so it must not do anything else; an error from it stops the update and comes back as it is.
//
// Refresh tokens stay good, and [Manager.CheckRefresh] returns the new state for them. Access tokens live on until they expire,
// be it for more, or for longer, than the grant then permits: where that cannot wait, revoke it. It returns [ErrNotFound],
// [ErrInactive], [ErrStore] or [ErrEvent].
func (m *Manager) Update(ctx context.Context, grantID string, edit func(g *Grant) error) (Grant, error) {
	op := operation{id: grantID}
	op.apply = func(r *record, now time.Time) (*pendingEvent, error) {
		g := r.Grant.at(now).clone()
		if g.Status != active {
			return nil, fmt.Errorf("%w: %s", ErrInactive, g.Status)
		}
		if err := edit(&g); err != nil {
			return nil, err
		}
		edited := r.Grant
		edited.Scopes, edited.Claims, edited.AuthorizationDetails = g.Scopes, g.Claims, g.AuthorizationDetails
		edited.Data, edited.Extra, edited.ExpiresAt = g.Data, g.Extra, g.ExpiresAt.UTC().Truncate(time.Second)
		edited = edited.clone()
		if most := now.Add(m.cfg.Lifetime); !edited.ExpiresAt.Equal(r.Grant.ExpiresAt) && (!edited.ExpiresAt.After(now) || edited.ExpiresAt.After(most)) {
			return nil, fmt.Errorf("grants: update: ExpiresAt is %v, not between now and %v", edited.ExpiresAt, most)
		}
		if err := edited.check(); err != nil {
			return nil, err
		}
		r.Grant = edited
		return &pendingEvent{Kind: updated, By: byServer}, nil
	}
	return m.do(ctx, op)
}

// Deliver delivers the event of a grant that could not be delivered before, if there is one. Every change does so too; this is
// for a host that repeats what has failed without waiting for one.
func (m *Manager) Deliver(ctx context.Context, grantID string) error {
	op := operation{id: grantID, urgent: true, apply: func(*record, time.Time) (*pendingEvent, error) { return nil, nil }}
	_, err := m.do(ctx, op)
	return err
}
