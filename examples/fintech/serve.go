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

	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/profile"
)

// shutdownTime is the time for running requests when the program ends.
const shutdownTime = 10 * time.Second

// serve runs the program without -once. It discovers the banks and serves the
// pages until ctx ends.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) error {
	log := slog.New(telemetry.Log(slog.NewTextHandler(stderr, nil)))
	exported, err := telemetry.Start(ctx, telemetry.Config{
		Service: "fintech", Prometheus: c.MetricsListen != "", Logger: log,
	})
	if err != nil {
		return err
	}
	defer exported.Shutdown(log)
	around := surroundings{log, exported}
	kept, err := openStore(ctx, c, around)
	if err != nil {
		return err
	}
	defer kept.Close() //nolint:errcheck // the program ends
	c.telemetry, c.tokens, c.shared = exported, kept.tokens(log), kept.isShared()
	own, err := url.Parse(c.RedirectURI)
	if err != nil {
		return err
	}
	certificate, err := c.pageCertificate(own.Hostname())
	if err != nil {
		return err
	}
	pages, err := newApp(c, kept, around)
	if err != nil {
		return err
	}
	if err := pages.discover(ctx); err != nil {
		return err
	}
	sockets := []socket{{address: c.address(own), handler: pages.handler(), certificate: certificate}}
	if metrics := exported.Metrics(); metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics)
		sockets = append(sockets, socket{address: c.MetricsListen, handler: mux})
	}
	for i := range sockets {
		if sockets[i].listener, err = new(net.ListenConfig).Listen(ctx, "tcp", sockets[i].address); err != nil {
			return err
		}
		defer sockets[i].listener.Close() //nolint:errcheck // closed by the server before
	}
	go kept.vault.RotateAlways(ctx, log)
	fmt.Fprintf(stdout, "fintech: open https://%s/ in a browser; it may ask about the certificate\n", own.Host)
	return serveAll(pages.probe.Drain(ctx, time.Duration(c.DrainSeconds)*time.Second), log, sockets)
}

// address returns the address to listen at.
func (c *config) address(own *url.URL) string {
	switch {
	case c.Listen != "":
		return c.Listen
	case own.Port() == "":
		return net.JoinHostPort(own.Hostname(), "443")
	}
	return own.Host
}

// A socket is an address and its handler.
type socket struct {
	address     string
	handler     http.Handler
	certificate *tls.Certificate // if nil, http
	listener    net.Listener
}

// serveAll serves the sockets until ctx ends, and then lets the running
// requests finish.
func serveAll(ctx context.Context, log *slog.Logger, sockets []socket) error {
	ended := make(chan error, len(sockets))
	servers := make([]*http.Server, len(sockets))
	for i, s := range sockets {
		listener := s.listener
		if s.certificate != nil {
			keeping := profile.TLSConfig()
			keeping.Certificates = []tls.Certificate{*s.certificate}
			keeping.NextProtos = []string{"h2", "http/1.1"}
			listener = tls.NewListener(listener, keeping)
		}
		servers[i] = &http.Server{
			// browsers that reject the certificate are not worth a warning
			Handler: s.handler, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
			IdleTimeout:    2 * time.Minute,
			MaxHeaderBytes: 64 << 10,
		}
		go func() { ended <- servers[i].Serve(listener) }()
	}
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(ending))
	}
	return err
}

// pageCertificate returns the first certificate of a tls_cert_file that is
// valid for this host and for servers. Otherwise it creates one.
func (c *config) pageCertificate(host string) (*tls.Certificate, error) {
	for _, b := range c.banks {
		if b.certificate != nil && b.certificate.Leaf.VerifyHostname(host) == nil &&
			slices.Contains(b.certificate.Leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
			return b.certificate, nil
		}
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
