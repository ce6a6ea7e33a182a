package resourceserver_test

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
)

func TestResourceServerConfig(t *testing.T) {
	good := func() resourceserver.Config {
		return resourceserver.Config{
			Resource: "https://api.example/v1",
			Issuers:  []resourceserver.Issuer{{ID: asIssuer, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }}},
		}
	}
	_, err := resourceserver.New(good())
	require.NoError(t, err)
	for name, change := range map[string]func(*resourceserver.Config){
		"no resource":               func(c *resourceserver.Config) { c.Resource = "" },
		"a relative resource":       func(c *resourceserver.Config) { c.Resource = "/v1" },
		"a fragment":                func(c *resourceserver.Config) { c.Resource += "#x" },
		"SP-5.2.1-1 http":           func(c *resourceserver.Config) { c.Resource = "http://api.example" },
		"SP-5.2.1-1 http BaseURL":   func(c *resourceserver.Config) { c.BaseURLs = []string{"http://api.example"} },
		"BaseURL with a query":      func(c *resourceserver.Config) { c.BaseURLs = []string{"https://api.example/?x=1"} },
		"no issuer":                 func(c *resourceserver.Config) { c.Issuers[0].ID = "" },
		"an http issuer":            func(c *resourceserver.Config) { c.Issuers[0].ID = "http://as.example" },
		"a client beside keys":      func(c *resourceserver.Config) { c.Issuers[0].HTTPClient = http.DefaultClient },
		"no source of certificates": func(c *resourceserver.Config) { c.RequireCertificate = true },
	} {
		cfg := good()
		change(&cfg)
		rs, err := resourceserver.New(cfg)
		require.Error(t, err, name)
		require.Nil(t, rs)
	}
	memory := testkit.Must(store.NewMemory(store.MemoryConfig{}))
	keys := [][]byte{make([]byte, 32)}
	for _, several := range []struct {
		name  string
		setup func(*resourceserver.Config)
		says  string
	}{
		{"nothing shared", func(c *resourceserver.Config) {}, "SeveralInstances: missing Replay, want a store that all instances share"},
		{"replays in memory", func(c *resourceserver.Config) { c.Replay = memory }, "SeveralInstances: Replay is in memory"},
		{"a random key", func(c *resourceserver.Config) {
			c.Nonces = testkit.Must(dpop.NewNonceSource(dpop.NonceSourceConfig{}))
		}, "SeveralInstances: Nonces has a random key"},
		{"shared", func(c *resourceserver.Config) {
			c.Replay = struct{ store.Store }{memory}
			c.Nonces = testkit.Must(dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: keys}))
		}, ""},
	} {
		cfg := good()
		several.setup(&cfg)
		_, err := resourceserver.New(cfg)
		require.NoError(t, err, several.name)
		cfg.SeveralInstances = true
		if _, err = resourceserver.New(cfg); several.says == "" {
			require.NoError(t, err, several.name)
		} else {
			require.ErrorContains(t, err, several.says, several.name)
		}
	}
	token, ok := resourceserver.TokenFromContext(context.Background())
	require.False(t, ok)
	require.Nil(t, token)
}

func TestConfigListsEveryProblem(t *testing.T) {
	f := newFederation(t)
	both := f.keys("b")
	both.Introspection = f.introspected("b").Introspection
	revoked := f.host("d")
	revoked.Revoked = func(context.Context, string) (bool, error) { return false, nil }
	_, err := resourceserver.New(resourceserver.Config{
		Resource: "api", BaseURLs: []string{"http://api.example"}, FutureSkew: time.Hour,
		Issuers: []resourceserver.Issuer{f.keys("a"), f.keys("a"), {ID: "http://c.example"}, both, revoked, {}},
	})
	for _, text := range []string{
		`malformed Resource "api"`, `BaseURLs: "http://api.example" is not https`, `FutureSkew`,
		`Issuers[1]: repeated ID "https://a.example"`,
		`"http://c.example" is not https`, "Issuers[2]",
		"Issuers[3]: Keys, Introspection and Tokens are exclusive",
		"Issuers[4]: Revoked and Introspection or Tokens are exclusive", "Issuers[5]",
	} {
		require.ErrorContains(t, err, text)
	}
	_, err = resourceserver.New(resourceserver.Config{Resource: apiURL})
	require.ErrorContains(t, err, "missing Issuers")

	_, err = resourceserver.New(resourceserver.Config{})
	require.EqualError(t, err, "resourceserver: missing Resource\nmissing Issuers", "nothing that only follows from them")
}

// New copies the configuration.
func TestConfigIsCopied(t *testing.T) {
	f := newFederation(t)
	cfg := resourceserver.Config{Resource: apiURL, Issuers: []resourceserver.Issuer{f.keys("a")}, BaseURLs: []string{apiURL}}
	guard, err := resourceserver.New(cfg)
	require.NoError(t, err)
	cfg.Issuers[0], cfg.BaseURLs[0] = f.keys("z"), "https://evil.example"
	token, err := guard.Verify(request(t, issue(t, "a", "a")))
	require.NoError(t, err)
	require.Equal(t, idOf("a"), token.Issuer())
	_, err = guard.Verify(request(t, issue(t, "z", "z")))
	require.ErrorIs(t, err, accesstoken.ErrIssuer)
}
