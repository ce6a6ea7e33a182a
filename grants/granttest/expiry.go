package granttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/grants"
)

func bornExpired(ctx context.Context, s grants.Store) error {
	key := newKey()
	_ = s.Create(ctx, key, []byte("late"), time.Now().Add(-time.Minute)) // may fail, may not
	return wantGone(ctx, s, key)
}

// untilGone waits for an entry that is to expire at about that time. A store that counts in whole seconds is late by one.
func untilGone(ctx context.Context, s grants.Store, key string, at time.Time) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		if _, _, err := s.Get(ctx, key); err != nil {
			return wantGone(ctx, s, key)
		}
		if time.Since(at) > 2*time.Second {
			return errors.New("an entry is still there 2 seconds after its expiry")
		}
	}
}

func expires(ctx context.Context, s grants.Store) error {
	value, at := []byte("short"), time.Now().Add(1500*time.Millisecond)
	short, err := put(ctx, s, value, at)
	if err != nil {
		return err
	}
	long, err := put(ctx, s, value, later())
	if err != nil {
		return err
	}
	if err := wantValue(ctx, s, short, value, 1); err != nil {
		return fmt.Errorf("1.5 seconds before the expiry: %w", err)
	}
	if err := untilGone(ctx, s, short, at); err != nil {
		return err
	}
	err = s.Update(ctx, short, 1, value, later())
	return errors.Join(wantError("Update of an entry that has expired", err, grants.ErrConflict), wantGone(ctx, s, short), wantValue(ctx, s, long, value, 1))
}

func updateMovesExpiry(ctx context.Context, s grants.Store) error {
	at := time.Now().Add(1500 * time.Millisecond)
	longer, err := put(ctx, s, []byte("1"), at)
	if err != nil {
		return err
	}
	shorter, err := put(ctx, s, []byte("1"), later())
	if err != nil {
		return err
	}
	if err := errors.Join(s.Update(ctx, longer, 1, []byte("2"), later()), s.Update(ctx, shorter, 1, []byte("2"), at)); err != nil {
		return fmt.Errorf("Update: %w", err)
	}
	return errors.Join(untilGone(ctx, s, shorter, at), wantValue(ctx, s, longer, []byte("2"), 2))
}

// expiresUnseen updates an entry that no Get has swept away.
func expiresUnseen(ctx context.Context, s grants.Store) error {
	at := time.Now().Add(1500 * time.Millisecond)
	unseen, err := put(ctx, s, []byte("1"), at)
	if err != nil {
		return err
	}
	seen, err := put(ctx, s, []byte("1"), at)
	if err != nil {
		return err
	}
	if err := untilGone(ctx, s, seen, at); err != nil {
		return err
	}
	err = s.Update(ctx, unseen, 1, []byte("2"), later())
	return errors.Join(wantError("Update of an entry that has expired and was not looked at since", err, grants.ErrConflict), wantGone(ctx, s, unseen))
}

func farExpiry(ctx context.Context, s grants.Store) error {
	for _, at := range []time.Time{
		time.Now().AddDate(20, 0, 0), // a grant and its retention may last so long
		later().In(time.FixedZone("west", -11*3600)), later().In(time.FixedZone("east", 13*3600)),
	} {
		key, err := put(ctx, s, []byte("1"), at)
		if err == nil {
			err = wantValue(ctx, s, key, []byte("1"), 1)
		}
		if err == nil {
			err = s.Update(ctx, key, 1, []byte("2"), at)
		}
		if err == nil {
			err = wantValue(ctx, s, key, []byte("2"), 2)
		}
		if err == nil { // nothing is left behind for that long
			err = s.Update(ctx, key, 2, []byte("3"), later())
		}
		if err != nil {
			return fmt.Errorf("an entry that expires at %v: %w", at, err)
		}
	}
	at := time.Now().Add(1500 * time.Millisecond)
	key, err := put(ctx, s, []byte("1"), at.In(time.FixedZone("east", 13*3600)))
	if err != nil {
		return err
	}
	return untilGone(ctx, s, key, at)
}
