package grants

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Kinds of events.
const (
	created  = "created"
	merged   = "merged"
	replaced = "replaced"
	updated  = "updated"
	// and revoked and expired, as the status is called
)

// An Event says that a grant was changed. The change is in the store, and in effect, before the event is delivered; whoever
// asked for it gets an answer only when [ManagerConfig].Events has returned nil.
//
// Delivery is at least once, in the order of the changes, each event before the next change is made (a revocation excepted,
// which does not wait: its event comes after those that do). What is delivered again has the same New.ID and New.Version: a
// host that writes an audit row makes these two its key. An event that fails is delivered again when the operation is
// repeated, by [Manager.Deliver], or before the next change; until then it waits in the store, also if the process dies. Several
// processes may deliver the same event at the same time.
//
// The function must not change the same grant: that waits for it.
type Event struct {
	// Kind is "created", "merged", "replaced", "updated" (by the authorization server itself), "revoked" or "expired".
	Kind string
	// Old and New are the grant before, without its history and zero if it was created, and afterwards.
	Old, New Grant
	// By is the client that has caused the change, or "authorization_server".
	By string
	// AuthorizationID is the one that was claimed, for the first three kinds.
	AuthorizationID string
	// EndedRefresh are the authorizations whose refresh tokens are good no longer. [Manager.CheckRefresh] knows that already.
	EndedRefresh []string
	// EndedAccess are the authorizations whose access tokens are to be revoked: after a replacement because they may permit what
	// the grant no longer does (§10), after the end because nothing is permitted (§6.5). A merge takes nothing away, so theirs
	// live on, and are in the list of a later event if they can still be alive by then; unless it lets the grant end before them.
	EndedAccess []string
	// Time is when the change was made.
	Time time.Time
}

// String names kind, grant and version, and nothing about the user.
func (e Event) String() string {
	return fmt.Sprintf("grant %q %s (version %d)", e.New.ID, e.Kind, e.New.Version)
}

// GoString is String.
func (e Event) GoString() string { return e.String() }

// LogValue is String for slog.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.String()) }

// A pendingEvent is an event as it waits in a record. The state after it is that before the next one.
type pendingEvent struct {
	Kind            string    `json:"kind"`
	By              string    `json:"by"`
	AuthorizationID string    `json:"authorization_id,omitempty"`
	EndedRefresh    []string  `json:"ended_refresh,omitempty"`
	EndedAccess     []string  `json:"ended_access,omitempty"`
	Time            time.Time `json:"time"`
	Old             Grant     `json:"old"`
}

// deliver hands over the events that wait, oldest first, and stops at the first that fails.
func (m *Manager) deliver(ctx context.Context, r *record) error {
	if m.cfg.Events == nil {
		return nil
	}
	for i, p := range r.Pending {
		after := r.Grant
		if i+1 < len(r.Pending) {
			after = r.Pending[i+1].Old // which has no history of its own
			later := func(t Transition) bool { return t.Version > after.Version }
			after.History = slices.DeleteFunc(slices.Clone(r.Grant.History), later)
		}
		err := m.cfg.Events(ctx, Event{
			Kind: p.Kind, Old: p.Old.clone(), New: after.clone(), By: p.By, AuthorizationID: p.AuthorizationID,
			EndedRefresh: p.EndedRefresh, EndedAccess: p.EndedAccess, Time: p.Time,
		})
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrEvent, p.Kind, err)
		}
	}
	return nil
}

// keyLocks lets one goroutine of this process at a time change a grant. The store keeps processes apart; this keeps a busy
// grant from being tried in vain over and over, and the events of one grant from overtaking each other.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	free  chan struct{} // holds one value when nobody has the lock
	users int           // who has it or waits for it
}

// lock waits for the lock of key, until ctx is done.
func (l *keyLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	k := l.held[key]
	if k == nil {
		k = &keyLock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		l.held[key] = k
	}
	k.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, key)
		}
	}
	select {
	case <-k.free:
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
	return func() {
		k.free <- struct{}{}
		leave()
	}, nil
}
