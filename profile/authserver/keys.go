package authserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/refresh"
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

// maxKeys bounds the keys of a server. Readers accept 100 keys in a set.
const maxKeys = 64

// publishedAge is the time for which readers cache the JWK Set, see package
// jwks.
const publishedAge = 5 * time.Minute

// firstKeys returns the keys at the start, with defaults.
func (cfg *Config) firstKeys() ([]profile.SigningKey, error) {
	switch {
	case cfg.KeySource == nil:
		return cfg.checkKeys("Keys", cfg.Keys)
	case len(cfg.Keys) > 0:
		return nil, errors.New("both Keys and KeySource")
	}
	keys, err := refresh.First(cfg.KeySource)
	if err != nil {
		return nil, fmt.Errorf("KeySource: %w", err)
	}
	return cfg.checkKeys("KeySource", keys)
}

// checkKeys returns a completed copy of keys from a field of the configuration.
// Two keys of one algorithm with one time would not determine which of them
// signs. EdDSA and Ed25519 are two algorithms here, because a client that is
// registered for one does not necessarily know the other.
func (cfg *Config) checkKeys(field string, keys []profile.SigningKey) ([]profile.SigningKey, error) {
	if n := len(keys); n == 0 || n > maxKeys {
		if n == 0 {
			return nil, fmt.Errorf("missing %s", field)
		}
		return nil, fmt.Errorf("%s: %d keys, want at most %d", field, n, maxKeys)
	}
	type turn struct {
		algorithm string
		from      time.Time
	}
	var errs []error
	seen := map[turn]bool{}
	completed := make([]profile.SigningKey, len(keys))
	for i, key := range keys {
		key, err := complete(key)
		at := turn{key.Algorithm, key.SignsFrom.Round(0).UTC()}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
		case seen[at]:
			err = fmt.Errorf("%s[%d]: second key for %s from the same SignsFrom", field, i, key.Algorithm)
			errs = append(errs, err)
		}
		completed[i], seen[at] = key, true
	}
	if errs == nil {
		_, err := cfg.newKeySet(completed)
		errs = append(errs, err, cfg.checkKeyRules(completed))
	}
	return completed, errors.Join(errs...)
}

// newKeySet returns the JWK Set of the server.
func (cfg *Config) newKeySet(signing []profile.SigningKey) (*jwks.Set, error) {
	keys := make([]jwks.Key, 0, len(signing)+len(cfg.RetiredKeys))
	for _, k := range signing {
		keys = append(keys, jwks.Key{Public: k.Key.Public(), KeyID: k.KeyID, Algorithm: k.Algorithm, Use: "sig"})
	}
	return jwks.NewSet(append(keys, cfg.RetiredKeys...)...) // SP-5.4.2-3: each with a kid of its own
}

// A signatory signs what clients receive with one of the server's keys.
type signatory struct {
	profile.SigningKey
	public crypto.PublicKey
	known  time.Time // when all readers of the JWK Set know the key

	tokens    *accesstoken.Issuer
	idTokens  *idtoken.Issuer
	responses *jarm.Issuer
	answers   *introspection.Responder // nil without introspection
	userInfo  *jose.Signer
}

func newSignatory(cfg *Config, k profile.SigningKey) (*signatory, error) {
	var errs [5]error
	s := &signatory{SigningKey: k, public: k.Key.Public()}
	s.tokens, errs[0] = accesstoken.NewIssuer(accesstoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm,
		Lifetime: cfg.Lifetimes.AccessToken, Now: cfg.Hooks.Now,
	})
	s.idTokens, errs[1] = idtoken.NewIssuer(idtoken.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Hooks.Now,
	})
	s.responses, errs[2] = jarm.NewIssuer(jarm.IssuerConfig{
		Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm, Now: cfg.Hooks.Now,
	})
	// No typ: OpenID Connect Core §5.3.2 has none.
	s.userInfo, errs[3] = jose.NewSigner(k.Key, jose.SignerOptions{Algorithm: k.Algorithm, KeyID: k.KeyID})
	if cfg.Introspection != nil {
		s.answers, errs[4] = introspection.NewResponder(introspection.ResponderConfig{
			Issuer: cfg.Issuer, Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm,
			RequireJWT: cfg.Profile.Has(profile.SignedIntrospection), Now: cfg.Hooks.Now, // MS-5.5.1-1
		})
	}
	return s, errors.Join(errs[:]...)
}

// newKeys makes the keyring of the first keys, which were asked for at a time.
func (s *Server) newKeys(keys []profile.SigningKey, asked time.Time) error {
	ring, err := s.newKeyring(keys, asked, nil)
	if err != nil {
		return err
	}
	rotation := refresh.Config[*keyring]{Every: s.cfg.KeyRefresh, Observe: s.observeKeys, Now: s.cfg.Hooks.Now}
	if s.cfg.KeySource != nil {
		rotation.Load = s.loadKeys
	}
	s.keys = refresh.New(rotation, ring, asked)
	return nil
}

// loadKeys asks KeySource for the keys.
func (s *Server) loadKeys(ctx context.Context, before *keyring) (*keyring, error) {
	asked := s.cfg.Hooks.Now()
	keys, err := s.cfg.KeySource(ctx)
	if err != nil {
		return nil, err
	}
	if keys, err = s.cfg.checkKeys("KeySource", keys); err != nil {
		return nil, err
	}
	ring, err := s.newKeyring(keys, asked, before)
	if err == nil {
		s.logRotation(before, ring)
	}
	return ring, err
}

// Keys returns the JWK Set that Handler serves at jwks_uri, for a host that
// mounts its own endpoints. It follows the rotation of the keys.
func (s *Server) Keys() jwks.Current {
	return func(ctx context.Context) *jwks.Set {
		ring, _ := s.keyring(ctx)
		return ring.set
	}
}

// keyring returns the keyring of the moment, which is the second result.
func (s *Server) keyring(ctx context.Context) (*keyring, time.Time) {
	now := s.cfg.Hooks.Now()
	return s.keys.At(ctx, now), now
}

// RefreshKeys calls Config.KeySource now, waits, and returns the error of the
// call. If there is an error, the server keeps its keys. Call it to withdraw a
// key without delay. Without KeySource it does nothing.
func (s *Server) RefreshKeys(ctx context.Context) error {
	if err := s.keys.Refresh(ctx); err != nil {
		return fmt.Errorf("authserver: KeySource: %w", err)
	}
	return nil
}

// observeKeys reports a call of KeySource. No server reports a panic of the
// hook.
func (s *Server) observeKeys(ctx context.Context, took time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Hooks.Logger.ErrorContext(ctx, "panic in Hooks.Observe", "type", fmt.Sprintf("%T", p))
		}
	}()
	if err != nil {
		s.cfg.Hooks.Logger.ErrorContext(ctx, "the signing keys were not refreshed; the old ones serve",
			"error", fmt.Errorf("authserver: KeySource: %w", err))
	}
	if s.cfg.Hooks.Observe != nil {
		e := profile.Event{Endpoint: "keys", Outcome: wire.Success, Duration: took}
		if err != nil {
			wire.SetResult(&e, fmt.Errorf("%w: %w", errKeySource, err))
		}
		s.cfg.Hooks.Observe(ctx, e)
	}
}

// errKeySource is the reason of the event of a failed call.
var errKeySource = oautherr.New("authserver: key source failed", oautherr.ServerError,
	http.StatusServiceUnavailable, "")

// signatory returns who signs by the algorithm that a client has registered in
// a member, and that the rules permit. If the client has registered none, the
// first permitted algorithm is the default. signatory does not fall back to
// another algorithm, because the client would have to reject the signature.
func (s *Server) signatory(
	ctx context.Context, permitted []string, member, algorithm string,
) (*signatory, error) {
	ring, now := s.keyring(ctx)
	if by := ring.signatory(now, permitted, algorithm); by != nil {
		return by, nil
	}
	return nil, oautherr.Describe(
		fmt.Errorf("%w: unsupported %s %.20q, want one of %q", ErrClientNotAllowed, member, algorithm,
			only(s.algorithms(), jose.Accepts, permitted)),
		"the client's "+member+" is not among the algorithms that this server signs with")
}

// first returns the signatory of access tokens, and of clients that are
// registered for no algorithm. It does not wait for newer keys.
func (s *Server) first() *signatory { return s.keys.Latest().lines[0].at(s.cfg.Hooks.Now()) }

// algorithms are those of all keys, for the metadata. They never change.
func (s *Server) algorithms() []string {
	ring := s.keys.Latest()
	names := make([]string, 0, len(ring.lines))
	for _, l := range ring.lines {
		names = append(names, l.algorithm)
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
