package clientauth

import (
	"context"
	"crypto"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

// A Client is the registration of a client for a [Verifier]. It is safe for
// concurrent use if Keys is.
type Client struct {
	// ID is the client identifier. It must be the argument of Lookup.
	ID string
	// Method is the token_endpoint_auth_method of the client. The default is
	// [MethodPrivateKeyJWT]. A client with an unsupported method is never
	// authenticated.
	Method string
	// Algorithm is the client's token_endpoint_auth_signing_alg. If empty, any
	// algorithm that the verifier accepts may be used. EdDSA and Ed25519 are
	// one algorithm (RFC 9864 §2.2).
	Algorithm string
	// Algorithms are the only algorithms that the client may use. If empty, it
	// may use all that the verifier accepts.
	Algorithms []string
	// MaxLifetime replaces that of the verifier if it is shorter. If 0, that of
	// the verifier applies.
	MaxLifetime time.Duration
	// MinRSABits is the least size of RSA keys in bits, also of the key of a
	// certificate. The minimum of FAPI 2.0 is 2048, also if MinRSABits is 0.
	MinRSABits int
	// Keys returns the public keys of the client for a kid and an accepted
	// algorithm. If kid is empty, the assertion has no kid. Otherwise kid is a
	// value of up to 1024 bytes from the sender. At most eight keys are tried.
	// Without a key the assertion is rejected. An error becomes ErrUnavailable.
	// If Keys is nil, the client has no keys.
	//
	// For self_signed_tls_client_auth, kid is empty and alg fits the key of the
	// certificate. That key must be among the returned keys, of any number.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)

	// Exactly one of the following fields is required for tls_client_auth. Each
	// is a subject that the certificate must have, from the client metadata
	// tls_client_auth_subject_dn and so on.

	// SubjectDN is the subject as an RFC 4514 string, which starts with the
	// last element of the encoded name, for example "CN=client,O=Example,C=US".
	// Attribute types may be dotted numbers, and values #hexadecimal. The
	// documentation of the package describes the comparison.
	SubjectDN string
	// SANDNS is a dNSName of the certificate, compared without regard to case.
	// A wildcard matches nothing.
	SANDNS string
	// SANURI is a uniformResourceIdentifier of the certificate, compared byte
	// by byte.
	SANURI string
	// SANIP is an iPAddress of the certificate: dotted decimal for IPv4, RFC
	// 5952 for IPv6.
	SANIP string
	// SANEmail is an rfc822Name of the certificate. Case matters before the @
	// and not after it.
	SANEmail string
}

// Validate returns an error if a registration is unusable. The method or the
// algorithm may be unsupported. The subject may be malformed, missing, one of
// several or for another method. It does not check Keys. Call it when a client
// is registered. The error is invalid_client_metadata with status 400. Its text
// may be shown to the party that registers the client.
func (c Client) Validate() error {
	if err := syntax.CheckClientID(c.ID); err != nil {
		return fmt.Errorf("%w: %w", errRegistration, err)
	}
	if c.Algorithm != "" && !jose.Allowed(c.Algorithm) {
		return fmt.Errorf("%w: algorithm %.32q", errRegistration, c.Algorithm)
	}
	for _, algorithm := range c.Algorithms {
		if !jose.Allowed(algorithm) {
			return fmt.Errorf("%w: algorithm %.32q among Algorithms", errRegistration, algorithm)
		}
	}
	switch c.Method {
	case "", MethodPrivateKeyJWT, MethodSelfSignedTLSClientAuth:
		if subjects := c.subjects(); len(subjects) > 0 {
			return fmt.Errorf("%w: certificate subject without the method %s", errRegistration, MethodTLSClientAuth)
		}
		return nil
	case MethodTLSClientAuth:
		s, err := c.subject()
		if err == nil {
			_, err = s.normal()
		}
		return err
	}
	return fmt.Errorf("%w: method %.64q", errRegistration, c.Method)
}

// wrongMethod is the error for a request with another method than the
// registered one.
func (c Client) wrongMethod(by string) error {
	return oautherr.Describe(fmt.Errorf("%w: %s, registered is %.64q", ErrMethod, by, c.Method), failed)
}

// Tags of GeneralName (RFC 5280 §4.2.1.6), the kinds of a registered subject.
const (
	tagEmail     = 1
	tagDNS       = 2
	tagDirectory = 4 // the subject, which is not an alternative name
	tagURI       = 6
	tagIP        = 7
)

const maxSubject = 4096 // bytes, as text or DER; a DN of 20 attributes has about 1000

// A subject is the registered subject of a certificate.
type subject struct {
	tag  int
	text string
}

// subjects returns all registered subjects.
func (c Client) subjects() (found []subject) {
	for _, s := range [...]subject{
		{tagDirectory, c.SubjectDN}, {tagDNS, c.SANDNS}, {tagURI, c.SANURI}, {tagIP, c.SANIP}, {tagEmail, c.SANEmail},
	} {
		if s.text != "" {
			found = append(found, s)
		}
	}
	return found
}

// subject returns the only registered subject.
func (c Client) subject() (subject, error) {
	found := c.subjects()
	if len(found) != 1 {
		// MTLS-2.1.2-1: without a subject, every certificate would match. With
		// two, the required one would be unknown.
		return subject{}, fmt.Errorf("%w: %d subjects for %s, want 1", errRegistration, len(found), MethodTLSClientAuth)
	}
	return found[0], nil
}

// normal returns a string that is equal for equal subjects.
func (s subject) normal() (string, error) {
	if len(s.text) > maxSubject {
		return "", fmt.Errorf("%w: subject of %d bytes, want at most %d", errRegistration, len(s.text), maxSubject)
	}
	switch s.tag {
	case tagDirectory:
		name, err := parseName(s.text)
		if err != nil {
			return "", fmt.Errorf("%w: tls_client_auth_subject_dn: %w", errRegistration, err)
		}
		return name, nil
	case tagDNS:
		if isHostname(s.text) {
			return lower(s.text), nil
		}
		return "", fmt.Errorf("%w: tls_client_auth_san_dns: malformed name %.255q, want ASCII", errRegistration, s.text)
	case tagURI:
		if u, err := url.Parse(s.text); err == nil && u.Scheme != "" && syntax.IsVisible(s.text) {
			return s.text, nil
		}
		return "", fmt.Errorf("%w: tls_client_auth_san_uri: not an absolute URI: %.255q", errRegistration, s.text)
	case tagIP:
		addr, err := netip.ParseAddr(s.text)
		if err == nil && addr.Zone() == "" {
			return string(addr.AsSlice()), nil // MTLS-2.1.2-2
		}
		return "", fmt.Errorf("%w: tls_client_auth_san_ip: malformed IP address %.64q", errRegistration, s.text)
	case tagEmail:
		at := strings.LastIndexByte(s.text, '@')
		if at > 0 && syntax.IsVisible(s.text[:at]) && isHostname(s.text[at+1:]) {
			return normalEmail(s.text), nil
		}
	}
	return "", fmt.Errorf("%w: tls_client_auth_san_email: malformed address %.255q", errRegistration, s.text)
}

// normalEmail lowers the case of the domain and not of the local part (RFC 5280
// §7.5).
func normalEmail(s string) string {
	at := strings.LastIndexByte(s, '@') + 1
	return s[:at] + lower(s[at:])
}

// isHostname rejects wildcards, because a certificate must identify one client.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}

// lower lowers the case of ASCII letters only.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
