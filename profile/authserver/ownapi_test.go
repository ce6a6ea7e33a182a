package authserver_test

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
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

// The guard of the server's own API shares the store of used proofs.
func TestAnAPIInTheSameProcessSharesProofs(t *testing.T) {
	shared, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Store = shared })
	guard := func(cfg resourceserver.Config) *resourceserver.Server {
		cfg.Resource = w.rsHTTP.URL
		rs, err := w.as.ResourceServer(cfg)
		require.NoError(t, err)
		return rs
	}
	w.rs = guard(resourceserver.Config{})
	raw := w.tokens("client-1", "d").body["access_token"].(string)
	proof := w.apiProof("d", raw)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, proof).status)
	w.rs = guard(resourceserver.Config{}) // another process, or the same after a restart
	require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, proof).status, "DPOP-11.1-2")
	own, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	w.rs = guard(resourceserver.Config{Replay: own})
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, proof).status, "a store of its own")
}
