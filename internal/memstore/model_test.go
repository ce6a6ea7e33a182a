package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

// A model is a Store that searches all its entries for everything.
type model struct {
	entries, bytes int
	now            func() time.Time
	held           map[string]*modelEntry
	forgotten      time.Time
}

type modelEntry struct {
	owner, value string
	version      int64
	expires      time.Time
}

func (m *model) add(owner, key, value string, expires time.Time) (bool, error) {
	m.expire(4)
	switch {
	case !expires.After(m.now()):
		return false, memstore.ErrInvalid
	case m.find(key) != nil:
		return false, nil
	case value == "" && !expires.After(m.forgotten):
		return false, memstore.ErrInvalid
	}
	if err := m.makeRoom(owner, 1, memstore.KeyLength+len(value)); err != nil {
		return false, err
	}
	m.held[key] = &modelEntry{owner, value, 1, expires}
	return true, nil
}

func (m *model) get(key string) (string, int64) {
	m.expire(4)
	if e := m.find(key); e != nil {
		return e.value, e.version
	}
	return "", 0
}

func (m *model) swap(owner, key string, version int64, value string, expires time.Time) (bool, error) {
	m.expire(4)
	if !expires.After(m.now()) {
		return false, memstore.ErrInvalid
	}
	e := m.find(key)
	if e == nil || e.version != version {
		return false, nil
	}
	if growth := len(value) - len(e.value); growth > 0 && (e.owner == "" || owner != "") {
		if err := m.makeRoom(e.owner, 0, growth); err != nil {
			return false, err
		}
	}
	*e = modelEntry{e.owner, value, version + 1, expires}
	return true, nil
}

// expire removes at most n expired entries, and the earliest ones first.
func (m *model) expire(n int) (removed bool) {
	for range n {
		first := ""
		for key, e := range m.held {
			if !e.expires.After(m.now()) && (first == "" || e.expires.Before(m.held[first].expires)) {
				first = key
			}
		}
		if first == "" {
			return removed
		}
		m.remove(first)
		removed = true
	}
	return removed
}

func (m *model) remove(key string) {
	if e := m.held[key]; e.value == "" && e.expires.After(m.forgotten) {
		m.forgotten = e.expires
	}
	delete(m.held, key)
}

func (m *model) find(key string) *modelEntry {
	if e := m.held[key]; e != nil && !e.expires.After(m.now()) {
		m.remove(key)
	}
	return m.held[key]
}

func (m *model) makeRoom(owner string, entries, bytes int) error {
	for {
		freeEntries, freeBytes, own, ownBytes := m.entries, m.bytes, 0, 0
		for _, e := range m.held {
			size := memstore.KeyLength + len(e.value)
			freeEntries, freeBytes = freeEntries-1, freeBytes-size
			if owner != "" && e.owner == owner {
				own, ownBytes = own+1, ownBytes+size
			}
		}
		var err error
		switch {
		case own > 0 && (entries > 0 && own+entries > freeEntries || ownBytes+bytes > freeBytes):
			err = memstore.ErrShare
		case entries > freeEntries || bytes > freeBytes:
			err = memstore.ErrFull
		}
		if err == nil || !m.expire(1) {
			return err
		}
	}
}

// script runs operations on a Store and on a model, and compares the results.
// Each operation takes five bytes. The clock moves in both directions.
func script(t *testing.T, ops []byte) {
	const entries, bytes = 20, 4000
	clock := testkit.NewClock(start)
	s := memstore.New(memstore.Config{MaxEntries: entries, MaxBytes: bytes, Now: clock.Now})
	m := &model{entries: entries, bytes: bytes, now: clock.Now, held: map[string]*modelEntry{}}
	for i := 0; len(ops) >= 5; i++ {
		op, name, who, size, life := ops[0]%8, ops[1]%40, ops[2]%4, int(ops[3])*int(ops[3])/40, ops[4]%64
		ops = ops[5:]
		k, owner := variant(name), strings.Repeat("o", int(who))
		value := strings.Repeat("v", max(0, size-10))
		// No two expiries are equal, so their order is known.
		expires := clock.Now().Add(time.Duration(int(life)-1)*time.Second + time.Duration(i))
		ctx := expiring.WithOwner(context.Background(), owner)
		switch op {
		case 0, 1, 2:
			added, err := s.Add(ctx, k, []byte(value), expires)
			want, wantErr := m.add(owner, k, value, expires)
			requireSame(t, i, added, want, err, wantErr)
		case 3, 4:
			version := int64(1 + who/3)
			if e := m.held[k]; e != nil && size%8 > 0 {
				version = e.version
			}
			swapped, err := s.Swap(ctx, k, version, []byte(value), expires)
			want, wantErr := m.swap(owner, k, version, value, expires)
			requireSame(t, i, swapped, want, err, wantErr)
		case 5:
			got, version, err := s.Get(ctx, k)
			want, wantVersion := m.get(k)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(want, wantVersion), fmt.Sprint(string(got), version), "operation %d", i)
		case 6:
			clock.Advance(time.Duration(life) * time.Second / 4)
		case 7:
			clock.Advance(-time.Duration(life) * time.Second / 16)
		}
		require.Len(t, m.held, s.Held(), "operation %d", i)
	}
	clock.Advance(1000 * time.Hour)
	require.NoError(t, add(s, "a", "all", bytes-memstore.KeyLength, clock.Now().Add(time.Hour)), "no count has leaked")
}

// variant returns one of 40 keys. Four of them each differ only in the two bits
// by which 43 characters exceed 32 bytes.
func variant(n byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	k := key(fmt.Sprint(n / 4))
	last := len(k) - 1
	return k[:last] + alphabet[strings.IndexByte(alphabet, k[last])+int(n%4):][:1]
}

func requireSame(t *testing.T, i int, got, want bool, err, wantErr error) {
	t.Helper()
	require.Equal(t, want, got, "operation %d", i)
	require.ErrorIs(t, err, wantErr, "operation %d", i)
	require.Equal(t, errors.Is(wantErr, memstore.ErrShare), errors.Is(err, memstore.ErrShare), "operation %d", i)
}

// Whatever several owners do, and however the clock moves, a Store returns what
// a naive model returns. No live entry is lost, and the store has room again
// when all entries have expired.
func TestModel(t *testing.T) {
	for seed := range uint64(100) {
		ops, r := make([]byte, 5000), rand.New(rand.NewPCG(seed, 1))
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		script(t, ops)
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00\x01\x01\x40\x20\x05\x01\x00\x00\x00\x03\x01\x01\x60\x20\x06\x00\x00\x00\x3f"))
	f.Fuzz(func(t *testing.T, ops []byte) { script(t, ops[:min(len(ops), 5000)]) })
}
