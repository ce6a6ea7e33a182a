package authserver

import (
	"errors"
	"slices"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

// ResourceServer returns the guard of an API in the same process. It accepts
// the tokens of this server, JWTs and opaque ones, and a revocation takes
// effect at once. It differs from the result of [resourceserver.New] in nothing
// else. Issuers of cfg must be nil. If Replay, Hooks.Logger or Hooks.Now is
// nil, that of the server is used. SeveralInstances of the server applies too,
// and so do Rules that require certificates at resource servers.
func (s *Server) ResourceServer(cfg resourceserver.Config) (*resourceserver.Server, error) {
	if cfg.Issuers != nil {
		return nil, errors.New("authserver: resource server: unexpected Issuers")
	}
	if !slices.Contains(s.cfg.Resources, cfg.Resource) { // no token would ever be for it
		return nil, errors.New("authserver: resource server: Resource not among Resources of the authorization server")
	}
	cfg.Issuers = []resourceserver.Issuer{{ID: s.cfg.Issuer, Tokens: s.liveToken}}
	if cfg.Replay == nil && s.cfg.Replay != nil { // otherwise each process would accept a used proof once
		cfg.Replay = s.cfg.Replay
	}
	cfg.RequireCertificate = cfg.RequireCertificate || s.cfg.requiresCertificates("resource")
	cfg.SeveralInstances = cfg.SeveralInstances || s.cfg.SeveralInstances
	if cfg.Hooks.Logger == nil {
		cfg.Hooks.Logger = s.cfg.Hooks.Logger
	}
	if cfg.Hooks.Now == nil {
		cfg.Hooks.Now = s.cfg.Hooks.Now
	}
	return resourceserver.New(cfg)
}
