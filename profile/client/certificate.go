package client

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// transport returns a copy of base that presents the certificate. It has its
// own connections and TLS sessions: other servers do not see the certificate,
// and connections without it are not reused.
func (m *MutualTLS) transport(base http.RoundTripper) (*http.Transport, error) {
	plain, ok := base.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("client: unsupported HTTPClient.Transport %T, want *http.Transport for MutualTLS", base)
	}
	//lint:ignore SA1019 http.Transport still obeys DialTLS
	if plain.DialTLSContext != nil || plain.DialTLS != nil {
		return nil, errors.New("client: HTTPClient.Transport with DialTLSContext or DialTLS, which ignore MutualTLS")
	}
	own := plain.Clone()
	if own.TLSClientConfig == nil {
		own.TLSClientConfig = profile.TLSConfig()
	}
	config := own.TLSClientConfig
	config.Certificates = nil // package tls would omit a certificate whose issuer the server does not list
	if m.GetCertificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return m.current() }
		config.ClientSessionCache = nil // a resumed session keeps its first certificate
	} else {
		certificate := *m.Certificate
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}
		if config.ClientSessionCache != nil { // it may contain sessions without the certificate
			config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		}
	}
	if own.TLSNextProto["h2"] != nil { // it uses the connections of base
		own.TLSNextProto, own.ForceAttemptHTTP2 = nil, true
	}
	return own, nil
}

// current returns the host's current certificate. Without a certificate, the
// connection fails, because the server could take the client for another one.
func (m *MutualTLS) current() (*tls.Certificate, error) {
	certificate, err := m.GetCertificate()
	if err != nil {
		return nil, fmt.Errorf("client: GetCertificate: %w", err)
	}
	if problem := certificateProblem(certificate); problem != "" {
		return nil, errors.New("client: the certificate of GetCertificate " + problem)
	}
	return certificate, nil
}

// certificateProblem returns the reason why a certificate cannot be presented,
// or an empty text.
func certificateProblem(certificate *tls.Certificate) string {
	if certificate == nil || len(certificate.Certificate) == 0 {
		return "is required"
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return "is not an X.509 certificate"
	}
	signer, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok || wire.IsNil(signer) {
		return "has no private key that can sign"
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return "has the private key of another certificate"
	}
	return ""
}
