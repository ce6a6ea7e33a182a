package authserver

import (
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

// noRules narrow nothing.
var noRules = new(rules.Set)

// rulesOf returns the rules for a client. They are never nil.
func (s *Server) rulesOf(client *profile.ClientMetadata) *rules.Set {
	if s.cfg.ClientRules != nil {
		if set := s.cfg.ClientRules(client); set != nil {
			return set
		}
	}
	if s.cfg.Rules != nil {
		return s.cfg.Rules
	}
	return noRules
}
