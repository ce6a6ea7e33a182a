package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

const (
	// maxRecord bounds what goes into the store: a grant, its authorizations, and the state before each event that waits.
	maxRecord = 512 << 10
	// endBytes are for what an end adds besides the state before: a line of history, and the event.
	endBytes = 4 << 10
	// maxAuthorizations of one grant can have live access tokens at the same time.
	maxAuthorizations = 1024

	// maxSkew is how far the clocks of several processes may be apart: what one has forgotten another must not take for new.
	maxSkew = time.Minute

	grantIDBytes  = 32 // of randomness: twice what is asked for
	grantIDLength = 43
)

// A record is what is kept of a grant.
type record struct {
	Grant Grant `json:"grant"`
	// Authorizations are those whose tokens may still be alive, the latest last: its refresh tokens are good.
	Authorizations authorizations `json:"authorizations,omitempty"`
	// Pending are the events that have not been delivered, oldest first: at most one, and a revocation.
	Pending []pendingEvent `json:"pending,omitempty"`
}

// An authorization is one completed authorization request: a code, and the tokens issued for it.
type authorization struct {
	ID string
	// ClaimUntil is until when the code could be presented again, in Unix seconds: till then the authorization is remembered.
	ClaimUntil int64
	// AccessUntil is, once it has been superseded, until when access tokens of it may live; 0 if the host was told to revoke
	// them.
	AccessUntil int64
}

// authorizations are written as one text, three words for each: there may be many, and the text is read at each refresh.
type authorizations []authorization

// MarshalText writes them. There is no space in an ID.
func (a authorizations) MarshalText() ([]byte, error) {
	var text []byte
	for i, one := range a {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(append(text, one.ID...), ' ')
		text = append(strconv.AppendInt(text, one.ClaimUntil, 10), ' ')
		text = strconv.AppendInt(text, one.AccessUntil, 10)
	}
	return text, nil
}

// UnmarshalText reads what MarshalText has written.
func (a *authorizations) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words)%3 != 0 {
		return errors.New("grants: not a list of authorizations")
	}
	*a = make(authorizations, len(words)/3)
	for i := range *a {
		claim, err1 := strconv.ParseInt(words[3*i+1], 10, 64)
		access, err2 := strconv.ParseInt(words[3*i+2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		(*a)[i] = authorization{words[3*i], claim, access}
	}
	return nil
}

func newGrantID() string {
	// GM-5.5-1, GM-5.5-2, GM-9-1, GM-9-2: nothing but randomness, new for each grant, in URL-safe characters.
	return jose.RandomString(grantIDBytes)
}

// isGrantID says whether id has the form of this package's. What has not is no grant: nothing else comes near the store.
func isGrantID(id string) bool {
	if len(id) != grantIDLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// storeKey keeps the issuers apart that share a store. An issuer has no space in it.
func (m *Manager) storeKey(id string) string {
	return jose.SHA256Base64("grant " + m.cfg.Issuer + " " + id)
}

// load reads a grant's record. A missing one is ErrNotFound.
func (m *Manager) load(ctx context.Context, id string) (*record, int64, error) {
	if !isGrantID(id) {
		return nil, 0, fmt.Errorf("%w: not an identifier of this server", ErrNotFound)
	}
	value, version, err := m.cfg.Store.Get(ctx, m.storeKey(id))
	if errors.Is(err, ErrNotFound) {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrStore, err)
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil || r.Grant.ID != id {
		return nil, 0, fmt.Errorf("%w: a stored record is not ours", ErrStore)
	}
	return &r, version, nil
}

// save writes a record in the place of a version, 0 for a new one. It returns errAgain if the version is another by now.
func (m *Manager) save(ctx context.Context, r *record, version int64) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if size := len(value); size > maxRecord || r.Grant.Status == active && size > maxRecord/2-endBytes && !r.leavesRoom(size) {
		return fmt.Errorf("%w: a record of %d bytes, more than %d, or with too little room for the end", ErrStore, size, maxRecord)
	}
	// GM-5.6.3-1: what is over goes by itself, once nobody can ask any more what it was.
	last := r.Grant.ExpiresAt
	if r.Grant.Status != active {
		last = r.Grant.UpdatedAt
	}
	if now := m.cfg.Now(); last.Before(now) {
		last = now
	}
	last = last.Add(m.cfg.Retention)
	key := m.storeKey(r.Grant.ID)
	if version == 0 {
		err = m.cfg.Store.Create(ctx, key, value, last)
	} else {
		err = m.cfg.Store.Update(ctx, key, version, value, last)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrConflict), errors.Is(err, ErrExists):
		return errAgain
	case errors.Is(err, ErrTooMany):
		return err
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

// leavesRoom reports whether a record of that many bytes leaves room for the event of the grant's end: its state before, and
// the authorizations, which go from one list to another. A grant that cannot be written any more could not be revoked.
func (r *record) leavesRoom(size int) bool {
	before, err := r.Grant.size()
	return err == nil && size+before+endBytes <= maxRecord
}

// find returns the index of an authorization, -1 for none.
func (r *record) find(id string) int {
	return slices.IndexFunc(r.Authorizations, func(a authorization) bool { return a.ID == id })
}

// current says whether the authorization is the one whose refresh tokens are good.
func (r *record) current(id string) bool {
	n := len(r.Authorizations)
	return n > 0 && jose.EqualString(r.Authorizations[n-1].ID, id)
}

// prune forgets the superseded authorizations of which nothing can be alive, nor come back.
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

// supersede ends the refresh tokens of the authorizations so far. Their access tokens live on until accessUntil, or are
// for the host to revoke when it is 0. It returns for which authorizations refresh and access tokens have ended by that.
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
