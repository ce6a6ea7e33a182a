package profile

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/dpop"
)

// endpointProofs checks the proofs of requests to one endpoint, which may have an alias besides its URL. Which of the two a
// request was sent to is told by its proof and not by its Host header: both are ours, so either will do.
type endpointProofs struct {
	*dpop.Verifier
	alias *dpop.Verifier // nil: there is none
}

func (s *AuthorizationServer) newEndpointProofs(path string) (*endpointProofs, error) {
	return s.newProofs(path, func(external *url.URL, _ *http.Request) (*url.URL, error) { return external, nil })
}

// newProofsBelow is newEndpointProofs for an endpoint below which everything has a URL of its own. The path of the request is
// what comes after the endpoint's.
func (s *AuthorizationServer) newProofsBelow(path string) (*endpointProofs, error) {
	return s.newProofs(path, func(external *url.URL, r *http.Request) (*url.URL, error) {
		return url.Parse(external.String() + r.URL.EscapedPath())
	})
}

func (s *AuthorizationServer) newProofs(path string, target func(external *url.URL, r *http.Request) (*url.URL, error)) (*endpointProofs, error) {
	verifier := func(endpoint string) (*dpop.Verifier, error) {
		external, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		return dpop.NewVerifier(dpop.VerifierConfig{
			URL:    func(r *http.Request) (*url.URL, error) { return target(external, r) },
			Replay: s.cfg.Proofs, Nonces: s.cfg.Nonces, FutureSkew: futureSkew, Now: s.cfg.Now,
		})
	}
	p := &endpointProofs{}
	var err error
	if p.Verifier, err = verifier(s.endpoint(path)); err != nil || s.cfg.MTLSBaseURL == "" {
		return p, err
	}
	p.alias, err = verifier(strings.TrimSuffix(s.cfg.MTLSBaseURL, "/") + path)
	return p, err
}

// Check is that of a dpop.Verifier, for both URLs. A proof is committed by the first verifier in any case, so that one store
// knows all.
func (p *endpointProofs) Check(r *http.Request) (dpop.Proof, error) {
	return p.either(func(v *dpop.Verifier) (dpop.Proof, error) { return v.Check(r) })
}

// CheckToken is that of a dpop.Verifier in the same way.
func (p *endpointProofs) CheckToken(r *http.Request, accessToken, thumbprint string) (dpop.Proof, error) {
	return p.either(func(v *dpop.Verifier) (dpop.Proof, error) { return v.CheckToken(r, accessToken, thumbprint) })
}

func (p *endpointProofs) either(check func(v *dpop.Verifier) (dpop.Proof, error)) (dpop.Proof, error) {
	proof, err := check(p.Verifier)
	if p.alias != nil && errors.Is(err, dpop.ErrURL) {
		if other, aliasErr := check(p.alias); !errors.Is(aliasErr, dpop.ErrURL) {
			return other, aliasErr
		}
	}
	return proof, err
}
