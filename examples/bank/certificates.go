package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"time"
)

// An authority issues certificates. The store keeps its key. The demonstration
// keeps it in a file.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	hosts       []string
}

// madeLifetime is the lifetime of certificates that the bank creates.
const madeLifetime = 90 * 24 * time.Hour

// newAuthority creates an authority. The name constraints of its certificate
// limit it to these hosts, even where it is trusted for every name.
func newAuthority(hosts ...string) (*authority, error) {
	a := &authority{hosts: hosts}
	template := constraints(hosts)
	template.Subject = pkix.Name{CommonName: "Bank of examples, " + time.Now().UTC().Format(time.DateTime)}
	template.IsCA, template.KeyUsage, template.MaxPathLenZero = true, x509.KeyUsageCertSign, true
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	a.certificate, err = sign(template, template, a.key, a.key)
	return a, err
}

// constraints returns a certificate with the name constraints for these hosts.
func constraints(hosts []string) *x509.Certificate {
	template := &x509.Certificate{PermittedDNSDomainsCritical: true}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			if v4 := ip.To4(); v4 != nil {
				ip = v4
			}
			template.PermittedIPRanges = append(template.PermittedIPRanges,
				&net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
		} else {
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, host)
		}
	}
	return template
}

// renewal is the time before its expiry at which a stored authority is
// replaced.
const renewal = madeLifetime / 3

// parseAuthority reads an authority that was stored. It returns an error if the
// authority is not one of the bank for these hosts, or ends soon.
func parseAuthority(certificate, key []byte, hosts ...string) (*authority, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA || !pair.Leaf.PermittedDNSDomainsCritical || endsSoon(pair.Leaf) {
		return nil, errors.New("not a CA certificate of the bank, or at its end")
	}
	a := &authority{certificate: pair.Leaf, key: private, hosts: hosts}
	if !a.permits(hosts) {
		return nil, errors.New("a CA certificate for other hosts")
	}
	return a, nil
}

// localhosts are the names of this machine.
var localhosts = []string{"localhost", "127.0.0.1", "::1"}

// issue creates a certificate for the hosts of the authority. Servers and
// clients can use it.
func (a *authority) issue() (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: a.hosts[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range a.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber, template.BasicConstraintsValid = serial, true
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(madeLifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// pem returns the certificate of the authority in PEM.
func (a *authority) pem() []byte { return certificatePEM(a.certificate.Raw) }

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// serverCertificate returns the certificate of tls_cert_file, or makes one. In
// that case it returns the authority as well.
func (c *config) serverCertificate() (*tls.Certificate, *authority, error) {
	if c.certificate != nil {
		return c.certificate, nil, nil
	}
	a := c.authority
	if a == nil {
		var err error
		if a, err = newAuthority(c.hosts()...); err != nil {
			return nil, nil, err
		}
	}
	pair, err := a.issue()
	return pair, a, err
}

// hosts returns the hosts of a certificate that the bank creates.
func (c *config) hosts() []string {
	u, err := url.Parse(c.issuer)
	if err != nil || slices.Contains(localhosts, u.Hostname()) { // checked before
		return localhosts
	}
	return append([]string{u.Hostname()}, localhosts...)
}
