package authserver

import (
	"errors"
	"slices"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

// ResourceServer returns the guard of an API in the same process. It looks tokens up where they are kept, JWTs and opaque
// ones alike, and sees a revocation at once; otherwise it is one of [resourceserver.New]. Issuer, Keys, Revoked,
// Introspection and Tokens of cfg follow from the server and have to be left out. Logger and Now are the server's own unless cfg has
// others.
func (s *Server) ResourceServer(cfg resourceserver.Config) (*resourceserver.Server, error) {
	if cfg.Issuer != "" || cfg.Keys != nil || cfg.Revoked != nil || cfg.Introspection != nil || cfg.Tokens != nil {
		return nil, errors.New("authserver: resource server: Issuer, Keys, Revoked, Introspection and Tokens are those of the authorization server")
	}
	if !slices.Contains(s.cfg.Resources, cfg.Resource) { // no token would ever be for it
		return nil, errors.New("authserver: resource server: Resource is not among the Resources of the authorization server")
	}
	cfg.Issuer, cfg.Tokens = s.cfg.Issuer, s.liveToken
	if cfg.Logger == nil {
		cfg.Logger = s.cfg.Logger
	}
	if cfg.Now == nil {
		cfg.Now = s.cfg.Now
	}
	return resourceserver.New(cfg)
}
