package grants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// What a grant may be.
const (
	active  = "active"
	revoked = "revoked"
	expired = "expired"
)

// Who changed a grant last, as updated_by has it (GM-6.4-6).
const (
	byClient = "client"
	byServer = "authorization_server"
)

// A Grant is what a user has permitted a client. A [Manager] returns copies, which callers may change.
//
// A [Client] returns it as well, filled with what the server has said: ID, Scopes, Claims, AuthorizationDetails, the three
// times, UpdatedBy and Extra, where present.
type Grant struct {
	// ID is public, and no secret: whoever names it has to be authorized besides. 43 characters of base64url.
	ID string `json:"id"`
	// ClientID is the client that created the grant, Subject the user, as the host calls them.
	ClientID string `json:"client_id"`
	Subject  string `json:"subject"`
	// Scopes, Claims and AuthorizationDetails are the permissions, all of them consented: scopes with the resources that they
	// are for, names of OpenID Connect claims, and a JSON array of objects (RFC 9396).
	Scopes               []Scope         `json:"scopes,omitempty"`
	Claims               []string        `json:"claims,omitempty"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	// Status is "active", "revoked" or "expired". The last two are final.
	Status string `json:"status"`
	// CreatedAt, UpdatedAt and ExpiresAt are in whole seconds. From ExpiresAt on nothing is permitted: no token that was issued
	// for the grant may last longer.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"last_updated_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// UpdatedBy is "client" or "authorization_server".
	UpdatedBy string `json:"updated_by"`
	// Version counts the changes: 1 after the creation. Each has an [Event].
	Version int64 `json:"version"`
	// Data is the host's own, a JSON value that no client sees: the identifier of a consent elsewhere, say.
	Data json.RawMessage `json:"data,omitempty"`
	// Extra are further members of the answer to a query, for what an ecosystem has agreed on (GM-6.4-7).
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
	// History has the latest 32 changes, oldest first.
	History []Transition `json:"history,omitempty"`
}

// A Scope is an entry of the scopes of a grant: some scope values, and the resources that they are for (RFC 8707).
type Scope struct {
	// Scope has one or more scope values, separated by spaces. It may be empty if there are resources.
	Scope string `json:"scope,omitempty"`
	// Resource has absolute URIs. Empty: the values are for no resource in particular.
	Resource []string `json:"resource,omitempty"`
}

// A Transition is a line of a grant's history.
type Transition struct {
	Kind    string    `json:"kind"` // as of an [Event]
	By      string    `json:"by"`   // a client ID, or "authorization_server"
	Time    time.Time `json:"time"`
	Version int64     `json:"version"` // of the grant afterwards
}

const maxHistory = 32

// ScopeValues returns the scope values that are permitted at each of the resources, once and in order: those that are for no
// resource in particular, and those that are for all of these. Without resources it returns the values of all entries.
//
// A token for several resources permits each of its values at each of them, which may be more than was consented: call this
// with the token's audience.
func (g Grant) ScopeValues(resources ...string) []string {
	var everywhere, values []string
	places := make(map[string]bool) // of a value and a resource
	for _, s := range g.Scopes {
		names := scopeValues(s.Scope)
		switch {
		case len(s.Resource) == 0 || len(resources) == 0:
			everywhere = append(everywhere, names...)
		default:
			for _, name := range names {
				for _, resource := range resources {
					if slices.Contains(s.Resource, resource) {
						places[name+" "+resource] = true
					}
				}
			}
			values = append(values, names...)
		}
	}
	for _, name := range values {
		missing := func(resource string) bool { return !places[name+" "+resource] }
		if !slices.ContainsFunc(resources, missing) {
			everywhere = append(everywhere, name)
		}
	}
	slices.Sort(everywhere)
	return slices.Compact(everywhere)
}

// Resources returns the resources of all entries, each once and in order.
func (g Grant) Resources() []string {
	var resources []string
	for _, s := range g.Scopes {
		resources = append(resources, s.Resource...)
	}
	slices.Sort(resources)
	return slices.Compact(resources)
}

// String names the grant and its status, and nothing about the user.
func (g Grant) String() string { return fmt.Sprintf("grant %.64q (%s)", g.ID, g.Status) }

// GoString is String.
func (g Grant) GoString() string { return g.String() }

// LogValue is String for slog.
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

// at returns g as it is at an instant: expiry needs no write.
func (g Grant) at(now time.Time) Grant {
	if g.Status == active && !now.Before(g.ExpiresAt) {
		g.Status = expired
	}
	return g
}

// step enters a change into the grant's books.
func (g *Grant) step(kind, by string, now time.Time) {
	g.Version++
	if g.UpdatedAt.Before(now) { // of several clocks one may be behind
		g.UpdatedAt = now
	}
	g.UpdatedBy = byClient
	if by == byServer {
		g.UpdatedBy = byServer
	}
	g.History = append(g.History, Transition{Kind: kind, By: by, Time: now, Version: g.Version})
	if len(g.History) > maxHistory {
		g.History = slices.Clone(g.History[len(g.History)-maxHistory:])
	}
}
