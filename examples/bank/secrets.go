package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/gofapi/fapi2/examples/internal/records"
)

// A storedAuthority is a CA in PEM.
type storedAuthority struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// loadAuthority returns the stored CA for these hosts. It creates a new one if
// there is none, if the hosts have changed, or if it ends soon.
func loadAuthority(ctx context.Context, r *records.Records, hosts []string) (a *authority, err error) {
	return a, records.Update(ctx, r, "authority", "", records.Forever, func(v *storedAuthority) (bool, error) {
		var err error
		if a, err = parseAuthority(v.Certificate, v.Key, hosts...); err == nil {
			return false, nil
		}
		if a, err = newAuthority(hosts...); err != nil {
			return false, err
		}
		v.Certificate = a.pem()
		v.Key, err = keyPEM(a.key)
		return true, err
	})
}

// certificate returns the certificate of the configuration, or one of the
// stored CA. In that case it returns the CA as well.
func (b *bank) certificate(ctx context.Context) (_ *tls.Certificate, _ *authority, err error) {
	if b.cfg.certificate == nil && b.cfg.authority == nil {
		if b.cfg.authority, err = b.newestAuthority(ctx); err != nil {
			return nil, nil, err
		}
	}
	return b.cfg.serverCertificate()
}

// permits reports whether the name constraints of a CA are those for these
// hosts.
func (a *authority) permits(hosts []string) bool {
	wanted, got := constraints(hosts), a.certificate
	return fmt.Sprint(wanted.PermittedDNSDomains, wanted.PermittedIPRanges) ==
		fmt.Sprint(got.PermittedDNSDomains, got.PermittedIPRanges)
}
