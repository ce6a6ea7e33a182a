package grants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Kinds of events, in addition to revoked and expired.
const (
	created  = "created"
	merged   = "merged"
	replaced = "replaced"
	updated  = "updated"
)

// An Event describes a change of a grant. The change is stored and in effect
// before the event is delivered. The operation succeeds only after
// [ManagerConfig].Events has returned nil. A revocation with
// [ManagerConfig].EndAccess and an Index also succeeds if Events fails, or does
// not return within 10 seconds.
//
// Events are delivered at least once and in the order of the changes, each
// before the next change is made. A revocation does not wait; its event comes
// last. A repeated event has the same New.ID and New.Version: use both as the
// key of an audit row.
//
// A failed event stays in the store, even if the process ends. It is delivered
// again when the operation is retried, by [Manager.DeliverPending] or
// [Manager.Deliver], or before the next change. Several processes may deliver
// one event at the same time.
//
// Events must not change the same grant, because that change waits for it.
type Event struct {
	// Kind is "created", "merged", "replaced", "updated" (by the authorization
	// server), "revoked" or "expired".
	Kind string
	// Old is the grant before the change, without its history. It is zero for a
	// new grant. New is the grant after the change.
	Old, New Grant
	// By is the client that made the change, or "authorization_server".
	By string
	// AuthorizationID is the claimed authorization, for the first three kinds.
	AuthorizationID string
	// EndedRefresh are the authorizations whose refresh tokens have ended.
	// [Manager.CheckRefresh] rejects them already.
	EndedRefresh []string
	// EndedAccess are the authorizations whose access tokens the host must
	// revoke, unless [ManagerConfig].EndAccess did. A replacement may have
	// removed their permissions (§10), and an end removes all (§6.5). Access
	// tokens survive a merge unless the grant now ends before them. A later
	// event has them if they may still be alive then.
	EndedAccess []string
	// Time is the time of the change.
	Time time.Time
}

// String returns the kind, the grant ID and the version, without personal data.
func (e Event) String() string {
	return fmt.Sprintf("grant %q %s (version %d)", e.New.ID, e.Kind, e.New.Version)
}

// GoString returns String.
func (e Event) GoString() string { return e.String() }

// LogValue returns String for package log/slog.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.String()) }

// A pendingEvent is the stored form of an undelivered event. The state after it
// is the state before the next one.
type pendingEvent struct {
	Kind            string
	By              string
	AuthorizationID string
	EndedRefresh    []string
	EndedAccess     []string
	Time            time.Time
	Old             Grant
}

// version returns the version of the grant after the change.
func (p *pendingEvent) version() int64 { return p.Old.Version + 1 }

// notifies reports whether an event has anything to deliver.
func (m *Manager) notifies(event *pendingEvent) bool {
	return m.cfg.Events != nil || m.cfg.EndAccess != nil && len(event.EndedAccess) > 0
}

// errListener is an [ErrEvent] of [ManagerConfig].Events. The access tokens
// have ended if EndAccess ends them.
var errListener = fmt.Errorf("%w: Events", ErrEvent)

// endAccess ends the access tokens of all pending events. It does so before a
// listener can fail, and again with each repetition.
func (m *Manager) endAccess(ctx context.Context, r *record) error {
	var ended []string
	for _, p := range r.Pending {
		ended = append(ended, p.EndedAccess...)
	}
	if m.cfg.EndAccess == nil || len(ended) == 0 {
		return nil
	}
	if err := m.cfg.EndAccess(ctx, ended); err != nil {
		return fmt.Errorf("%w: EndAccess: %w", ErrEvent, foreign(err))
	}
	return nil
}

// foreign returns an error of the host, which is not about the grant of this
// operation.
func foreign(err error) error {
	if errors.Is(err, ErrInactive) || errors.Is(err, ErrNotFound) {
		return errors.New(err.Error())
	}
	return err
}

// deliver delivers the pending events in order and stops at the first error.
func (m *Manager) deliver(ctx context.Context, r *record) error {
	if m.cfg.Events == nil {
		return nil
	}
	for i, p := range r.Pending {
		after := r.Grant
		if i+1 < len(r.Pending) {
			after = r.Pending[i+1].Old // stored without a history
			later := func(t Transition) bool { return t.Version > after.Version }
			after.History = slices.DeleteFunc(slices.Clone(r.Grant.History), later)
		}
		err := m.cfg.Events(ctx, Event{
			Kind: p.Kind, Old: p.Old.clone(), New: after.clone(), By: p.By, AuthorizationID: p.AuthorizationID,
			EndedRefresh: p.EndedRefresh, EndedAccess: p.EndedAccess, Time: p.Time,
		})
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errListener, p.Kind, foreign(err))
		}
	}
	return nil
}
