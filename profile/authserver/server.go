package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// Limits of SP-5.3.2.1-11 and SP-5.3.2.2-12, and the defaults.
const (
	maxCodeLifetime = 60 * time.Second

	// A redeemed code is remembered for this long, so that a late replay still
	// revokes what was issued for it.
	codeMemory = 10 * time.Minute

	// The maximum of package accesstoken.
	maxAccessLifetime = 24 * time.Hour

	// A revocation is remembered for as long as a refresh token lives; "for
	// ever" would overflow and be never.
	maxRefreshLifetime = 10 * 365 * 24 * time.Hour
)

// A Server serves pushed authorization requests, the authorization endpoint and
// those for tokens under the FAPI 2.0 Security Profile. It is safe for
// concurrent use.
type Server struct {
	cfg  Config
	keys *refresh.Value[*keyring]

	clients     *clientauth.Verifier
	pushProofs  *dpop.Verifier
	tokenProofs *dpop.Verifier
	requests    *par.Server
	objects     *jar.Verifier
	userInfo    *resourceserver.Server // guards that endpoint; nil without it
	grants      *grants.Manager        // nil without grant management
	grantAPI    http.Handler
	remoteKeys  *remoteKeys
	stores      stores
}

// New checks and copies cfg. The error lists everything that is wrong with it.
func New(cfg Config) (*Server, error) {
	spans := cfg.checkSpans()
	cfg.setDefaults()
	asked := cfg.Hooks.Now()
	keys, err := cfg.firstKeys()
	if err != nil {
		err = fmt.Errorf("authserver: %w", err)
	}
	if err := errors.Join(cfg.check(), spans, err); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:        cfg,
		remoteKeys: newRemoteKeys(cfg.JWKSClient, cfg.Hooks.Now, cfg.Hooks.Logger),
		stores:     newStores(cfg.Store, cfg.Hooks.Now),
	}
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	keep(s.newKeys(keys, asked))
	s.objects, err = jar.NewVerifier(jar.VerifierConfig{
		Issuer: cfg.Issuer, Replay: cfg.Replay, FutureSkew: wire.FutureSkew, Now: cfg.Hooks.Now,
	})
	keep(err)
	s.clients, err = clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: cfg.Issuer, Lookup: s.lookup, Replay: cfg.Replay, ClientCAs: cfg.clientCAs(),
		MaxLifetime: cfg.Lifetimes.Assertion, FutureSkew: wire.FutureSkew, Now: cfg.Hooks.Now,
	})
	keep(err)
	s.requests, err = par.NewServer(par.ServerConfig{
		Check: s.checkRequest, Issuer: cfg.Issuer, Store: cfg.Store,
		Lifetime: cfg.Lifetimes.Request, Now: cfg.Hooks.Now,
	})
	keep(err)
	s.pushProofs, err = s.newProofs(cfg.Endpoints.PushedAuthorizationRequest)
	keep(err)
	s.tokenProofs, err = s.newProofs(cfg.Endpoints.Token)
	keep(err)
	keep(s.newUserInfo())
	keep(s.newGrants())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("authserver: %w", err)
	}
	metadata := s.Metadata()
	if _, err := json.Marshal(metadata); err != nil { // what Config.Metadata has added
		return nil, fmt.Errorf("authserver: %w", err)
	}
	if err := metadata.CheckPublished(); err != nil { // clients would reject other metadata
		return nil, fmt.Errorf("authserver: %w", err)
	}
	return s, nil
}

// endpoint is the external URL of the path p. BCP-2.5-1: never from the
// request's Host.
func (s *Server) endpoint(p string) string {
	return strings.TrimSuffix(s.cfg.Issuer, "/") + p
}
