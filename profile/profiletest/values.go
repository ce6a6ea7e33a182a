package profiletest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
)

// values is what a CodeStore and a RefreshStore have in common.
type values = authserver.RefreshStore

var valueChecks = []check[values]{
	{"a value is loaded as often as one likes", loadRepeats},
	{"an unknown key is ErrNotFound", unknownKey},
	{"entries are apart, keys differing in case too", isolation},
	{"any bytes come back as they were", binaryValues},
	{"64 KiB come back as they were", bigValue},
	{"store and caller share no memory", noSharedMemory},
	{"an entry that was expired when saved is not found", bornExpired},
	{"an entry expires on its own", expires},
	{"64 entries saved at once are all there", savesTogether},
	{"a cancelled context is an error", cancelledLoad},
}

func saved(ctx context.Context, s values, value []byte, expires time.Time) (string, error) {
	key := newKey()
	if err := s.Save(ctx, key, value, expires); err != nil {
		return "", fmt.Errorf("Save: %w", err)
	}
	return key, nil
}

func wantValue(ctx context.Context, s values, key string, want []byte) error {
	got, err := s.Load(ctx, key)
	if err != nil {
		return fmt.Errorf("Load: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("Load returned %d bytes that are not the %d bytes saved", len(got), len(want))
	}
	return nil
}

func wantNotFound(ctx context.Context, s values, key string) error {
	got, err := s.Load(ctx, key)
	switch {
	case err == nil:
		return fmt.Errorf("Load returned %d bytes where there is no live entry", len(got))
	case !errors.Is(err, authserver.ErrNotFound):
		return fmt.Errorf("Load where there is no live entry: want profile.ErrNotFound, got: %w", err)
	case got != nil:
		return errors.New("Load returned bytes together with ErrNotFound")
	}
	return nil
}

func loadRepeats(ctx context.Context, s values) error {
	value := []byte(`{"v":1}`)
	key, err := saved(ctx, s, value, later())
	for i := 0; err == nil && i < 3; i++ {
		err = wantValue(ctx, s, key, value)
	}
	return err
}

func unknownKey(ctx context.Context, s values) error { return wantNotFound(ctx, s, newKey()) }

func isolation(ctx context.Context, s values) error {
	base := newKey()[:42]
	keys := []string{base + "a", base + "A", base + "-", base + "_"}
	for _, key := range keys {
		if err := s.Save(ctx, key, []byte(key), later()); err != nil {
			return fmt.Errorf("Save: %w", err)
		}
	}
	for _, key := range keys {
		if err := wantValue(ctx, s, key, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

func binaryValues(ctx context.Context, s values) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, value := range [][]byte{
		all, {0}, []byte(" ends with space "), []byte("\r\n"), []byte("'; DROP TABLE x; --"), {0xff, 0xfe},
	} {
		key, err := saved(ctx, s, value, later())
		if err == nil {
			err = wantValue(ctx, s, key, value)
		}
		if err != nil {
			return fmt.Errorf("value %q: %w", value[:min(len(value), 20)], err)
		}
	}
	return nil
}

func bigValue(ctx context.Context, s values) error {
	value := make([]byte, 64<<10)
	_, _ = rand.Read(value) // never fails
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	return wantValue(ctx, s, key, value)
}

func noSharedMemory(ctx context.Context, s values) error {
	want := []byte("as it was")
	value := bytes.Clone(want)
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	value[0] = 'X'
	if err := wantValue(ctx, s, key, want); err != nil {
		return fmt.Errorf("after the caller changed the saved value: %w", err)
	}
	if value, err = s.Load(ctx, key); err == nil {
		value[0] = 'X'
		err = wantValue(ctx, s, key, want)
	}
	if err != nil {
		return fmt.Errorf("after the caller changed the loaded value: %w", err)
	}
	return nil
}

func bornExpired(ctx context.Context, s values) error {
	key := newKey()
	_ = s.Save(ctx, key, []byte("late"), time.Now().Add(-time.Minute)) // may fail, may not
	return wantNotFound(ctx, s, key)
}

func expires(ctx context.Context, s values) error {
	value := []byte("short")
	dying, err := saved(ctx, s, value, time.Now().Add(short))
	if err != nil {
		return err
	}
	living, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	if err := wantValue(ctx, s, dying, value); err != nil {
		return fmt.Errorf("%v before the expiry: %w", short, err)
	}
	if !until(func() bool { _, err := s.Load(ctx, dying); return err != nil }) {
		return fmt.Errorf("an entry is still there %v after its expiry", patience-short)
	}
	return errors.Join(wantNotFound(ctx, s, dying), wantValue(ctx, s, living, value))
}

func savesTogether(ctx context.Context, s values) error {
	keys, errs := make([]string, 64), make([]error, 64)
	together(len(keys), func(i int) { keys[i], errs[i] = saved(ctx, s, []byte{byte(i)}, later()) })
	together(len(keys), func(i int) {
		if errs[i] == nil {
			errs[i] = wantValue(ctx, s, keys[i], []byte{byte(i)})
		}
	})
	return errors.Join(errs...)
}

func cancelledLoad(ctx context.Context, s values) error {
	value := []byte("kept")
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Load(done, key); err == nil || errors.Is(err, authserver.ErrNotFound) {
		return fmt.Errorf("Load with a cancelled context: want an error that is not ErrNotFound, got %w", err)
	}
	if err := s.Save(done, newKey(), value, later()); err == nil {
		return errors.New("Save with a cancelled context: want an error")
	}
	return wantValue(ctx, s, key, value)
}
