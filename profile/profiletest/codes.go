package profiletest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
)

var codeChecks = []check[authserver.CodeStore]{
	{"a code is redeemed once, and loaded still", redeemOnce},
	{"a load redeems nothing", loadIsNoRedemption},
	{"one of 64 redemptions is the first", oneFirst},
	{"redeeming an unknown key is ErrNotFound", redeemUnknown},
	{"redeeming one code leaves others alone", redeemOne},
	{"a redeemed code expires when it would have", redeemedExpires},
	{"a cancelled context is an error and redeems nothing", cancelledRedeem},
}

func wantFirst(ctx context.Context, s authserver.CodeStore, key string, want bool) error {
	first, err := s.Redeem(ctx, key)
	if err != nil {
		return fmt.Errorf("Redeem: %w", err)
	}
	if first != want {
		return fmt.Errorf("Redeem reports first as %v, want %v", first, want)
	}
	return nil
}

func wantNoRedemption(ctx context.Context, s authserver.CodeStore, key string) error {
	first, err := s.Redeem(ctx, key)
	if first || err == nil {
		return fmt.Errorf("Redeem where there is no live entry: want profile.ErrNotFound, got %v, %w", first, err)
	}
	if !errors.Is(err, authserver.ErrNotFound) {
		return fmt.Errorf("Redeem where there is no live entry: want profile.ErrNotFound, got: %w", err)
	}
	return nil
}

func redeemOnce(ctx context.Context, s authserver.CodeStore) error {
	value := []byte("code")
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	return errors.Join(
		wantFirst(ctx, s, key, true), wantValue(ctx, s, key, value),
		wantFirst(ctx, s, key, false), wantFirst(ctx, s, key, false), wantValue(ctx, s, key, value),
	)
}

func loadIsNoRedemption(ctx context.Context, s authserver.CodeStore) error {
	value := []byte("code")
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	return errors.Join(wantValue(ctx, s, key, value), wantValue(ctx, s, key, value), wantFirst(ctx, s, key, true))
}

func oneFirst(ctx context.Context, s authserver.CodeStore) error {
	const callers = 64
	value := []byte("winner")
	for range 4 {
		key, err := saved(ctx, s, value, later())
		if err != nil {
			return err
		}
		firsts, errs := make([]bool, callers), make([]error, callers)
		together(callers, func(i int) {
			firsts[i], errs[i] = s.Redeem(ctx, key)
			if errs[i] == nil { // a late caller needs the value to revoke its tokens
				errs[i] = wantValue(ctx, s, key, value)
			}
		})
		if err := errors.Join(errs...); err != nil {
			return err
		}
		winners := 0
		for _, first := range firsts {
			if first {
				winners++
			}
		}
		if winners != 1 {
			return fmt.Errorf("%d of %d concurrent calls of Redeem were the first, want exactly 1", winners, callers)
		}
	}
	return nil
}

func redeemUnknown(ctx context.Context, s authserver.CodeStore) error {
	key := newKey()
	// The second call finds out whether the first has left something behind.
	return errors.Join(wantNoRedemption(ctx, s, key), wantNoRedemption(ctx, s, key), wantNotFound(ctx, s, key))
}

func redeemOne(ctx context.Context, s authserver.CodeStore) error {
	base := newKey()[:42]
	for _, key := range []string{base + "a", base + "A"} {
		if err := s.Save(ctx, key, []byte(key), later()); err != nil {
			return fmt.Errorf("Save: %w", err)
		}
	}
	lower, upper := base+"a", base+"A"
	return errors.Join(wantFirst(ctx, s, lower, true), wantFirst(ctx, s, upper, true), wantFirst(ctx, s, lower, false))
}

func redeemedExpires(ctx context.Context, s authserver.CodeStore) error {
	value := []byte("short")
	key, err := saved(ctx, s, value, time.Now().Add(short))
	if err != nil {
		return err
	}
	if err := errors.Join(wantFirst(ctx, s, key, true), wantValue(ctx, s, key, value)); err != nil {
		return err
	}
	if !until(func() bool { _, err := s.Redeem(ctx, key); return err != nil }) {
		return fmt.Errorf("a redeemed code is still there %v after its expiry", patience-short)
	}
	return errors.Join(wantNoRedemption(ctx, s, key), wantNotFound(ctx, s, key))
}

func cancelledRedeem(ctx context.Context, s authserver.CodeStore) error {
	key, err := saved(ctx, s, []byte("kept"), later())
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if first, err := s.Redeem(done, key); first || err == nil || errors.Is(err, authserver.ErrNotFound) {
		return fmt.Errorf("Redeem with a cancelled context: want an error that is not ErrNotFound, got %v, %w",
			first, err)
	}
	return wantFirst(ctx, s, key, true)
}
