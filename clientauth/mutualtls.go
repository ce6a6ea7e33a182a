package clientauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	maxCertificate  = 16 << 10 // bytes; the alternative names of more would take long to look through
	maxCertificates = 10       // of a chain that is verified here
	minCurveBits    = 224      // SP-5.4.1-3
	cachedNames     = 4096
	cachedChains    = 4096
)

// MutualTLS is a client identifier, and the client's side of tls_client_auth and self_signed_tls_client_auth: the form says
// who the client is, and the connection proves it. The certificate belongs in the configuration of the http.Client, for all
// servers that the client calls with certificate-bound tokens too; in GetClientCertificate rather than Certificates if the
// server's list of acceptable authorities does not name the issuer, because package tls presents nothing then. Safe for
// concurrent use.
type MutualTLS string

// Authenticate puts client_id into the form of a request to the authorization server, and removes what belongs to other
// methods. An error says that the client identifier is unusable, or is ctx's; form is unchanged then.
func (id MutualTLS) Authenticate(ctx context.Context, form url.Values) error {
	if form == nil {
		return errors.New("clientauth: no form to authenticate")
	}
	if err := checkClientID(string(id)); err != nil {
		return fmt.Errorf("clientauth: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	form.Set(paramClientID, string(id)) // MTLS-2-2
	for _, name := range []string{paramAssertion, paramAssertionType, paramClientSecret} {
		form.Del(name) // an assertion would go before the certificate
	}
	return nil
}

// checkCertificate authenticates a client by the certificate of its connection.
func (v *Verifier) checkCertificate(ctx context.Context, c Credentials, clientID string, now time.Time) (Authentication, error) {
	if err := checkClientID(clientID); err != nil {
		return Authentication{}, fmt.Errorf("%w: %w", ErrUnknownClient, err)
	}
	leaf := c.Certificates[0]
	if err := checkLeaf(leaf, now); err != nil {
		return Authentication{}, err
	}
	client, err := v.lookup(ctx, clientID)
	if err != nil {
		return Authentication{}, err
	}
	switch client.Method { // SP-5.3.2.1-6: the one that is registered
	case MethodTLSClientAuth:
		err = v.checkSubject(c, client, now)
	case MethodSelfSignedTLSClientAuth:
		err = checkRegisteredKey(ctx, client, leaf)
	default:
		err = client.refuseMethod("a certificate alone")
	}
	if err != nil {
		return Authentication{}, err
	}
	// NotAfter is an instant of the validity still.
	return Authentication{clientID: client.ID, method: client.Method, by: v, expires: leaf.NotAfter.Add(1)}, nil
}

// checkLeaf makes the checks for which it does not matter whose certificate it is. TLS that does not verify chains has made
// none of them.
func checkLeaf(leaf *x509.Certificate, now time.Time) error {
	unusable := func(sentinel error, format string, a ...any) error {
		return oautherr.Describe(fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, a...)), "client certificate not acceptable")
	}
	switch {
	case leaf == nil || len(leaf.Raw) == 0 || len(leaf.Raw) > maxCertificate:
		return unusable(ErrCertificate, "not parsed, or of more than %d bytes", maxCertificate)
	case now.Before(leaf.NotBefore):
		return unusable(ErrNotYetValid, "certificate not valid before %s, now %s", stamp(leaf.NotBefore), stamp(now))
	case now.After(leaf.NotAfter):
		return unusable(ErrExpired, "certificate expired at %s, now %s", stamp(leaf.NotAfter), stamp(now))
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return unusable(ErrCertificate, "its extended key usage is not that of TLS clients")
	case !isStrong(leaf.PublicKey):
		return unusable(ErrCertificate, "weak or unknown kind of key: %s", leaf.PublicKeyAlgorithm)
	}
	return nil
}

// isStrong: for TLS there are more kinds of keys than for tokens.
func isStrong(key crypto.PublicKey) bool {
	if k, ok := key.(*ecdsa.PublicKey); ok { // SP-5.4.1-3
		return k != nil && k.Curve != nil && k.Curve.Params().BitSize >= minCurveBits && k.X != nil && k.Y != nil
	}
	_, err := jose.AlgorithmFor(key) // SP-5.4.1-2
	return err == nil
}

// checkSubject is tls_client_auth: MTLS-2.1-1, a certificate that a trust anchor vouches for, with the subject registered.
func (v *Verifier) checkSubject(c Credentials, client Client, now time.Time) error {
	want, err := client.subject()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	leaf := c.Certificates[0]
	switch {
	case leaf.IsCA:
		// Whoever has such a key can make a certificate for any client, and must not use it as a client.
		return fmt.Errorf("%w: that of a certification authority", ErrCertificate)
	case v.cfg.ClientCAs != nil:
		err = v.verifyChain(c.Certificates, now)
	case !c.ChainVerified:
		err = fmt.Errorf("%w: its chain was not verified", ErrCertificate)
	}
	if err != nil {
		return err
	}
	if want.tag == tagDirectory {
		return v.checkName(leaf, want)
	}
	normal, err := want.normal()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !hasAlternativeName(leaf, want.tag, normal) { // MTLS-2-3: the common name is no substitute
		return fmt.Errorf("%w: no alternative name is the one registered, %.255q", ErrCertificate, want.text)
	}
	return nil
}

// checkName compares the subject with a registered distinguished name.
func (v *Verifier) checkName(leaf *x509.Certificate, want subject) (err error) {
	normal, ok := v.names.Get(want.text)
	if !ok {
		if normal, err = want.normal(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		v.names.Put(want.text, normal)
	}
	raw := string(leaf.RawSubject)
	name, ok := v.subjects.Get(raw)
	if !ok {
		if name, err = encodedName(leaf.RawSubject); err != nil {
			return fmt.Errorf("%w: its subject: %w", ErrCertificate, err)
		}
		v.subjects.Put(raw, name)
	}
	if name != normal { // MTLS-2-3, MTLS-2.1-2
		return fmt.Errorf("%w: its subject is %.255q, registered is %.255q", ErrCertificate, subjectText(leaf), want.text)
	}
	return nil
}

// subjectText returns the subject of a certificate in RFC 4514 order, which the
// comparison uses. pkix.Name.String has another order, in which two different
// names can look the same.
func subjectText(leaf *x509.Certificate) string {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(leaf.RawSubject, &sequence); err != nil || len(rest) > 0 {
		return leaf.Subject.String()
	}
	return sequence.String()
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// hasAlternativeName looks for a name in its own encoding: package x509 shows URIs only after rewriting them.
func hasAlternativeName(leaf *x509.Certificate, tag int, normal string) bool {
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) })
	if i < 0 {
		return false
	}
	var names, name asn1.RawValue
	if rest, err := asn1.Unmarshal(leaf.Extensions[i].Value, &names); err != nil || len(rest) > 0 || names.Tag != asn1.TagSequence {
		return false
	}
	for rest := names.Bytes; len(rest) > 0; {
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return false
		}
		if name.Class != asn1.ClassContextSpecific || name.IsCompound || name.Tag != tag {
			continue
		}
		value := string(name.Bytes)
		switch tag {
		case tagDNS:
			value = lower(value)
		case tagEmail:
			value = normalEmail(value)
		}
		if value == normal {
			return true
		}
	}
	return false
}

// checkRegisteredKey is self_signed_tls_client_auth: MTLS-2.2-1, no chain, but a certificate with a key that the client has
// registered. The key is compared and not the certificate, which adds nothing to it when the client has signed it itself:
// a client that makes a new one for the same key need not register it first.
func checkRegisteredKey(ctx context.Context, client Client, leaf *x509.Certificate) error {
	// What openssl req -x509 makes is marked as that of an authority, which is of no use to it here. A real one's signs
	// others, and is not in use as a client's.
	if leaf.IsCA && string(leaf.RawSubject) != string(leaf.RawIssuer) {
		return fmt.Errorf("%w: that of a certification authority", ErrCertificate)
	}
	alg, err := jose.AlgorithmFor(leaf.PublicKey)
	if err != nil {
		return fmt.Errorf("%w: no key set of FAPI 2.0 can have its key: %w", ErrCertificate, err)
	}
	if client.Keys == nil {
		return fmt.Errorf("%w: the client has no keys", ErrCertificate)
	}
	keys, err := client.Keys(ctx, "", alg)
	if err != nil {
		return fmt.Errorf("%w: the client's keys: %w", ErrUnavailable, err)
	}
	for _, key := range keys { // SP-5.4.3-1
		// MTLS-2.2.2-1: the key of the JWK is that of its certificate.
		if jose.KeyFits(key, alg) && jose.Equal(leaf.PublicKey, key) {
			return nil
		}
	}
	return fmt.Errorf("%w: none of %d registered keys is its key", ErrCertificate, len(keys)) // MTLS-2-3
}

// A validity is when a whole chain is valid.
type validity struct{ from, until time.Time }

// verifyChain asks package x509 (MTLS-7.5-1) whether ClientCAs vouch for a certificate.
func (v *Verifier) verifyChain(chain []*x509.Certificate, now time.Time) error {
	sum := sha256.Sum256(chain[0].Raw)
	key := string(sum[:])
	// The others only help to find the way to an anchor. A way found once stays, until a certificate on it expires.
	if p, ok := v.chains.Get(key); ok && !now.Before(p.from) && !now.After(p.until) {
		return nil
	}
	if len(chain) > maxCertificates || slices.Contains(chain, nil) {
		return fmt.Errorf("%w: a chain of %d certificates, at most %d", ErrCertificate, len(chain), maxCertificates)
	}
	others := x509.NewCertPool()
	for _, cert := range chain[1:] {
		others.AddCert(cert)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{
		Roots: v.cfg.ClientCAs, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	weak := func(cert *x509.Certificate) bool { return !isStrong(cert.PublicKey) }
	found = slices.DeleteFunc(found, func(way []*x509.Certificate) bool { return slices.ContainsFunc(way, weak) })
	if len(found) == 0 {
		// SP-5.4.1-2, SP-5.4.1-3: whoever breaks it makes certificates for all clients. Package x509 checks no sizes.
		return fmt.Errorf("%w: a weak key on the way to the trust anchor", ErrCertificate)
	}
	p := validity{from: chain[0].NotBefore, until: chain[0].NotAfter}
	for _, cert := range found[0] {
		if cert.NotBefore.After(p.from) {
			p.from = cert.NotBefore
		}
		if cert.NotAfter.Before(p.until) {
			p.until = cert.NotAfter
		}
	}
	v.chains.Put(key, p)
	return nil
}
