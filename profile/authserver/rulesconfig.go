package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
)

// checkRules finds contradictions between Rules and the other fields of a
// configuration with defaults.
func (cfg *Config) checkRules(bad func(format string, args ...any)) {
	set := cfg.Rules
	if set == nil {
		return
	}
	if err := set.Validate(); err != nil {
		bad("Rules: %w", err)
		return
	}
	if cfg.MutualTLS == nil {
		cfg.checkWithoutMutualTLS(bad)
	}
	if cfg.profileUnder(set).Has(profile.SignedResponses) && slices.Equal(set.ResponseModes, []string{"query"}) {
		bad("Rules: query is the only response mode, and Profile requires signed responses")
	}
	if stricter(cfg.InteractionIDs, set.InteractionIDs) != cfg.InteractionIDs {
		bad("Rules: InteractionIDs is %q, want at least %q", cfg.InteractionIDs, set.InteractionIDs)
	}
	for _, scope := range set.Request.Scopes {
		if !slices.Contains(cfg.Scopes, scope) {
			bad("Rules: each request needs the scope %q, which is not among Scopes", scope)
		}
	}
	if details := set.Request.AuthorizationDetails; cfg.AuthorizationDetails == nil && details.Required {
		bad("Rules: each request needs authorization details, and AuthorizationDetails is nil")
	} else if cfg.AuthorizationDetails != nil &&
		len(only(cfg.AuthorizationDetails.Types(), rules.Permits, details.Types)) == 0 {
		bad("Rules: none of the types %q is among AuthorizationDetails", details.Types)
	}
}

// checkSpans finds lifetimes that Rules do not permit. A zero lifetime becomes
// the default, or the nearest that the rules permit.
func (cfg *Config) checkSpans() error {
	var errs []error
	for _, l := range cfg.lifetimes() {
		if *l.value != 0 && !l.span.Contains(*l.value) {
			errs = append(errs, fmt.Errorf("authserver: Rules: Lifetimes.%s is %v, want %v", l.name, *l.value, l.span))
		}
	}
	return errors.Join(errs...)
}

// checkWithoutMutualTLS finds rules that require mutual TLS.
func (cfg *Config) checkWithoutMutualTLS(bad func(format string, args ...any)) {
	set := cfg.Rules
	if !rules.Permits(set.ClientAuthentication, clientauth.MethodPrivateKeyJWT) {
		bad("Rules: clients authenticate by %q, which requires MutualTLS", set.ClientAuthentication)
	}
	if !rules.Permits(set.Bindings, "DPoP") {
		bad("Rules: tokens are bound by %q, which requires MutualTLS", set.Bindings)
	}
	if len(set.MutualTLS) > 0 {
		bad("Rules: certificates at %q require MutualTLS", set.MutualTLS)
	}
}

// checkKeyRules requires a key with a permitted algorithm for each use, and
// large enough RSA keys. The keys have their defaults.
func (cfg *Config) checkKeyRules(keys []profile.SigningKey) error {
	set := cfg.rules()
	for _, key := range keys {
		if !jose.HasRSABits(key.Key.Public(), set.Algorithms.RSABits) {
			return fmt.Errorf("Rules: the key %q has fewer than %d bits", key.KeyID, set.Algorithms.RSABits)
		}
	}
	uses := map[string][]string{"access tokens": set.Algorithms.For(nil)}
	if slices.Contains(cfg.Scopes, scopeOpenID) {
		uses["ID tokens"] = set.Algorithms.For(set.Algorithms.IDToken)
	}
	if cfg.UserInfo != nil {
		uses["UserInfo responses"] = set.Algorithms.For(set.Algorithms.UserInfo)
	}
	for use, permitted := range uses {
		fits := func(key profile.SigningKey) bool { return jose.Accepts(permitted, key.Algorithm) }
		if !slices.ContainsFunc(keys, fits) {
			return fmt.Errorf("Rules: no key signs %s with one of %q", use, permitted)
		}
	}
	return nil
}

// narrowMetadata removes from the metadata what Rules do not permit.
func (s *Server) narrowMetadata(m *profile.ServerMetadata) {
	set := s.cfg.Rules
	if set == nil {
		return
	}
	assertion := set.Algorithms.For(set.Algorithms.Assertion)
	for _, methods := range []*[]string{
		&m.TokenEndpointAuthMethodsSupported, &m.RevocationEndpointAuthMethodsSupported,
		&m.IntrospectionEndpointAuthMethodsSupported,
	} {
		*methods = only(*methods, rules.Permits, set.ClientAuthentication)
	}
	if !rules.Permits(set.ClientAuthentication, clientauth.MethodPrivateKeyJWT) {
		m.TokenEndpointAuthSigningAlgValuesSupported, m.RevocationEndpointAuthSigningAlgValuesSupported = nil, nil
		m.IntrospectionEndpointAuthSigningAlgValuesSupported = nil
	}
	for _, list := range []struct {
		of        *[]string
		permitted []string
	}{
		{&m.TokenEndpointAuthSigningAlgValuesSupported, assertion},
		{&m.RevocationEndpointAuthSigningAlgValuesSupported, assertion},
		{&m.IntrospectionEndpointAuthSigningAlgValuesSupported, assertion},
		{&m.DPoPSigningAlgValuesSupported, set.Algorithms.For(nil)},
		{&m.RequestObjectSigningAlgValuesSupported, set.Algorithms.For(set.Algorithms.RequestObject)},
		{&m.AuthorizationSigningAlgValuesSupported, set.Algorithms.For(nil)},
		{&m.IntrospectionSigningAlgValuesSupported, set.Algorithms.For(nil)},
		{&m.IDTokenSigningAlgValuesSupported, set.Algorithms.For(set.Algorithms.IDToken)},
		{&m.UserInfoSigningAlgValuesSupported, set.Algorithms.For(set.Algorithms.UserInfo)},
	} {
		*list.of = only(*list.of, jose.Accepts, list.permitted)
	}
	m.ResponseModesSupported = only(m.ResponseModesSupported, permitsMode, set.ResponseModes)
	if slices.Equal(m.ResponseModesSupported, []string{"query"}) {
		m.AuthorizationSigningAlgValuesSupported = nil
		m.AuthorizationEncryptionAlgValuesSupported, m.AuthorizationEncryptionEncValuesSupported = nil, nil
	}
	for name, value := range set.Metadata {
		if m.Other == nil {
			m.Other = make(map[string]json.RawMessage, len(set.Metadata))
		}
		m.Other[name] = slices.Clone(value)
	}
	types := set.Request.AuthorizationDetails.Types
	m.AuthorizationDetailsTypesSupported = only(m.AuthorizationDetailsTypesSupported, rules.Permits, types)
	narrowEncryption(m, set)
	if !rules.Permits(set.Bindings, "DPoP") {
		m.DPoPSigningAlgValuesSupported = nil
	}
	if !rules.Permits(set.Bindings, "mTLS") {
		m.TLSClientCertificateBoundAccessTokens = false
	}
}

func narrowEncryption(m *profile.ServerMetadata, set *rules.Set) {
	for _, kind := range []struct {
		rule      rules.Encrypted
		algs, enc *[]string
	}{
		{set.Encryption.IDToken, &m.IDTokenEncryptionAlgValuesSupported, &m.IDTokenEncryptionEncValuesSupported},
		{set.Encryption.UserInfo, &m.UserInfoEncryptionAlgValuesSupported, &m.UserInfoEncryptionEncValuesSupported},
		{set.Encryption.Introspection,
			&m.IntrospectionEncryptionAlgValuesSupported, &m.IntrospectionEncryptionEncValuesSupported},
	} {
		*kind.algs = only(*kind.algs, rules.Permits, kind.rule.Algorithms)
		*kind.enc = only(*kind.enc, rules.Permits, kind.rule.ContentEncryptions)
	}
}

// strictness orders the treatments of interaction IDs.
var strictness = []string{"", wire.EchoInteractionIDs, wire.MakeInteractionIDs, wire.RequireInteractionIDs}

// stricter returns the stricter of two treatments of interaction IDs.
func stricter(a, b string) string {
	if slices.Index(strictness, a) > slices.Index(strictness, b) {
		return a
	}
	return b
}
