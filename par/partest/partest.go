// Package partest tests whether a [par.Store] keeps its contract. Run it in the tests of every store:
//
//	func TestStore(t *testing.T) {
//		partest.TestStore(t, func(t *testing.T) par.Store { return openMyStore(t) })
//	}
//
// It needs a few seconds, because entries have to expire in the store's own time, and leaves nothing behind that does not
// expire within the hour. It does not test that several processes see the same entries.
package partest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/par"
)

// TestStore runs every check as a subtest. It calls open for each of them; the stores may share a database, as keys are
// random.
func TestStore(t *testing.T, open func(t *testing.T) par.Store) {
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
	run  func(ctx context.Context, s par.Store) error
}

var checks = []check{
	{"an entry is loaded as often as one likes", loadRepeats},
	{"an entry is consumed once", consumeOnce},
	{"an unknown key is ErrNotFound", unknownKey},
	{"one of 64 consumers wins", oneWinner},
	{"loads beside a consumer see all or nothing", loadsBesideConsume},
	{"entries are apart, keys differing in case too", isolation},
	{"any bytes come back as they were", binaryValues},
	{"132 KiB come back as they were", bigValue},
	{"store and caller share no memory", noSharedMemory},
	{"an entry that was expired when saved is not found", bornExpired},
	{"an entry expires on its own", expires},
	{"a cancelled context is an error and consumes nothing", cancelled},
}

// later is an expiry that no check lives to see.
func later() time.Time { return time.Now().Add(30 * time.Minute) }

// newKey returns a key of the form that package par uses.
func newKey() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func saved(ctx context.Context, s par.Store, value []byte, expires time.Time) (string, error) {
	key := newKey()
	if err := s.Save(ctx, key, value, expires); err != nil {
		return "", fmt.Errorf("Save: %w", err)
	}
	return key, nil
}

type fetch func(ctx context.Context, key string) ([]byte, error)

func wantValue(ctx context.Context, verb string, f fetch, key string, want []byte) error {
	got, err := f(ctx, key)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s returned %d bytes that are not the %d bytes saved", verb, len(got), len(want))
	}
	return nil
}

func wantNotFound(ctx context.Context, verb string, f fetch, key string) error {
	got, err := f(ctx, key)
	if err == nil {
		return fmt.Errorf("%s returned %d bytes where there is no live entry", verb, len(got))
	}
	if !errors.Is(err, par.ErrNotFound) {
		return fmt.Errorf("%s where there is no live entry: want par.ErrNotFound, got: %w", verb, err)
	}
	if got != nil {
		return fmt.Errorf("%s returned bytes beside ErrNotFound", verb)
	}
	return nil
}

func wantGone(ctx context.Context, s par.Store, key string) error {
	return errors.Join(wantNotFound(ctx, "Load", s.Load, key), wantNotFound(ctx, "Consume", s.Consume, key))
}

func loadRepeats(ctx context.Context, s par.Store) error {
	value := []byte(`{"v":1}`)
	key, err := saved(ctx, s, value, later())
	for i := 0; err == nil && i < 3; i++ {
		err = wantValue(ctx, "Load", s.Load, key, value)
	}
	return err
}

func consumeOnce(ctx context.Context, s par.Store) error {
	value := []byte("once")
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	if err := wantValue(ctx, "Consume", s.Consume, key, value); err != nil {
		return err
	}
	return wantGone(ctx, s, key)
}

func unknownKey(ctx context.Context, s par.Store) error { return wantGone(ctx, s, newKey()) }

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

func oneWinner(ctx context.Context, s par.Store) error {
	const callers = 64
	value := []byte("winner")
	for range 4 {
		key, err := saved(ctx, s, value, later())
		if err != nil {
			return err
		}
		values, errs := make([][]byte, callers), make([]error, callers)
		together(callers, func(i int) { values[i], errs[i] = s.Consume(ctx, key) })
		winners := 0
		for i := range callers {
			switch {
			case errs[i] == nil && bytes.Equal(values[i], value):
				winners++
			case errs[i] == nil:
				return errors.New("Consume succeeded with another value")
			case !errors.Is(errs[i], par.ErrNotFound):
				return fmt.Errorf("a Consume that came too late: want par.ErrNotFound, got: %w", errs[i])
			}
		}
		if winners != 1 {
			return fmt.Errorf("%d of %d concurrent calls of Consume succeeded, want exactly 1", winners, callers)
		}
	}
	return nil
}

func loadsBesideConsume(ctx context.Context, s par.Store) error {
	value := bytes.Repeat([]byte("x"), 4096)
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	errs := make([]error, 32)
	together(len(errs), func(i int) {
		if i == 0 {
			errs[i] = wantValue(ctx, "Consume", s.Consume, key, value)
			return
		}
		if got, err := s.Load(ctx, key); err != nil && !errors.Is(err, par.ErrNotFound) {
			errs[i] = fmt.Errorf("Load: want a value or par.ErrNotFound, got: %w", err)
		} else if err == nil && !bytes.Equal(got, value) {
			errs[i] = errors.New("Load returned another value")
		}
	})
	return errors.Join(append(errs, wantGone(ctx, s, key))...)
}

func isolation(ctx context.Context, s par.Store) error {
	base := newKey()[:42]
	keys := []string{base + "a", base + "A", base + "-", base + "_"}
	for _, key := range keys {
		if err := s.Save(ctx, key, []byte(key), later()); err != nil {
			return fmt.Errorf("Save: %w", err)
		}
	}
	for i, key := range keys {
		if err := wantValue(ctx, "Consume", s.Consume, key, []byte(key)); err != nil {
			return err
		}
		for _, other := range keys[i+1:] {
			if err := wantValue(ctx, "Load", s.Load, other, []byte(other)); err != nil {
				return fmt.Errorf("after another entry was consumed: %w", err)
			}
		}
	}
	return nil
}

func binaryValues(ctx context.Context, s par.Store) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, value := range [][]byte{all, {0}, []byte(" ends with space "), []byte("\r\n"), []byte("'; DROP TABLE x; --"), {0xff, 0xfe}} {
		key, err := saved(ctx, s, value, later())
		if err == nil {
			err = errors.Join(wantValue(ctx, "Load", s.Load, key, value), wantValue(ctx, "Consume", s.Consume, key, value))
		}
		if err != nil {
			return fmt.Errorf("value %q: %w", value[:min(len(value), 20)], err)
		}
	}
	return nil
}

func bigValue(ctx context.Context, s par.Store) error {
	value := make([]byte, 132<<10)
	_, _ = rand.Read(value) // never fails
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	return errors.Join(wantValue(ctx, "Load", s.Load, key, value), wantValue(ctx, "Consume", s.Consume, key, value))
}

func noSharedMemory(ctx context.Context, s par.Store) error {
	want := []byte("as it was")
	value := bytes.Clone(want)
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	value[0] = 'X'
	if err := wantValue(ctx, "Load", s.Load, key, want); err != nil {
		return fmt.Errorf("after the caller changed what it had saved: %w", err)
	}
	if value, err = s.Load(ctx, key); err == nil {
		value[0] = 'X'
		err = wantValue(ctx, "Consume", s.Consume, key, want)
	}
	if err != nil {
		return fmt.Errorf("after the caller changed what it had loaded: %w", err)
	}
	return nil
}

func bornExpired(ctx context.Context, s par.Store) error {
	key := newKey()
	_ = s.Save(ctx, key, []byte("late"), time.Now().Add(-time.Minute)) // may fail, may not
	return wantGone(ctx, s, key)
}

func expires(ctx context.Context, s par.Store) error {
	value := []byte("short")
	short, err := saved(ctx, s, value, time.Now().Add(1500*time.Millisecond))
	if err != nil {
		return err
	}
	long, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	if err := wantValue(ctx, "Load", s.Load, short, value); err != nil {
		return fmt.Errorf("1.5 seconds before the expiry: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; <-tick.C {
		if _, err := s.Load(ctx, short); err != nil {
			break // wantGone says whether it is the right error
		}
		if time.Since(start) > 3500*time.Millisecond { // a store that counts in whole seconds is late by one
			return errors.New("an entry is still there 2 seconds after its expiry")
		}
	}
	return errors.Join(wantGone(ctx, s, short), wantValue(ctx, "Load", s.Load, long, value))
}

func cancelled(ctx context.Context, s par.Store) error {
	value := []byte("kept")
	key, err := saved(ctx, s, value, later())
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	for verb, f := range map[string]fetch{"Load": s.Load, "Consume": s.Consume} {
		if _, err := f(done, key); err == nil || errors.Is(err, par.ErrNotFound) {
			return fmt.Errorf("%s with a cancelled context: want an error that is not ErrNotFound, got %v", verb, err)
		}
	}
	if err := s.Save(done, newKey(), value, later()); err == nil {
		return errors.New("Save with a cancelled context: want an error")
	}
	return wantValue(ctx, "Consume", s.Consume, key, value)
}
