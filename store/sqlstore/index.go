package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/store"
)

var _ store.Index = (*Store)(nil)

// Put implements [store.Index].
func (s *Store) Put(ctx context.Context, set, member string, expires time.Time) error {
	err := checkMember(ctx, set, member)
	if err == nil {
		var rows int64
		// The statement changes a row unless the expiry has passed.
		if rows, err = s.changed(ctx, &s.put, set, member, millis(expires)); err == nil && rows == 0 {
			err = pastExpiry(expires)
		}
	}
	return wrap("Put", err)
}

// Delete implements [store.Index].
func (s *Store) Delete(ctx context.Context, set, member string) error {
	err := checkMember(ctx, set, member)
	if err == nil {
		_, err = s.changed(ctx, &s.strike, set, member)
	}
	return wrap("Delete", err)
}

// List implements [store.Index].
func (s *Store) List(ctx context.Context, set, after string, limit int) (members []string, err error) {
	err = checkMember(ctx, set, cmp.Or(after, "-"))
	if err == nil && (limit < 1 || limit > store.MaxList) {
		err = fmt.Errorf("%w: limit %d, want 1 to %d", store.ErrInvalid, limit, store.MaxList)
	}
	if err == nil {
		err = s.retry(ctx, func() (err error) {
			members, err = s.page(ctx, set, after, limit)
			return err
		})
	}
	return members, wrap("List", err)
}

// page returns nil with an error, because a part of a page would be a failure
// that looks like absent members.
func (s *Store) page(ctx context.Context, arguments ...any) (members []string, err error) {
	rows, err := s.query(ctx, &s.list, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		var member string
		if err := rows.Scan(&member); err != nil {
			return nil, err
		}
		members = append(members, member)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return members, nil
}

// checkMember is like checkCall. MySQL would find a set or a member with
// trailing spaces.
func checkMember(ctx context.Context, set, member string) error {
	if err := checkCall(ctx, set, nil); err != nil {
		return err
	}
	if member == "" || len(member) > store.MaxMember || !isBase64URL(member) {
		return fmt.Errorf("%w: malformed member of %d bytes", store.ErrInvalid, len(member))
	}
	return nil
}
