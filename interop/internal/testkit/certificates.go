package testkit

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// An Authority is a certification authority for the time of a test. It issues
// certificates for servers on 127.0.0.1 and for clients.
type Authority struct {
	Pool   *x509.CertPool // contains only this authority
	own    *tls.Certificate
	server *tls.Certificate
}

// NewAuthority creates an Authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Pool: x509.NewCertPool()}
	a.own = a.certify(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "interop authority"}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	})
	a.Pool.AddCert(a.own.Leaf)
	a.server = a.certify(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "127.0.0.1"}
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	return a
}

// Client returns a certificate with a DNS name and its own key.
func (a *Authority) Client(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	return a.certify(t, func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: name}, []string{name}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

func (a *Authority) certify(t testing.TB, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key := NewKey(t)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	change(template)
	parent, signer := template, crypto.PrivateKey(key)
	if a.own != nil {
		parent, signer = a.own.Leaf, a.own.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// PEM contains the certificates of a peer: the trusted authority, and the
// peer's own certificate and key.
type PEM struct {
	CA   string `json:"ca"`             // the authority's certificate
	Cert string `json:"cert,omitempty"` // its own
	Key  string `json:"key,omitempty"`  // PKCS #8
}

// ServerPEM returns the certificates for a peer that is a server.
func (a *Authority) ServerPEM(t testing.TB) PEM {
	t.Helper()
	return a.PEM(t, a.server)
}

// PEM returns the certificates for a peer. If certificate is nil, the peer has
// no certificate of its own.
func (a *Authority) PEM(t testing.TB, certificate *tls.Certificate) PEM {
	t.Helper()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	p := PEM{CA: block("CERTIFICATE", a.own.Certificate[0])}
	if certificate != nil {
		key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
		check(t, err)
		p.Cert, p.Key = block("CERTIFICATE", certificate.Certificate[0]), block("PRIVATE KEY", key)
	}
	return p
}

// HTTPClient returns a client that trusts the authority, uses profile.TLSConfig
// and follows no redirect. Its connections end with the test.
func (a *Authority) HTTPClient(t testing.TB) *http.Client {
	t.Helper()
	return a.CertificateClient(t, nil)
}

// CertificateClient returns an HTTPClient that presents a certificate to
// servers that request one. If certificate is nil, it presents none.
func (a *Authority) CertificateClient(t testing.TB, certificate *tls.Certificate) *http.Client {
	t.Helper()
	config := profile.TLSConfig()
	config.RootCAs = a.Pool
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Listen opens a socket. Its URL is known before a handler is served there.
func Listen(t testing.TB) (socket net.Listener, url string) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { socket.Close() }) //nolint:errcheck // the server has closed it
	return socket, "https://" + socket.Addr().String()
}

// Serve serves on a socket until the test ends. If asks is true, it requests
// certificates from clients.
func (a *Authority) Serve(t testing.TB, socket net.Listener, asks bool, handler http.Handler) {
	t.Helper()
	config := profile.TLSConfig()
	config.Certificates = []tls.Certificate{*a.server}
	if asks {
		config.ClientAuth = tls.RequestClientCert
	}
	server := &http.Server{
		Handler: handler, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeTLS(socket, "", "") //nolint:errcheck // it ends by Close
	}()
	t.Cleanup(func() {
		server.Close() //nolint:errcheck // the test is over
		<-done
	})
}
