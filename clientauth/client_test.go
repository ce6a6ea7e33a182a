package clientauth_test

import (
	"crypto/x509"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

// sans are alternative names of each kind.
func sans(c *x509.Certificate) {
	c.DNSNames = []string{"other.example", "Client.example", "*.wild.example"}
	c.URIs = []*url.URL{{Scheme: "urn", Opaque: "client:1"}, {Scheme: "https", Host: "client.example", Path: "/A"}}
	c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1).To4(), net.ParseIP("2001:db8::1")}
	c.EmailAddresses = []string{"Ops@Client.example"}
}

var alternativeNames = []struct {
	name   string
	change func(*clientauth.Client)
	want   error
}{
	{"MTLS-2.1-1 one dNSName of several", func(c *clientauth.Client) { c.SANDNS = "client.example" }, nil},
	{"a dNSName in another case", func(c *clientauth.Client) { c.SANDNS = "OTHER.Example" }, nil},
	{"MTLS-2.1-1 a URN", func(c *clientauth.Client) { c.SANURI = "urn:client:1" }, nil},
	{"MTLS-2.1-1 a URL", func(c *clientauth.Client) { c.SANURI = "https://client.example/A" }, nil},
	{"MTLS-2.1.2-2 an IPv4 address", func(c *clientauth.Client) { c.SANIP = "192.0.2.1" }, nil},
	{"MTLS-2.1.2-2 an IPv6 address in another spelling", func(c *clientauth.Client) { c.SANIP = "2001:DB8:0:0::0001" }, nil},
	{"MTLS-2.1-1 an e-mail address, its domain in another case", func(c *clientauth.Client) { c.SANEmail = "Ops@client.EXAMPLE" }, nil},

	{"MTLS-2-3 none of several dNSNames", func(c *clientauth.Client) { c.SANDNS = "client.example.com" }, clientauth.ErrCertificate},
	{"MTLS-2-3 a part of a dNSName", func(c *clientauth.Client) { c.SANDNS = "example" }, clientauth.ErrCertificate},
	{"MTLS-2-3 a wildcard of the certificate matches nothing", func(c *clientauth.Client) { c.SANDNS = "a.wild.example" }, clientauth.ErrCertificate},
	{"MTLS-2-3 the common name is no dNSName", func(c *clientauth.Client) { c.SANDNS = clientID }, clientauth.ErrCertificate},
	{"MTLS-2-3 a URI in another case", func(c *clientauth.Client) { c.SANURI = "https://client.example/a" }, clientauth.ErrCertificate},
	{"MTLS-2-3 an equivalent URI", func(c *clientauth.Client) { c.SANURI = "HTTPS://client.example/A" }, clientauth.ErrCertificate},
	{"MTLS-2-3 a URI with more", func(c *clientauth.Client) { c.SANURI = "https://client.example/A#" }, clientauth.ErrCertificate},
	{"MTLS-2.1.2-2 another IP address", func(c *clientauth.Client) { c.SANIP = "192.0.2.2" }, clientauth.ErrCertificate},
	{"MTLS-2.1.2-2 an IPv4 address as one of IPv6", func(c *clientauth.Client) { c.SANIP = "::ffff:192.0.2.1" }, clientauth.ErrCertificate},
	{"MTLS-2-3 an e-mail address, its local part in another case", func(c *clientauth.Client) { c.SANEmail = "ops@Client.example" }, clientauth.ErrCertificate},
	{"MTLS-2-3 a dNSName where an e-mail address is registered", func(c *clientauth.Client) { c.SANEmail = "x@client.example" }, clientauth.ErrCertificate},
	{"MTLS-2-3 a distinguished name, where none is the certificate's", func(c *clientauth.Client) { c.SubjectDN = "CN=client.example" }, clientauth.ErrCertificate},

	{"MTLS-2.1.2-1 nothing registered", func(*clientauth.Client) {}, clientauth.ErrUnavailable},
	{"MTLS-2.1.2-1 two registered, one of them right", func(c *clientauth.Client) { c.SANDNS, c.SANIP = "client.example", "192.0.2.9" }, clientauth.ErrUnavailable},
	{"MTLS-2.1.2-1 two registered, both right", func(c *clientauth.Client) { c.SANDNS, c.SubjectDN = "client.example", registeredDN }, clientauth.ErrUnavailable},
	{"a wildcard registered", func(c *clientauth.Client) { c.SANDNS = "*.wild.example" }, clientauth.ErrUnavailable},
	{"a dNSName beyond ASCII", func(c *clientauth.Client) { c.SANDNS = "clı̇ent.example" }, clientauth.ErrUnavailable},
	{"a dNSName with an empty label", func(c *clientauth.Client) { c.SANDNS = "client.example." }, clientauth.ErrUnavailable},
	{"a URI that is none", func(c *clientauth.Client) { c.SANURI = "client.example" }, clientauth.ErrUnavailable},
	{"a URI with a blank", func(c *clientauth.Client) { c.SANURI = "urn:a b" }, clientauth.ErrUnavailable},
	{"a prefix for an IP address", func(c *clientauth.Client) { c.SANIP = "192.0.2.0/24" }, clientauth.ErrUnavailable},
	{"an IP address with a zone", func(c *clientauth.Client) { c.SANIP = "fe80::1%eth0" }, clientauth.ErrUnavailable},
	{"an e-mail address without @", func(c *clientauth.Client) { c.SANEmail = "client.example" }, clientauth.ErrUnavailable},
	{"an e-mail address without a local part", func(c *clientauth.Client) { c.SANEmail = "@client.example" }, clientauth.ErrUnavailable},
	{"MTLS-2.1-2 a distinguished name that is none", func(c *clientauth.Client) { c.SubjectDN = "client" }, clientauth.ErrUnavailable},
	{"a URI of 5000 bytes", func(c *clientauth.Client) { c.SANURI = "urn:" + string(make([]byte, 5000)) }, clientauth.ErrUnavailable},
}

func TestAlternativeNames(t *testing.T) {
	for _, row := range alternativeNames {
		t.Run(row.name, func(t *testing.T) {
			p := newPKI(t)
			p.register(row.change)
			c := with(clientID, p.issue(t, sans))
			valid := p.clients[clientID].Validate()
			if row.want == nil {
				require.NoError(t, valid)
				p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
				return
			}
			err := p.requireRefused(t, row.want, c)
			require.Equal(t, row.want == clientauth.ErrUnavailable, valid != nil, "Validate says before what Check would say")
			code, _, status := testkit.Wire(t, err)
			if valid != nil {
				require.Equal(t, "server_error", code)
				require.Equal(t, 503, status)
				return
			}
			require.Equal(t, "invalid_client", code, "MTLS-2-3")
			require.Equal(t, 401, status, "MTLS-2-3")
		})
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]clientauth.Client{
		"no client identifier":                                       {},
		"SP-5.3.2.1-6 client_secret_basic":                           {ID: "c", Method: "client_secret_basic"},
		"SP-5.3.2.1-6 none":                                          {ID: "c", Method: "none"},
		"SP-5.4.1-1.2 RS256":                                         {ID: "c", Algorithm: "RS256"},
		"SP-5.4.1-1.2 RS256 among others":                            {ID: "c", Algorithms: []string{"PS256", "RS256"}},
		"MTLS-2.1.2-1 a subject for private_key_jwt":                 {ID: "c", SubjectDN: "CN=c"},
		"MTLS-2.1.2-1 a subject for self_signed_tls_client_auth":     {ID: "c", Method: clientauth.MethodSelfSignedTLSClientAuth, SANDNS: "c.example"},
		"MTLS-2.1.2-1 no subject for tls_client_auth":                {ID: "c", Method: clientauth.MethodTLSClientAuth},
		"MTLS-2.1.2-1 MTLS-2.1-2 a malformed one":                    {ID: "c", Method: clientauth.MethodTLSClientAuth, SubjectDN: "CN=c;O=o"},
		"MTLS-2.1.2-1 two of them though one of them is of no sense": {ID: "c", Method: clientauth.MethodTLSClientAuth, SubjectDN: "CN=c", SANIP: "x"},
	} {
		code, description, status := testkit.Wire(t, c.Validate())
		require.Equal(t, "invalid_client_metadata", code, name)
		require.NotEmpty(t, description, name)
		require.Equal(t, 400, status, name)
	}
	for name, c := range map[string]clientauth.Client{
		"private_key_jwt":             {ID: "c", Method: clientauth.MethodPrivateKeyJWT, Algorithm: "ES256"},
		"private_key_jwt by default":  {ID: "c"},
		"self_signed_tls_client_auth": {ID: "c", Method: clientauth.MethodSelfSignedTLSClientAuth},
		"tls_client_auth":             {ID: "c", Method: clientauth.MethodTLSClientAuth, SubjectDN: "CN=c"},
	} {
		require.NoError(t, c.Validate(), name)
	}
}
