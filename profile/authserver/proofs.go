package authserver

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// newProofs returns a verifier of proofs for the endpoint at a path.
func (s *Server) newProofs(path string) (*dpop.Verifier, error) {
	return dpop.NewVerifier(dpop.VerifierConfig{
		URLs: s.urlsOf(path), Replay: s.cfg.Replay, Nonces: s.cfg.Nonces,
		FutureSkew: wire.FutureSkew, Now: s.cfg.Hooks.Now,
	})
}

// newGuard returns a resource server for an endpoint that takes access tokens
// of this server. If all clients have the same rules, the guard applies those
// for certificates before it consumes the proof.
func (s *Server) newGuard(
	endpoint, path string,
	tokens func(context.Context, string) (resourceserver.Claims, error),
	urls func(*http.Request) ([]*url.URL, error),
) (*resourceserver.Server, error) {
	return resourceserver.New(resourceserver.Config{
		Resource: s.endpoint(path), Issuers: []resourceserver.Issuer{{ID: s.cfg.Issuer, Tokens: tokens}},
		URLs: urls, Certificates: s.cfg.certificates(), InteractionIDs: s.cfg.InteractionIDs,
		RequireCertificate: s.cfg.requiresCertificates(endpoint),
		Replay:             s.cfg.Replay, Nonces: s.cfg.Nonces, FutureSkew: wire.FutureSkew,
		Hooks: resourceserver.Hooks{Observe: s.guardObserver(), Logger: s.cfg.Hooks.Logger, Now: s.cfg.Hooks.Now},
	})
}

// urlsOf returns the URLs of an endpoint: its own and its alias for mutual TLS.
// The proof selects one of them. The Host header does not (BCP-2.5-1).
func (s *Server) urlsOf(path string) func(*http.Request) ([]*url.URL, error) {
	urls, err := s.endpointURLs(path)
	return func(*http.Request) ([]*url.URL, error) { return urls, err }
}

// urlsBelow returns the URLs of a request below an endpoint. The path of the
// request follows the path of the endpoint.
func (s *Server) urlsBelow(path string) func(*http.Request) ([]*url.URL, error) {
	return func(r *http.Request) ([]*url.URL, error) { return s.endpointURLs(path + r.URL.EscapedPath()) }
}

func (s *Server) endpointURLs(path string) ([]*url.URL, error) {
	u, err := url.Parse(s.endpoint(path))
	if err != nil || s.cfg.aliasURL(path) == "" {
		return []*url.URL{u}, err
	}
	alias, err := url.Parse(s.cfg.aliasURL(path))
	return []*url.URL{u, alias}, err
}
