package frameworks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/examples/frameworks"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

func newAPIBehindNginx(issuer resourceserver.Issuer) (*resourceserver.Server, error) {
	//docs:begin behindNginx
	return resourceserver.New(resourceserver.Config{
		Resource: "https://api.example/bank",           // the audience of its tokens
		BaseURLs: []string{"https://api.example/bank"}, // nginx removes /bank
		Issuers:  []resourceserver.Issuer{issuer},
	})
	//docs:end
}

// nginx terminates TLS and removes a prefix, with the configuration of
// docs/api.md.
func TestGinBehindNginx(t *testing.T) {
	issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
	api, err := newAPIBehindNginx(resourceserver.Issuer{ID: issuer.ID(), Keys: issuer.Keys})
	require.NoError(t, err)
	backend := httptest.NewServer(frameworks.Gin(api))
	defer backend.Close()
	client := startNginx(t, backend.Listener.Addr().String())

	const external = "https://api.example/bank/accounts/7"
	request := func(url string, claims accesstoken.Claims) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		require.NoError(t, err)
		claims.Scope, claims.Audience = "accounts", []string{"https://api.example/bank"}
		issuer.SetToken(t, r, claims)
		return r
	}
	good := request(external, accesstoken.Claims{})
	internal := request("https://api.example/accounts/7", accesstoken.Claims{})
	internal.URL = good.URL // its proof names the URL that gin receives
	for _, row := range []struct {
		name    string
		request *http.Request
		status  int
		text    string
	}{
		{"the URL of the client", good, 200, "account 7 of alice"},
		{"attack: the same proof again", good, 401, "invalid_dpop_proof"},
		{"attack: a token of another key", request(external, accesstoken.Claims{JKT: strings.Repeat("A", 43)}), 401, "invalid_token"},
		{"the URL without the prefix", internal, 401, "invalid_dpop_proof"},
	} {
		t.Run(row.name, func(t *testing.T) {
			response, err := client.Do(row.request)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, row.status, response.StatusCode, string(body))
			require.Contains(t, string(body), row.text)
		})
	}
}

// startNginx returns a client whose requests nginx receives.
func startNginx(t *testing.T, backend string) *http.Client {
	page, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 1)

	dir := t.TempDir()
	certificates := httptest.NewTLSServer(nil) // for its certificate
	defer certificates.Close()
	certificate := certificates.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server.pem"), both, 0o600))

	address := testkit.StartNginx(t, dir, func(address string) string {
		return strings.NewReplacer("listen 443", "listen "+address, "/etc/proxy", dir, "127.0.0.1:8080", backend).
			Replace(string(blocks[0][1]))
	})
	roots := x509.NewCertPool()
	roots.AddCert(certificates.Certificate())
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
	}}
}
