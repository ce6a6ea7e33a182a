package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"
)

// A served is the certificate for new connections. It is safe for concurrent
// use.
type served struct {
	current atomic.Pointer[tls.Certificate]
}

func newServed(certificate *tls.Certificate) *served {
	s := new(served)
	s.current.Store(certificate)
	return s
}

// get implements tls.Config.GetCertificate.
func (s *served) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current.Load(), nil }

// renewEvery is the interval of renew.
const renewEvery = time.Hour

// endsSoon reports whether a certificate that the bank has made is to be
// replaced.
func endsSoon(certificate *x509.Certificate) bool { return time.Until(certificate.NotAfter) < renewal }

// renew replaces a certificate that the bank has made, if it or its CA ends
// soon. A new CA replaces that in write_ca_file. Existing connections stay.
func (b *bank) renew(ctx context.Context, s *served) error {
	if b.cfg.certificate != nil || !endsSoon(s.current.Load().Leaf) && !endsSoon(b.cfg.authority.certificate) {
		return nil
	}
	if endsSoon(b.cfg.authority.certificate) {
		var err error
		if b.cfg.authority, err = b.newestAuthority(ctx); err != nil {
			return err
		}
	}
	certificate, made, err := b.certificate(ctx)
	if err != nil {
		return err
	}
	if b.cfg.writeCA != "" {
		if err := replaceFile(b.cfg.writeCA, made.pem()); err != nil {
			return err
		}
	}
	s.current.Store(certificate)
	b.log.InfoContext(ctx, "certificate renewed", "until", certificate.Leaf.NotAfter)
	return nil
}

// newestAuthority returns a CA that lasts, from the place where the CA is kept.
func (b *bank) newestAuthority(ctx context.Context) (*authority, error) {
	if b.cfg.demo != nil {
		return b.cfg.demo.loadAuthority()
	}
	return loadAuthority(ctx, b.users.records, b.cfg.hosts())
}

// renewAlways calls renew at an interval until ctx ends.
func (b *bank) renewAlways(ctx context.Context, s *served) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := b.renew(ctx, s); err != nil && ctx.Err() == nil {
				b.log.ErrorContext(ctx, "certificate not renewed", "reason", err.Error())
			}
		}
	}
}
