package grants

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

const (
	// maxAttempts bounds the attempts of one operation against concurrent ones.
	maxAttempts = 256
	// deliveryTime bounds the delivery of events after their request has ended.
	deliveryTime = 10 * time.Second
	// patience is how long a revocation waits for the delivery of an earlier
	// event. A delivery takes longer if its listener hangs.
	patience = time.Second
)

// An operation changes one grant.
type operation struct {
	id     string
	create bool // of a new grant, if it does not exist
	urgent bool // even if an earlier event cannot be delivered
	silent bool // without delivering events, because another call does
	// owner is the client that the store charges for the change. It is empty
	// for a change that must not fail because of a full share, such as a
	// revocation.
	owner string
	// apply changes the record and returns the event of the change, or nil if
	// there is nothing to change. It is called again with a new record after
	// each lost race.
	apply func(r *record, now time.Time) (*pendingEvent, error)
}

// errAgain reports that another process changed the grant first.
var errAgain = errors.New("grants: changed by another process")

// do changes a grant and delivers the event. It first delivers the event of the
// change before. Events are therefore delivered in order, and at most one is
// pending. Only a revocation does not wait for it. If a listener hangs, it is
// made without the lock, and does not call the listener.
func (m *Manager) do(ctx context.Context, op operation) (Grant, error) {
	if !isGrantID(op.id) {
		return Grant{}, fmt.Errorf("%w: malformed grant ID", ErrNotFound)
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if op.urgent {
		waiting, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	unlock, err := m.locks.lock(waiting, op.id)
	switch {
	case err == nil:
		defer unlock()
	case ctx.Err() != nil:
		return Grant{}, fmt.Errorf("%w: %w", ErrStore, err)
	default:
		op.silent = true
	}
	for attempt := range maxAttempts {
		g, err := m.try(ctx, op)
		if !errors.Is(err, errAgain) {
			return g, err
		}
		if err := pause(ctx, attempt); err != nil {
			return Grant{}, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	return Grant{}, fmt.Errorf("%w: too many concurrent changes", ErrStore)
}

func (m *Manager) try(ctx context.Context, op operation) (Grant, error) {
	r, version, err := m.load(ctx, op.id)
	if op.create && errors.Is(err, ErrNotFound) {
		r, version, err = new(record), 0, nil
	}
	if err != nil {
		return Grant{}, err
	}
	if len(r.Pending) > 0 && !op.urgent {
		if err := m.settle(ctx, r, version, false); err != nil {
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
		before.History = nil
		event.Time, event.Old = now, before
		if m.notifies(event) {
			r.Pending = append(r.Pending, *event)
		}
		if err := m.save(expiring.WithClient(ctx, m.cfg.Issuer, op.owner), r, version, event); err != nil {
			return Grant{}, err
		}
		version++
	}
	g := r.Grant.clone().at(now)
	if len(r.Pending) > 0 {
		// If only the record of the delivery fails, the change is complete. The
		// host receives the event again.
		if err := m.settle(ctx, r, version, op.silent); errors.Is(err, ErrEvent) {
			return Grant{}, err
		}
	}
	return g, nil
}

// settle delivers the pending events and removes them from the record. It
// ignores the end of the request: after a revocation the host must revoke
// access tokens even if the client disconnects. If silent, it ends access
// tokens only.
func (m *Manager) settle(ctx context.Context, r *record, version int64, silent bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryTime)
	defer cancel()
	if err := m.endAccess(ctx, r); err != nil {
		return err
	}
	if silent {
		return fmt.Errorf("%w: earlier delivery in progress", errListener)
	}
	if err := m.deliver(ctx, r); err != nil {
		return err
	}
	delivered := r.Pending
	r.Pending = nil
	if err := m.save(ctx, r, version, nil); err != nil {
		return err
	}
	m.strike(ctx, r.Grant.ID, delivered)
	return nil
}

// pause waits for a random time that grows with each attempt to a few
// milliseconds, so that two processes do not stay in step.
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

// keyLocks lets one goroutine of this process at a time change a grant. The
// store serializes processes. The locks avoid most lost races of a busy grant
// and keep its events in order.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	free  chan struct{} // has a value if the lock is free
	users int           // goroutines that hold the lock or wait for it
}

// lock waits for the lock of key, until ctx ends.
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
		return func() { k.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
