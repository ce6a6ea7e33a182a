package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Actions (§5.2, §7.1).
const (
	actionCreate  = "create"
	actionMerge   = "merge"
	actionReplace = "replace"
	actionQuery   = "query"
	actionRevoke  = "revoke"
	actionUpdate  = "update" // the name of merge in the draft of 2021
)

const (
	day             = 24 * time.Hour
	defaultLifetime = 365 * day
	maxLifetime     = 10 * defaultLifetime
)

// ManagerConfig configures a [Manager]. Its functions are called concurrently.
type ManagerConfig struct {
	// Issuer is the issuer identifier of the authorization server. Grants of
	// several issuers can share a store. Required.
	Issuer string
	// Store keeps the grants. If nil, they are kept in the memory of this
	// process, with a share for each client, and are lost when it ends.
	Store Store
	// Index lists the grants of a user for [Manager.List], and pending events
	// for [Manager.DeliverPending]. If nil, Store is used if it has the methods
	// of an Index. A wrapper of the Store may hide them; then set Index as
	// well.
	Index Index
	// Actions are the supported actions: "create", "merge", "replace", "query"
	// and "revoke". "create" is required. If nil, all five are supported.
	Actions []string
	// ActionRequired rejects authorization requests without
	// grant_management_action.
	ActionRequired bool
	// AcceptUpdate accepts "update" as another name of "merge", as in the draft
	// of 2021.
	AcceptUpdate bool

	// Sector returns a name that clients have in common if they share their
	// grants, for example the host of a sector identifier. It returns "" for
	// other clients and for unknown ones. If nil, clients do not share grants.
	Sector func(clientID string) string
	// MergeDetails returns the union of the authorization details of a grant
	// and those newly granted, by the rules of their types (§8.2). Both are
	// JSON arrays of objects, and at most one is empty. It must not permit more
	// than the user has granted and must depend only on its arguments. One
	// merge may call it several times. If nil, the result has the entries of
	// both, without duplicates.
	MergeDetails func(existing, added json.RawMessage) (json.RawMessage, error)
	// EndAccess revokes the access tokens of authorizations, those of
	// [Event].EndedAccess. It is called after each change and before Events. An
	// event that fails, or that an earlier one holds up, does not delay it. It
	// may be called again for the same authorizations. If it returns an error,
	// the operation fails with [ErrEvent]. If nil, Events revokes them.
	EndAccess func(ctx context.Context, authorizationIDs []string) error
	// Events receives each change, see [Event]. If it returns an error, the
	// operation fails with [ErrEvent]. A revocation succeeds nevertheless if
	// there are EndAccess and an Index: [Manager.DeliverPending] repeats the
	// event. For one grant, Events is not called concurrently by one process.
	// It must return when ctx ends. If both are nil, access tokens live until
	// they expire.
	Events func(ctx context.Context, e Event) error

	// Lifetime is the longest lifetime of a grant, from its approval, and the
	// default. If 0, it is 365 days. The maximum is 3,650 days.
	Lifetime time.Duration
	// AccessTokenLifetime is the longest lifetime of an access token. The
	// default is 1 hour, the maximum 24 hours.
	AccessTokenLifetime time.Duration
	// ClaimTime is the time from an approval to the end of its code, with some
	// more time to detect replays. The default is 5 minutes, the maximum 1
	// hour.
	ClaimTime time.Duration
	// Retention is the time for which an ended grant is kept, with its history
	// and its undelivered events. The default is 30 days, the maximum 3,650
	// days.
	Retention time.Duration
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Manager manages the grants of one authorization server. It is safe for
// concurrent use. Several processes may each have a Manager on a shared store.
type Manager struct {
	cfg   ManagerConfig
	locks keyLocks
	swept cursor
}

// NewManager checks and copies cfg. It reports all problems at once.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf("grants: "+format, args...)) }
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Store == nil {
		cfg.Store = newMemory(cfg.Now)
	}
	for name, part := range map[string]any{"Store": cfg.Store, "Index": cfg.Index} {
		if v := reflect.ValueOf(part); v.Kind() == reflect.Pointer && v.IsNil() {
			problem("%s is a nil %T", name, part)
		}
	}
	if cfg.Index == nil {
		cfg.Index, _ = cfg.Store.(Index)
	}
	if cfg.Issuer == "" || strings.ContainsRune(cfg.Issuer, ' ') || !utf8.ValidString(cfg.Issuer) {
		problem("malformed Issuer %q, want text without spaces", cfg.Issuer)
	}
	all := []string{actionCreate, actionMerge, actionReplace, actionQuery, actionRevoke}
	if cfg.Actions == nil {
		cfg.Actions = all
	}
	cfg.Actions = slices.Clone(cfg.Actions)
	for i, action := range cfg.Actions {
		if !slices.Contains(all, action) || slices.Contains(cfg.Actions[:i], action) {
			problem("unknown or repeated action %q in Actions", action)
		}
	}
	if !slices.Contains(cfg.Actions, actionCreate) { // the other four need a grant
		problem("missing create in Actions %q", cfg.Actions)
	}
	if cfg.AcceptUpdate && !slices.Contains(cfg.Actions, actionMerge) {
		problem("AcceptUpdate without merge in Actions %q", cfg.Actions)
	}
	if cfg.MergeDetails == nil {
		cfg.MergeDetails = uniteDetails
	}
	for _, d := range []struct {
		name       string
		value      *time.Duration
		usual, max time.Duration
	}{
		{"Lifetime", &cfg.Lifetime, defaultLifetime, maxLifetime},
		{"AccessTokenLifetime", &cfg.AccessTokenLifetime, time.Hour, day},
		{"ClaimTime", &cfg.ClaimTime, 5 * time.Minute, time.Hour},
		{"Retention", &cfg.Retention, 30 * day, maxLifetime},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Second || *d.value > d.max {
			problem("%s of %v, want 1s to %v", d.name, *d.value, d.max)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg, locks: keyLocks{held: make(map[string]*keyLock)}}, nil
}

// Actions returns the supported actions, for grant_management_actions_supported
// (§7.1).
func (m *Manager) Actions() []string { return slices.Clone(m.cfg.Actions) }

// ActionRequired returns the value of grant_management_action_required (§7.1).
func (m *Manager) ActionRequired() bool { return m.cfg.ActionRequired }

func (m *Manager) supports(action string) bool { return slices.Contains(m.cfg.Actions, action) }

// now returns the time in whole seconds, like the times of a grant.
func (m *Manager) now() time.Time { return m.cfg.Now().UTC().Truncate(time.Second) }

// owns reports whether a client may name a grant: its own, or one of its sector
// (GM-8.1-1). It compares the sectors of now, so that clients can join later.
func (m *Manager) owns(clientID string, g Grant) bool {
	switch {
	case clientID == "":
		return false
	case clientID == g.ClientID:
		return true
	case m.cfg.Sector == nil:
		return false
	}
	sector := m.cfg.Sector(clientID)
	return sector != "" && sector == m.cfg.Sector(g.ClientID)
}
