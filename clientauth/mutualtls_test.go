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
		"MTLS-2.2-1 no function":     {nil, clientauth.ErrCertificate},
		"MTLS-2.2-1 no keys":         {testkit.KeySource(), clientauth.ErrCertificate},
		"MTLS-2.2-1 keys of nothing": {testkit.KeySource(nil, (*ecdsa.PublicKey)(nil), new(ecdsa.PublicKey)), clientauth.ErrCertificate},
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

func TestClientCAs(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	root := newAuthority(t, "root", nil, at)
	issuing := newAuthority(t, "issuing", root, at)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	key := testkit.ECKey(t, clientID)
	leaf := certificate(t, issuing, key, at, nil)
	fresh := func(t *testing.T) *pki { return newPKI(t, func(c *clientauth.VerifierConfig) { c.ClientCAs = pool }) }

	unverified := func(chain ...*x509.Certificate) clientauth.Credentials {
		c := with(clientID, chain...)
		c.ChainVerified = false
		return c
	}
	t.Run("MTLS-7.5-1 MTLS-7.4-1 a chain that leads to an anchor", func(t *testing.T) {
		p := fresh(t)
		pool.AddCert(p.ca.cert) // too late for this verifier
		p.requireRefused(t, clientauth.ErrCertificate, unverified(p.issue(t, nil)))
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, unverified(leaf, issuing.cert))
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, unverified(leaf))
		require.NotErrorIs(t, p.requireRefused(t, clientauth.ErrCertificate, unverified(certificate(t, issuing, key, at, func(c *x509.Certificate) {
			c.SerialNumber = big.NewInt(2)
		}))), clientauth.ErrUnavailable, "another certificate of the same authority has to lead there too")
		p.clock.Advance(time.Hour + time.Second)
		p.requireRefused(t, clientauth.ErrExpired, unverified(leaf, issuing.cert))
	})
	t.Run("MTLS-2.1-1 another authority of the same name", func(t *testing.T) {
		p := fresh(t)
		other := &authority{certificate(t, nil, testkit.ECKey(t, "forged"), at, func(c *x509.Certificate) { isCA(c); c.Subject = issuing.cert.Subject }), testkit.ECKey(t, "forged")}
		forged := certificate(t, other, key, at, nil)
		for _, chain := range [][]*x509.Certificate{{forged, other.cert}, {forged, issuing.cert}, {certificate(t, nil, key, at, nil)}} {
			p.requireRefused(t, clientauth.ErrCertificate, unverified(chain...))
			p.requireRefused(t, clientauth.ErrCertificate, with(clientID, chain...)) // whatever others say
		}
	})
	t.Run("MTLS-2.1-1 an issuer that expires before its certificate", func(t *testing.T) {
		p := fresh(t)
		short := &authority{certificate(t, root, testkit.ECKey(t, "short"), at, func(c *x509.Certificate) {
			isCA(c)
			c.Subject, c.NotAfter = pkix.Name{CommonName: "short"}, at.Add(time.Minute)
		}), testkit.ECKey(t, "short")}
		c := unverified(certificate(t, short, key, at, nil), short.cert)
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
		p.clock.Advance(time.Minute + time.Second)
		p.requireRefused(t, clientauth.ErrCertificate, c)
	})
	t.Run("chains that are none", func(t *testing.T) {
		p := fresh(t)
		p.requireRefused(t, clientauth.ErrCertificate, unverified(leaf, nil))
		long := []*x509.Certificate{leaf}
		for range 10 {
			long = append(long, issuing.cert)
		}
		p.requireRefused(t, clientauth.ErrCertificate, unverified(long...))
	})
	t.Run("MTLS-2.2-1 self-signed ones need no chain", func(t *testing.T) {
		p := fresh(t)
		p.requireAccepted(t, clientauth.MethodSelfSignedTLSClientAuth, with(selfSigned, certificate(t, nil, key, at, nil)))
	})
}

// Chains that lead to an anchor by a certificate that must not lead anywhere.
func TestChainTricks(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	root := newAuthority(t, "root", nil, at)
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	between := func(change func(*x509.Certificate)) *authority {
		key := testkit.ECKey(t, "between")
		return &authority{certificate(t, root, key, at, func(c *x509.Certificate) {
			isCA(c)
			c.Subject = pkix.Name{CommonName: "between"}
			change(c)
		}), key}
	}
	dns := func(c *x509.Certificate) { c.DNSNames = []string{"client.example"} }
	constraint := func(der ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: der}}
		}
	}
	for _, row := range []struct {
		name string
		by   *authority
		leaf func(*x509.Certificate)
		ok   bool
	}{
		{"an intermediate", between(func(*x509.Certificate) {}), dns, true},
		{"an intermediate for TLS clients, and names that are in its realm", between(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, true, []string{"client.example"}
		}), dns, true},
		{"another client's certificate as issuer", between(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }), dns, false},
		{"an intermediate that must not sign certificates", between(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), dns, false},
		{"an intermediate for TLS servers", between(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), dns, false},
		{"a name outside an intermediate's realm", between(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"partner.example"}
		}), dns, false},
		{"a name that an intermediate is excluded from, in capitals", between(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"example"} }),
			func(c *x509.Certificate) { c.DNSNames = []string{"CLIENT.EXAMPLE"} }, false},
		{"a second name outside the realm", between(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"client.example"}
		}), func(c *x509.Certificate) { c.DNSNames = []string{"client.example", "bank.example"} }, false},
		{"a realm of directory names, which package x509 does not check", between(constraint(
			0x30, 0x15, 0xa0, 0x13, 0x30, 0x11, 0xa4, 0x0f, 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 'X', 'X')), dns, false},
		{"an intermediate that has expired", between(func(c *x509.Certificate) { c.NotAfter = at.Add(-time.Second) }), dns, false},
		{"SP-5.4.1-2 an intermediate with a key that can be broken", &authority{certificate(t, root, weakKey, at, func(c *x509.Certificate) {
			isCA(c)
			c.Subject = pkix.Name{CommonName: "weak"}
		}), weakKey}, dns, false},
		{"CA:TRUE", root, func(c *x509.Certificate) { dns(c); isCA(c) }, false},
		{"CA:TRUE with a usage", root, func(c *x509.Certificate) { dns(c); c.IsCA = true }, false},
		{"an unknown critical extension", root, func(c *x509.Certificate) {
			dns(c)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 9}, Critical: true, Value: []byte{5, 0}}}
		}, false},
	} {
		t.Run("MTLS-2.1-1 "+row.name, func(t *testing.T) {
			pool := x509.NewCertPool()
			pool.AddCert(root.cert)
			p := newPKI(t, func(c *clientauth.VerifierConfig) { c.ClientCAs = pool })
			p.register(func(c *clientauth.Client) { c.SANDNS = "client.example" })
			c := with(clientID, certificate(t, row.by, p.key, at, row.leaf), row.by.cert, root.cert)
			if row.ok {
				p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
				return
			}
			for range 2 { // nor from memory
				p.requireRefused(t, clientauth.ErrCertificate, c)
			}
		})
	}
}

// A chain that was found once says nothing of who its certificate belongs to.
func TestRememberedChains(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	root := newAuthority(t, "root", nil, at)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	p := newPKI(t, func(c *clientauth.VerifierConfig) { c.ClientCAs = pool })
	leaf := certificate(t, root, p.key, at, nil)
	p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, leaf))
	p.requireRefused(t, clientauth.ErrCertificate, with("client-2", leaf))
	p.register(func(c *clientauth.Client) { c.SubjectDN = "CN=somebody else" })
	p.requireRefused(t, clientauth.ErrCertificate, with(clientID, leaf))
	p.register(func(c *clientauth.Client) { c.SubjectDN = registeredDN })
	p.clock.Advance(-2 * time.Hour)
	p.requireRefused(t, clientauth.ErrNotYetValid, with(clientID, leaf))
	p.clock.Advance(2 * time.Hour)
	p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, leaf))
	// One bit of difference, and it is a certificate of nobody.
	raw := append([]byte(nil), leaf.Raw...)
	raw[len(raw)-1] ^= 1
	forged, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	p.requireRefused(t, clientauth.ErrCertificate, with(clientID, forged))
	p.requireRefused(t, clientauth.ErrCertificate, with(clientID, forged, leaf))
}

// generalName is a name of a certificate as it is encoded.
func generalName(tag int, value string) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)})
	if err != nil {
		panic(err)
	}
	return der
}

func TestAlternativeNameTricks(t *testing.T) {
	const dns, uri, ip, email = 2, 6, 7, 1
	names := func(all ...[]byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			var body []byte
			for _, one := range all {
				body = append(body, one...)
			}
			der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
			require.NoError(t, err)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
		}
	}
	byDNS := func(c *clientauth.Client) { c.SANDNS = "client.example" }
	byURI := func(c *clientauth.Client) { c.SANURI = "https://client.example/id" }
	byIP := func(c *clientauth.Client) { c.SANIP = "192.0.2.1" }
	byEmail := func(c *clientauth.Client) { c.SANEmail = "ops@client.example" }
	for _, row := range []struct {
		name     string
		register func(*clientauth.Client)
		names    func(*x509.Certificate)
		ok       bool
	}{
		{"the name", byDNS, names(generalName(dns, "client.example")), true},
		{"another case", byDNS, names(generalName(dns, "CLIENT.Example")), true},
		{"the name among others", byDNS, names(generalName(dns, "a.example"), generalName(uri, "a:b"), generalName(dns, "client.example")), true},
		{"a dot behind it", byDNS, names(generalName(dns, "client.example.")), false},
		{"a dot before it", byDNS, names(generalName(dns, ".client.example")), false},
		{"a blank", byDNS, names(generalName(dns, "client.example ")), false},
		{"a wildcard", byDNS, names(generalName(dns, "*.example")), false},
		{"a subdomain", byDNS, names(generalName(dns, "a.client.example")), false},
		{"several of which none is registered", byDNS, names(generalName(dns, "a.example"), generalName(dns, "b.example")), false},
		{"the name as another kind", byDNS, names(generalName(email, "client.example")), false},
		{"the name as URI", byDNS, names(generalName(uri, "client.example")), false},
		{"the common name", byDNS, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "client.example"} }, false},
		{"the name of IDNA, registered as it is encoded", func(c *clientauth.Client) { c.SANDNS = "xn--clent-7sa.example" }, names(generalName(dns, "XN--clent-7sa.example")), true},

		{"a URI", byURI, names(generalName(uri, "https://client.example/id")), true},
		{"a URI with its host in capitals", byURI, names(generalName(uri, "https://CLIENT.example/id")), false},
		{"a URI with an escape", byURI, names(generalName(uri, "https://client.example/%69d")), false},
		{"a longer URI", byURI, names(generalName(uri, "https://client.example/id/")), false},

		{"MTLS-2.1.2-2 an address", byIP, names(generalName(ip, "\xc0\x00\x02\x01")), true},
		{"MTLS-2.1.2-2 an address as text", byIP, names(generalName(dns, "192.0.2.1")), false},
		{"MTLS-2.1.2-2 an address in IPv6", byIP, names(generalName(ip, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01")), false},

		{"an e-mail address", byEmail, names(generalName(email, "ops@CLIENT.example")), true},
		{"another case before the @", byEmail, names(generalName(email, "Ops@client.example")), false},
		{"a second @", byEmail, names(generalName(email, "x@ops@client.example")), false},
		{"an e-mail address in the subject", byEmail, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ops@client.example"}}
		}, false},
	} {
		t.Run("MTLS-2-3 "+row.name, func(t *testing.T) {
			p := newPKI(t)
			p.register(row.register)
			c := with(clientID, p.issue(t, row.names))
			if row.ok {
				p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
				return
			}
			p.requireRefused(t, clientauth.ErrCertificate, c)
		})
	}
	// What package x509 does not parse, some other reader might.
	for name, value := range map[string]string{"NUL": "client.example\x00.evil.example", "Unicode": "clïent.example"} {
		t.Run("MTLS-2-3 a name with "+name, func(t *testing.T) {
			p := newPKI(t)
			p.register(byDNS)
			cert := *p.issue(t, names(generalName(dns, "client.example")))
			other := &x509.Certificate{}
			names(generalName(dns, value))(other)
			cert.Extensions = other.ExtraExtensions
			p.requireRefused(t, clientauth.ErrCertificate, with(clientID, &cert))
		})
	}
}

// Names of subjects that look like one that is registered.
func TestDistinguishedNameTricks(t *testing.T) {
	attribute := func(oid []int, value any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	cn, o := []int{2, 5, 4, 3}, []int{2, 5, 4, 10}
	bmp := func(s string) asn1.RawValue {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r>>8), byte(r))
		}
		return asn1.RawValue{Tag: asn1.TagBMPString, Bytes: b}
	}
	text := func(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }
	type relative []pkix.AttributeTypeAndValue
	for _, row := range []struct {
		name       string
		registered string
		subject    []relative
		ok         bool
	}{
		{"any encoding", "CN=client,O=Bank", []relative{{attribute(o, bmp("Bank"))}, {attribute(cn, text(asn1.TagPrintableString, "client"))}}, true},
		{"case and blanks", "CN=client,O=A  bank", []relative{{attribute(o, text(asn1.TagUTF8String, " a BANK "))}, {attribute(cn, text(asn1.TagUTF8String, "Client"))}}, true},
		{"the other order", "CN=client,O=Bank", []relative{{attribute(cn, text(asn1.TagUTF8String, "client"))}, {attribute(o, text(asn1.TagUTF8String, "Bank"))}}, false},
		{"two attributes in one relative name", "CN=client,O=Bank", []relative{{attribute(cn, text(asn1.TagUTF8String, "client")), attribute(o, text(asn1.TagUTF8String, "Bank"))}}, false},
		{"a value that has the separators", "CN=client,O=Bank", []relative{{attribute(cn, text(asn1.TagUTF8String, "client,O=Bank"))}}, false},
		{"a value that ends the first one", "CN=client,O=Bank", []relative{{attribute(o, text(asn1.TagUTF8String, "Bank"))}, {attribute(cn, text(asn1.TagUTF8String, `client\`))}}, false},
		{"an attribute twice", "CN=client,O=Bank", []relative{{attribute(o, text(asn1.TagUTF8String, "Bank"))}, {attribute(cn, text(asn1.TagUTF8String, "client"))}, {attribute(cn, text(asn1.TagUTF8String, "client"))}}, false},
		{"NUL", "CN=client", []relative{{attribute(cn, text(asn1.TagUTF8String, "client\x00.evil"))}}, false},
		{"NUL at the end", "CN=client", []relative{{attribute(cn, text(asn1.TagUTF8String, "client\x00"))}}, false},
		{"a letter that looks like one of ASCII", "CN=client", []relative{{attribute(cn, text(asn1.TagUTF8String, "сlient"))}}, false},
		{"a letter whose small one is of ASCII", "CN=kind", []relative{{attribute(cn, text(asn1.TagUTF8String, "\u212aind"))}}, false},
		{"an invisible character", "CN=client", []relative{{attribute(cn, text(asn1.TagUTF8String, "cli\u200bent"))}}, false},
		{"the bytes of another encoding", "CN=client", []relative{{attribute(cn, asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("client")})}}, false},
		{"DER that is registered as such", "2.5.4.3=#0406636c69656e74", []relative{{attribute(cn, asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("client")})}}, true},
	} {
		t.Run("MTLS-2.1-2 "+row.name, func(t *testing.T) {
			var sequence []byte
			for _, attributes := range row.subject {
				var set []byte
				for _, a := range attributes {
					der, err := asn1.Marshal(struct {
						Type  asn1.ObjectIdentifier
						Value any
					}{a.Type, a.Value})
					require.NoError(t, err)
					set = append(set, der...)
				}
				der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: set})
				require.NoError(t, err)
				sequence = append(sequence, der...)
			}
			raw, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: sequence})
			require.NoError(t, err)
			p := newPKI(t)
			p.register(func(c *clientauth.Client) { c.SubjectDN = row.registered })
			cert := *p.issue(t, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) })
			cert.RawSubject = raw
			c := with(clientID, &cert)
			for range 2 { // from memory too
				if row.ok {
					p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
				} else {
					p.requireRefused(t, clientauth.ErrCertificate, c)
				}
			}
		})
	}
}
