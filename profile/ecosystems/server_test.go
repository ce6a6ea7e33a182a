package ecosystems_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// serverUnder returns a configuration with everything that rules can require of
// a server.
func serverUnder(t testing.TB, set *rules.Set) authserver.Config {
	consent, err := rar.TypeFromSchema("urn:example:consent", []byte(`{"type":"object"}`), rar.TypeConfig[rar.Detail]{})
	require.NoError(t, err)
	types, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{consent}})
	require.NoError(t, err)
	config := authserver.Config{
		Rules: set, Issuer: "https://as.example", Resources: []string{"https://api.example"},
		Scopes: append([]string{"openid", "accounts"}, set.Request.Scopes...),
		Keys: []profile.SigningKey{
			{Key: testkit.RSAKey(t, "server"), KeyID: "rsa"}, {Key: testkit.ECKey(t, "server"), KeyID: "ec"},
		},
		Clients:   func(context.Context, string) (*profile.ClientMetadata, error) { return nil, context.Canceled },
		Interact:  func(http.ResponseWriter, *http.Request, *authserver.Authorization) {},
		UserInfo:  func(context.Context, *resourceserver.Token, claims.Set) (map[string]any, error) { return nil, nil },
		MutualTLS: &authserver.MutualTLS{BaseURL: "https://mtls.as.example"},
		Claims:    slices.Concat([]string{"name"}, set.Claims.Supported, set.Claims.Required, set.Claims.Essential),
		ACRValues: set.ACR.Supported, InteractionIDs: set.InteractionIDs, AuthorizationDetails: types,
	}
	if set.Intent != nil {
		config.Intent = func(context.Context, *authserver.Intent) error { return authserver.ErrIntent }
	}
	if slices.Contains(set.SubjectTypes, "pairwise") {
		config.Pairwise = func(_ context.Context, sector, subject string) (string, error) { return sector + " " + subject, nil }
	}
	return config
}

// TestServersUnderRules starts a server under each document. Its metadata
// follows the document.
func TestServersUnderRules(t *testing.T) {
	for _, name := range ecosystems.Names() {
		t.Run(name, func(t *testing.T) {
			set := load(t, name)
			server, err := authserver.New(serverUnder(t, set))
			require.NoError(t, err)
			for _, finding := range set.LintServer(server.Metadata()) {
				require.NotEqual(t, "error", finding.Severity, finding)
			}
		})
	}
}

// TestServersThatLackARequirement removes each part of the configuration that
// a document requires.
func TestServersThatLackARequirement(t *testing.T) {
	for _, tc := range []struct {
		name   string
		needed func(s *rules.Set) bool
		remove func(c *authserver.Config)
	}{
		{"certificates", func(s *rules.Set) bool { return len(s.MutualTLS) > 0 }, func(c *authserver.Config) { c.MutualTLS = nil }},
		{"consents", func(s *rules.Set) bool { return s.Intent != nil }, func(c *authserver.Config) { c.Intent = nil }},
		{"pairwise subjects", func(s *rules.Set) bool { return len(s.SubjectTypes) > 0 }, func(c *authserver.Config) { c.Pairwise = nil }},
		{"claims", func(s *rules.Set) bool { return len(s.Claims.Required) > 0 }, func(c *authserver.Config) { c.Claims = []string{"name"} }},
		{"classes", func(s *rules.Set) bool { return len(s.ACR.Supported) > 0 }, func(c *authserver.Config) { c.ACRValues = []string{"urn:example:1"} }},
		{"details", func(s *rules.Set) bool { return s.Request.AuthorizationDetails.Required }, func(c *authserver.Config) { c.AuthorizationDetails = nil }},
		{"interaction IDs", func(s *rules.Set) bool { return s.InteractionIDs == "make" || s.InteractionIDs == "require" },
			func(c *authserver.Config) { c.InteractionIDs = "echo" }},
		{"an RSA key", func(s *rules.Set) bool { return slices.Equal(s.Algorithms.Signing, []string{"PS256"}) },
			func(c *authserver.Config) { c.Keys = c.Keys[1:] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := false
			for _, name := range ecosystems.Names() {
				set := load(t, name)
				if !tc.needed(set) {
					continue
				}
				found = true
				config := serverUnder(t, set)
				tc.remove(&config)
				_, err := authserver.New(config)
				require.Error(t, err, name)
			}
			require.True(t, found, "no document requires it")
		})
	}
}
