package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestCertificatesRefused(t *testing.T) {
	const dn = clientID
	weakRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	issued := func(change func(*x509.Certificate)) func(*testing.T, *pki, string) clientauth.Credentials {
		return func(t *testing.T, p *pki, id string) clientauth.Credentials {
			if id == selfSigned {
				return with(id, certificate(t, nil, p.key, p.at, change))
			}
			return with(id, p.issue(t, change))
		}
	}
	keyed := func(key crypto.Signer) func(*testing.T, *pki, string) clientauth.Credentials {
		return func(t *testing.T, p *pki, id string) clientauth.Credentials {
			return with(id, certificate(t, p.ca, key, p.at, nil))
		}
	}
	form := func(pairs ...string) func(*testing.T, *pki, string) clientauth.Credentials {
		return func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, p.issue(t, sans))
			for i := 0; i < len(pairs); i += 2 {
				c.Form.Set(pairs[i], pairs[i+1])
			}
			return c
		}
	}
	for _, row := range []struct {
		name, client string
		make         func(*testing.T, *pki, string) clientauth.Credentials
		want         error
	}{
		{"MTLS-2-3 client-1's certificate with client-2's client_id", "client-2", issued(nil), clientauth.ErrCertificate},
		{"MTLS-2-3 MTLS-2-1 no certificate", dn, func(*testing.T, *pki, string) clientauth.Credentials { return with(dn) }, clientauth.ErrNoCredentials},
		{"MTLS-2-3 MTLS-2-1 no certificate of a self-signed client", selfSigned, func(*testing.T, *pki, string) clientauth.Credentials { return with(selfSigned) }, clientauth.ErrNoCredentials},
		{"MTLS-2-2 no client_id", "", issued(nil), clientauth.ErrNoCredentials},
		{"MTLS-2-2 the common name for a client_id of nobody", "nobody", issued(nil), clientauth.ErrUnknownClient},
		{"MTLS-2-2 a client_id with a line break", "a\nb", issued(nil), clientauth.ErrUnknownClient},
		{"SP-5.3.2.1-6 a client of private_key_jwt with a certificate alone", assertive, issued(nil), clientauth.ErrMethod},
		{"SP-5.3.2.1-6 a client of tls_client_auth with an assertion", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, p.issue(t, nil))
			c.Form = credentials(p.assertion(t, nil)).Form
			return c
		}, clientauth.ErrMethod},
		{"SP-5.3.2.1-6 a client of self_signed_tls_client_auth with an assertion by its key", selfSigned, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			return credentials(p.assertion(t, claims{"iss": id, "sub": id}))
		}, clientauth.ErrMethod},
		{"CA-7521-4.2-2 a secret beside the certificate", dn, form("client_secret", "s"), clientauth.ErrMethod},
		{"an assertion's type without one", dn, form("client_assertion_type", jwtType), clientauth.ErrNoCredentials},
		{"CA-7521-4.2-2 an Authorization header beside the certificate", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, p.issue(t, nil))
			c.Authorization = []string{"Basic YTpi"}
			return c
		}, clientauth.ErrMethod},
		{"two client_id", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, p.issue(t, nil))
			c.Form.Add("client_id", id)
			return c
		}, clientauth.ErrMultipleMethods},

		{"MTLS-2.1-1 a chain that nobody verified", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, p.issue(t, nil))
			c.ChainVerified = false
			return c
		}, clientauth.ErrCertificate},
		{"MTLS-2.1-1 a self-signed certificate with the right subject", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			c := with(id, certificate(t, nil, p.key, p.at, nil))
			c.ChainVerified = false
			return c
		}, clientauth.ErrCertificate},
		{"MTLS-2-3 another subject", dn, issued(func(c *x509.Certificate) { c.Subject.CommonName = "client-2" }), clientauth.ErrCertificate},
		{"MTLS-2-3 a subject with more", dn, issued(func(c *x509.Certificate) { c.Subject.Locality = []string{"X"} }), clientauth.ErrCertificate},
		{"MTLS-2-3 a subject with less", dn, issued(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"A"} }), clientauth.ErrCertificate},
		{"MTLS-2-3 no subject", dn, issued(func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"x.example"} }), clientauth.ErrCertificate},
		{"a CA certificate as client certificate", dn, issued(isCA), clientauth.ErrCertificate},

		{"MTLS-2.2-1 another key", selfSigned, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			return with(id, certificate(t, nil, testkit.ECKey(t, "foreign"), p.at, nil))
		}, clientauth.ErrCertificate},
		{"MTLS-2.2-1 a verified chain is no help to another key", selfSigned, keyed(testkit.RSAKey(t, "foreign")), clientauth.ErrCertificate},
		{"MTLS-2.2-1 a key that no key set can have", selfSigned, keyed(p384), clientauth.ErrCertificate},
		{"a certificate of a subordinate CA, its key registered", selfSigned, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			return with(id, p.issue(t, isCA))
		}, clientauth.ErrCertificate},

		{"SP-5.4.1-2 RSA of 1024 bits", dn, keyed(weakRSA), clientauth.ErrCertificate},
		{"SP-5.4.1-2 RSA of 1024 bits, self-signed", selfSigned, keyed(weakRSA), clientauth.ErrCertificate},
		{"SP-5.4.1-3 a curve of 192 bits", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			cert := *p.issue(t, nil)
			curve := *elliptic.P256().Params()
			curve.BitSize = 192
			cert.PublicKey = &ecdsa.PublicKey{Curve: &curve, X: big.NewInt(1), Y: big.NewInt(1)}
			return with(id, &cert)
		}, clientauth.ErrCertificate},
		{"a key of an unknown kind", dn, func(t *testing.T, p *pki, id string) clientauth.Credentials {
			cert := *p.issue(t, nil)
			cert.PublicKey = nil
			return with(id, &cert)
		}, clientauth.ErrCertificate},
		{"a nil certificate", dn, func(*testing.T, *pki, string) clientauth.Credentials { return with(dn, nil) }, clientauth.ErrCertificate},
		{"a certificate that was not parsed", dn, func(*testing.T, *pki, string) clientauth.Credentials { return with(dn, &x509.Certificate{}) }, clientauth.ErrCertificate},
		{"a certificate of more than 16 KiB", dn, issued(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: make([]byte, 17<<10)}}
		}), clientauth.ErrCertificate},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPKI(t)
			code, _, status := testkit.Wire(t, p.requireRefused(t, row.want, row.make(t, p, row.client)))
			if row.want != clientauth.ErrMultipleMethods {
				require.Equal(t, "invalid_client", code, "MTLS-2-3")
				require.Equal(t, 401, status, "MTLS-2-3")
			}
		})
	}
	for name, row := range map[string]struct {
		change func(*x509.Certificate)
		want   error
	}{
		"expired":             {func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(-time.Hour - time.Second) }, clientauth.ErrExpired},
		"not valid yet":       {func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour + time.Second) }, clientauth.ErrNotYetValid},
		"for TLS servers":     {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, clientauth.ErrCertificate},
		"for something else":  {func(c *x509.Certificate) { c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, oids }, clientauth.ErrCertificate},
		"for any usage":       {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, nil},
		"for clients as well": {func(c *x509.Certificate) { c.UnknownExtKeyUsage = oids }, nil},
		"for no stated usage": {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, nil},
		"valid until now":     {func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(-time.Hour) }, nil},
		"valid from now":      {func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour) }, nil},
	} {
		for id, method := range map[string]string{dn: clientauth.MethodTLSClientAuth, selfSigned: clientauth.MethodSelfSignedTLSClientAuth} {
			t.Run(name+" "+method, func(t *testing.T) {
				p := newPKI(t)
				c := issued(row.change)(t, p, id)
				if row.want == nil {
					p.requireAccepted(t, method, c)
					return
				}
				_, description, _ := testkit.Wire(t, p.requireRefused(t, row.want, c))
				require.Equal(t, "client certificate not acceptable", description)
				require.Zero(t, p.lookups, "it does not depend on the client")
			})
		}
	}
}

var oids = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 1}}

func TestCertificatesAccepted(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, key := range map[string]crypto.Signer{
		"P-256": testkit.ECKey(t, clientID), "RSA": testkit.RSAKey(t, clientID), "Ed25519": testkit.Ed25519Key(t, clientID),
	} {
		t.Run("MTLS-2.2-1 MTLS-2.2.2-1 a registered key, "+name, func(t *testing.T) {
			p := newPKI(t)
			c := with(selfSigned, certificate(t, nil, key, p.at, nil))
			c.ChainVerified = false
			p.requireAccepted(t, clientauth.MethodSelfSignedTLSClientAuth, c)
			alg := map[string]string{"P-256": "ES256", "RSA": "PS256", "Ed25519": "EdDSA"}[name]
			require.Equal(t, " "+alg, p.fetches[0], "SP-5.4.3-1")
		})
		t.Run("MTLS-2.1-1 a registered subject, "+name, func(t *testing.T) {
			p := newPKI(t)
			p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, certificate(t, p.ca, key, p.at, nil)))
			require.Empty(t, p.fetches, "keys do not matter")
		})
	}
	t.Run("MTLS-2.1-1 a key of P-384", func(t *testing.T) {
		p := newPKI(t)
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, certificate(t, p.ca, p384, p.at, nil)))
	})
	t.Run("MTLS-2.2-1 self-signed as openssl req -x509 does it", func(t *testing.T) {
		p := newPKI(t)
		p.requireAccepted(t, clientauth.MethodSelfSignedTLSClientAuth, with(selfSigned, certificate(t, nil, p.key, p.at, isCA)))
	})
	t.Run("MTLS-2.1-2 the order of the attributes of a relative name", func(t *testing.T) {
		p := newPKI(t)
		p.register(func(c *clientauth.Client) { c.SubjectDN = "cn=CLIENT-1, ou=b + ou=a, o=example, c=us" })
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, p.issue(t, nil)))
	})
	t.Run("SP-5.3.2.1-6 private_key_jwt, with a certificate for binding tokens", func(t *testing.T) {
		p := newPKI(t)
		c := with(assertive, nil, &x509.Certificate{}) // whatever it is
		c.Form = credentials(p.assertion(t, claims{"iss": assertive, "sub": assertive})).Form
		a, err := p.Verify(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, clientauth.MethodPrivateKeyJWT, a.Method())
		require.Equal(t, 1, p.replay.Calls)
	})
}

func TestRegisteredKeysThatAreNone(t *testing.T) {
	for name, row := range map[string]struct {
		keys func(context.Context, string, string) ([]crypto.PublicKey, error)
		want error
	}{
		"MTLS-2.2-1 no function": {nil, clientauth.ErrCertificate},
		"MTLS-2.2-1 no keys":     {func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }, clientauth.ErrCertificate},
		"MTLS-2.2-1 keys of nothing": {func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{nil, (*ecdsa.PublicKey)(nil), new(ecdsa.PublicKey)}, nil
		}, clientauth.ErrCertificate},
		"out of reach": {func(context.Context, string, string) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{testkit.ECKey(t, clientID).Public()}, errors.New("timeout")
		}, clientauth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t)
			p.clients[selfSigned] = clientauth.Client{ID: selfSigned, Method: clientauth.MethodSelfSignedTLSClientAuth, Keys: row.keys}
			p.requireRefused(t, row.want, with(selfSigned, certificate(t, nil, p.key, p.at, nil)))
		})
	}
}

// What depends on the registration looks the same from outside.
func TestCertificatesTellNothingOfClients(t *testing.T) {
	p := newPKI(t)
	var seen []string
	for _, id := range []string{"nobody", "client-2", assertive, selfSigned} {
		c := with(id, certificate(t, p.ca, testkit.ECKey(t, "foreign"), p.at, nil))
		_, err := p.Check(t.Context(), c)
		code, description, status := testkit.Wire(t, err)
		require.Equal(t, 401, status)
		seen = append(seen, code+description)
	}
	require.Equal(t, []string{seen[0], seen[0], seen[0], seen[0]}, seen)
}

func TestCommitOfCertificates(t *testing.T) {
	p := newPKI(t)
	a, err := p.Check(t.Context(), with(clientID, p.issue(t, nil)))
	require.NoError(t, err)
	require.ErrorIs(t, newPKI(t).Commit(t.Context(), a), clientauth.ErrNoCredentials, "another verifier's")
	require.ErrorIs(t, p.Commit(t.Context(), clientauth.Authentication{}), clientauth.ErrNoCredentials)
	p.clock.Advance(time.Hour)
	require.NoError(t, p.Commit(t.Context(), a))
	p.clock.Advance(time.Second)
	require.ErrorIs(t, p.Commit(t.Context(), a), clientauth.ErrExpired)
}

func TestMutualTLS(t *testing.T) {
	f := form("an assertion", "client_secret", "s", "client_id", "somebody", "scope", "a")
	require.NoError(t, clientauth.MutualTLS(clientID).Authenticate(t.Context(), f))
	require.Equal(t, url.Values{"grant_type": {"authorization_code"}, "client_id": {clientID}, "scope": {"a"}}, f, "MTLS-2-2 CA-7521-4.2-2")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f = url.Values{"client_secret": {"s"}}
	require.ErrorIs(t, clientauth.MutualTLS(clientID).Authenticate(ctx, f), context.Canceled)
	require.Error(t, clientauth.MutualTLS("").Authenticate(t.Context(), f), "MTLS-2-2")
	require.Error(t, clientauth.MutualTLS("a\nb").Authenticate(t.Context(), f))
	require.Error(t, clientauth.MutualTLS(clientID).Authenticate(t.Context(), nil))
	require.Equal(t, url.Values{"client_secret": {"s"}}, f, "the form of a failure is as it was")
}

func TestSubjectOfAnotherOrder(t *testing.T) {
	p := newPKI(t)
	subject, err := asn1.Marshal(pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "client"}}, {{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Example"}},
	})
	require.NoError(t, err)
	p.register(func(c *clientauth.Client) { c.SubjectDN = "CN=client,O=Example" })
	_, err = p.Verify(t.Context(), with(clientID, p.issue(t, func(c *x509.Certificate) { c.RawSubject = subject })))
	require.ErrorIs(t, err, clientauth.ErrCertificate)
	require.ErrorContains(t, err, `subject "O=Example,CN=client", registered is "CN=client,O=Example"`, "CASES C12: both in the order that was compared")
	p.register(func(c *clientauth.Client) { c.SubjectDN = "O=Example,CN=client" })
	p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, p.issue(t, func(c *x509.Certificate) { c.RawSubject = subject })))
}
