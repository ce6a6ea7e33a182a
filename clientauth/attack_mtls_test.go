package clientauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

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
