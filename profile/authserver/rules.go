package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/tokenbinding"
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
	return s.cfg.rules()
}

// rules returns the rules for clients without rules of their own. They are
// never nil.
func (cfg *Config) rules() *rules.Set {
	if cfg.Rules != nil {
		return cfg.Rules
	}
	return noRules
}

// rulesIn is rulesOf for a client whose registration was read in this context.
// All checks of one request then see the same rules.
func (s *Server) rulesIn(ctx context.Context, client *profile.ClientMetadata) *rules.Set {
	if known, ok := ctx.Value(registrationKey{s}).(*registration); ok {
		if found := known.found.Load(); found != nil && found.client == client {
			return found.rules
		}
	}
	return s.rulesOf(client)
}

// profileUnder returns the parts of Message Signing that the server or the
// rules require.
func (cfg *Config) profileUnder(set *rules.Set) profile.Profile {
	return cfg.Profile | set.Profile()
}

// only returns the values of a fresh slice that a rule permits.
func only(values []string, permits func(list []string, value string) bool, list []string) []string {
	return slices.DeleteFunc(values, func(value string) bool { return !permits(list, value) })
}

// violation is an error about a value that the rules do not permit.
func violation(sentinel error, set *rules.Set, name, value string, permitted []string) error {
	err := fmt.Errorf("%w: %s %.64q, want one of %q (rules %.64s)", sentinel, name, value, permitted, set.Name)
	return oautherr.Describe(err, fmt.Sprintf("the rules %.64s do not permit this %s", set.Name, name))
}

// checkSender checks how an authenticated client has sent its request to an
// endpoint.
func (s *Server) checkSender(r *http.Request, from *sender, endpoint string) error {
	set := from.rules
	switch method := from.auth.Method(); {
	case !rules.Permits(set.ClientAuthentication, method):
		return violation(clientauth.ErrMethod, set, "client authentication method", method, set.ClientAuthentication)
	case from.certificate.Thumbprint == "" && slices.Contains(set.MutualTLS, endpoint):
		err := fmt.Errorf("%w: missing at %s (rules %.64s)", clientauth.ErrCertificate, endpoint, set.Name)
		return oautherr.Describe(err, "a client certificate is required here")
	case set.InteractionIDs == wire.RequireInteractionIDs && wire.InteractionID(r) == "":
		return wire.ErrInteractionID
	}
	return nil
}

// requiresCertificates reports whether every client must present a certificate
// at an endpoint.
func (cfg *Config) requiresCertificates(endpoint string) bool {
	return cfg.ClientRules == nil && slices.Contains(cfg.rules().MutualTLS, endpoint)
}

// checkTokenSender checks how a client has sent its request with an access
// token to an endpoint.
func (s *Server) checkTokenSender(r *http.Request, set *rules.Set, endpoint string) error {
	if set.InteractionIDs == wire.RequireInteractionIDs && wire.InteractionID(r) == "" {
		return wire.ErrInteractionID
	}
	if !slices.Contains(set.MutualTLS, endpoint) {
		return nil
	}
	certificate, err := s.certificate(r)
	if errors.Is(err, clientauth.ErrCertificate) || err == nil && certificate.Thumbprint == "" {
		return fmt.Errorf("%w: missing at %s (rules %.64s)", tokenbinding.ErrNoCertificate, endpoint, set.Name)
	}
	return err
}

// checkBinding checks the registered binding of a client. A token that is bound
// to a certificate may be bound to a key as well.
func checkBinding(set *rules.Set, client *profile.ClientMetadata) error {
	binding := "DPoP"
	if client.TLSClientCertificateBoundAccessTokens {
		binding = "mTLS"
	}
	if !rules.Permits(set.Bindings, binding) {
		return violation(ErrClientNotAllowed, set, "binding of access tokens", binding, set.Bindings)
	}
	return nil
}

// checkRegistration checks that the rules permit the registration of a client
// that requests authorization.
func (s *Server) checkRegistration(set *rules.Set, client *profile.ClientMetadata) error {
	if !rules.Permits(set.ClientAuthentication, client.TokenEndpointAuthMethod) {
		return violation(ErrClientNotAllowed, set, "token_endpoint_auth_method", client.TokenEndpointAuthMethod,
			set.ClientAuthentication)
	}
	if err := checkBinding(set, client); err != nil {
		return err
	}
	return s.checkRefreshRules(set, client)
}

// checkProof checks the algorithm and the key of a verified proof.
func checkProof(set *rules.Set, proof dpop.Proof) error {
	if !jose.Accepts(set.Algorithms.For(nil), proof.Algorithm()) {
		return violation(dpop.ErrAlgorithm, set, "algorithm of DPoP proofs", proof.Algorithm(), set.Algorithms.For(nil))
	}
	if !jose.HasRSABits(proof.PublicKey(), set.Algorithms.RSABits) {
		err := fmt.Errorf("%w: RSA key of fewer than %d bits (rules %.64s)", dpop.ErrKey,
			set.Algorithms.RSABits, set.Name)
		return oautherr.Describe(err, "the key of the DPoP proof is too small")
	}
	return nil
}

// checkEncrypted checks the registration of a client for encrypted responses.
func checkEncrypted(set *rules.Set, rule rules.Encrypted, w wanted) error {
	switch {
	case w.alg == "" && rule.Required:
		return violation(ErrClientNotAllowed, set, w.member+"_alg", "", rule.Algorithms)
	case w.alg == "":
		return nil
	case !rules.Permits(rule.Algorithms, w.alg):
		return violation(ErrClientNotAllowed, set, w.member+"_alg", w.alg, rule.Algorithms)
	case !rules.Permits(rule.ContentEncryptions, w.contentEncryption()):
		return violation(ErrClientNotAllowed, set, w.member+"_enc", w.contentEncryption(), rule.ContentEncryptions)
	}
	return nil
}
