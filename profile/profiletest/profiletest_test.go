package profiletest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/stretchr/testify/require"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	t.Run("codes", func(t *testing.T) {
		t.Parallel()
		profiletest.TestCodeStore(t, func(*testing.T) authserver.CodeStore { return authserver.NewMemoryStore(0, nil) })
	})
	t.Run("refresh tokens", func(t *testing.T) {
		t.Parallel()
		profiletest.TestRefreshStore(t, func(*testing.T) authserver.RefreshStore { return authserver.NewMemoryStore(0, nil) })
	})
	t.Run("revocations", func(t *testing.T) {
		t.Parallel()
		profiletest.TestRevocationStore(t, func(*testing.T) authserver.RevocationStore { return authserver.NewMemoryStore(0, nil) })
	})
}

// What does not fit is refused; nothing that is there is lost for it.
func TestMemoryStoreIsBounded(t *testing.T) {
	t.Parallel()
	ctx, store, later := t.Context(), authserver.NewMemoryStore(2, nil), time.Now().Add(time.Hour)
	require.NoError(t, store.Save(ctx, "a", []byte("a"), later))
	require.NoError(t, store.Save(ctx, "b", nil, later))
	require.Error(t, store.Save(ctx, "c", nil, later))
	require.Error(t, store.Save(ctx, "a", []byte("other"), later), "a key is not saved twice")
	value, err := store.Load(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "a", string(value))
	require.NoError(t, store.Revoke(ctx, "g1", later), "values do not take the room of revocations")
	require.NoError(t, store.Revoke(ctx, "g2", later))
	require.Error(t, store.Revoke(ctx, "g3", later))
	require.NoError(t, store.Revoke(ctx, "g1", later.Add(time.Hour)), "a known one needs no room")
	revoked, err := store.Revoked(ctx, "g1")
	require.NoError(t, err)
	require.True(t, revoked)
}

type entry struct {
	value    []byte
	expires  time.Time
	redeemed bool
}

// plain is a store in maps, whose faults a test switches on.
type plain struct {
	mu      sync.Mutex
	entries map[string]entry
	revoked map[string]time.Time
	readers sync.Map

	ignoresExpiry, ignoresContext, sharesMemory, foldsCase, vague, trims, truncates         bool
	loadRedeems, redeemDeletes, redeemRepeats, redeemRaces, redeemCreates, redeemImmortal   bool
	forgetsRevocations, overwritesRevocations, keepsRevocations, refusesSecond, endsTooSoon bool
}

func (p *plain) key(key string) string {
	if p.foldsCase {
		return strings.ToLower(key)
	}
	return key
}

func (p *plain) lock(ctx context.Context) error {
	p.mu.Lock()
	if !p.ignoresContext && ctx.Err() != nil {
		p.mu.Unlock()
		return ctx.Err()
	}
	if p.entries == nil {
		p.entries, p.revoked = map[string]entry{}, map[string]time.Time{}
	}
	return nil
}

func (p *plain) Save(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.mu.Unlock()
	if !p.sharesMemory {
		value = append([]byte(nil), value...)
	}
	if p.trims {
		value = []byte(strings.TrimSpace(string(value)))
	}
	if p.truncates {
		value = value[:min(len(value), 16<<10)]
	}
	p.entries[p.key(key)] = entry{value: value, expires: expires}
	return nil
}

func (p *plain) get(key string) (entry, error) {
	e, ok := p.entries[p.key(key)]
	alive := time.Now().Before(e.expires) || p.ignoresExpiry || p.redeemImmortal && e.redeemed
	if ok && alive {
		return e, nil
	}
	if p.vague {
		return entry{}, errors.New("no rows")
	}
	return entry{}, authserver.ErrNotFound
}

func (p *plain) Load(ctx context.Context, key string) ([]byte, error) {
	if err := p.lock(ctx); err != nil {
		return nil, err
	}
	defer p.mu.Unlock()
	e, err := p.get(key)
	if err != nil {
		return nil, err
	}
	if p.loadRedeems {
		p.entries[p.key(key)] = entry{e.value, e.expires, true}
	}
	if p.sharesMemory {
		return e.value, nil
	}
	return append([]byte(nil), e.value...), nil
}

func (p *plain) Redeem(ctx context.Context, key string) (bool, error) {
	if err := p.lock(ctx); err != nil {
		return false, err
	}
	defer p.mu.Unlock()
	e, err := p.get(key)
	if err != nil && p.redeemCreates { // an upsert
		p.entries[p.key(key)] = entry{expires: time.Now().Add(time.Hour), redeemed: true}
	}
	if err != nil {
		return false, err
	}
	if p.redeemDeletes {
		delete(p.entries, p.key(key))
		return true, nil
	}
	first := !e.redeemed || p.redeemRepeats
	if p.redeemRaces { // as if two had read before one wrote
		_, second := p.readers.LoadOrStore(key, true)
		e.redeemed = second
	} else {
		e.redeemed = true
	}
	p.entries[p.key(key)] = e
	return first, nil
}

func (p *plain) Revoke(ctx context.Context, id string, until time.Time) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.mu.Unlock()
	known, ok := p.revoked[p.key(id)]
	switch {
	case p.forgetsRevocations:
		return nil
	case ok && p.refusesSecond:
		return errors.New("UNIQUE constraint failed")
	case ok && p.keepsRevocations, ok && !p.overwritesRevocations && known.After(until):
		return nil
	}
	if p.endsTooSoon {
		until = until.Truncate(time.Second).Add(-time.Second)
	}
	p.revoked[p.key(id)] = until
	return nil
}

func (p *plain) Revoked(ctx context.Context, id string) (bool, error) {
	if err := p.lock(ctx); err != nil {
		return false, err
	}
	defer p.mu.Unlock()
	until, ok := p.revoked[p.key(id)]
	return ok && time.Now().Before(until), nil
}

type fault struct {
	name  string
	store *plain
	want  string // a check that has to fail; "" for none
}

// find runs the checks for all stores at once.
func find(t *testing.T, failing func(*plain) []string, faults []fault) {
	found := make([][]string, len(faults))
	var done sync.WaitGroup
	for i := range faults {
		done.Go(func() { found[i] = failing(faults[i].store) })
	}
	done.Wait()
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if f.want == "" {
				require.Empty(t, found[i])
				return
			}
			require.Contains(t, found[i], f.want)
		})
	}
}

func TestTheKitFindsFaults(t *testing.T) {
	t.Parallel()
	find(t, func(p *plain) []string { return profiletest.FailingCodes(t.Context(), p) }, []fault{
		{"a faultless store passes", &plain{}, ""},
		{"an error of its own for no entry", &plain{vague: true}, "an unknown key is ErrNotFound"},
		{"keys compared without case", &plain{foldsCase: true}, "entries are apart, keys differing in case too"},
		{"values kept as text", &plain{trims: true}, "any bytes come back as they were"},
		{"values cut off", &plain{truncates: true}, "64 KiB come back as they were"},
		{"values kept by reference", &plain{sharesMemory: true}, "store and caller share no memory"},
		{"no expiry", &plain{ignoresExpiry: true}, "an entry expires on its own"},
		{"no look at the expiry on saving", &plain{ignoresExpiry: true}, "an entry that was expired when saved is not found"},
		{"no look at the context", &plain{ignoresContext: true}, "a cancelled context is an error"},
		{"no look at the context on redeeming", &plain{ignoresContext: true}, "a cancelled context is an error and redeems nothing"},
		{"a Load that redeems", &plain{loadRedeems: true}, "a load redeems nothing"},
		{"a Redeem that deletes", &plain{redeemDeletes: true}, "a code is redeemed once, and loaded still"},
		{"a Redeem that repeats", &plain{redeemRepeats: true}, "a code is redeemed once, and loaded still"},
		{"a read followed by a write", &plain{redeemRaces: true}, "one of 64 redemptions is the first"},
		{"a Redeem that creates", &plain{redeemCreates: true}, "redeeming an unknown key is ErrNotFound"},
		{"a Redeem that takes away the expiry", &plain{redeemImmortal: true}, "a redeemed code expires when it would have"},
		{"redeemed keys compared without case", &plain{foldsCase: true}, "redeeming one code leaves others alone"},
	})
}

func TestTheKitFindsFaultsOfRevocations(t *testing.T) {
	t.Parallel()
	find(t, func(p *plain) []string { return profiletest.FailingRevocations(t.Context(), p) }, []fault{
		{"a faultless store passes", &plain{}, ""},
		{"no memory", &plain{forgetsRevocations: true}, "a grant is revoked from then on"},
		{"a unique key", &plain{refusesSecond: true}, "to revoke again is no error"},
		{"the last word counts", &plain{overwritesRevocations: true}, "to revoke again never shortens"},
		{"the first word counts", &plain{keepsRevocations: true}, "to revoke again lengthens"},
		{"a grant too many", &plain{foldsCase: true}, "grants are apart, IDs differing in case too"},
		{"a unique key, at once", &plain{refusesSecond: true}, "64 revocations at once all count"},
		{"times rounded down", &plain{endsTooSoon: true}, "a revocation may be forgotten in time and not before"},
		{"no look at the context", &plain{ignoresContext: true}, "a cancelled context is an error and revokes nothing"},
	})
}
