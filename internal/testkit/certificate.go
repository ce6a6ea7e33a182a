package testkit

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// Certify returns a client certificate for the P-256 key with that name. It is
// valid from an hour ago for two hours. The issuer signs it, or the key itself
// if issuer is nil. Each change is applied to the certificate before. Certify
// panics if a change is invalid.
func Certify(t testing.TB, name string, issuer *tls.Certificate, change ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: Must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Example"}},
		DNSNames:     []string{name + ".example", "other." + name + ".example"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(template)
	}
	key := ECKey(t, name)
	parent, signer := template, crypto.PrivateKey(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der := Must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: Must(x509.ParseCertificate(der))}
}

// Authority returns a self-signed certificate that can issue others.
func Authority(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	return Certify(t, name, nil, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
}
