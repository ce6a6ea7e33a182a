package authserver_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/store"
)

var errDown = errors.New("db: connection refused by 10.1.2.3")

// A spyStore is the store of a server. A test observes and fails its calls by
// their names, for example "add code", "get refresh token" or "swap request".
// Get calls it "get unknown" if the key was never added.
type spyStore struct {
	store.Store
	by     map[string]store.Store             // the stores of some kinds
	before func(call string) error            // if it returns an error, the call has no effect
	lost   func(call string) error            // fails a write that took effect
	tamper func(kind string, v []byte) []byte // changes what Get returns

	mu    sync.Mutex
	kinds map[string]string
}

func newSpy(now func() time.Time) *spyStore {
	return &spyStore{Store: memstore.New(memstore.Config{Now: now}), kinds: make(map[string]string)}
}

// kindOf tells a kind by the form of its values.
func kindOf(value []byte) string {
	has := func(text string) bool { return bytes.Contains(value, []byte(text)) }
	switch {
	case len(value) == 0:
		return "replay"
	case len(value) == 10 && bytes.Trim(value, "0123456789") == nil:
		return "revocation"
	case has(`"kind":"code"`):
		return "code"
	case has(`"params":`):
		return "request"
	case has(`"jti":`):
		return "access token"
	case has(`"kind":"refresh"`):
		return "refresh token"
	}
	return "grant"
}

func (s *spyStore) call(verb, kind string) (store.Store, error) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(verb + " " + kind); err != nil {
			return nil, err
		}
	}
	if to := s.by[kind]; to != nil {
		return to, nil
	}
	return s.Store, nil
}

func (s *spyStore) wrote(call string, done bool, err error) (bool, error) {
	if done && err == nil && s.lost != nil {
		err = s.lost(call)
	}
	return done && err == nil, err
}

func (s *spyStore) kind(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind := s.kinds[key]; kind != "" {
		return kind
	}
	return "unknown"
}

func (s *spyStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	kind := kindOf(value)
	to, err := s.call("add", kind)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	s.kinds[key] = kind
	s.mu.Unlock()
	added, err := to.Add(ctx, key, value, expires)
	return s.wrote("add "+kind, added, err)
}

func (s *spyStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	kind := s.kind(key)
	to, err := s.call("get", kind)
	if err != nil {
		return nil, 0, err
	}
	value, version, err := to.Get(ctx, key)
	if version > 0 && s.tamper != nil {
		value = s.tamper(kind, value)
	}
	return value, version, err
}

func (s *spyStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	kind := s.kind(key)
	to, err := s.call("swap", kind)
	if err != nil {
		return false, err
	}
	swapped, err := to.Swap(ctx, key, version, value, expires)
	return s.wrote("swap "+kind, swapped, err)
}

// fail makes the n-th of some calls fail, and all that follow it.
func (s *spyStore) fail(n int, calls ...string) {
	s.before = func(call string) error {
		for _, c := range calls {
			if c == call {
				if n--; n <= 0 {
					return errDown
				}
			}
		}
		return nil
	}
}

func (s *spyStore) recover() { s.before = nil }
