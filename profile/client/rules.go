package client

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
)

// followRules changes the configuration as Rules require it. It returns what
// contradicts them.
func (cfg *Config) followRules() error {
	if cfg.Rules == nil {
		cfg.Rules = new(rules.Set)
		return nil
	}
	if err := cfg.Rules.Validate(); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	var problems []error
	set, mutual := cfg.Rules, cfg.mutualTLS()
	reject := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("client: Rules %s: %w", set.Name, fmt.Errorf(format, args...)))
	}
	cfg.Profile |= set.Profile() &^ profile.SignedIntrospection // clients do not introspect
	if cfg.Profile.Has(profile.SignedResponses) && !rules.Permits(set.ResponseModes, "jwt") {
		reject("SignedResponses, and response_modes is %q", set.ResponseModes)
	}
	if !rules.Permits(set.ClientAuthentication, mutual.AuthMethod) {
		reject("authentication by %s, want one of %q", mutual.AuthMethod, set.ClientAuthentication)
	}
	binding := "DPoP"
	if mutual.BindTokens {
		binding = "mTLS"
	}
	if !rules.Permits(set.Bindings, binding) {
		reject("tokens bound by %s, want one of %q", binding, set.Bindings)
	}
	if len(set.MutualTLS) > 0 && !mutual.used() {
		reject("missing MutualTLS for %q", set.MutualTLS)
	}
	if set.Encryption.IDToken.Required && (cfg.OpenID == nil || len(cfg.OpenID.IDTokenDecryptionKeys) == 0) {
		reject("missing OpenID.IDTokenDecryptionKeys")
	}
	if set.Encryption.UserInfo.Required && (cfg.OpenID == nil || len(cfg.OpenID.UserInfo.DecryptionKeys) == 0) {
		reject("missing OpenID.UserInfo.DecryptionKeys")
	}
	if cfg.OpenID != nil {
		openID := cfg.OpenID
		checkDecryptionKeys(reject, "IDTokenDecryptionKeys", openID.IDTokenDecryptionKeys, set.Encryption.IDToken)
		checkDecryptionKeys(reject, "UserInfo.DecryptionKeys", openID.UserInfo.DecryptionKeys, set.Encryption.UserInfo)
	}
	cfg.followRulesOfKeys(reject)
	cfg.followRulesOfRequests(reject)
	return errors.Join(problems...)
}

// checkDecryptionKeys checks the algorithms with which a server may encrypt to
// the client. The client accepts no others.
func checkDecryptionKeys(
	reject func(format string, args ...any), name string, keys []idtoken.DecryptionKey, rule rules.Encrypted,
) {
	algs, encs := rule.Algorithms, rule.ContentEncryptions
	if len(algs) == 0 {
		algs = jose.EncryptionAlgorithms()
	}
	if len(encs) == 0 {
		encs = jose.ContentEncryptions()
	}
	for i := range keys {
		one, _ := jose.NewDecrypter(keys[i : i+1]) // check reports the error
		if !one.Suits(algs, encs) {
			reject("algorithms of OpenID.%s[%d], want one of %q with one of %q", name, i, algs, encs)
		}
	}
}

// followRulesOfKeys checks the keys with which the client signs.
func (cfg *Config) followRulesOfKeys(reject func(format string, args ...any)) {
	set, mutual := cfg.Rules, cfg.mutualTLS()
	algorithm := cfg.Algorithm
	if !wire.IsNil(cfg.Key) {
		public := cfg.Key.Public()
		if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() < set.Algorithms.RSABits {
			reject("Key has %d bits, want at least %d", key.N.BitLen(), set.Algorithms.RSABits)
		}
		if algorithm == "" {
			algorithm, _ = jose.AlgorithmFor(public) // useKeys reports the error
		}
	}
	for _, use := range []struct {
		name    string
		used    bool
		further []string
	}{
		{"client assertions", mutual.AuthMethod == clientauth.MethodPrivateKeyJWT, set.Algorithms.Assertion},
		{"request objects", cfg.Profile.Has(profile.SignedRequests), set.Algorithms.RequestObject},
	} {
		permitted := set.Algorithms.For(use.further)
		if use.used && algorithm != "" && !jose.Accepts(permitted, algorithm) {
			reject("%s signed with %s, want one of %q", use.name, algorithm, permitted)
		}
	}
	if cfg.OpenID != nil {
		permitted := set.Algorithms.For(set.Algorithms.UserInfo)
		for _, algorithm := range cfg.OpenID.UserInfo.Algorithms {
			if !jose.Accepts(permitted, algorithm) {
				reject("OpenID.UserInfo.Algorithms has %s, want one of %q", algorithm, permitted)
			}
		}
	}
	if mutual.BindTokens {
		return
	}
	proofs := jose.ES256 // of the keys that the client makes
	if !wire.IsNil(cfg.DPoPKey) {
		proofs, _ = jose.AlgorithmFor(cfg.DPoPKey.Public()) // useKeys reports the error
	}
	if permitted := set.Algorithms.For(nil); proofs != "" && !jose.Accepts(permitted, proofs) {
		reject("proofs signed with %s, want one of %q", proofs, permitted)
	}
}

// followRulesOfRequests changes how requests are sent.
func (cfg *Config) followRulesOfRequests(reject func(format string, args ...any)) {
	set := cfg.Rules
	var requests RequestConfig
	if cfg.Requests != nil {
		requests = *cfg.Requests
	}
	if form := set.Request.PushForm; len(form) > 0 && !slices.Contains(form, "client_id") {
		requests.OmitClientID = true
	}
	// A server that makes an ID is lenient. Its ecosystem still requires
	// clients to send one.
	if set.InteractionIDs != "" {
		requests.InteractionID = true
	}
	lifetime := requests.AssertionLifetime
	switch permitted := set.Lifetimes.Assertion; {
	case cfg.mutualTLS().AuthMethod != clientauth.MethodPrivateKeyJWT:
	case lifetime != 0 && !permitted.Contains(lifetime):
		reject("AssertionLifetime is %v, want %v", lifetime, permitted)
	case lifetime == 0 && !permitted.Contains(time.Minute):
		requests.AssertionLifetime = permitted.Nearest(time.Minute)
	}
	cfg.Requests = &requests
}
