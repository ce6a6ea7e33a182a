package authserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/grants"
)

// grantsResource returns the resource identifier of the grant management
// endpoint: its URL, as the metadata has it. It is empty without grant
// management.
func (s *Server) grantsResource() string {
	if s.cfg.Grants == nil {
		return ""
	}
	return s.endpoint(s.cfg.Endpoints.Grants)
}

// ownResources returns the resources that this server serves itself.
func (s *Server) ownResources() []string {
	if s.cfg.Grants == nil {
		return nil
	}
	return []string{s.grantsResource()}
}

func isGrantScope(scope string) bool { return scope == scopeGrantQuery || scope == scopeGrantRevoke }

// isResource reports whether tokens of this server may be meant for target.
func (s *Server) isResource(target string) bool {
	return slices.Contains(s.cfg.Resources, target) || target != "" && target == s.grantsResource()
}

// requestedTargets checks the resource parameters of a request for scopes. The
// grant management endpoint and the scopes of grant management require each
// other. Without these scopes a token for the endpoint permits nothing, and at
// other resource servers these scopes mean nothing (AT-2.2.3-1).
func (s *Server) requestedTargets(resources, scopes []string) ([]string, error) {
	allowed := s.cfg.Resources
	own := s.grantsResource()
	if slices.ContainsFunc(scopes, isGrantScope) {
		allowed = append(slices.Clone(allowed), own)
		if !slices.Contains(resources, own) {
			return nil, fmt.Errorf("%w: those of grant management are for the resource %q", ErrScope, own)
		}
	}
	return s.targets(resources, allowed)
}

// targetsOfScope returns the targets of a token at which a scope has a meaning
// (RI-2.2-2). The scope openid is for this server itself and is independent of
// the audience.
func (s *Server) targetsOfScope(scope string, targets []string) []string {
	own, others := s.split(targets)
	switch {
	case isGrantScope(scope):
		return own
	case scope == scopeOpenID:
		return targets
	}
	return others
}

// scopesAt returns those scopes that mean something at one of the targets.
func (s *Server) scopesAt(scopes, targets []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return len(s.targetsOfScope(scope, targets)) == 0
	})
}

// split divides the targets of a token into the grant management endpoint and
// the resource servers. Either may be empty.
func (s *Server) split(targets []string) (own, others []string) {
	if s.cfg.Grants == nil || !slices.Contains(targets, s.grantsResource()) {
		return nil, targets
	}
	for _, target := range targets {
		if target == s.grantsResource() {
			own = append(own, target)
		} else {
			others = append(others, target)
		}
	}
	return own, others
}

// grantScopes returns the entries of a grant for the permissions of one
// authorization. It includes an entry without scopes, because a merge must not
// remove a resource that the user has granted.
func (s *Server) grantScopes(g grant) []grants.Scope {
	entry := func(targets []string) grants.Scope {
		return grants.Scope{Scope: strings.Join(s.scopesAt(g.Scopes, targets), " "), Resource: targets}
	}
	var entries []grants.Scope
	own, others := s.split(g.Targets)
	// An entry without scopes too: a merge must not close what the user has
	// opened.
	if len(others) > 0 {
		entries = append(entries, entry(others))
	}
	if len(own) > 0 {
		entries = append(entries, entry(own))
	}
	return entries
}
