package granttest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/grants/granttest"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	granttest.TestStore(t, func(*testing.T) grants.Store { return grants.NewMemoryStore(0, nil) })
}

// plain is a store in a map, whose faults a test switches on.
type plain struct {
	mu      sync.Mutex
	entries map[string]plainEntry
	readers sync.Map

	overwrites, ignoresVersion, keepsVersion, races, vague, ignoresExpiry, keepsExpiry, ignoresContext, sharesMemory, foldsCase, trims bool
}

type plainEntry struct {
	value   []byte
	version int64
	expires time.Time
}

func (p *plain) key(key string) string {
	if p.foldsCase {
		return strings.ToLower(key)
	}
	return key
}

func (p *plain) own(value []byte) []byte {
	if p.trims {
		value = []byte(strings.TrimSpace(string(value)))
	}
	if p.sharesMemory {
		return value
	}
	return append([]byte(nil), value...)
}

// get returns a live entry. The caller has the lock.
func (p *plain) get(key string) (plainEntry, bool) {
	e, ok := p.entries[p.key(key)]
	return e, ok && (p.ignoresExpiry || time.Now().Before(e.expires))
}

func (p *plain) put(key string, e plainEntry) {
	if p.entries == nil {
		p.entries = map[string]plainEntry{}
	}
	e.value = p.own(e.value)
	p.entries[p.key(key)] = e
}

func (p *plain) enter(ctx context.Context) error {
	p.mu.Lock()
	if p.ignoresContext {
		return nil
	}
	return ctx.Err()
}

func (p *plain) Create(ctx context.Context, key string, value []byte, expires time.Time) error {
	err := p.enter(ctx)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	if _, ok := p.get(key); ok && !p.overwrites {
		return grants.ErrExists
	}
	p.put(key, plainEntry{value, 1, expires})
	return nil
}

func (p *plain) Get(ctx context.Context, key string) ([]byte, int64, error) {
	err := p.enter(ctx)
	defer p.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	e, ok := p.get(key)
	switch {
	case ok:
		return p.own(e.value), e.version, nil
	case p.vague:
		return nil, 0, errors.New("no rows")
	}
	return nil, 0, grants.ErrNotFound
}

func (p *plain) Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error {
	err := p.enter(ctx)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	e, ok := p.get(key)
	if p.races && ok { // as if two had read before one wrote
		_, second := p.readers.LoadOrStore(key, true)
		ok = second || e.version == version
		version = e.version
	}
	if !ok || e.version != version && !p.ignoresVersion {
		return grants.ErrConflict
	}
	if !p.keepsVersion {
		e.version++
	}
	if p.keepsExpiry {
		expires = e.expires
	}
	p.put(key, plainEntry{value, e.version, expires})
	return nil
}

func TestTheKitFindsFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		store *plain
		want  string // a check that has to fail; "" for none
	}{
		{"a faultless store passes", &plain{}, ""},
		{"a Create that overwrites", &plain{overwrites: true}, "a key that exists is ErrExists and stays as it is"},
		{"an Update that looks at no version", &plain{ignoresVersion: true}, "an update of another version is ErrConflict and changes nothing"},
		{"an Update that counts nothing", &plain{keepsVersion: true}, "an update replaces the value and counts the version up"},
		{"a read followed by a write", &plain{races: true}, "one of 64 updates of a version wins"},
		{"an error of its own for no entry", &plain{vague: true}, "an unknown key is ErrNotFound, and ErrConflict to an update"},
		{"keys compared without case", &plain{foldsCase: true}, "entries are apart, keys differing in case too"},
		{"values kept as text", &plain{trims: true}, "any bytes come back as they were"},
		{"values kept by reference", &plain{sharesMemory: true}, "store and caller share no memory"},
		{"no expiry", &plain{ignoresExpiry: true}, "an entry expires on its own"},
		{"no look at the expiry on creating", &plain{ignoresExpiry: true}, "an entry that was expired when created is not found"},
		{"the first expiry for good", &plain{keepsExpiry: true}, "an update moves the expiry"},
		{"no look at the context", &plain{ignoresContext: true}, "a cancelled context is an error and changes nothing"},
	}
	failing := make([][]string, len(cases))
	testkit.Hammer(len(cases), func(i int) { failing[i] = granttest.Failing(t.Context(), cases[i].store) })
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				require.Empty(t, failing[i])
				return
			}
			require.Contains(t, failing[i], tc.want)
		})
	}
}
