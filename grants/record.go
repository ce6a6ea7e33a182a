package grants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/memstore"
)

const (
	// maxRecord bounds a stored value: a grant, its authorizations, and the
	// state before each pending event.
	maxRecord = 512 << 10
	// endBytes is room for the end of a grant, in addition to the state before
	// it: a history entry and an event.
	endBytes = 4 << 10
	// maxAuthorizations bounds the authorizations of one grant that have live
	// access tokens.
	maxAuthorizations = 1024

	// maxSkew is the largest supported difference between the clocks of
	// processes. No process forgets an authorization that another process could
	// still accept.
	maxSkew = time.Minute

	grantIDBytes  = 32 // of randomness: twice the required length
	grantIDLength = 43

	base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// A record is the stored form of a grant.
type record struct {
	Grant Grant
	// Authorizations may have live tokens. The refresh tokens of the last one
	// are valid, those of the others are not.
	Authorizations []authorization
	// Pending has the undelivered events, the oldest first: at most one change
	// and one revocation.
	Pending []pendingEvent
	// ListedUntil is the time until which the set of the user has the grant. It
	// is zero for a grant that was stored without an Index.
	ListedUntil time.Time
}

// An authorization is one completed authorization request with its code and its
// tokens.
type authorization struct {
	ID string
	// ClaimUntil is the time until which the code may be presented again, in
	// Unix seconds. The authorization is remembered until then.
	ClaimUntil int64
	// AccessUntil is the time until which access tokens of a superseded
	// authorization may live. It is 0 if an event asks the host to revoke them.
	AccessUntil int64
}

// newGrantID returns a new grant ID. It contains randomness only, in URL-safe
// characters (§5.5, §9).
func newGrantID() string {
	return jose.RandomString(grantIDBytes) // GM-5.5-1, GM-5.5-2, GM-9-1, GM-9-2
}

// isGrantID reports whether id has the form of this package's IDs. Other IDs do
// not reach the store.
func isGrantID(id string) bool {
	return len(id) == grantIDLength && strings.Trim(id, base64url) == ""
}

// storeKey includes the issuer, so that several issuers can share a store. An
// issuer does not contain a space.
func (m *Manager) storeKey(id string) string {
	return jose.SHA256Base64("grant ", m.cfg.Issuer, " ", id)
}

// load reads a grant's record and its version. It returns [ErrNotFound] or
// [ErrStore].
func (m *Manager) load(ctx context.Context, id string) (*record, int64, error) {
	if !isGrantID(id) {
		return nil, 0, fmt.Errorf("%w: malformed grant ID", ErrNotFound)
	}
	value, version, err := m.cfg.Store.Get(ctx, m.storeKey(id))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("%w: Get: %w", ErrStore, err)
	case version == 0:
		return nil, 0, ErrNotFound
	}
	r, err := decodeRecord(value)
	if err != nil || r.Grant.ID != id {
		return nil, 0, fmt.Errorf("%w: malformed record of %d bytes", ErrStore, len(value))
	}
	return r, version, nil
}

// read is load with the status of now, for callers that do not write.
func (m *Manager) read(ctx context.Context, id string) (*record, error) {
	r, _, err := m.load(ctx, id)
	if err != nil {
		return nil, err
	}
	r.Grant = r.Grant.at(m.now())
	return r, nil
}

// save replaces a version of a record. Version 0 is a new record. A new event
// is in the record and in the index afterwards; it may be nil. save returns
// errAgain if the stored version differs.
func (m *Manager) save(ctx context.Context, r *record, version int64, event *pendingEvent) (err error) {
	expires := m.expiry(&r.Grant)
	listed := m.cfg.Index != nil && expires.After(r.ListedUntil)
	if listed {
		r.ListedUntil = expires.Add(listedLonger).Truncate(time.Second)
	}
	value := r.encode()
	size := len(value)
	if size > maxRecord || r.Grant.Status == active && size > maxRecord/2-endBytes && !r.leavesRoom(size) {
		return fmt.Errorf("%w: record of %d bytes, more than %d less the room for its end", ErrStore, size, maxRecord)
	}
	if err := m.enlist(ctx, r, listed, event, expires); err != nil {
		return err
	}
	verb, key, done := "Add", m.storeKey(r.Grant.ID), false
	if version == 0 {
		done, err = m.cfg.Store.Add(ctx, key, value, expires)
	} else {
		verb = "Swap"
		done, err = m.cfg.Store.Swap(ctx, key, version, value, expires)
	}
	if err == nil && !done {
		return errAgain
	}
	return storing(verb, err)
}

// expiry returns the time at which a record expires. GM-5.6.3-1: an ended grant
// expires when its history is not needed any more.
func (m *Manager) expiry(g *Grant) time.Time {
	end := g.ExpiresAt
	if g.Status != active {
		end = g.UpdatedAt
	}
	if now := m.cfg.Now(); end.Before(now) {
		end = now
	}
	return end.Add(m.cfg.Retention)
}

// storing returns the error of a call of the store or the index.
func storing(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, memstore.ErrShare):
		return fmt.Errorf("%w: %s: %w", ErrTooMany, verb, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrStore, verb, err)
}

// leavesRoom reports whether a record of size bytes leaves room for the event
// of its end, which contains the state before it. A full record could never be
// revoked. The authorizations only move from one list to another.
func (r *record) leavesRoom(size int) bool {
	return size+r.Grant.size()+endBytes <= maxRecord
}

// knows reports whether an authorization is remembered.
func (r *record) knows(id string) bool {
	return slices.ContainsFunc(r.Authorizations, func(a authorization) bool { return a.ID == id })
}

// current reports whether the refresh tokens of an authorization are valid.
func (r *record) current(id string) bool {
	n := len(r.Authorizations)
	return n > 0 && jose.EqualString(r.Authorizations[n-1].ID, id)
}

// prune forgets the superseded authorizations whose tokens have expired and
// whose codes can no longer be presented.
func (r *record) prune(now time.Time) {
	latest := len(r.Authorizations) - 1
	kept := r.Authorizations[:0]
	for i, a := range r.Authorizations {
		if i == latest || max(a.ClaimUntil, a.AccessUntil) > now.Unix() {
			kept = append(kept, a)
		}
	}
	r.Authorizations = kept
}

// supersede ends the refresh tokens of all authorizations. Their access tokens
// live until accessUntil. If it is 0, the host must revoke them. supersede
// returns the authorizations whose refresh and access tokens end now.
func (r *record) supersede(accessUntil int64) (refresh, access []string) {
	latest := len(r.Authorizations) - 1
	for i := range r.Authorizations {
		a := &r.Authorizations[i]
		live := i == latest || a.AccessUntil != 0
		if i == latest {
			refresh = append(refresh, a.ID)
			a.AccessUntil = accessUntil
		}
		if accessUntil == 0 && live {
			access = append(access, a.ID)
			a.AccessUntil = 0
		}
	}
	return refresh, access
}
