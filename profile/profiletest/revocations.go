package profiletest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
)

var revocationChecks = []check[authserver.RevocationStore]{
	{"a grant is revoked from then on", revokes},
	{"to revoke again is no error", revokesTwice},
	{"to revoke again never shortens", neverShortens},
	{"to revoke again lengthens", lengthens},
	{"grants are apart, IDs differing in case too", revocationIsolation},
	{"64 revocations at once all count", revokesTogether},
	{"a revocation may be forgotten in time and not before", remembers},
	{"a cancelled context is an error and revokes nothing", cancelledRevoke},
}

func wantRevoked(ctx context.Context, s authserver.RevocationStore, id string, want bool) error {
	revoked, err := s.Revoked(ctx, id)
	if err != nil {
		return fmt.Errorf("Revoked: %w", err)
	}
	if revoked != want {
		return fmt.Errorf("Revoked is %v, want %v", revoked, want)
	}
	return nil
}

func revoked(ctx context.Context, s authserver.RevocationStore, until time.Time) (string, error) {
	id := newGrantID()
	if err := s.Revoke(ctx, id, until); err != nil {
		return "", fmt.Errorf("Revoke: %w", err)
	}
	return id, nil
}

func revokes(ctx context.Context, s authserver.RevocationStore) error {
	id := newGrantID()
	if err := wantRevoked(ctx, s, id, false); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := s.Revoke(ctx, id, later()); err != nil {
		return fmt.Errorf("Revoke: %w", err)
	}
	return errors.Join(wantRevoked(ctx, s, id, true), wantRevoked(ctx, s, id, true))
}

func revokesTwice(ctx context.Context, s authserver.RevocationStore) error {
	id, err := revoked(ctx, s, later())
	if err != nil {
		return err
	}
	if err := s.Revoke(ctx, id, later()); err != nil {
		return fmt.Errorf("Revoke for the second time: %w", err)
	}
	return wantRevoked(ctx, s, id, true)
}

func neverShortens(ctx context.Context, s authserver.RevocationStore) error {
	id, err := revoked(ctx, s, later())
	if err != nil {
		return err
	}
	// Two servers whose clocks differ may both see one replay.
	for _, sooner := range []time.Time{time.Now().Add(time.Second), time.Now().Add(-time.Minute)} {
		if err := s.Revoke(ctx, id, sooner); err != nil {
			return fmt.Errorf("Revoke until sooner: %w", err)
		}
	}
	time.Sleep(short)
	if err := wantRevoked(ctx, s, id, true); err != nil {
		return fmt.Errorf("after a second Revoke until sooner: %w", err)
	}
	return nil
}

func lengthens(ctx context.Context, s authserver.RevocationStore) error {
	id, err := revoked(ctx, s, time.Now().Add(time.Second))
	if err != nil {
		return err
	}
	if err := s.Revoke(ctx, id, later()); err != nil {
		return fmt.Errorf("Revoke until later: %w", err)
	}
	time.Sleep(short)
	if err := wantRevoked(ctx, s, id, true); err != nil {
		return fmt.Errorf("after a second Revoke until later: %w", err)
	}
	return nil
}

func revocationIsolation(ctx context.Context, s authserver.RevocationStore) error {
	base := newGrantID()[:21]
	if err := s.Revoke(ctx, base+"a", later()); err != nil {
		return fmt.Errorf("Revoke: %w", err)
	}
	for _, other := range []string{base + "A", base + "-", base + "_", base} {
		if err := wantRevoked(ctx, s, other, false); err != nil {
			return fmt.Errorf("another grant: %w", err)
		}
	}
	return wantRevoked(ctx, s, base+"a", true)
}

func revokesTogether(ctx context.Context, s authserver.RevocationStore) error {
	ids, errs := make([]string, 64), make([]error, 64)
	for i := range ids {
		if i%4 == 0 {
			ids[i] = newGrantID()
		} else {
			ids[i] = ids[i-1] // the same one by several at once
		}
	}
	together(len(ids), func(i int) {
		if errs[i] = s.Revoke(ctx, ids[i], later()); errs[i] == nil {
			errs[i] = wantRevoked(ctx, s, ids[i], true) // at once, for everyone
		}
	})
	return errors.Join(errs...)
}

// remembers does not require that a revocation expires. A store that keeps it is
// safe.
func remembers(ctx context.Context, s authserver.RevocationStore) error {
	end := time.Now().Add(short)
	id, err := revoked(ctx, s, end)
	if err != nil {
		return err
	}
	for tick := 100 * time.Millisecond; time.Until(end) > 2*tick; time.Sleep(tick) {
		asked := time.Now()
		if err := wantRevoked(ctx, s, id, true); err != nil && asked.Before(end) && time.Now().Before(end) {
			return fmt.Errorf("%v before its time: %w", end.Sub(asked), err)
		}
	}
	return nil
}

func cancelledRevoke(ctx context.Context, s authserver.RevocationStore) error {
	id, err := revoked(ctx, s, later())
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Revoked(done, id); err == nil {
		return errors.New("Revoked with a cancelled context: want an error")
	}
	other := newGrantID()
	if err := s.Revoke(done, other, later()); err == nil {
		return errors.New("Revoke with a cancelled context: want an error")
	}
	return errors.Join(wantRevoked(ctx, s, id, true), wantRevoked(ctx, s, other, false))
}
