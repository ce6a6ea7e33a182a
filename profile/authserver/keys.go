package authserver

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// complete returns a key with the default KeyID and Algorithm.
func complete(k profile.SigningKey) (_ profile.SigningKey, err error) {
	if wire.IsNil(k.Key) {
		return k, errors.New("missing Key")
	}
	public := k.Key.Public()
	if k.Algorithm == "" {
		if k.Algorithm, err = jose.AlgorithmFor(public); err != nil {
			return k, err
		}
	}
	if !jose.Allowed(k.Algorithm) || !jose.KeyFits(public, k.Algorithm) { // SP-5.4.1-1.2, SP-5.4.1-2
		return k, fmt.Errorf("Key cannot be used with Algorithm %q", k.Algorithm)
	}
	if k.KeyID == "" {
		k.KeyID, err = jose.Thumbprint(public)
	}
	return k, err
}

// checkKeys completes Keys. Two keys of one algorithm would not determine which
// of them signs. EdDSA and Ed25519 are two algorithms here, because a client
// that is registered for one does not necessarily know the other.
func (cfg *Config) checkKeys(bad func(format string, args ...any)) {
	if len(cfg.Keys) == 0 {
		bad("missing Keys")
	}
	seen := map[string]bool{}
	good := len(cfg.Keys) > 0
	for i, key := range cfg.Keys {
		key, err := complete(key)
		switch {
		case err != nil:
			bad("Keys[%d]: %w", i, err)
		case seen[key.Algorithm]:
			bad("Keys[%d]: second key for %s; an old key belongs in RetiredKeys", i, key.Algorithm)
		}
		good = good && err == nil
		cfg.Keys[i], seen[key.Algorithm] = key, true
	}
	if good {
		if _, err := cfg.newKeySet(); err != nil {
			bad("%w", err)
		}
	}
}

// newKeySet returns the JWK Set of the server.
func (cfg *Config) newKeySet() (*jwks.Set, error) {
	keys := make([]jwks.Key, 0, len(cfg.Keys)+len(cfg.RetiredKeys))
	for _, k := range cfg.Keys {
		keys = append(keys, jwks.Key{Public: k.Key.Public(), KeyID: k.KeyID, Algorithm: k.Algorithm, Use: "sig"})
	}
	return jwks.NewSet(append(keys, cfg.RetiredKeys...)...) // SP-5.4.2-3: each with a kid of its own
}

// A signatory signs, with one of the server's keys, what clients get. Access
// tokens are not among it: they are for APIs, and always signed with the first
// key.
type signatory struct {
	algorithm string
	key       crypto.PublicKey
	idTokens  *idtoken.Issuer
	responses *jarm.Issuer
	answers   *introspection.Responder // nil without introspection
	userInfo  *jose.Signer
}

func newSignatory(cfg *Config, k profile.SigningKey) (*signatory, error) {
	var errs [4]error
	s := &signatory{algorithm: k.Algorithm, key: k.Key.Public()}
	s.idTokens, errs[0] = idtoken.NewIssuer(idtoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Hooks.Now,
	})
	s.responses, errs[1] = jarm.NewIssuer(jarm.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Hooks.Now,
	})
	// No typ: OpenID Connect Core §5.3.2 has none.
	s.userInfo, errs[2] = jose.NewSigner(k.Key, jose.SignerOptions{Algorithm: k.Algorithm, KeyID: k.KeyID})
	if cfg.Introspection != nil {
		s.answers, errs[3] = introspection.NewResponder(introspection.ResponderConfig{
			Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm,
			RequireJWT: cfg.Profile.Has(profile.SignedIntrospection), Now: cfg.Hooks.Now, // MS-5.5.1-1
		})
	}
	return s, errors.Join(errs[:]...)
}

// newKeys makes the signatories and the JWK Set.
func (s *Server) newKeys() error {
	var errs []error
	for _, key := range s.cfg.Keys {
		signatory, err := newSignatory(&s.cfg, key)
		errs = append(errs, err)
		s.signatories = append(s.signatories, signatory)
	}
	var err error
	s.keys, err = s.cfg.newKeySet()
	return errors.Join(append(errs, err)...)
}

// signatory returns who signs by the algorithm that a client has registered in
// a member, the first of all if it has registered none. It does not fall back
// to another algorithm, because the client would have to reject the signature.
func (s *Server) signatory(member, algorithm string) (*signatory, error) {
	if algorithm == "" {
		return s.signatories[0], nil
	}
	for _, one := range s.signatories {
		if one.algorithm == algorithm {
			return one, nil
		}
	}
	return nil, oautherr.Describe(
		fmt.Errorf("%w: unsupported %s %.20q, want one of %q", ErrClientNotAllowed, member, algorithm, s.algorithms()),
		"the client's "+member+" is not among the algorithms that this server signs with")
}

// algorithms are those of all keys, for the metadata.
func (s *Server) algorithms() []string {
	names := make([]string, 0, len(s.signatories))
	for _, one := range s.signatories {
		names = append(names, one.algorithm)
	}
	return names
}

// Members of client metadata in which a client says how it wants things signed.
const (
	memberIDTokenAlg       = "id_token_signed_response_alg"
	memberResponseAlg      = "authorization_signed_response_alg"
	memberIntrospectionAlg = "introspection_signed_response_alg"
	memberUserInfoAlg      = "userinfo_signed_response_alg"
)
