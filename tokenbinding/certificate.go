package tokenbinding

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Failures of a [CertificateSource]. All are invalid_request with status 400, and say of the certificate only its dates.
var (
	// ErrCertificateSource: a certificate comes by a way that the configuration does not trust: a header from a peer that
	// is not the proxy, or a header beside a certificate of the connection itself. It is an attack, or a mistake in how
	// proxy and server are set up; never the fault of an honest client.
	ErrCertificateSource = oautherr.New("tokenbinding: client certificate from an untrusted source", invalidRequest, 400, "Client certificate not accepted")
	// ErrCertificateHeader: the proxy's header is there twice, is longer than 16 KiB, or does not hold what the
	// configuration says it holds.
	ErrCertificateHeader = oautherr.New("tokenbinding: malformed client certificate header", invalidRequest, 400, "Client certificate not accepted")
	// ErrCertificate: the client's certificate has expired, is not valid yet, or is that of a certification authority.
	ErrCertificate = oautherr.New("tokenbinding: unusable client certificate", invalidRequest, 400, "Client certificate is not valid")
)

// A ClientCertificate is what a client presented in the handshake of mutual TLS, by which TLS has made sure that the client
// has the private key. The zero value says that it presented none. It comes from [CertificateSource.Certificate]. Safe for
// concurrent use as long as nobody changes what Chain points to, which other requests share.
type ClientCertificate struct {
	// Chain has the client's own certificate first, then the others that it sent, unordered and maybe none: proxies do not
	// all pass them on. nil means that the client presented no certificate.
	Chain []*x509.Certificate
	// Thumbprint is [CertificateThumbprint] of Chain[0], empty if there is none: what [Proof] wants in X5TS256.
	Thumbprint string
	// Verified says that the chain leads to a trust anchor that whoever ended TLS was configured with: what tls_client_auth
	// needs (RFC 8705 §2.1). Binding a token (MTLS-6.2-1) and self_signed_tls_client_auth do not need it.
	Verified bool
}

// CertificateThumbprint returns the x5t#S256 of a certificate: the SHA-256 hash of its DER encoding in base64url, 43
// characters (RFC 8705 §3.1). It does not matter whether the certificate is valid. For nil, and for a certificate that was
// not parsed, it is empty, which no token can be bound to.
func CertificateThumbprint(cert *x509.Certificate) string {
	if cert == nil || len(cert.Raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]) // MTLS-3.1-2
}

// check says if the client's own certificate may be used at a time.
func (c ClientCertificate) check(now time.Time, selfSignedCA bool) error {
	leaf := c.Chain[0]
	switch {
	case now.Before(leaf.NotBefore): // TLS has not looked unless it verified the chain
		return fmt.Errorf("%w: not valid before %s, now %s", ErrCertificate, leaf.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: expired at %s, now %s", ErrCertificate, leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case leaf.IsCA && !(selfSignedCA && !c.Verified && bytes.Equal(leaf.RawSubject, leaf.RawIssuer)):
		// Who has the key of a CA could be any of its clients; it must not be in use as a client's.
		return fmt.Errorf("%w: that of a certification authority (CA:TRUE)", ErrCertificate)
	}
	return nil
}

const (
	thumbprintSlots  = 1024     // power of two
	maxCachedRawCert = 16 << 10 // bytes
)

// thumbprints remembers those of recent certificates, so that the requests of a connection share one hash. A certificate has
// one slot, found by the end of its signature; one that is displaced is hashed again. The zero value is ready for use, also
// concurrently.
type thumbprints struct {
	slots [thumbprintSlots]atomic.Pointer[thumbprintOf]
}

type thumbprintOf struct {
	raw        []byte
	thumbprint string
}

func (t *thumbprints) get(cert *x509.Certificate) string {
	n := len(cert.Raw)
	if n < 2 || n > maxCachedRawCert {
		return CertificateThumbprint(cert)
	}
	slot := &t.slots[(int(cert.Raw[n-1])|int(cert.Raw[n-2])<<8)%thumbprintSlots]
	// Every byte is compared: the slot is for anyone to aim at.
	if e := slot.Load(); e != nil && bytes.Equal(e.raw, cert.Raw) {
		return e.thumbprint
	}
	e := &thumbprintOf{cert.Raw, CertificateThumbprint(cert)}
	slot.Store(e)
	return e.thumbprint
}
