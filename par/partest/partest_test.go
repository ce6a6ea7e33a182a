package partest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/par/partest"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	partest.TestStore(t, func(*testing.T) par.Store { return par.NewMemoryStore(0) })
}

// plain is a store in a map, whose faults a test switches on.
type plain struct {
	mu      sync.Mutex
	values  map[string][]byte
	expires map[string]time.Time

	readers sync.Map

	forgetful, ignoresExpiry, ignoresContext, sharesMemory, foldsCase, keepsConsumed, vague, trims, races bool
}

func (p *plain) key(key string) string {
	if p.foldsCase {
		return strings.ToLower(key)
	}
	return key
}

func (p *plain) Save(ctx context.Context, key string, value []byte, expires time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ignoresContext && ctx.Err() != nil {
		return ctx.Err()
	}
	if !p.sharesMemory {
		value = append([]byte(nil), value...)
	}
	if p.trims {
		value = []byte(strings.TrimSpace(string(value)))
	}
	if p.values == nil {
		p.values, p.expires = map[string][]byte{}, map[string]time.Time{}
	}
	p.values[p.key(key)], p.expires[p.key(key)] = value, expires
	return nil
}

func (p *plain) get(ctx context.Context, key string, remove bool) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ignoresContext && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	value, ok := p.values[p.key(key)]
	if !ok || !p.ignoresExpiry && !time.Now().Before(p.expires[p.key(key)]) {
		if p.vague {
			return nil, errors.New("no rows")
		}
		return nil, par.ErrNotFound
	}
	if remove {
		delete(p.values, p.key(key))
	}
	if p.sharesMemory {
		return value, nil
	}
	return append([]byte(nil), value...), nil
}

func (p *plain) Load(ctx context.Context, key string) ([]byte, error) {
	return p.get(ctx, key, p.forgetful)
}

func (p *plain) Consume(ctx context.Context, key string) ([]byte, error) {
	if p.races { // as if two had read before one deleted
		_, second := p.readers.LoadOrStore(key, true)
		return p.get(ctx, key, second)
	}
	return p.get(ctx, key, !p.keepsConsumed)
}

func TestTheKitFindsFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		store *plain
		want  string // a check that has to fail; "" for none
	}{
		{"a faultless store passes", &plain{}, ""},
		{"a Load that removes", &plain{forgetful: true}, "an entry is loaded as often as one likes"},
		{"a Consume that keeps", &plain{keepsConsumed: true}, "an entry is consumed once"},
		{"a read followed by a delete", &plain{races: true}, "one of 64 consumers wins"},
		{"an error of its own for no entry", &plain{vague: true}, "an unknown key is ErrNotFound"},
		{"keys compared without case", &plain{foldsCase: true}, "entries are apart, keys differing in case too"},
		{"values kept as text", &plain{trims: true}, "any bytes come back as they were"},
		{"values kept by reference", &plain{sharesMemory: true}, "store and caller share no memory"},
		{"no expiry", &plain{ignoresExpiry: true}, "an entry expires on its own"},
		{"no look at the expiry on saving", &plain{ignoresExpiry: true}, "an entry that was expired when saved is not found"},
		{"no look at the context", &plain{ignoresContext: true}, "a cancelled context is an error and consumes nothing"},
	}
	failing := make([][]string, len(cases))
	testkit.Hammer(len(cases), func(i int) { failing[i] = partest.Failing(t.Context(), cases[i].store) })
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
