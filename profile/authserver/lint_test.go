package authserver_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

// What a server says of itself holds before the judge that others are held to.
func TestLintPassesOurOwnServers(t *testing.T) {
	for p := range profile.Advanced + 1 {
		for i := range 1 << 5 {
			certificates, elsewhere, openid, introspects, scopeless := i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0, i&16 != 0
			if elsewhere && !certificates || p&profile.SignedIntrospection != 0 && !introspects || openid && scopeless {
				continue
			}
			name := fmt.Sprintf("MS-5.1-1 profile %d, certificates %v %v, openid %v, introspection %v, no scopes %v", p, certificates, elsewhere, openid, introspects, scopeless)
			t.Run(name, func(t *testing.T) {
				cfg := goodConfig(t)
				cfg.Profile, cfg.Scopes = p, []string{"accounts"}
				if certificates {
					cfg.MutualTLS = new(authserver.MutualTLS)
				}
				if elsewhere {
					cfg.MutualTLS.BaseURL = "https://mtls.as.example"
				}
				if openid {
					cfg.Scopes, cfg.UserInfo, cfg.ACRValues = append(cfg.Scopes, "openid"), about, []string{"gold"}
				}
				if introspects {
					cfg.OpaqueAccessTokens = true
					cfg.Introspection = introspected(nil)
				}
				if scopeless {
					cfg.Scopes = nil
				}
				as, err := authserver.New(cfg)
				require.NoError(t, err)
				document, err := json.Marshal(as.Metadata())
				require.NoError(t, err)
				published := new(profile.ServerMetadata)
				require.NoError(t, json.Unmarshal(document, published))
				for _, m := range []*profile.ServerMetadata{as.Metadata(), published} {
					for _, f := range m.Lint(p) {
						require.Equal(t, "advice", f.Severity, "%v", f)
					}
				}
			})
		}
	}
}
