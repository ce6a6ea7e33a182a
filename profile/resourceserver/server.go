package resourceserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Server guards an API. It is safe for concurrent use.
type Server struct {
	cfg     Config
	issuers []*issuer
	lookup  *issuer // of tokens without a stated issuer, or nil
	proofs  *dpop.Verifier

	challenge tokenbinding.Challenge
}

// New validates and copies cfg. The error lists every problem.
func New(cfg Config) (*Server, error) {
	cfg.setDefaults()
	s := &Server{cfg: cfg}
	problems := cfg.check()
	for i := range cfg.Issuers {
		checked, err := newIssuer(cfg.Issuers[i], &s.cfg)
		if err != nil {
			problems = append(problems, fmt.Errorf("Issuers[%d]: %w", i, err))
		}
		s.issuers = append(s.issuers, checked)
	}
	urls := cfg.BaseURLs
	if urls == nil && cfg.URLs == nil {
		urls = []string{"https://unknown.invalid"} // without Resource, which is a problem of its own
	}
	var err error
	s.proofs, err = dpop.NewVerifier(dpop.VerifierConfig{
		BaseURLs: urls, URLs: cfg.URLs, Replay: cfg.Replay, Nonces: cfg.Nonces,
		FutureSkew: cfg.FutureSkew, Now: cfg.Hooks.Now,
	})
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, fmt.Errorf("resourceserver: %w", err)
	}
	s.lookup = onlyLookup(s.issuers)
	s.challenge = tokenbinding.Challenge{ // PRM-5-1: for either scheme
		Algorithms: s.proofs.Algorithms(), Realm: cfg.Realm, ResourceMetadata: cfg.ResourceMetadata,
	}
	if cfg.Certificates != nil { // DPOP-7.2-2
		s.challenge.Schemes = []tokenbinding.Scheme{tokenbinding.DPoP, tokenbinding.Bearer}
	}
	return s, nil
}

// onlyLookup returns the only issuer that looks its tokens up, or nil.
func onlyLookup(issuers []*issuer) (only *issuer) {
	for _, i := range issuers {
		switch {
		case i.verifier != nil:
		case only != nil:
			return nil
		default:
			only = i
		}
	}
	return only
}

// Verify checks a request to the API in full: the presentation of the token,
// the token, and the proof of possession with its replay check. The token must
// have all the scopes. A request that fails has no effect. The caller passes
// the error to [Server.WriteError]. [Server.Authorize] does both.
func (s *Server) Verify(r *http.Request, scopes ...string) (*Token, error) {
	var start time.Time
	if s.cfg.Hooks.Observe != nil {
		start = s.cfg.Hooks.Now()
	}
	token, err := s.verify(r, scopes)
	s.observe(r, start, token, err)
	if err != nil {
		return nil, err
	}
	return token, nil
}

// observe reports a request. The token is nil unless it has been verified.
func (s *Server) observe(r *http.Request, start time.Time, token *Token, err error) {
	if s.cfg.Hooks.Observe == nil {
		return
	}
	e := profile.Event{
		Endpoint: "resource", InteractionID: wire.InteractionID(r), Duration: s.cfg.Hooks.Now().Sub(start),
	}
	wire.SetResult(&e, err)
	if token != nil {
		e.Issuer, e.ClientID = token.Issuer(), token.ClientID()
		if e.Binding = "mTLS"; token.Confirmation().JKT != "" {
			e.Binding = "DPoP"
		}
	}
	s.cfg.Hooks.Observe(r.Context(), e)
}

// verify makes the checks of Verify. If one of them fails after the token has
// been verified, it returns the token together with the error.
func (s *Server) verify(r *http.Request, scopes []string) (*Token, error) {
	ctx := r.Context()
	presented, err := tokenbinding.FromRequest(r) // SP-5.3.4-1, SP-5.3.4-2
	if err != nil {
		return nil, err
	}
	issuer, err := s.issuerOf(presented.Token)
	if err != nil {
		return nil, err
	}
	claims, err := issuer.read(ctx, presented.Token) // SP-5.3.4-3, BCP-2.3-2
	if err != nil {
		return nil, err
	}
	token := &Token{claims: claims, issuer: issuer, server: s}
	proof, err := s.checkBinding(r, presented, token) // SP-5.3.4-5
	if err != nil {
		return token, err
	}
	if err := token.CheckScope(scopes...); err != nil { // SP-5.3.4-4, BASE-6750-3.1-1
		return token, err
	}
	if token.Confirmation().JKT != "" {
		if err := s.proofs.Commit(expiring.WithClient(ctx, token.Issuer(), token.ClientID()), proof); err != nil {
			return token, err
		}
	}
	return token, s.archive(ctx, claims)
}

// checkBinding checks that the sender has the key and the certificate that the
// token is bound to. The caller commits the returned proof.
func (s *Server) checkBinding(
	r *http.Request, presented tokenbinding.Presented, token *Token,
) (proof dpop.Proof, err error) {
	binding := token.Confirmation()
	// DPOP-7.2-1: before the proof, so that a bound token as Bearer is rejected
	// in any case.
	if err := binding.CheckScheme(presented.Scheme); err != nil { // CS-18: the scheme in any case
		return proof, err
	}
	var proved tokenbinding.Proof
	// If a cnf has both members, neither a certificate nor a proof replaces the
	// other.
	needed := s.cfg.RequireCertificate || binding.X5TS256 != ""
	if proved.X5TS256, err = s.certificate(r, needed); err != nil {
		return proof, err
	}
	if s.cfg.RequireCertificate && proved.X5TS256 == "" {
		return proof, fmt.Errorf("%w: required with each request", tokenbinding.ErrNoCertificate)
	}
	if binding.JKT != "" {
		// CS-16, DPOP-7.1-2: the checks of the proof itself. AM-5.2: with the
		// next check, the token alone permits nothing.
		if jwt, ok := token.claims.(*accesstoken.Token); ok {
			proof, err = s.proofs.CheckTokenHash(r, jwt.Hash(), binding.JKT)
		} else {
			proof, err = s.proofs.CheckToken(r, presented.Token, binding.JKT)
		}
		if err != nil {
			return proof, err
		}
		proved.JKT = proof.Thumbprint()
	}
	return proof, binding.Check(presented.Scheme, proved) // MTLS-3-3, DPOP-4.3-12b
}

// certificate returns the thumbprint of the certificate of a request. It is
// empty if there is none.
func (s *Server) certificate(r *http.Request, needed bool) (thumbprint string, err error) {
	if s.cfg.Certificates == nil {
		if needed {
			err = fmt.Errorf("%w: certificate-bound tokens are not supported", tokenbinding.ErrNoCertificate)
		}
		return "", err
	}
	// BCP-4.13-1: a forged header is rejected even if the token needs no
	// certificate.
	certificate, err := s.cfg.Certificates.Certificate(r)
	switch {
	case errors.Is(err, tokenbinding.ErrCertificate) && !needed:
		return "", nil
	case errors.Is(err, tokenbinding.ErrCertificate): // MTLS-3-3: like a missing one
		err = fmt.Errorf("%w: %w", tokenbinding.ErrNoCertificate, err)
		err = oautherr.Describe(err, "Client certificate is not valid")
	}
	return certificate.Thumbprint, err
}

// archive records the signed introspection response of a request. It comes
// last, so that a thief of a token without its key cannot fill the archive
// (MS-7-1).
func (s *Server) archive(ctx context.Context, claims tokenClaims) error {
	token, ok := claims.(*introspection.Token)
	if !ok || token.Signed() == "" {
		return nil
	}
	return wire.Archive(ctx, s.cfg.Hooks.Evidence, profile.Evidence{
		Kind: profile.EvidenceIntrospection, ClientID: token.ClientID(), JWT: token.Signed(), Time: s.cfg.Hooks.Now(),
	})
}
