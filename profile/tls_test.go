package profile_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// certificate makes a self-signed certificate for names and the pool that trusts it.
func certificate(t *testing.T, key crypto.Signer, commonName string, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// shake does a handshake on the loopback interface and returns what the client saw and what went wrong on either side.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	result := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			err = tls.Server(conn, server).Handshake()
		}
		result <- err
	}()
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second)
	require.NoError(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(conn, client)
	err = c.Handshake()
	return c.ConnectionState(), errors.Join(err, <-result)
}

func TestTLSConfig(t *testing.T) {
	const host = "as.example"
	keys := []crypto.Signer{testkit.ECKey(t, "tls"), testkit.RSAKey(t, "tls")}
	aead := map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: true,
	}
	var everySuite, notRecommended []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		everySuite = append(everySuite, s.ID)
		if !aead[s.ID] {
			notRecommended = append(notRecommended, s.ID)
		}
	}
	for _, key := range keys {
		cert, pool := certificate(t, key, host, host)
		ours := func() (server, client *tls.Config) {
			server, client = profile.TLSConfig(), profile.TLSConfig()
			server.Certificates = []tls.Certificate{cert}
			client.RootCAs, client.ServerName = pool, host
			return server, client
		}
		for _, tc := range []struct {
			name string
			edit func(server, client *tls.Config)
			want uint16 // version; 0: no handshake
		}{
			{"SP-5.2.1-3 the two sides agree on TLS 1.3", func(server, client *tls.Config) {}, tls.VersionTLS13},
			{"SP-5.2.1-2 a client of TLS 1.2", func(server, client *tls.Config) { client.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12},
			{"SP-5.2.1-2 a server of TLS 1.2", func(server, client *tls.Config) { server.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12},
			{"SP-5.2.1-2 a client of TLS 1.1 is refused", func(server, client *tls.Config) {
				client.MinVersion, client.MaxVersion, client.CipherSuites = tls.VersionTLS10, tls.VersionTLS11, everySuite
			}, 0},
			{"SP-5.2.1-2 a server of TLS 1.1 is refused", func(server, client *tls.Config) {
				server.MinVersion, server.MaxVersion, server.CipherSuites = tls.VersionTLS10, tls.VersionTLS11, everySuite
			}, 0},
			{"SP-5.2.2-1, SP-5.2.3-2 a client that has all suites gets a recommended one", func(server, client *tls.Config) {
				client.MaxVersion, client.CipherSuites = tls.VersionTLS12, everySuite
			}, tls.VersionTLS12},
			{"SP-5.2.2-1, SP-5.2.3-2 a client without a recommended suite is refused", func(server, client *tls.Config) {
				client.MaxVersion, client.CipherSuites = tls.VersionTLS12, notRecommended
			}, 0},
			{"SP-5.2.2-2 a server that has all suites uses a recommended one", func(server, client *tls.Config) {
				server.MaxVersion, server.CipherSuites = tls.VersionTLS12, everySuite
			}, tls.VersionTLS12},
			{"SP-5.2.2-2 a server without a recommended suite is refused", func(server, client *tls.Config) {
				server.MaxVersion, server.CipherSuites = tls.VersionTLS12, notRecommended
			}, 0},
			{"SP-5.2.1-3 a client that agrees keys on P-521 only is refused", func(server, client *tls.Config) {
				client.CurvePreferences = []tls.CurveID{tls.CurveP521}
			}, 0},
			{"SP-5.2.1-5 another host name is refused", func(server, client *tls.Config) { client.ServerName = "other.example" }, 0},
			{"SP-5.2.1-5 an unknown CA is refused", func(server, client *tls.Config) { client.RootCAs = x509.NewCertPool() }, 0},
			{"SP-5.2.1-5 JAR-8-1 a common name does not count", func(server, client *tls.Config) {
				bare, pool := certificate(t, key, host)
				server.Certificates, client.RootCAs = []tls.Certificate{bare}, pool
			}, 0},
		} {
			t.Run(tc.name, func(t *testing.T) {
				server, client := ours()
				tc.edit(server, client)
				state, err := shake(t, server, client)
				if tc.want == 0 {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.want, state.Version)
				require.NotEmpty(t, state.VerifiedChains)
				require.True(t, tc.want == tls.VersionTLS13 || aead[state.CipherSuite], tls.CipherSuiteName(state.CipherSuite))
			})
		}
	}
	t.Run("every call returns a new value", func(t *testing.T) {
		a, b := profile.TLSConfig(), profile.TLSConfig()
		a.CipherSuites[0], a.CurvePreferences[0], a.MinVersion = 0, 0, 0
		require.NotEqual(t, a.CipherSuites, b.CipherSuites)
		require.NotEqual(t, a.CurvePreferences, b.CurvePreferences)
		require.False(t, b.InsecureSkipVerify)
	})
	t.Run("HTTP/2 works with it, over TLS 1.2 too", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.EnableHTTP2, s.TLS = true, profile.TLSConfig()
		s.TLS.MaxVersion = tls.VersionTLS12
		s.StartTLS()
		defer s.Close()
		transport := &http.Transport{TLSClientConfig: profile.TLSConfig(), ForceAttemptHTTP2: true}
		transport.TLSClientConfig.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(s.URL)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, 2, response.ProtoMajor)
		require.EqualValues(t, tls.VersionTLS12, response.TLS.Version)
	})
}
