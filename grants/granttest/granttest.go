// Package granttest tests whether a [grants.Store] keeps its contract. Run it in the tests of every store:
//
//	func TestStore(t *testing.T) {
//		granttest.TestStore(t, func(t *testing.T) grants.Store { return openMyStore(t) })
//	}
//
// It needs a few seconds, because entries have to expire in the store's own time, and leaves nothing behind that does not
// expire within the hour. It does not test that several processes see the same entries.
package granttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/grants"
)

// TestStore runs every check as a subtest. It calls open for each of them; the stores may share a database, as keys are
// random.
func TestStore(t *testing.T, open func(t *testing.T) grants.Store) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.run(ctx, open(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type check struct {
	name string
	run  func(ctx context.Context, s grants.Store) error
}

var checks = []check{
	{"an entry is created as version 1 and read as often as one likes", createAndGet},
	{"an update replaces the value and counts the version up", update},
	{"an update of another version is ErrConflict and changes nothing", conflict},
	{"an unknown key is ErrNotFound, and ErrConflict to an update", unknownKey},
	{"a key that exists is ErrExists and stays as it is", exists},
	{"one of 64 creators wins", oneCreator},
	{"one of 64 updates of a version wins", oneUpdate},
	{"one of 8 wins, whose values take time to write", oneSlowWriter},
	{"16 writers who try until they win lose no update", noLostUpdate},
	{"reads beside updates see a value and its own version", readsBesideUpdates},
	{"entries are apart, keys differing in case too", isolation},
	{"any bytes come back as they were", binaryValues},
	{"512 KiB come back as they were", bigValue},
	{"store and caller share no memory", noSharedMemory},
	{"an entry that was expired when created is not found", bornExpired},
	{"an entry expires on its own", expires},
	{"an update moves the expiry", updateMovesExpiry},
	{"an entry that has expired unseen takes no update", expiresUnseen},
	{"an expiry of twenty years hence, and one of another time zone", farExpiry},
	{"a cancelled context is an error and changes nothing", cancelled},
}

// later is an expiry that no check lives to see.
func later() time.Time { return time.Now().Add(30 * time.Minute) }

// newKey returns a key of the form that package grants uses.
func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func put(ctx context.Context, s grants.Store, value []byte, expires time.Time) (string, error) {
	key := newKey()
	if err := s.Create(ctx, key, value, expires); err != nil {
		return "", fmt.Errorf("Create: %w", err)
	}
	return key, nil
}

func wantValue(ctx context.Context, s grants.Store, key string, want []byte, version int64) error {
	got, v, err := s.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("Get: %w", err)
	case !bytes.Equal(got, want):
		return fmt.Errorf("Get returned %d bytes that are not the %d bytes written", len(got), len(want))
	case v != version:
		return fmt.Errorf("Get returned version %d, want %d", v, version)
	}
	return nil
}

func wantGone(ctx context.Context, s grants.Store, key string) error {
	value, _, err := s.Get(ctx, key)
	switch {
	case err == nil:
		return fmt.Errorf("Get returned %d bytes where there is no live entry", len(value))
	case !errors.Is(err, grants.ErrNotFound):
		return fmt.Errorf("Get where there is no live entry: want grants.ErrNotFound, got: %w", err)
	case value != nil:
		return errors.New("Get returned bytes beside ErrNotFound")
	}
	return nil
}

func wantError(verb string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: want %w, got %v", verb, want, err)
	}
	return nil
}

func createAndGet(ctx context.Context, s grants.Store) error {
	value := []byte(`{"v":1}`)
	key, err := put(ctx, s, value, later())
	for i := 0; err == nil && i < 3; i++ {
		err = wantValue(ctx, s, key, value, 1)
	}
	return err
}

func update(ctx context.Context, s grants.Store) error {
	key, err := put(ctx, s, []byte("1"), later())
	for version := int64(1); err == nil && version < 5; version++ {
		value := []byte(fmt.Sprint("value ", version+1))
		if err = s.Update(ctx, key, version, value, later()); err == nil {
			err = wantValue(ctx, s, key, value, version+1)
		}
	}
	return err
}

func conflict(ctx context.Context, s grants.Store) error {
	key, err := put(ctx, s, []byte("1"), later())
	if err != nil {
		return err
	}
	if err := s.Update(ctx, key, 1, []byte("2"), later()); err != nil {
		return fmt.Errorf("Update: %w", err)
	}
	for _, version := range []int64{0, 1, 3, -1} {
		err := s.Update(ctx, key, version, []byte("x"), later())
		if err := wantError(fmt.Sprintf("Update of version %d where there is 2", version), err, grants.ErrConflict); err != nil {
			return err
		}
	}
	return wantValue(ctx, s, key, []byte("2"), 2)
}

func unknownKey(ctx context.Context, s grants.Store) error {
	key := newKey()
	for _, version := range []int64{0, 1} {
		err := s.Update(ctx, key, version, []byte("x"), later())
		if err := wantError("Update of an unknown key", err, grants.ErrConflict); err != nil {
			return err
		}
	}
	return wantGone(ctx, s, key)
}

func exists(ctx context.Context, s grants.Store) error {
	key, err := put(ctx, s, []byte("first"), later())
	if err != nil {
		return err
	}
	err = s.Create(ctx, key, []byte("second"), later())
	return errors.Join(wantError("Create of a key that exists", err, grants.ErrExists), wantValue(ctx, s, key, []byte("first"), 1))
}

// together runs f on n goroutines that are released at once.
func together(n int, f func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	done.Wait()
}

// winner checks that one of the calls succeeded and all others failed with lost.
func winner(verb string, errs []error, lost error) (int, error) {
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			return 0, fmt.Errorf("two of %d concurrent calls of %s succeeded", len(errs), verb)
		case err == nil:
			won = i
		case !errors.Is(err, lost):
			return 0, fmt.Errorf("a %s that came too late: want %w, got %v", verb, lost, err)
		}
	}
	if won < 0 {
		return 0, fmt.Errorf("none of %d concurrent calls of %s succeeded", len(errs), verb)
	}
	return won, nil
}

func oneCreator(ctx context.Context, s grants.Store) error {
	for range 4 {
		key, errs := newKey(), make([]error, 64)
		together(len(errs), func(i int) { errs[i] = s.Create(ctx, key, []byte{byte(i)}, later()) })
		won, err := winner("Create", errs, grants.ErrExists)
		if err == nil {
			err = wantValue(ctx, s, key, []byte{byte(won)}, 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func oneUpdate(ctx context.Context, s grants.Store) error {
	key, err := put(ctx, s, []byte("0"), later())
	for version := int64(1); err == nil && version < 5; version++ {
		errs := make([]error, 64)
		together(len(errs), func(i int) { errs[i] = s.Update(ctx, key, version, []byte{byte(i)}, later()) })
		won := 0
		if won, err = winner("Update", errs, grants.ErrConflict); err == nil {
			err = wantValue(ctx, s, key, []byte{byte(won)}, version+1)
		}
	}
	return err
}

// oneSlowWriter gives a store that reads and then writes more time in between.
func oneSlowWriter(ctx context.Context, s grants.Store) error {
	const writers, size = 8, 256 << 10
	values := make([][]byte, writers)
	for i := range values {
		values[i] = bytes.Repeat([]byte{byte(i)}, size)
	}
	for range 8 {
		key, errs := newKey(), make([]error, writers)
		together(writers, func(i int) { errs[i] = s.Create(ctx, key, values[i], later()) })
		won, err := winner("Create", errs, grants.ErrExists)
		if err != nil {
			return err
		}
		together(writers, func(i int) { errs[i] = s.Update(ctx, key, 1, values[(won+i)%writers], later()) })
		updated, err := winner("Update", errs, grants.ErrConflict)
		if err == nil {
			err = wantValue(ctx, s, key, values[(won+updated)%writers], 2)
		}
		if err == nil { // so that little stays behind
			err = s.Update(ctx, key, 2, []byte("done"), later())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func noLostUpdate(ctx context.Context, s grants.Store) error {
	const writers, each = 16, 8
	key, err := put(ctx, s, binary.BigEndian.AppendUint64(nil, 0), later())
	if err != nil {
		return err
	}
	errs := make([]error, writers)
	together(writers, func(i int) {
		for n := 0; n < each && errs[i] == nil; {
			value, version, err := s.Get(ctx, key)
			if err == nil && len(value) != 8 {
				err = errors.New("Get returned another value")
			}
			if err != nil {
				errs[i] = err
				return
			}
			next := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1)
			switch err := s.Update(ctx, key, version, next, later()); {
			case err == nil:
				n++
			case !errors.Is(err, grants.ErrConflict):
				errs[i] = err
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return wantValue(ctx, s, key, binary.BigEndian.AppendUint64(nil, writers*each), writers*each+1)
}

func readsBesideUpdates(ctx context.Context, s grants.Store) error {
	value := func(version int64) []byte { return bytes.Repeat([]byte{byte(version)}, 4096) }
	key, err := put(ctx, s, value(1), later())
	if err != nil {
		return err
	}
	errs := make([]error, 16)
	together(len(errs), func(i int) {
		for n := int64(1); n < 32; n++ {
			if i == 0 {
				if err := s.Update(ctx, key, n, value(n+1), later()); err != nil {
					errs[i] = fmt.Errorf("Update: %w", err)
					return
				}
				continue
			}
			got, version, err := s.Get(ctx, key)
			if err == nil && !bytes.Equal(got, value(version)) {
				err = fmt.Errorf("version %d came with another version's value", version)
			}
			if err != nil {
				errs[i] = fmt.Errorf("Get: %w", err)
				return
			}
		}
	})
	return errors.Join(errs...)
}

func isolation(ctx context.Context, s grants.Store) error {
	base := newKey()[:42]
	keys := []string{base + "a", base + "A", base + "-", base + "_"}
	for _, key := range keys {
		if err := s.Create(ctx, key, []byte(key), later()); err != nil {
			return fmt.Errorf("Create: %w", err)
		}
	}
	for i, key := range keys {
		if err := s.Update(ctx, key, 1, []byte("changed"), later()); err != nil {
			return fmt.Errorf("Update: %w", err)
		}
		for _, other := range keys[i+1:] {
			if err := wantValue(ctx, s, other, []byte(other), 1); err != nil {
				return fmt.Errorf("after another entry was updated: %w", err)
			}
		}
	}
	return nil
}

func binaryValues(ctx context.Context, s grants.Store) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, value := range [][]byte{all, {0}, []byte(" ends with space "), []byte("\r\n"), []byte("'; DROP TABLE x; --"), {0xff, 0xfe}} {
		key, err := put(ctx, s, value, later())
		if err == nil {
			err = wantValue(ctx, s, key, value, 1)
		}
		if err == nil {
			err = s.Update(ctx, key, 1, value, later())
		}
		if err == nil {
			err = wantValue(ctx, s, key, value, 2)
		}
		if err != nil {
			return fmt.Errorf("value %q: %w", value[:min(len(value), 20)], err)
		}
	}
	return nil
}

func bigValue(ctx context.Context, s grants.Store) error {
	value := make([]byte, 512<<10)
	_, _ = rand.Read(value) // never fails
	key, err := put(ctx, s, value, later())
	if err == nil {
		err = wantValue(ctx, s, key, value, 1)
	}
	if err == nil {
		value[0]++
		err = s.Update(ctx, key, 1, value, later())
	}
	if err != nil {
		return err
	}
	return wantValue(ctx, s, key, value, 2)
}

func noSharedMemory(ctx context.Context, s grants.Store) error {
	want := []byte("as it was")
	value := bytes.Clone(want)
	key, err := put(ctx, s, value, later())
	for version := int64(1); err == nil && version < 3; version++ {
		value[0] = 'X'
		if err = wantValue(ctx, s, key, want, version); err != nil {
			return fmt.Errorf("after the caller changed what it had written: %w", err)
		}
		if value, _, err = s.Get(ctx, key); err == nil {
			value[0] = 'X'
			if err = wantValue(ctx, s, key, want, version); err != nil {
				return fmt.Errorf("after the caller changed what it had read: %w", err)
			}
			value = bytes.Clone(want)
			err = s.Update(ctx, key, version, value, later())
		}
	}
	return err
}

func cancelled(ctx context.Context, s grants.Store) error {
	value := []byte("kept")
	key, err := put(ctx, s, value, later())
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := s.Get(done, key); err == nil || errors.Is(err, grants.ErrNotFound) {
		return fmt.Errorf("Get with a cancelled context: want an error that is not ErrNotFound, got %v", err)
	}
	if err := s.Update(done, key, 1, []byte("x"), later()); err == nil || errors.Is(err, grants.ErrConflict) {
		return fmt.Errorf("Update with a cancelled context: want an error that is not ErrConflict, got %v", err)
	}
	if err := s.Create(done, newKey(), value, later()); err == nil || errors.Is(err, grants.ErrExists) {
		return fmt.Errorf("Create with a cancelled context: want an error that is not ErrExists, got %v", err)
	}
	return wantValue(ctx, s, key, value, 1)
}
