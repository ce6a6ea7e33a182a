package main

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An authority is a certification authority for the lifetime of this program.
type authority struct {
	own  tls.Certificate
	pool *x509.CertPool // contains only this authority
}

func newAuthority(name string) (*authority, error) {
	own, err := certify(nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	})
	if err != nil {
		return nil, err
	}
	a := &authority{own: *own, pool: x509.NewCertPool()}
	a.pool.AddCert(own.Leaf)
	return a, nil
}

// server returns a certificate for a server at ip, with its own key.
func (a *authority) server(ip net.IP) (*tls.Certificate, error) {
	return certify(&a.own, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{ip}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
}

// client returns a certificate for a client with a name, and its own key.
// Attacks change the certificate.
func (a *authority) client(name string, changes ...func(*x509.Certificate)) (*tls.Certificate, error) {
	return certify(&a.own, append([]func(*x509.Certificate){called(name)}, changes...)...)
}

// called sets the name of a client in a certificate.
func called(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.DNSNames = pkix.Name{CommonName: name}, []string{name}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
}

// certify creates a certificate and a key. Without an issuer the certificate is
// self-signed. certify does not check that the issuer is a CA.
func certify(issuer *tls.Certificate, changes ...func(*x509.Certificate)) (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	for _, change := range changes {
		change(template)
	}
	parent, signer := template, crypto.PrivateKey(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// shift moves the validity of a certificate.
func shift(by time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.Add(by), c.NotAfter.Add(by) }
}
