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
	"github.com/gofapi/fapi2/internal/syntax"
)

const (
	maxCertificate  = 16 << 10 // bytes; bounds the number of alternative names
	maxCertificates = 10       // of a chain
	minCurveBits    = 224      // SP-5.4.1-3
	cachedNames     = 4096
	cachedChains    = 4096
)

// MutualTLS is a client identifier. It authenticates a client by
// tls_client_auth or self_signed_tls_client_auth: the form has the identifier,
// and the TLS connection has the certificate. It is safe for concurrent use.
//
// Configure the certificate in the http.Client, also for resource servers that
// receive certificate-bound tokens. Use GetClientCertificate if the server does
// not list the issuer as an acceptable authority. Package tls does not present
// one of Certificates in that case.
type MutualTLS string

// Authenticate sets client_id in the form of a request to the authorization
// server, and removes the parameters of other methods. An error is about the
// client identifier or comes from ctx. After an error the form is unchanged.
func (id MutualTLS) Authenticate(ctx context.Context, form url.Values) error {
	if form == nil {
		return errors.New("clientauth: nil form")
	}
	if err := syntax.CheckClientID(string(id)); err != nil {
		return fmt.Errorf("clientauth: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	form.Set(paramClientID, string(id)) // MTLS-2-2
	for _, name := range []string{paramAssertion, paramAssertionType, paramClientSecret} {
		form.Del(name) // an assertion takes precedence over the certificate
	}
	return nil
}

// checkCertificate authenticates a client by the certificate of its connection.
func (v *Verifier) checkCertificate(
	ctx context.Context, c Credentials, clientID string, now time.Time,
) (Authentication, error) {
	if err := syntax.CheckClientID(clientID); err != nil {
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
	switch client.Method { // SP-5.3.2.1-6: only the registered method
	case MethodTLSClientAuth:
		err = v.checkSubject(c, client, now)
	case MethodSelfSignedTLSClientAuth:
		err = checkRegisteredKey(ctx, client, leaf)
	default:
		err = client.wrongMethod("certificate without assertion")
	}
	if err == nil && !jose.HasRSABits(leaf.PublicKey, client.MinRSABits) {
		err = fmt.Errorf("%w: RSA key of fewer than %d bits", ErrCertificate, client.MinRSABits)
	}
	if err != nil {
		return Authentication{}, err
	}
	// At NotAfter the certificate is still valid.
	return Authentication{clientID: client.ID, method: client.Method, by: v, expires: leaf.NotAfter.Add(1)}, nil
}

// checkLeaf makes the checks that do not depend on the client. TLS makes them
// only if it verifies chains.
func checkLeaf(leaf *x509.Certificate, now time.Time) error {
	unusable := func(sentinel error, format string, a ...any) error {
		err := fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, a...))
		return oautherr.Describe(err, "client certificate not acceptable")
	}
	switch {
	case leaf == nil || len(leaf.Raw) == 0 || len(leaf.Raw) > maxCertificate:
		return unusable(ErrCertificate, "not parsed, or longer than %d bytes", maxCertificate)
	case now.Before(leaf.NotBefore):
		return unusable(ErrNotYetValid, "certificate not valid before %s, now %s", stamp(leaf.NotBefore), stamp(now))
	case now.After(leaf.NotAfter):
		return unusable(ErrExpired, "certificate expired at %s, now %s", stamp(leaf.NotAfter), stamp(now))
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return unusable(ErrCertificate, "extended key usage without TLS client authentication")
	case !isStrong(leaf.PublicKey):
		return unusable(ErrCertificate, "weak or unsupported key: %s", leaf.PublicKeyAlgorithm)
	}
	return nil
}

// isStrong accepts more types of keys than tokens have.
func isStrong(key crypto.PublicKey) bool {
	if k, ok := key.(*ecdsa.PublicKey); ok { // SP-5.4.1-3
		return k != nil && k.Curve != nil && k.Curve.Params().BitSize >= minCurveBits && k.X != nil && k.Y != nil
	}
	_, err := jose.AlgorithmFor(key) // SP-5.4.1-2
	return err == nil
}

// checkSubject checks a certificate for tls_client_auth: its chain ends at a
// trust anchor, and it has the registered subject.
func (v *Verifier) checkSubject(c Credentials, client Client, now time.Time) error {
	want, err := client.subject() // MTLS-2.1-1
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	leaf := c.Certificates[0]
	switch {
	case leaf.IsCA:
		// An authority can issue a certificate for any client, so it must not
		// be a client.
		return fmt.Errorf("%w: certificate of a certification authority", ErrCertificate)
	case v.cfg.ClientCAs != nil:
		err = v.verifyChain(c.Certificates, now)
	case !c.ChainVerified:
		err = fmt.Errorf("%w: unverified chain", ErrCertificate)
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
	if !hasAlternativeName(leaf, want.tag, normal) { // MTLS-2-3: the common name does not replace it
		return fmt.Errorf("%w: missing alternative name, registered is %.255q", ErrCertificate, want.text)
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
			return fmt.Errorf("%w: subject: %w", ErrCertificate, err)
		}
		v.subjects.Put(raw, name)
	}
	if name != normal { // MTLS-2-3, MTLS-2.1-2
		return fmt.Errorf("%w: subject %.255q, registered is %.255q", ErrCertificate, subjectText(leaf), want.text)
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

// hasAlternativeName compares the encoded names, because package x509 rewrites
// URIs.
func hasAlternativeName(leaf *x509.Certificate, tag int, normal string) bool {
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) })
	if i < 0 {
		return false
	}
	var names, name asn1.RawValue
	rest, err := asn1.Unmarshal(leaf.Extensions[i].Value, &names)
	if err != nil || len(rest) > 0 || names.Tag != asn1.TagSequence {
		return false
	}
	for rest = names.Bytes; len(rest) > 0; {
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

// checkRegisteredKey checks a certificate for self_signed_tls_client_auth: the
// client has registered its key. The chain is not checked. A client may present
// a new certificate for the same key without registering it.
func checkRegisteredKey(ctx context.Context, client Client, leaf *x509.Certificate) error {
	// MTLS-2.2-1: openssl req -x509 marks its self-signed certificates as those
	// of an authority. Other certificates of authorities are rejected.
	if leaf.IsCA && string(leaf.RawSubject) != string(leaf.RawIssuer) {
		return fmt.Errorf("%w: certificate of a certification authority", ErrCertificate)
	}
	alg, err := jose.AlgorithmFor(leaf.PublicKey)
	if err != nil {
		return fmt.Errorf("%w: unsupported key: %w", ErrCertificate, err)
	}
	if client.Keys == nil {
		return fmt.Errorf("%w: no keys", ErrCertificate)
	}
	keys, err := client.Keys(ctx, "", alg)
	if err != nil {
		return fmt.Errorf("%w: keys: %w", ErrUnavailable, err)
	}
	for _, key := range keys { // SP-5.4.3-1
		// MTLS-2.2.2-1: the key of the JWK is that of its certificate.
		if jose.KeyFits(key, alg) && jose.Equal(leaf.PublicKey, key) {
			return nil
		}
	}
	return fmt.Errorf("%w: unregistered key, %d keys are registered", ErrCertificate, len(keys)) // MTLS-2-3
}

// A validity is the time in which a whole chain is valid.
type validity struct{ from, until time.Time }

// verifyChain verifies that the chain of a certificate ends in ClientCAs.
func (v *Verifier) verifyChain(chain []*x509.Certificate, now time.Time) error {
	sum := sha256.Sum256(chain[0].Raw)
	key := string(sum[:])
	// The other certificates only help to find a path. A path is cached until
	// one of its certificates expires.
	if p, ok := v.chains.Get(key); ok && !now.Before(p.from) && !now.After(p.until) {
		return nil
	}
	if len(chain) > maxCertificates || slices.Contains(chain, nil) {
		return fmt.Errorf("%w: chain of %d certificates, want at most %d", ErrCertificate, len(chain), maxCertificates)
	}
	others := x509.NewCertPool()
	for _, cert := range chain[1:] {
		others.AddCert(cert)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{ // MTLS-7.5-1, MTLS-7.4-1
		Roots: v.cfg.ClientCAs, Intermediates: others, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	weak := func(cert *x509.Certificate) bool { return !isStrong(cert.PublicKey) }
	found = slices.DeleteFunc(found, func(path []*x509.Certificate) bool {
		return slices.ContainsFunc(path, weak)
	})
	if len(found) == 0 {
		// SP-5.4.1-2, SP-5.4.1-3: an attacker who breaks the key can issue
		// certificates for all clients. Package x509 does not check sizes.
		return fmt.Errorf("%w: weak key in the chain", ErrCertificate)
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
