package authserver_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// A client's jwks_uri does not lead into the server's own network, but for what the host allows.
func TestClientKeysAtPrivateAddresses(t *testing.T) {
	set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "remote").Public(), KeyID: "remote-key"})
	require.NoError(t, err)
	requests := 0
	keys := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		set.ServeHTTP(w, r)
	}))
	t.Cleanup(keys.Close)
	roots := x509.NewCertPool()
	roots.AddCert(keys.Certificate())
	for _, tc := range []struct {
		name   string
		allow  []netip.Prefix
		guard  bool
		status int
	}{
		{"JWT-BIS-1 by default", nil, false, http.StatusServiceUnavailable},
		{"JWT-BIS-1 by a guarded client", nil, true, http.StatusServiceUnavailable},
		{"an exception", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requests = 0
			w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
				if tc.guard {
					client, err := jwks.PublicClient(tc.allow...)
					require.NoError(t, err)
					client.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
					as.JWKSClient = client
				}
			})
			c := *w.clients["client-1"]
			c.ClientID, c.JWKS, c.JWKSURI = "remote", nil, keys.URL+"/keys"
			require.NoError(t, c.Validate())
			w.clients["remote"] = &c
			for range 3 {
				got := w.send(w.tokenURL(), w.credentialsForm("remote", "accounts"), w.tokenProof("d"))
				require.Equal(t, tc.status, got.status, "%v", got.body)
			}
			require.Equal(t, map[bool]int{true: 1, false: 0}[tc.status == http.StatusOK], requests)
		})
	}
}
