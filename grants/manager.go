package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The actions of §5.2 and §7.1.
const (
	actionCreate  = "create"
	actionMerge   = "merge"
	actionReplace = "replace"
	actionQuery   = "query"
	actionRevoke  = "revoke"
	actionUpdate  = "update" // what merge was called in 2021
)

const (
	defaultLifetime = 365 * 24 * time.Hour
	maxLifetime     = 10 * defaultLifetime
	defaultAccess   = time.Hour
	maxAccess       = 24 * time.Hour
	defaultClaim    = 5 * time.Minute
	maxClaim        = time.Hour
	defaultKept     = 30 * 24 * time.Hour
	maxKept         = maxLifetime
)

// ManagerConfig configures a [Manager].
type ManagerConfig struct {
	// Issuer is the authorization server's issuer identifier. Grants of several issuers can share a store. Required.
	Issuer string
	// Store keeps the grants; nil means a new MemoryStore, which is right for a single process that may forget them all.
	Store Store
	// Actions are those offered, for grant_management_actions_supported: of "create", "merge", "replace", "query" and
	// "revoke". nil means all five.
	Actions []string
	// ActionRequired refuses authorization requests without grant_management_action.
	ActionRequired bool
	// AcceptUpdate takes "update", as the draft of 2021 had it, for "merge".
	AcceptUpdate bool

	// Sector returns what clients have in common that share their grants, such as the host of a sector identifier; "" for a
	// client that shares none, and for one that is not known. nil: no client shares. Called concurrently.
	Sector func(clientID string) string
	// MergeDetails unites the authorization details of a grant with those newly consented, by the rules of their types: that is
	// where an ecosystem says what "the same" is (§8.2). Both are JSON arrays of objects, and not both []. It must not give
	// more than was consented, must depend on its arguments alone, and may be called several times for one merge. nil: both
	// lists one after the other, entries that are the same JSON once. Called concurrently.
	MergeDetails func(existing, added json.RawMessage) (json.RawMessage, error)
	// Events is told of each change, see [Event]. An error from it makes the operation fail with [ErrEvent]. nil: nobody is
	// told, and access tokens live on until they expire. Called concurrently, for one grant of one process never.
	Events func(ctx context.Context, e Event) error

	// Lifetime is how long a grant lasts whose approval does not say, and the most that one can say, counted from the
	// approval. Default 365 days, at most ten times that.
	Lifetime time.Duration
	// AccessTokenLifetime is the most that an access token lives. Default 1 hour, at most 24.
	AccessTokenLifetime time.Duration
	// ClaimTime is how long after the approval tokens can be claimed: the code's own life and some more, to hear of replays.
	// Default 5 minutes, at most an hour.
	ClaimTime time.Duration
	// Retention is how long a grant is kept, with its history and its events that are to be delivered, after it has ended.
	// Default 30 days, at most ten years.
	Retention time.Duration
	// Now is the clock; nil means time.Now. Called concurrently.
	Now func() time.Time
}

// A Manager keeps the grants of one authorization server. Safe for concurrent use; several processes may each have one on a
// shared store.
type Manager struct {
	cfg   ManagerConfig
	locks keyLocks
}

// NewManager checks and copies cfg.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Store == nil {
		cfg.Store = NewMemoryStore(0, cfg.Now)
	}
	if v := reflect.ValueOf(cfg.Store); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("grants: Store is a nil %T", cfg.Store)
	}
	if cfg.Issuer == "" || strings.ContainsRune(cfg.Issuer, ' ') || !utf8.ValidString(cfg.Issuer) {
		return nil, errors.New("grants: Issuer is empty, or has a space in it")
	}
	all := []string{actionCreate, actionMerge, actionReplace, actionQuery, actionRevoke}
	if cfg.Actions == nil {
		cfg.Actions = all
	}
	cfg.Actions = slices.Clone(cfg.Actions)
	for i, action := range cfg.Actions {
		if !slices.Contains(all, action) || slices.Contains(cfg.Actions[:i], action) {
			return nil, fmt.Errorf("grants: Actions is %q: unknown or twice: %q", cfg.Actions, action)
		}
	}
	// A grant that nobody can create is never there for the other four.
	if !slices.Contains(cfg.Actions, actionCreate) {
		return nil, fmt.Errorf("grants: Actions is %q, without create", cfg.Actions)
	}
	if cfg.AcceptUpdate && !slices.Contains(cfg.Actions, actionMerge) {
		return nil, errors.New("grants: AcceptUpdate without merge among the Actions")
	}
	if cfg.MergeDetails == nil {
		cfg.MergeDetails = uniteDetails
	}
	for _, d := range []struct {
		name          string
		value         *time.Duration
		usual, atMost time.Duration
	}{
		{"Lifetime", &cfg.Lifetime, defaultLifetime, maxLifetime},
		{"AccessTokenLifetime", &cfg.AccessTokenLifetime, defaultAccess, maxAccess},
		{"ClaimTime", &cfg.ClaimTime, defaultClaim, maxClaim},
		{"Retention", &cfg.Retention, defaultKept, maxKept},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Second || *d.value > d.atMost {
			return nil, fmt.Errorf("grants: %s is %v, not 1s to %v", d.name, *d.value, d.atMost)
		}
	}
	return &Manager{cfg: cfg, locks: keyLocks{held: make(map[string]*keyLock)}}, nil
}

// Actions returns the actions offered, for grant_management_actions_supported (§7.1).
func (m *Manager) Actions() []string { return slices.Clone(m.cfg.Actions) }

// ActionRequired is what grant_management_action_required says (§7.1).
func (m *Manager) ActionRequired() bool { return m.cfg.ActionRequired }

func (m *Manager) offers(action string) bool { return slices.Contains(m.cfg.Actions, action) }

// now is in whole seconds, as a grant's times are.
func (m *Manager) now() time.Time { return m.cfg.Now().UTC().Truncate(time.Second) }

// A Request is what an authorization request asks for by its grant management parameters. The zero Request asks for
// nothing. Others come from [Manager.Check] alone.
type Request struct {
	clientID, action, grantID string
}

// IsZero says that nothing is asked for: the request is not about grant management.
func (r Request) IsZero() bool { return r.action == "" }

// Action returns "create", "merge" or "replace", or "".
func (r Request) Action() string { return r.action }

// GrantID returns the grant to be changed, "" for a new one.
func (r Request) GrantID() string { return r.grantID }

// String names the action and the grant.
func (r Request) String() string {
	return fmt.Sprintf("grant management request %q %q", r.action, r.grantID)
}

// Check reads grant_management_action and grant_id among the parameters of an authorization request, however it has come
// (pushed, or in a signed request object), and checks all that can be known before a user is there (§5.4). clientID is
// the client that has authenticated, 1 to 255 bytes; a public one, which has merely named itself, has none.
//
// It changes nothing, and is to be called for each sight of the request: when it is pushed, and again when the browser
// comes with it, since the grant may be gone by then. It returns [ErrRequest], [ErrClient], [ErrGrantID] or [ErrStore].
func (m *Manager) Check(ctx context.Context, clientID string, params url.Values) (Request, error) {
	for _, name := range []string{"grant_management_action", "grant_id"} {
		if len(params[name]) > 1 {
			return Request{}, fmt.Errorf("%w: %s is repeated", ErrRequest, name)
		}
	}
	// GM-5.2-1: nothing here depends on which way the parameters have come.
	action, id := params.Get("grant_management_action"), params.Get("grant_id")
	if action == actionUpdate && m.cfg.AcceptUpdate {
		action = actionMerge
	}
	switch {
	case action == "" && id != "": // GM-5.4-3
		return Request{}, fmt.Errorf("%w: grant_id without grant_management_action", ErrRequest)
	case action == "" && m.cfg.ActionRequired: // GM-5.4-5
		return Request{}, fmt.Errorf("%w: no grant_management_action", ErrRequest)
	case action == "":
		return Request{}, nil
	case clientID == "" || len(clientID) > 255 || !utf8.ValidString(clientID): // GM-5.1-1
		return Request{}, fmt.Errorf("%w: a client ID of %d bytes", ErrClient, len(clientID))
	case action != actionCreate && action != actionMerge && action != actionReplace, // query and revoke are no requests of a user
		!m.offers(action): // GM-5.4-4, GM-5.2-3
		return Request{}, fmt.Errorf("%w: grant_management_action %.64q", ErrRequest, action)
	case action == actionCreate && id != "": // GM-5.4-2
		return Request{}, fmt.Errorf("%w: grant_id with create", ErrRequest)
	case action != actionCreate && id == "": // GM-5.2-4: invalid_request, as for every other parameter that is missing
		return Request{}, fmt.Errorf("%w: %s without grant_id", ErrRequest, action)
	}
	request := Request{clientID: clientID, action: action, grantID: id}
	if _, err := m.existing(ctx, request); err != nil {
		return Request{}, err
	}
	return request, nil
}

// Existing returns the grant that a request wants to change, for the page on which the user decides, and checks that it is
// this user's (§5.4): known only after the login, so the error [ErrGrantID] goes to the client in the authorization
// response. For create it returns the zero Grant.
func (m *Manager) Existing(ctx context.Context, request Request, subject string) (Grant, error) {
	g, err := m.existing(ctx, request)
	if err != nil || g.ID == "" {
		return Grant{}, err
	}
	if g.Subject != subject { // GM-5.4-1
		return Grant{}, fmt.Errorf("%w: another user's", ErrGrantID)
	}
	return g, nil
}

// existing loads the grant of a request and checks that it is alive and this client's.
func (m *Manager) existing(ctx context.Context, request Request) (Grant, error) {
	if request.grantID == "" {
		return Grant{}, nil
	}
	r, _, err := m.load(ctx, request.grantID)
	if errors.Is(err, ErrNotFound) { // GM-5.4-1, GM-5.2-2
		return Grant{}, fmt.Errorf("%w: %w", ErrGrantID, err)
	}
	if err != nil {
		return Grant{}, err
	}
	g := r.Grant.at(m.now())
	switch {
	case !m.owns(request.clientID, g): // GM-5.2-2, GM-10-1
		return Grant{}, fmt.Errorf("%w: another client's", ErrGrantID)
	case g.Status != active:
		return Grant{}, fmt.Errorf("%w: %s", ErrGrantID, g.Status)
	}
	return g, nil
}

// owns says whether a client may name a grant: its own, or one of its sector's (GM-8.1-1). Sectors are compared as they are
// now, so that clients can join one later.
func (m *Manager) owns(clientID string, g Grant) bool {
	if clientID == "" {
		return false
	}
	if clientID == g.ClientID {
		return true
	}
	if m.cfg.Sector == nil {
		return false
	}
	sector := m.cfg.Sector(clientID)
	return sector != "" && sector == m.cfg.Sector(g.ClientID)
}
