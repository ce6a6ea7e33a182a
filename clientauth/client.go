package clientauth

import (
	"context"
	"crypto"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

// A Client is what a verifier has to know of a registered client.
type Client struct {
	// ID is the client identifier. It must be the one that was asked for.
	ID string
	// Method is the token_endpoint_auth_method registered for the client, the one by which it can authenticate. Empty means
	// [MethodPrivateKeyJWT]; a client with a method that is not supported here is never authenticated.
	Method string
	// Algorithm is the client's token_endpoint_auth_signing_alg. If empty, any
	// algorithm that the verifier accepts may be used. EdDSA and Ed25519 are one
	// algorithm (RFC 9864 §2.2).
	Algorithm string
	// Keys returns the public keys of the client that may have made a signature with alg, an accepted algorithm. With a
	// kid, those that have it; kid is empty when the assertion has none, and is otherwise whatever the sender wrote, up to
	// 1024 bytes. All keys returned are tried, at most eight. No key and no error means that the client has none such and
	// is refused; an error means that it cannot be known now, and becomes ErrUnavailable. nil is no key.
	//
	// For self_signed_tls_client_auth it is called without kid and with the algorithm that fits the key of the certificate
	// presented, which must be among the keys returned, of whatever number.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)

	// The subject that the client's certificate must have for tls_client_auth: exactly one of these, the client metadata
	// tls_client_auth_subject_dn and so on.

	// SubjectDN is the certificate's subject as an RFC 4514 string, which starts with the last element of the encoded name,
	// such as "CN=client,O=Example,C=US". Attribute types may be dotted numbers, values #hexadecimal. Spelling does not
	// count: see the package's documentation.
	SubjectDN string
	// SANDNS is a dNSName of the certificate, compared without regard to case. Wildcards match nothing.
	SANDNS string
	// SANURI is a uniformResourceIdentifier of the certificate, compared as it is.
	SANURI string
	// SANIP is an iPAddress of the certificate: dotted decimal for IPv4, RFC 5952 for IPv6.
	SANIP string
	// SANEmail is an rfc822Name of the certificate. Case counts before the @ and not after it.
	SANEmail string
}

// Validate reports what a verifier would find wrong with a registration, for the time at which it is made: a method that is
// not supported, an algorithm that is not accepted, or a subject of the certificate that is malformed, missing, one of
// several, or meant for another method. Keys is not looked at. The error is invalid_client_metadata, status 400, and its
// text may be shown to whoever registers the client.
func (c Client) Validate() error {
	if err := checkClientID(c.ID); err != nil {
		return fmt.Errorf("%w: %w", errRegistration, err)
	}
	if c.Algorithm != "" && !jose.Allowed(c.Algorithm) {
		return fmt.Errorf("%w: algorithm %.32q", errRegistration, c.Algorithm)
	}
	switch c.Method {
	case "", MethodPrivateKeyJWT, MethodSelfSignedTLSClientAuth:
		if subjects := c.subjects(); len(subjects) > 0 {
			return fmt.Errorf("%w: a certificate's subject with another method than %s", errRegistration, MethodTLSClientAuth)
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

// refuseMethod is the answer to a request that authenticates as the client, but not by its method.
func (c Client) refuseMethod(by string) error {
	return oautherr.Describe(fmt.Errorf("%w: %s, the client is registered for %.64q", ErrMethod, by, c.Method), failed)
}

// Tags of GeneralName (RFC 5280 §4.2.1.6), the kinds of a registered subject.
const (
	tagEmail     = 1
	tagDNS       = 2
	tagDirectory = 4 // stands for the certificate's subject, not for an alternative name
	tagURI       = 6
	tagIP        = 7
)

const maxSubject = 4096 // bytes, of a subject as text or DER; a DN of 20 attributes has about 1000

// A subject is what is registered of a certificate.
type subject struct {
	tag  int
	text string
}

// subjects returns all that are registered.
func (c Client) subjects() (found []subject) {
	for _, s := range [...]subject{{tagDirectory, c.SubjectDN}, {tagDNS, c.SANDNS}, {tagURI, c.SANURI}, {tagIP, c.SANIP}, {tagEmail, c.SANEmail}} {
		if s.text != "" {
			found = append(found, s)
		}
	}
	return found
}

// subject returns the one that is registered.
func (c Client) subject() (subject, error) {
	found := c.subjects()
	if len(found) != 1 {
		// MTLS-2.1.2-1: with none any certificate would do, with two it would be open which of them counts.
		return subject{}, fmt.Errorf("%w: %d subjects for %s, want one", errRegistration, len(found), MethodTLSClientAuth)
	}
	return found[0], nil
}

// normal returns the form in which equal subjects are equal strings.
func (s subject) normal() (string, error) {
	if len(s.text) > maxSubject {
		return "", fmt.Errorf("%w: subject of %d bytes, at most %d", errRegistration, len(s.text), maxSubject)
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
		return "", fmt.Errorf("%w: tls_client_auth_san_dns: %.255q is no DNS name in ASCII", errRegistration, s.text)
	case tagURI:
		if u, err := url.Parse(s.text); err == nil && u.Scheme != "" && isGraphic(s.text) {
			return s.text, nil
		}
		return "", fmt.Errorf("%w: tls_client_auth_san_uri: %.255q is no absolute URI", errRegistration, s.text)
	case tagIP:
		addr, err := netip.ParseAddr(s.text)
		if err == nil && addr.Zone() == "" {
			return string(addr.AsSlice()), nil // MTLS-2.1.2-2
		}
		return "", fmt.Errorf("%w: tls_client_auth_san_ip: %.64q is no IP address", errRegistration, s.text)
	case tagEmail:
		at := strings.LastIndexByte(s.text, '@')
		if at > 0 && isGraphic(s.text[:at]) && isHostname(s.text[at+1:]) {
			return normalEmail(s.text), nil
		}
	}
	return "", fmt.Errorf("%w: tls_client_auth_san_email: %.255q is no e-mail address in ASCII", errRegistration, s.text)
}

// normalEmail: RFC 5280 §7.5. The local part is the host's to interpret.
func normalEmail(s string) string {
	at := strings.LastIndexByte(s, '@') + 1
	return s[:at] + lower(s[at:])
}

// isHostname accepts no wildcard: a name that stands for many is not one client's.
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

func isGraphic(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// lower turns ASCII letters to lower case and nothing else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
