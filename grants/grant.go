package grants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// States of a grant.
const (
	active  = "active"
	revoked = "revoked"
	expired = "expired"
)

// Values of updated_by (GM-6.4-6).
const (
	byClient = "client"
	byServer = "authorization_server"
)

// A Grant is the set of permissions that a user has given to a client. A
// [Manager] returns copies, which callers may change.
//
// A [Client] fills the fields that the server's response contains: ID, Status,
// Scopes, Claims, AuthorizationDetails, the three times, UpdatedBy and Extra.
type Grant struct {
	// ID has 43 characters of base64url. It is not a secret: a request that
	// names it is authorized by a token.
	ID string `json:"id"`
	// ClientID is the client that created the grant. Subject is the user.
	ClientID string `json:"client_id"`
	Subject  string `json:"subject"`
	// Scopes, Claims and AuthorizationDetails are the permissions: scopes with
	// their resources, names of OpenID Connect claims, and a JSON array of
	// objects (RFC 9396).
	Scopes               []Scope         `json:"scopes,omitempty"`
	Claims               []string        `json:"claims,omitempty"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	// Status is "active", "revoked" or "expired". The last two are final.
	Status string `json:"status"`
	// CreatedAt, UpdatedAt and ExpiresAt are in whole seconds. At ExpiresAt all
	// permissions end. No token of the grant may live longer.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"last_updated_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// UpdatedBy is "client" or "authorization_server".
	UpdatedBy string `json:"updated_by"`
	// Version counts the changes. It is 1 after the creation. Each change has
	// an [Event].
	Version int64 `json:"version"`
	// Data is a JSON value of the host that clients do not see, for example the
	// identifier of a consent in another system.
	Data json.RawMessage `json:"data,omitempty"`
	// Extra has the additional members of the response to a query, as defined
	// by an ecosystem (§6.4).
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
	// History has the latest 32 changes, the oldest first.
	History []Transition `json:"history,omitempty"`
}

// A Scope is an entry of the scopes of a grant: scope values and the resources
// for which they were granted (RFC 8707).
type Scope struct {
	// Scope has scope values, separated by spaces. It may be empty if Resource
	// is not.
	Scope string `json:"scope,omitempty"`
	// Resource has absolute URIs. If it is empty, the scope values are not
	// limited to a resource.
	Resource []string `json:"resource,omitempty"`
}

// A Transition is one change in the history of a grant.
type Transition struct {
	Kind    string    `json:"kind"`    // as in Event
	By      string    `json:"by"`      // a client ID, or "authorization_server"
	Time    time.Time `json:"time"`    // of the change
	Version int64     `json:"version"` // of the grant after the change
}

const maxHistory = 32

// ScopeValues returns the scope values that are permitted at every one of the
// resources, sorted and without duplicates. Values that are not limited to a
// resource are included. Without resources it returns the values of all
// entries.
//
// A token with several audiences permits each of its scope values at each of
// them. Call ScopeValues with the audience of the token, so that the token does
// not permit more than the user has granted.
func (g Grant) ScopeValues(resources ...string) []string {
	permitted, anywhere := make(map[string][]string), make(map[string]bool)
	for _, s := range g.Scopes {
		for _, name := range strings.Fields(s.Scope) {
			permitted[name] = append(permitted[name], s.Resource...)
			anywhere[name] = anywhere[name] || len(s.Resource) == 0
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(permitted)), func(name string) bool {
		missing := func(resource string) bool { return !slices.Contains(permitted[name], resource) }
		return !anywhere[name] && slices.ContainsFunc(resources, missing)
	})
}

// Resources returns the resources of all entries, sorted and without
// duplicates.
func (g Grant) Resources() []string {
	var resources []string
	for _, s := range g.Scopes {
		resources = append(resources, s.Resource...)
	}
	slices.Sort(resources)
	return slices.Compact(resources)
}

// String returns the ID and the status, without personal data.
func (g Grant) String() string { return fmt.Sprintf("grant %.64q (%s)", g.ID, g.Status) }

// GoString returns String.
func (g Grant) GoString() string { return g.String() }

// LogValue returns String for package log/slog.
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }

// clone shares no memory with g.
func (g Grant) clone() Grant {
	g.Scopes = slices.Clone(g.Scopes)
	for i := range g.Scopes {
		g.Scopes[i].Resource = slices.Clone(g.Scopes[i].Resource)
	}
	g.Claims = slices.Clone(g.Claims)
	g.AuthorizationDetails = bytes.Clone(g.AuthorizationDetails)
	g.Data = bytes.Clone(g.Data)
	g.Extra = maps.Clone(g.Extra)
	for name, value := range g.Extra {
		g.Extra[name] = bytes.Clone(value)
	}
	g.History = slices.Clone(g.History)
	return g
}

// at returns g with its status at an instant. Expiry does not need a write.
func (g Grant) at(now time.Time) Grant {
	if g.Status == active && !now.Before(g.ExpiresAt) {
		g.Status = expired
	}
	return g
}

// step records a change in the version, the times and the history.
func (g *Grant) step(kind, by string, now time.Time) {
	g.Version++
	if g.UpdatedAt.Before(now) { // the clock of this process may be behind
		g.UpdatedAt = now
	}
	g.UpdatedBy = byClient
	if by == byServer {
		g.UpdatedBy = byServer
	}
	g.History = append(g.History, Transition{Kind: kind, By: by, Time: now, Version: g.Version})
	g.History = slices.Clone(g.History[max(0, len(g.History)-maxHistory):])
}
