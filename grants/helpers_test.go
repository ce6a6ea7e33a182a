package grants_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	issuer  = "https://as.example.com"
	fintech = "fintech"
	alice   = "alice"
)

var (
	t0   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	year = 365 * 24 * time.Hour
)

// bank is an authorization server's side, with a clock that stands still and a
// log of events.
type bank struct {
	*grants.Manager
	t     testing.TB
	clock *testkit.Clock
	store *faulty
	log   *eventLog

	mu   sync.Mutex
	used int
}

// eventLog is a host's Events. It fails while fail is set.
type eventLog struct {
	mu     sync.Mutex
	events []grants.Event
	fail   error
}

var errDown = errors.New("the audit trail is down")

func (l *eventLog) take(_ context.Context, e grants.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.events = append(l.events, e)
	return nil
}

func (l *eventLog) setFail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *eventLog) all() []grants.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]grants.Event(nil), l.events...)
}

func (l *eventLog) kinds() (kinds []string) {
	for _, e := range l.all() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// deliveries returns the events by version, without repetitions. It checks that
// repeated events are equal and that the first deliveries are in order.
func (l *eventLog) deliveries(t testing.TB) map[int64]grants.Event {
	first, before := map[int64]grants.Event{}, int64(0)
	for _, e := range l.all() {
		if known, ok := first[e.New.Version]; ok {
			require.Equal(t, known, e)
			continue
		}
		if before != 0 {
			require.Equal(t, before+1, e.New.Version, "the first deliveries are in order")
		}
		before = e.New.Version
		first[before] = e
	}
	return first
}

func (l *eventLog) last(t testing.TB) grants.Event {
	all := l.all()
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

// faulty is a store whose calls fail if before or after returns an error: before
// or after they take effect.
type faulty struct {
	grants.Store
	mu            sync.Mutex
	before, after func(verb string) error
	writes        atomic.Int32
}

func (f *faulty) set(before, after func(verb string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) call(verb string, do func() error) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(verb); err != nil {
			return err
		}
	}
	if verb != "Get" {
		f.writes.Add(1)
	}
	if err := do(); err != nil || after == nil {
		return err
	}
	return after(verb)
}

func (f *faulty) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
	err = f.call("Add", func() error { added, err = f.Store.Add(ctx, key, value, expires); return err })
	return added && err == nil, err
}

func (f *faulty) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	err = f.call("Get", func() error { value, version, err = f.Store.Get(ctx, key); return err })
	if err != nil {
		return nil, 0, err
	}
	return value, version, nil
}

func (f *faulty) Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error) {
	err = f.call("Swap", func() error { swapped, err = f.Store.Swap(ctx, key, version, value, expires); return err })
	return swapped && err == nil, err
}

var errStoreDown = errors.New("connection reset")

// failGet is a function for set that fails Get.
func failGet(verb string) error {
	if verb == "Get" {
		return errStoreDown
	}
	return nil
}

// newBank returns a bank. change may change its configuration, or be nil.
func newBank(t testing.TB, change func(*grants.ManagerConfig)) *bank {
	t.Helper()
	b := &bank{t: t, clock: testkit.NewClock(t0), log: new(eventLog)}
	b.store = &faulty{Store: memstore.New(memstore.Config{Now: b.clock.Now})}
	b.Manager = b.process(change)
	return b
}

// granted returns a bank, a grant of fintech and alice for the scope accounts, and
// its authorization ID.
func granted(t testing.TB) (*bank, grants.Grant, string) {
	t.Helper()
	b := newBank(t, nil)
	g, authorization := b.claimed("create", "", scopes("accounts"))
	return b, g, authorization
}

// process returns a manager of another process that shares the store.
func (b *bank) process(change func(*grants.ManagerConfig)) *grants.Manager {
	b.t.Helper()
	cfg := grants.ManagerConfig{Issuer: issuer, Store: b.store, Events: b.log.take, Now: b.clock.Now}
	if change != nil {
		change(&cfg)
	}
	m, err := grants.NewManager(cfg)
	require.NoError(b.t, err)
	return m
}

// id returns an authorization ID that was never used.
func (b *bank) id() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used++
	return fmt.Sprintf("authorization-%06d", b.used)
}

func params(action, grantID string) url.Values {
	v := url.Values{"response_type": {"code"}}
	if action != "" {
		v.Set("grant_management_action", action)
	}
	if grantID != "" {
		v.Set("grant_id", grantID)
	}
	return v
}

// scopes makes an approval by alice for scope values.
func scopes(values string) grants.Approval {
	return grants.Approval{Subject: alice, Scopes: []grants.Scope{{Scope: values}}}
}

// until makes an approval by alice for scope values that ends at a time.
func until(values string, end time.Time) grants.Approval {
	approval := scopes(values)
	approval.Expires = end
	return approval
}

// prepare lets the client's request pass up to the approval.
func (b *bank) prepare(clientID, action, grantID string, approval grants.Approval) (*grants.Change, error) {
	if approval.AuthorizationID == "" {
		approval.AuthorizationID = b.id()
	}
	var change *grants.Change
	err := b.writesNothing(func() error {
		request, err := b.Check(context.Background(), clientID, params(action, grantID))
		if err == nil {
			change, err = b.Prepare(context.Background(), request, approval)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept(b.t, change), nil
}

// kept returns a change that was stored and read as JSON.
func kept(t testing.TB, change *grants.Change) *grants.Change {
	data, err := json.Marshal(change)
	require.NoError(t, err)
	back := new(grants.Change)
	require.NoError(t, json.Unmarshal(data, back))
	return back
}

// prepared is prepare for what must succeed.
func (b *bank) prepared(action, grantID string, approval grants.Approval) *grants.Change {
	b.t.Helper()
	change, err := b.prepare(fintech, action, grantID, approval)
	require.NoError(b.t, err)
	return change
}

// claimed plays the whole dialogue for fintech and returns the grant and the
// authorization ID.
func (b *bank) claimed(action, grantID string, approval grants.Approval) (grants.Grant, string) {
	b.t.Helper()
	change := b.prepared(action, grantID, approval)
	return b.claim(change), change.AuthorizationID()
}

// claim claims a change that must succeed.
func (b *bank) claim(change *grants.Change) grants.Grant {
	b.t.Helper()
	g, err := b.Claim(context.Background(), change)
	require.NoError(b.t, err)
	return g
}

func (b *bank) claimFails(change *grants.Change, want error) error {
	b.t.Helper()
	err := b.writesNothing(func() error { _, err := b.Claim(context.Background(), change); return err })
	require.ErrorIs(b.t, err, want)
	return err
}

// writesNothing checks that a rejected call has not written to the store.
func (b *bank) writesNothing(call func() error) error {
	b.t.Helper()
	before := b.store.writes.Load()
	err := call()
	if err != nil && !errors.Is(err, grants.ErrStore) && !errors.Is(err, grants.ErrEvent) {
		require.Equal(b.t, before, b.store.writes.Load(), "%v", err)
	}
	return err
}

func (b *bank) get(id string) grants.Grant {
	b.t.Helper()
	g, err := b.Get(context.Background(), id)
	require.NoError(b.t, err)
	return g
}

// requireUnknown checks that the store has no grant.
func (b *bank) requireUnknown(id string) {
	b.t.Helper()
	_, err := b.Get(context.Background(), id)
	require.ErrorIs(b.t, err, grants.ErrNotFound)
}

// requireHidden checks that a client does not see a grant.
func (b *bank) requireHidden(clientID, id string) {
	b.t.Helper()
	_, err := b.Query(context.Background(), clientID, id)
	require.ErrorIs(b.t, err, grants.ErrNotFound)
}

// requireCurrent checks that the refresh tokens of an authorization are valid.
func (b *bank) requireCurrent(id, authorizationID string) {
	b.t.Helper()
	_, err := b.CheckRefresh(context.Background(), id, authorizationID)
	require.NoError(b.t, err)
}

// requireEnded checks that the refresh tokens of an authorization have ended.
func (b *bank) requireEnded(id, authorizationID string) {
	b.t.Helper()
	_, err := b.CheckRefresh(context.Background(), id, authorizationID)
	require.ErrorIs(b.t, err, grants.ErrInactive)
	tells(b.t, err, "invalid_grant", 400)
}

// tells checks the wire form of an error.
func tells(t testing.TB, err error, code string, status int) {
	t.Helper()
	gotCode, _, gotStatus := oautherr.From(err)
	require.Equal(t, code, gotCode, "%v", err)
	require.Equal(t, status, gotStatus, "%v", err)
}

func details(t testing.TB, entries ...any) json.RawMessage {
	raw, err := json.Marshal(entries)
	require.NoError(t, err)
	return raw
}
