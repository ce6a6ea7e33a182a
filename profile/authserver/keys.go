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

// A SigningKey is one of [Config.MoreKeys]: what an authorization server signs with for the clients that
// are registered for its algorithm. Like any private key it is not for printing.
type SigningKey struct {
	// Key signs: P-256, Ed25519 or RSA from 2048 bits, safe for concurrent use. Required; one in a KMS or HSM will do.
	Key crypto.Signer
	// KeyID names the key in the JWK Set; empty: its RFC 7638 thumbprint.
	KeyID string
	// Algorithm is PS256, ES256, EdDSA or Ed25519; empty: what fits the key, EdDSA of the last two.
	Algorithm string
}

// complete returns the key with what it tells of itself filled in.
func (k SigningKey) complete() (_ SigningKey, err error) {
	if wire.IsNil(k.Key) {
		return k, errors.New("Key is required")
	}
	public := k.Key.Public()
	if k.Algorithm == "" {
		if k.Algorithm, err = jose.AlgorithmFor(public); err != nil {
			return k, fmt.Errorf("Key: %w", err)
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

// signingKeys returns all that the server signs with, Key first. Two of one algorithm would leave open which of them signs;
// the names EdDSA and Ed25519 are two, since a client that is registered for one need not know the other.
func (cfg *Config) signingKeys() ([]SigningKey, error) {
	var errs []error
	keys := append([]SigningKey{{cfg.Key, cfg.KeyID, cfg.Algorithm}}, cfg.MoreKeys...)
	seen := map[string]bool{}
	for i := range keys {
		where := "authserver: "
		if i > 0 {
			where += fmt.Sprintf("MoreKeys: number %d: ", i)
		}
		var err error
		switch keys[i], err = keys[i].complete(); {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s%w", where, err))
		case seen[keys[i].Algorithm]:
			errs = append(errs, fmt.Errorf("%sanother key signs by %s: one that no longer does belongs to RetiredKeys", where, keys[i].Algorithm))
		}
		seen[keys[i].Algorithm] = true
	}
	return keys, errors.Join(errs...)
}

// A signatory signs, with one of the server's keys, what clients get. Access tokens are not among it: they are for APIs, and
// always signed with the first key.
type signatory struct {
	algorithm string
	key       crypto.PublicKey
	idTokens  *idtoken.Issuer
	responses *jarm.Issuer
	answers   *introspection.Responder // nil: nobody may ask
	userInfo  *jose.Signer
}

func newSignatory(cfg *Config, k SigningKey) (*signatory, error) {
	var errs [4]error
	s := &signatory{algorithm: k.Algorithm, key: k.Key.Public()}
	s.idTokens, errs[0] = idtoken.NewIssuer(idtoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Now,
	})
	s.responses, errs[1] = jarm.NewIssuer(jarm.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Now,
	})
	// No typ: OpenID Connect Core §5.3.2 has none.
	s.userInfo, errs[2] = jose.NewSigner(k.Key, jose.SignerOptions{Algorithm: k.Algorithm, KeyID: k.KeyID})
	if cfg.ResourceServers != nil {
		s.answers, errs[3] = introspection.NewResponder(introspection.ResponderConfig{
			Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm,
			RequireJWT: cfg.Profile.Has(profile.SignedIntrospection), Now: cfg.Now, // MS-5.5.1-1
		})
	}
	return s, errors.Join(errs[:]...)
}

// newKeys makes the signatories, and the JWK Set with the keys of all of them.
func (s *Server) newKeys(keys []SigningKey) error {
	var errs []error
	var published []jwks.Key
	for _, key := range keys {
		signatory, err := newSignatory(&s.cfg, key)
		errs = append(errs, err)
		s.signatories = append(s.signatories, signatory)
		published = append(published, jwks.Key{Public: key.Key.Public(), KeyID: key.KeyID, Algorithm: key.Algorithm, Use: "sig"})
	}
	var err error
	s.keys, err = jwks.NewSet(append(published, s.cfg.RetiredKeys...)...) // SP-5.4.2-3: each under a kid of its own
	return errors.Join(append(errs, err)...)
}

// signatory returns who signs by the algorithm that a client has registered in a member, the first of all if it has
// registered none. There is no falling back to another algorithm, which the client would have to refuse.
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
		fmt.Errorf("%w: its %s is %.20q, and the keys of this server sign by %q", ErrClientNotAllowed, member, algorithm, s.algorithms()),
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
