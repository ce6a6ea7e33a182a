package authserver_test

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func TestAnAPIInTheSameProcess(t *testing.T) {
	for name, w := range map[string]*world{"JWT": newWorld(t, demanding(profile.Baseline)), "opaque": newOpaqueWorld(t)} {
		t.Run(name, func(t *testing.T) {
			var err error
			w.rs, err = w.as.ResourceServer(resourceserver.Config{Resource: w.rsHTTP.URL})
			require.NoError(t, err)
			w.clients["client-1"].Scope = "openid accounts"
			tokens := w.tokens("client-1", "d").body
			raw := tokens["access_token"].(string)
			require.Equal(t, "alice", w.callAPI("DPoP", raw, w.apiProof("d", raw)).body["owner"])
			for name, got := range map[string]answer{
				"DPOP-6.2-2 another key":      w.callAPI("DPoP", raw, w.apiProof("attacker", raw)),
				"DPOP-7.2-1 as Bearer":        w.callAPI("Bearer", raw),
				"SP-5.3.4-3 no token of ours": w.callAPI("DPoP", raw+"A", w.apiProof("d", raw+"A")),
			} {
				require.Equal(t, http.StatusUnauthorized, got.status, name)
			}
			other, err := w.as.ResourceServer(resourceserver.Config{Resource: "https://other-api.example", BaseURLs: []string{w.rsHTTP.URL}})
			require.NoError(t, err)
			own := w.rs
			w.rs = other
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "BCP-2.3-2 meant for another API")
			w.rs = own
			w.clock.Advance(5 * time.Minute)
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "SP-5.3.4-3 expired")
		})
	}
}

func TestAnAPIInTheSameProcessIsTheServersOwn(t *testing.T) {
	w := newWorld(t)
	for _, cfg := range []resourceserver.Config{
		{Resource: "https://nobody.example"}, {},
		{Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: "https://other.example"}}},
		{Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }}}},
		{Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{Revoked: func(context.Context, string) (bool, error) { return false, nil }}}},
		{Resource: w.rsHTTP.URL, BaseURLs: []string{"http://plain.example"}},
	} {
		_, err := w.as.ResourceServer(cfg)
		require.Error(t, err, "%+v", cfg)
	}
}
