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

// Errors of a [CertificateSource]. Each is invalid_request with status 400.
// Their texts contain only the dates of the certificate.
var (
	// ErrCertificateSource means that a certificate comes from an untrusted
	// source. A header may come from a peer that is not the proxy, or in
	// addition to a certificate of the connection. The cause is an attack or a
	// faulty configuration of proxy and server, never an honest client.
	ErrCertificateSource = oautherr.New("tokenbinding: client certificate from an untrusted source",
		invalidRequest, 400, "Client certificate not accepted")
	// ErrCertificateHeader means that the header of the proxy is repeated, is
	// longer than 16 KiB, or does not have the configured form.
	ErrCertificateHeader = oautherr.New("tokenbinding: malformed client certificate header", invalidRequest, 400,
		"Client certificate not accepted")
	// ErrCertificate means that the client's certificate has expired, is not
	// yet valid, or belongs to a certification authority.
	ErrCertificate = oautherr.New("tokenbinding: unusable client certificate", invalidRequest, 400,
		"Client certificate is not valid")
)

// A ClientCertificate is the certificate of a client in the handshake of mutual
// TLS. The handshake proves that the client has the private key. The zero value
// means that the client presented none. [CertificateSource.Certificate] returns
// it.
//
// A ClientCertificate is safe for concurrent use if no caller changes the
// certificates in Chain, which requests share.
type ClientCertificate struct {
	// Chain has the client's own certificate first. The other certificates are
	// unordered, and may be missing, because some proxies do not forward them.
	// If nil, the client presented no certificate.
	Chain []*x509.Certificate
	// Thumbprint is the [CertificateThumbprint] of Chain[0], for
	// [Proof].X5TS256. It is empty without a certificate.
	Thumbprint string
	// Verified means that the chain leads to a configured trust anchor of the
	// TLS server. The method tls_client_auth requires it (RFC 8705 §2.1).
	// Binding a token and self_signed_tls_client_auth do not.
	Verified bool
}

// CertificateThumbprint returns the x5t#S256 of a certificate: the SHA-256 hash
// of its DER encoding, 43 characters of base64url (RFC 8705 §3.1). The validity
// of the certificate does not matter. For nil and for a certificate that was
// not parsed it is empty, and no token is bound to an empty thumbprint.
func CertificateThumbprint(cert *x509.Certificate) string {
	if cert == nil || len(cert.Raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]) // MTLS-3.1-2
}

// check returns an error if the client's own certificate must not be used at
// that time.
func (c ClientCertificate) check(now time.Time, selfSignedCA bool) error {
	leaf := c.Chain[0]
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case now.Before(leaf.NotBefore): // TLS checks the dates only if it verifies the chain
		return fmt.Errorf("%w: not valid before %s, now %s", ErrCertificate, text(leaf.NotBefore), text(now))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: expired at %s, now %s", ErrCertificate, text(leaf.NotAfter), text(now))
	case leaf.IsCA && !(selfSignedCA && !c.Verified && bytes.Equal(leaf.RawSubject, leaf.RawIssuer)):
		// The owner of a CA key can issue certificates for all of its clients.
		return fmt.Errorf("%w: certification authority (CA:TRUE)", ErrCertificate)
	}
	return nil
}

const (
	thumbprintSlots  = 1024     // power of two
	maxCachedRawCert = 16 << 10 // bytes
)

// thumbprints caches the thumbprints of recent certificates, so that the
// requests of a connection compute one hash. A certificate has one slot, which
// the end of its signature determines. A displaced certificate is hashed again.
// The zero value is ready for use and safe for concurrent use.
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
	// Every byte is compared, because an attacker can choose the slot.
	if e := slot.Load(); e != nil && bytes.Equal(e.raw, cert.Raw) {
		return e.thumbprint
	}
	e := &thumbprintOf{cert.Raw, CertificateThumbprint(cert)}
	slot.Store(e)
	return e.thumbprint
}
