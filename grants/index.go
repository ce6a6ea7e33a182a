package grants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

const (
	// staleAfter is the age from which an entry of the index without its grant
	// or event is removed. It is far longer than any operation. A process that
	// has written an entry and not yet the grant is therefore not affected.
	staleAfter = day
	// writeTime is the longest time from the beginning of an operation to its
	// last write. An operation that takes longer begins again.
	writeTime = time.Hour
	// listedLonger is how long an entry outlives its grant. A later change then
	// seldom writes the entry again.
	listedLonger = day
	// sweptAfter is the age from which a sweep delivers an event. Until then,
	// the process that made the change usually delivers it itself.
	sweptAfter = deliveryTime

	// timeDigits is the length of a time in a member, in hexadecimal.
	timeDigits = 10
	maxSeconds = 1<<(4*timeDigits) - 1

	maxPage = 1000
)

// An Index keeps the grants of each user and the undelivered events. It is the
// optional contract of package store, which documents the methods and their
// guarantees. Processes that serve one issuer share one Index. Names of sets
// are hashes.
type Index interface {
	// Put adds member to set until expires, or makes its life longer.
	Put(ctx context.Context, set, member string, expires time.Time) error
	// Delete removes member from set. It is not an error if set does not have
	// the member.
	Delete(ctx context.Context, set, member string) error
	// List returns the first members of set that come after after, in the order
	// of their bytes and at most limit of them.
	List(ctx context.Context, set, after string, limit int) (members []string, err error)
}

// errNoIndex reports a call that requires an [Index].
var errNoIndex = fmt.Errorf("%w: missing Index", ErrStore)

// A cursor is the place at which the next sweep begins.
type cursor struct {
	mu    sync.Mutex
	after string
}

func (c *cursor) get() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.after
}

func (c *cursor) set(after string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = after
}

// Each entry of the index is written before the grant or the event that it
// names. A crash in between leaves an entry that names nothing. Readers verify
// each entry, and remove one that names nothing and is older than staleAfter.

// grantsOf is the set of a user's grants. A reader of the index cannot read the
// user, but can test a guess.
func (m *Manager) grantsOf(subject string) string {
	return jose.SHA256Base64("grants-of ", m.cfg.Issuer, " ", subject)
}

// undelivered is the set of all pending events.
func (m *Manager) undelivered() string {
	return jose.SHA256Base64("grants-undelivered ", m.cfg.Issuer)
}

// listed returns the member of a grant in the set of its user. It has the time
// of the creation, the latest first.
func (g *Grant) listed() string {
	return fmt.Sprintf("%0*x%s", timeDigits, maxSeconds-g.CreatedAt.Unix(), g.ID)
}

// member returns the member of an event in the set of pending events, the
// oldest first. No two events have the same.
func (p *pendingEvent) member(grantID string) string {
	return fmt.Sprintf("%0*x%s%x", timeDigits, p.Time.Unix(), grantID, p.version())
}

// parseMember returns the time and the grant ID of a member.
func parseMember(member string) (at time.Time, grantID string, ok bool) {
	if len(member) < timeDigits+grantIDLength {
		return time.Time{}, "", false
	}
	seconds, err := strconv.ParseInt(member[:timeDigits], 16, 64)
	grantID = member[timeDigits : timeDigits+grantIDLength]
	return time.Unix(seconds, 0), grantID, err == nil && isGrantID(grantID)
}

// parseListed is parseMember for the set of a user.
func parseListed(member string) (created time.Time, grantID string, ok bool) {
	at, grantID, ok := parseMember(member)
	return time.Unix(maxSeconds-at.Unix(), 0), grantID, ok && len(member) == timeDigits+grantIDLength
}

// enlist writes the entries of a record that is stored afterwards, until
// expires: that of the grant, and that of a new event.
func (m *Manager) enlist(ctx context.Context, r *record, listed bool, event *pendingEvent, expires time.Time) error {
	if m.cfg.Index == nil {
		return nil
	}
	if listed {
		if err := m.cfg.Index.Put(ctx, m.grantsOf(r.Grant.Subject), r.Grant.listed(), r.ListedUntil); err != nil {
			return storing("Put", err)
		}
	}
	if event != nil && m.notifies(event) {
		member := event.member(r.Grant.ID)
		if err := m.cfg.Index.Put(ctx, m.undelivered(), member, expires.Add(listedLonger)); err != nil {
			return storing("Put", err)
		}
	}
	if event != nil && m.cfg.Now().Sub(event.Time) > writeTime { // a reader may soon remove the entries
		return errAgain
	}
	return nil
}

// strike removes the entries of delivered events. A sweep finds those that
// remain after an error.
func (m *Manager) strike(ctx context.Context, grantID string, delivered []pendingEvent) {
	if m.cfg.Index == nil {
		return
	}
	for i := range delivered {
		_ = m.cfg.Index.Delete(ctx, m.undelivered(), delivered[i].member(grantID))
	}
}

// List returns the grants of a user, the newest first, for example for a page
// on which users withdraw them. Like [Manager.Get] it returns live grants and
// ended ones, which [Grant].Status tells apart. The grants of all clients are
// included.
//
// A page has at most limit grants, 1 to 1000, and may have fewer, or none,
// before the last one. If there are more grants, next is not empty. Pass it as
// after to continue. The first page has an empty after. The cursor is not a
// secret: it names a grant of the user, and an altered one shows no grants of
// others. List returns [ErrRequest] for a malformed cursor or limit.
//
// The list is exact after any crash: it contains each grant that exists, and no
// other. Grants that were stored before the Manager had an Index are listed
// from their next change on. Without an Index, and if it fails, List returns
// [ErrStore].
func (m *Manager) List(
	ctx context.Context, subject, after string, limit int,
) (page []Grant, next string, err error) {
	if m.cfg.Index == nil {
		return nil, "", errNoIndex
	}
	if _, _, ok := parseListed(after); after != "" && !ok {
		return nil, "", fmt.Errorf("%w: malformed cursor of %d bytes", ErrRequest, len(after))
	}
	if limit < 1 || limit > maxPage {
		return nil, "", fmt.Errorf("%w: limit %d, want 1 to %d", ErrRequest, limit, maxPage)
	}
	members, err := m.cfg.Index.List(ctx, m.grantsOf(subject), after, limit)
	if err != nil {
		return nil, "", storing("List", err)
	}
	for _, member := range members {
		g, err := m.verify(ctx, subject, member)
		if err != nil {
			return nil, "", err
		}
		if g != nil {
			page = append(page, *g)
		}
	}
	if len(members) == limit {
		next = members[limit-1]
	}
	return page, next, nil
}

// verify returns the grant of a member in a user's set, or nil if the member is
// not the member of a grant.
func (m *Manager) verify(ctx context.Context, subject, member string) (*Grant, error) {
	created, id, ok := parseListed(member)
	if !ok {
		return nil, nil
	}
	r, err := m.read(ctx, id)
	if errors.Is(err, ErrNotFound) {
		r, err = new(record), nil
	}
	switch {
	case err != nil:
		return nil, err
	case r.Grant.ID == id && r.Grant.Subject == subject && r.Grant.listed() == member:
		return &r.Grant, nil
	case m.cfg.Now().Sub(created) > staleAfter:
		_ = m.cfg.Index.Delete(ctx, m.grantsOf(subject), member) // if it fails, the next list repeats it
	}
	return nil, nil
}

// DeliverPending delivers pending events of all grants, the oldest first, and
// returns the number of grants whose events it has delivered. It finds the
// events of operations that failed or crashed at least 10 seconds ago, in any
// process. Each call looks at up to limit events, 1 to 1000, and the next call
// continues there. An event that fails again does not hold up the others.
//
// A host with Events calls DeliverPending in each process at an interval of its
// choice, for example each minute. Several processes may deliver one event at
// the same time. A delivery takes at most 10 seconds, and DeliverPending stops
// when ctx ends.
//
// It returns [ErrEvent] if events of some grants failed, with the first cause,
// and [ErrStore] without an Index or if the store or the index fails.
func (m *Manager) DeliverPending(ctx context.Context, limit int) (delivered int, err error) {
	if m.cfg.Index == nil {
		return 0, errNoIndex
	}
	if limit < 1 || limit > maxPage {
		return 0, fmt.Errorf("%w: limit %d, want 1 to %d", ErrRequest, limit, maxPage)
	}
	members, err := m.cfg.Index.List(ctx, m.undelivered(), m.swept.get(), limit)
	if err != nil {
		return 0, storing("List", err)
	}
	var first error
	failed := 0
	for _, member := range members {
		if ctx.Err() != nil {
			return delivered, fmt.Errorf("%w: %w", ErrStore, ctx.Err())
		}
		m.swept.set(member)
		done, err := m.sweep(ctx, member)
		switch {
		case errors.Is(err, ErrEvent): // whatever its cause
			failed++
			first = cmp.Or(first, err)
		case err != nil:
			return delivered, err
		case done:
			delivered++
		}
	}
	if len(members) < limit { // the next call begins with the oldest
		m.swept.set("")
	}
	if first != nil {
		return delivered, fmt.Errorf("%w (%d of %d events failed)", first, failed, len(members))
	}
	return delivered, nil
}

// sweep delivers the event of a member, with all events of its grant.
func (m *Manager) sweep(ctx context.Context, member string) (delivered bool, err error) {
	at, id, ok := parseMember(member)
	age := m.cfg.Now().Sub(at)
	// An event of the far future has its time from a clock that was wrong.
	if !ok || age < sweptAfter && age > -maxSkew {
		return false, nil
	}
	r, _, err := m.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		r, err = new(record), nil
	}
	if err != nil {
		return false, err
	}
	for i := range r.Pending {
		if r.Pending[i].member(id) == member {
			return true, m.Deliver(ctx, id)
		}
	}
	if age > staleAfter {
		_ = m.cfg.Index.Delete(ctx, m.undelivered(), member) // if it fails, the next sweep repeats it
	}
	return false, nil
}
