package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// shutdownTime is the time for running requests when the program ends.
const shutdownTime = 10 * time.Second

// serve runs the program without -once. It discovers the bank and serves the
// pages until ctx ends.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) error {
	client, err := discover(ctx, c)
	if err != nil {
		return at(stageDiscovery, err)
	}
	own, err := url.Parse(c.RedirectURI)
	if err != nil {
		return err
	}
	certificate, err := c.pageCertificate(own.Hostname())
	if err != nil {
		return err
	}
	address := own.Host
	if own.Port() == "" {
		address = net.JoinHostPort(own.Hostname(), "443")
	}
	keeping := profile.TLSConfig()
	keeping.Certificates = []tls.Certificate{*certificate}
	keeping.NextProtos = []string{"h2", "http/1.1"}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	pages, err := newApp(c, client, log)
	if err != nil {
		return err
	}
	server := &http.Server{
		// browsers that reject the certificate are not worth a warning
		Handler: pages.handler(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "fintech: open https://%s/ in a browser; it may ask about the certificate\n", own.Host)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(tls.NewListener(socket, keeping)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pageCertificate returns the certificate of tls_cert_file if it is valid for
// this host and for servers. Otherwise it creates one.
func (c *config) pageCertificate(host string) (*tls.Certificate, error) {
	if c.certificate != nil && c.certificate.Leaf.VerifyHostname(host) == nil &&
		slices.Contains(c.certificate.Leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return c.certificate, nil
	}
	return selfSigned(host)
}

// selfSigned creates a certificate for the pages, for the lifetime of this
// program. A public application needs a certificate that browsers trust.
func selfSigned(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
