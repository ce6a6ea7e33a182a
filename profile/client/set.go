package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	defaultSetRefresh  = time.Hour
	defaultSetMaxStale = 24 * time.Hour
	shortestSetRefresh = time.Minute
	longestSetMaxStale = 7 * 24 * time.Hour
)

// ErrUnknownServer means that a [Set] has no client of the authorization
// server.
var ErrUnknownServer = errors.New("client: unknown authorization server")

// A Set contains the clients of one application at several authorization
// servers. It discovers a server when the application first uses it. A server
// that is down therefore does not prevent the start, and other servers are not
// affected.
//
// The set fetches the metadata of a server again when they become old. All
// clients and token sources of the set then use the new metadata. If fetching
// fails, the old metadata are used until MaxStale. The set fetches again after
// one second, and after twice as long each time, up to one minute. The clock is
// Hooks.Now of each Config. Keys are fetched as in every [Client].
//
// If the issuer in the metadata has changed, no new login begins at that
// server, because another party may control its address. Unfinished logins and
// existing tokens continue with the old metadata until MaxStale.
//
// A Set has no goroutines except one for each running fetch, which lasts at
// most 30 seconds. It fetches nothing for servers that are not used.
//
// The zero value is an empty set. Do not change the fields after the first Put.
// The methods are safe for concurrent use.
type Set struct {
	// Refresh is the age at which the set fetches the metadata of a server
	// again. The fetch begins at a random time in the last fifth of that age,
	// and the old metadata are used while it runs. The default is 1 hour, the
	// minimum 1 minute.
	Refresh time.Duration
	// MaxStale is the longest time for which metadata are used after they were
	// fetched. It bridges an outage of the server. The default is 24 hours, or
	// Refresh if that is longer. The maximum is 7 days.
	MaxStale time.Duration
	// Report receives each failed fetch of metadata. It must not block. If nil,
	// nothing is reported. [Hooks].Observe also receives an event for each
	// fetch.
	Report func(ctx context.Context, issuer string, err error)

	mu      sync.RWMutex
	servers map[string]*renewal // by issuer
}

// times returns Refresh and MaxStale with their defaults.
func (s *Set) times() (refresh, maxStale time.Duration, err error) {
	refresh = cmp.Or(s.Refresh, defaultSetRefresh)
	maxStale = cmp.Or(s.MaxStale, max(defaultSetMaxStale, refresh))
	if refresh < shortestSetRefresh || maxStale < refresh || maxStale > longestSetMaxStale {
		err = fmt.Errorf("client: set: Refresh %v and MaxStale %v, want %v <= Refresh <= MaxStale <= %v",
			refresh, maxStale, shortestSetRefresh, longestSetMaxStale)
	}
	return refresh, maxStale, err
}

// Put adds the client of cfg, or replaces the client with the same Issuer, for
// example to rotate its key. It sends no request. The next use discovers the
// server. The handlers of the set use the new client at once. Clients and token
// sources that the application obtained before keep the old configuration. The
// error reports all problems of cfg, or a field of the set that is outside its
// limits. The set is then unchanged.
func (s *Set) Put(cfg Config) error {
	refresh, maxStale, err := s.times()
	if err != nil {
		return err
	}
	configured, err := configure(cfg)
	if err != nil {
		return err
	}
	server := &renewal{template: configured, refresh: refresh, maxStale: maxStale, report: s.Report}
	configured.shared.renewal = server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers = make(map[string]*renewal)
	}
	s.servers[cfg.Issuer] = server
	return nil
}

// Remove removes the client of an issuer. Unfinished logins at that server fail
// with [ErrUnknownServer]. Token sources that the application obtained before
// continue. Remove returns false if the set has no such client.
func (s *Set) Remove(issuer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.servers[issuer]
	delete(s.servers, issuer)
	return ok
}

// Issuers returns the issuers of the set in alphabetical order.
func (s *Set) Issuers() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.servers))
}

// Client returns the client of an issuer. It discovers the server if the set
// has no metadata of it, or only metadata older than MaxStale. All callers then
// wait for the same request, until their own context ends. After a failure,
// Client returns the same error without a request until the next attempt is
// due.
//
// The application may keep the client, which follows the metadata of the
// server. The error matches [ErrUnknownServer], or is one that [New] returns
// for the server: [profile.ErrDiscovery] if the server does not respond.
func (s *Set) Client(ctx context.Context, issuer string) (*Client, error) {
	server := s.server(issuer)
	if server == nil { // the issuer may come from a browser
		return nil, fmt.Errorf("%w %.200q", ErrUnknownServer, issuer)
	}
	return server.client(ctx)
}

func (s *Set) server(issuer string) *renewal {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.servers[issuer]
}

// known reports whether Client returns without waiting for a discovery.
func (s *Set) known(ctx context.Context, issuer string) bool {
	server := s.server(issuer)
	if server == nil {
		return true
	}
	c, _, _ := server.look(ctx, false)
	return c != nil
}
