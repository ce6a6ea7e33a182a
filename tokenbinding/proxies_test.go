package tokenbinding_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

// The tests of this file run the proxies themselves, with the configurations of docs/mutual-tls-proxies.md.

// documented returns the configuration in docs/mutual-tls-proxies.md for a proxy.
func documented(t *testing.T, proxy string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/mutual-tls-proxies.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```"+proxy+"\n(.*?)```").FindAllSubmatch(text, -1)
	require.Len(t, blocks, 1)
	return string(blocks[0][1])
}

// substitute replaces parts of a configuration, each of which has to be there.
func substitute(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		require.Contains(t, text, oldNew[i])
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}

// stage has a certification authority, a proxy's identity, and the directory that stands for /etc/proxy.
type stage struct {
	dir            string
	ca, server     *identity
	client, victim *identity
	selfSigned     *identity
	stranger       *identity // of another authority
}

func newStage(t *testing.T) *stage {
	s := &stage{dir: t.TempDir(), ca: issue(t, "ca", nil, authority)}
	s.server, s.client, s.victim = issue(t, "localhost", s.ca, nil), issue(t, "client", s.ca, nil), issue(t, "victim", s.ca, nil)
	s.selfSigned = issue(t, "self-signed", nil, nil)
	s.stranger = issue(t, "stranger", issue(t, "other-ca", nil, authority), nil)
	key, err := x509.MarshalPKCS8PrivateKey(s.server.key)
	require.NoError(t, err)
	both := pemOf(s.server) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "server.pem"), []byte(both), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "clients-ca.pem"), []byte(pemOf(s.ca)), 0o600))
	return s
}

// backend is the server behind the proxy. It answers with what its source says.
func (s *stage) backend(t *testing.T, cfg tokenbinding.CertificateSourceConfig) (address string) {
	t.Helper()
	if cfg.TrustedPeers == nil {
		cfg.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	source := newSource(t, cfg)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := source.Certificate(r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusTeapot)
		case c.Chain == nil:
			fmt.Fprint(w, "none")
		default:
			fmt.Fprintf(w, "%s verified=%t", c.Thumbprint, c.Verified)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func (s *stage) nginx(t *testing.T, backend string, change ...string) (address string) {
	return testkit.StartNginx(t, s.dir, func(address string) string {
		config := substitute(t, documented(t, "nginx"), "listen 443 ssl", "listen "+address+" ssl", "/etc/proxy", s.dir, "127.0.0.1:8080", backend)
		return substitute(t, config, change...)
	})
}

func (s *stage) haproxy(t *testing.T, backend string, change ...string) (address string) {
	path := testkit.Installed(t, "haproxy")
	return testkit.StartProxy(t, func(string) *exec.Cmd {
		config := substitute(t, documented(t, "haproxy"), "bind :443", "bind fd@3", "/etc/proxy", s.dir, "127.0.0.1:8080", backend)
		config = substitute(t, config, change...)
		config = "defaults\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n" + config
		file := filepath.Join(s.dir, "haproxy.cfg")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		return exec.CommandContext(t.Context(), path, "-db", "-f", file)
	})
}

// get sends a request with a certificate, if any, and headers, names and values in turn. Without an answer it returns
// "refused" for a handshake that failed.
func (s *stage) get(t *testing.T, address string, id *identity, headers ...string) (status int, body string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.cert)
	config := &tls.Config{RootCAs: roots}
	if id != nil {
		config.GetClientCertificate = id.present
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+"/", nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		require.ErrorContains(t, err, "remote error: tls:")
		return 0, "refused"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// A liveRow is a request through a proxy and what the server behind it makes of it.
type liveRow struct {
	name    string
	id      *identity
	headers []string
	status  int
	body    string // empty for any
}

func (s *stage) run(t *testing.T, address string, rows []liveRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for range 2 {
				status, body := s.get(t, address, row.id, row.headers...)
				require.Equal(t, row.status, status, body)
				if row.body != "" {
					require.Equal(t, row.body, body)
				}
			}
		})
	}
}

func answer(id *identity, verified bool) string {
	return fmt.Sprintf("%s verified=%t", tokenbinding.CertificateThumbprint(id.cert), verified)
}

func TestBehindNginx(t *testing.T) {
	s := newStage(t)
	forged := []string{"X-SSL-Client-Cert", escaped(s.victim)}
	t.Run("as documented", func(t *testing.T) {
		address := s.nginx(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "nginx", ChainVerified: true}))
		s.run(t, address, []liveRow{
			{"MTLS-6.5-1 a client's certificate", s.client, nil, 200, answer(s.client, true)},
			{"another client's certificate", s.victim, nil, 200, answer(s.victim, true)},
			{"no certificate", nil, nil, 200, "none"},
			{"BCP-4.13-1 a header of the client's making is replaced", s.client, forged, 200, answer(s.client, true)},
			{"BCP-4.13-1 and removed if there is no certificate", nil, forged, 200, "none"},
			{"BCP-4.13-1 however it is written", nil, []string{"x-ssl-client-cert", forged[1], "X_SSL_Client_Cert", forged[1]}, 200, "none"},
			{"BCP-4.13-1 two of them", s.client, append(forged, forged...), 200, answer(s.client, true)},
			{"a certificate of another authority does not come through", s.stranger, nil, 400, ""},
			{"nor does a self-signed one", s.selfSigned, nil, 400, ""},
		})
	})
	t.Run("for self-signed certificates", func(t *testing.T) {
		address := s.nginx(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "nginx"}), "ssl_verify_client optional", "ssl_verify_client optional_no_ca")
		s.run(t, address, []liveRow{
			{"MTLS-6.2-1 a self-signed certificate", s.selfSigned, nil, 200, answer(s.selfSigned, false)},
			{"MTLS-6.2-1 one of another authority", s.stranger, nil, 200, answer(s.stranger, false)},
			{"a CA's certificate", s.ca, nil, http.StatusTeapot, ""},
		})
	})
	t.Run("a server that has other peers", func(t *testing.T) {
		address := s.nginx(t, s.backend(t, behind("nginx")))
		s.run(t, address, []liveRow{
			{"MTLS-6.5-1 the header is refused", s.client, nil, http.StatusTeapot, ""},
			{"no header, no refusal", nil, nil, 200, "none"},
		})
	})
	t.Run("a proxy that does not set the header", func(t *testing.T) {
		address := s.nginx(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "nginx"}),
			"proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;", "")
		s.run(t, address, []liveRow{
			// Nothing in the request tells it from one that the proxy has set: why the proxy has to overwrite it.
			{"the only header is believed", nil, forged, 200, answer(s.victim, false)},
			{"BCP-4.13-1 two are refused", nil, append(forged, forged...), http.StatusTeapot, ""},
		})
	})
	t.Run("the wrong variable", func(t *testing.T) {
		address := s.nginx(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "nginx"}), "$ssl_client_escaped_cert", "$ssl_client_verify")
		s.run(t, address, []liveRow{{"garbage is refused", s.client, nil, http.StatusTeapot, ""}})
	})
}

func TestBehindHAProxy(t *testing.T) {
	s := newStage(t)
	forged := []string{"Client-Cert", ":" + base64Of(s.victim) + ":"}
	withChain := append([]string{"Client-Cert-Chain", ":" + base64Of(s.ca) + ":"}, forged...)
	rfc9440 := tokenbinding.CertificateSourceConfig{Proxy: "rfc9440", ChainVerified: true}
	set := "http-request set-header Client-Cert :%[ssl_c_der,base64]:"
	t.Run("as documented", func(t *testing.T) {
		s.run(t, s.haproxy(t, s.backend(t, rfc9440)), []liveRow{
			{"MTLS-6.5-1 a client's certificate", s.client, nil, 200, answer(s.client, true)},
			{"no certificate", nil, nil, 200, "none"},
			{"BCP-4.13-1 a header of the client's making is replaced", s.client, forged, 200, answer(s.client, true)},
			{"BCP-4.13-1 and removed if there is no certificate", nil, forged, 200, "none"},
			{"BCP-4.13-1 with a chain", s.client, withChain, 200, answer(s.client, true)},
			{"BCP-4.13-1 only a chain", nil, withChain[:2], 200, "none"},
			{"BCP-4.13-1 two of them", nil, append(forged, forged...), 200, "none"},
			{"a certificate of another authority fails the handshake", s.stranger, nil, 0, "refused"},
			{"so does a self-signed one", s.selfSigned, nil, 0, "refused"},
		})
	})
	t.Run("for self-signed certificates", func(t *testing.T) {
		address := s.haproxy(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "rfc9440"}), "verify optional", "verify optional ca-ignore-err all crt-ignore-err all")
		s.run(t, address, []liveRow{
			{"MTLS-6.2-1 a self-signed certificate", s.selfSigned, nil, 200, answer(s.selfSigned, false)},
			{"a CA's certificate", s.ca, nil, http.StatusTeapot, ""},
		})
	})
	for _, form := range []string{"%[ssl_c_der,base64]", "%{+Q}[ssl_c_der,base64]"} {
		t.Run("with the older header "+form, func(t *testing.T) {
			address := s.haproxy(t, s.backend(t, tokenbinding.CertificateSourceConfig{Proxy: "haproxy", ChainVerified: true}),
				set+" if { ssl_c_used }", "http-request set-header X-SSL-Client-Cert "+form)
			s.run(t, address, []liveRow{
				{"MTLS-6.5-1 a client's certificate", s.client, nil, 200, answer(s.client, true)},
				{"no certificate", nil, []string{"X-SSL-Client-Cert", base64Of(s.victim)}, 200, "none"},
			})
		})
	}
	t.Run("a proxy that adds to what the client sends", func(t *testing.T) {
		address := s.haproxy(t, s.backend(t, rfc9440), "http-request del-header Client-Cert\n", "\n", "set-header Client-Cert", "add-header Client-Cert")
		s.run(t, address, []liveRow{
			{"BCP-4.13-1 two headers are refused", s.client, forged, http.StatusTeapot, ""},
			{"one is not", s.client, nil, 200, answer(s.client, true)},
		})
	})
	t.Run("a proxy that always sets the header", func(t *testing.T) {
		address := s.haproxy(t, s.backend(t, rfc9440), " if { ssl_c_used }", "")
		s.run(t, address, []liveRow{{"an empty byte sequence is refused", nil, nil, http.StatusTeapot, ""}})
	})
}
