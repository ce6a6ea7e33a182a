package tokenbinding_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

// An identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns an identity that is issued by parent, self-signed if that is nil, and valid for the hour around now.
func issue(t testing.TB, name string, parent *identity, change func(*x509.Certificate)) *identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(template)
	}
	id := &identity{key: testkit.ECKey(t, name)}
	if parent == nil {
		parent = &identity{template, id.key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &id.key.PublicKey, parent.key)
	require.NoError(t, err)
	id.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return id
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil
}

func (id *identity) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key}
}

// present has a client present id even if the server names other issuers.
func (id *identity) present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c := id.tls()
	return &c, nil
}

func pemOf(ids ...*identity) string {
	var b strings.Builder
	for _, id := range ids {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw})
	}
	return b.String()
}

// escaped is id as the header of nginx has it.
func escaped(ids ...*identity) string {
	return strings.ReplaceAll(url.QueryEscape(pemOf(ids...)), "+", "%20")
}

const proxyAddr = "192.0.2.7:4711"

// behind returns the configuration for a proxy at proxyAddr.
func behind(proxy string, change ...func(*tokenbinding.CertificateSourceConfig)) tokenbinding.CertificateSourceConfig {
	cfg := tokenbinding.CertificateSourceConfig{Proxy: proxy, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func newSource(t testing.TB, cfg tokenbinding.CertificateSourceConfig) *tokenbinding.CertificateSource {
	t.Helper()
	s, err := tokenbinding.NewCertificateSource(cfg)
	require.NoError(t, err)
	return s
}

// forwarded returns a request of the proxy with headers: names and values in turn.
func forwarded(headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/token", nil)
	r.RemoteAddr = proxyAddr
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func connected(chain ...*identity) *tls.ConnectionState {
	state := &tls.ConnectionState{HandshakeComplete: true}
	for _, id := range chain {
		state.PeerCertificates = append(state.PeerCertificates, id.cert)
	}
	return state
}

// requireCertificateError demands an error with the wire form of its kind that tells nothing of the headers.
func requireCertificateError(t testing.TB, want error, s *tokenbinding.CertificateSource, r *http.Request) {
	t.Helper()
	for range 2 { // from a cache as well
		c, err := s.Certificate(r)
		require.ErrorIs(t, err, want)
		require.Zero(t, c)
		for _, other := range []error{tokenbinding.ErrCertificate, tokenbinding.ErrCertificateHeader, tokenbinding.ErrCertificateSource} {
			require.Equal(t, other == want, errors.Is(err, other))
		}
		code, description, status := testkit.Wire(t, err)
		require.Equal(t, "invalid_request", code)
		require.NotEmpty(t, description)
		require.Equal(t, 400, status)
		for _, values := range r.Header {
			for _, v := range values {
				for at := 0; at+16 <= len(v); at += 16 {
					require.NotContains(t, err.Error(), v[at:at+16])
				}
			}
		}
	}
}

func TestPublishedCertificateThumbprints(t *testing.T) {
	type vector struct {
		Name        string `json:"name"`
		Certificate string `json:"certificate"`
		Thumbprint  string `json:"thumbprint"`
	}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/certificate-thumbprints.json") {
		t.Run(v.Name, func(t *testing.T) {
			block, _ := pem.Decode([]byte(v.Certificate))
			cert, err := x509.ParseCertificate(block.Bytes)
			require.NoError(t, err)
			require.Equal(t, v.Thumbprint, tokenbinding.CertificateThumbprint(cert))

			r := httptest.NewRequest("GET", "/", nil)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
			c, err := newSource(t, tokenbinding.CertificateSourceConfig{Now: func() time.Time { return cert.NotAfter }}).Certificate(r)
			require.NoError(t, err)
			require.Equal(t, v.Thumbprint, c.Thumbprint)
			bound, err := tokenbinding.Bind(tokenbinding.Proof{X5TS256: c.Thumbprint})
			require.NoError(t, err)
			require.NoError(t, bound.Check(tokenbinding.Bearer, tokenbinding.Proof{X5TS256: v.Thumbprint}), "MTLS-3-3")
		})
	}
	require.Empty(t, tokenbinding.CertificateThumbprint(nil))
	require.Empty(t, tokenbinding.CertificateThumbprint(&x509.Certificate{}))
}

func TestRecordedHeaders(t *testing.T) {
	type vector struct {
		Name        string              `json:"name"`
		Source      string              `json:"source"`
		Proxy       string              `json:"proxy"`
		Headers     map[string][]string `json:"headers"`
		Chain       int                 `json:"chain"`
		Thumbprint  string              `json:"thumbprint"`
		Elements    int                 `json:"elements"`
		Passthrough bool                `json:"passthrough"`
	}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/certificate-headers.json") {
		t.Run(v.Name, func(t *testing.T) {
			for _, verified := range []bool{false, !v.Passthrough} {
				s := newSource(t, behind(v.Proxy, func(cfg *tokenbinding.CertificateSourceConfig) {
					cfg.Now = func() time.Time { return time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC) }
					cfg.EnvoyElements, cfg.InsecurePassthrough, cfg.ChainVerified = v.Elements, v.Passthrough, verified
				}))
				r := forwarded()
				r.Header = v.Headers
				for range 2 { // from the cache as well
					c, err := s.Certificate(r)
					require.NoError(t, err)
					require.Len(t, c.Chain, v.Chain)
					require.Equal(t, v.Thumbprint, c.Thumbprint)
					if v.Chain == 0 {
						require.Zero(t, c)
						continue
					}
					require.Equal(t, v.Thumbprint, tokenbinding.CertificateThumbprint(c.Chain[0]))
					require.Equal(t, verified, c.Verified)
				}
				r.RemoteAddr = "198.51.100.1:1"
				requireCertificateError(t, tokenbinding.ErrCertificateSource, s, r)
			}
		})
	}
}

// A field value has blanks around it that are not part of it, and PEM comes with the line breaks of either system.
func TestHeaderSpellings(t *testing.T) {
	id := issue(t, "odd", nil, nil)
	sf := ":" + base64Of(id) + ":"
	crlf := strings.ReplaceAll(pemOf(id), "\n", "\r\n")
	for _, row := range []struct{ name, proxy, header, value string }{
		{"CASES C10: blanks around Client-Cert", "rfc9440", "Client-Cert", " \t" + sf + " "},
		{"CASES C10: PEM with CRLF", "nginx", "X-SSL-Client-Cert", url.PathEscape(crlf)},
		{"CASES C10: PEM with CRLF at a load balancer", "aws-alb", "X-Amzn-Mtls-Clientcert-Leaf", url.PathEscape(crlf)},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := newSource(t, behind(row.proxy)).Certificate(forwarded(row.header, row.value))
			require.NoError(t, err)
			require.Equal(t, tokenbinding.CertificateThumbprint(id.cert), c.Thumbprint)
		})
	}
	for _, row := range []struct{ name, proxy, header, value string }{
		{"CASES C10: a blank within Client-Cert", "rfc9440", "Client-Cert", ": " + sf[1:]},
		{"CASES C10: a lone CR in PEM", "nginx", "X-SSL-Client-Cert", url.PathEscape(strings.ReplaceAll(pemOf(id), "\n", "\r"))},
	} {
		t.Run(row.name, func(t *testing.T) {
			requireCertificateError(t, tokenbinding.ErrCertificateHeader, newSource(t, behind(row.proxy)), forwarded(row.header, row.value))
		})
	}
}

func TestNoCertificate(t *testing.T) {
	for _, row := range []struct{ name, proxy, header, value string }{
		{"no header", "nginx", "X-Other", "x"},
		{"an empty header of nginx", "nginx", "X-SSL-Client-Cert", ""},
		{"an empty header of HAProxy", "haproxy", "X-SSL-Client-Cert", ""},
		{"an empty Client-Cert", "rfc9440", "Client-Cert", ""},
		{"an empty header of Envoy", "envoy", "X-Forwarded-Client-Cert", ""},
		{"an empty header of a load balancer", "aws-alb", "X-Amzn-Mtls-Clientcert-Leaf", ""},
		{"an empty header of Traefik", "traefik", "X-Forwarded-Tls-Client-Cert", ""},
		{"headers of other proxies", "nginx", "Client-Cert", "garbage"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := newSource(t, behind(row.proxy)).Certificate(forwarded(row.header, row.value))
			require.NoError(t, err)
			require.Zero(t, c)
		})
	}
	for _, header := range []string{
		"Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf",
	} {
		t.Run("BCP-4.13-1 "+header+", and no proxy", func(t *testing.T) {
			s := newSource(t, tokenbinding.CertificateSourceConfig{})
			requireCertificateError(t, tokenbinding.ErrCertificateSource, s, forwarded(header, ""))
			requireCertificateError(t, tokenbinding.ErrCertificateSource, s, forwarded(header, "garbage"))
		})
	}
	t.Run("a request that does not come from the proxy", func(t *testing.T) {
		r := forwarded()
		r.RemoteAddr = "@"
		c, err := newSource(t, behind("nginx")).Certificate(r)
		require.NoError(t, err)
		require.Zero(t, c)
	})
	t.Run("the zero source", func(t *testing.T) {
		var s tokenbinding.CertificateSource
		id := issue(t, "client", nil, nil)
		r := forwarded()
		r.TLS = connected(id)
		c, err := s.Certificate(r)
		require.NoError(t, err)
		require.Equal(t, tokenbinding.CertificateThumbprint(id.cert), c.Thumbprint)
	})
}

func TestCertificateHeaderRejected(t *testing.T) {
	id, other := issue(t, "client", nil, nil), issue(t, "other", nil, nil)
	sf := func(id *identity) string { return ":" + base64Of(id) + ":" }
	many := make([]*identity, 11)
	for i := range many {
		many[i] = id
	}
	var manyTraefik, manyRFC9440 []string
	for range 11 {
		manyTraefik, manyRFC9440 = append(manyTraefik, base64Of(id)), append(manyRFC9440, sf(id))
	}
	x := func(pairs ...string) string { return strings.Join(pairs, ";") }
	cert := func(id *identity) string { return `Cert="` + escaped(id) + `"` }
	hash := func(id *identity) string { return fmt.Sprintf("Hash=%x", sha256Of(id)) }
	for _, row := range []struct {
		name, proxy string
		headers     []string
	}{
		{"BCP-4.13-1 the header twice, as from a proxy that does not remove the client's", "nginx", []string{"X-SSL-Client-Cert", escaped(id), "X-SSL-Client-Cert", escaped(other)}},
		{"BCP-4.13-1 the same header twice", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert", sf(id)}},
		{"BCP-4.13-1 an empty one first", "haproxy", []string{"X-SSL-Client-Cert", "", "X-SSL-Client-Cert", base64Of(id)}},
		{"BCP-4.13-1 Client-Cert-Chain twice", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert-Chain", sf(id), "Client-Cert-Chain", sf(other)}},
		{"BCP-4.13-1 X-Forwarded-Client-Cert twice", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id)), "X-Forwarded-Client-Cert", x(hash(other), cert(other))}},
		{"BCP-4.13-1 the leaf twice", "aws-alb", []string{"X-Amzn-Mtls-Clientcert-Leaf", escaped(id), "X-Amzn-Mtls-Clientcert-Leaf", escaped(id)}},
		{"BCP-4.13-1 Traefik's header twice", "traefik", []string{"X-Forwarded-Tls-Client-Cert", base64Of(id), "X-Forwarded-Tls-Client-Cert", base64Of(id)}},
		{"more than 16 KiB", "nginx", []string{"X-SSL-Client-Cert", escaped(id) + strings.Repeat("%0A", 16<<10/3)}},
		{"a chain of more than 16 KiB", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert-Chain", sf(id) + strings.Repeat(" ", 16<<10)}},

		{"Client-Cert without colons", "rfc9440", []string{"Client-Cert", base64Of(id)}},
		{"Client-Cert of one colon", "rfc9440", []string{"Client-Cert", ":"}},
		{"Client-Cert of nothing", "rfc9440", []string{"Client-Cert", "::"}},
		{"Client-Cert with a parameter", "rfc9440", []string{"Client-Cert", sf(id) + ";a=1"}},
		{"Client-Cert with a list", "rfc9440", []string{"Client-Cert", sf(id) + ", " + sf(other)}},
		{"Client-Cert in base64url", "rfc9440", []string{"Client-Cert", ":__8=:"}},
		{"Client-Cert without padding", "rfc9440", []string{"Client-Cert", strings.TrimRight(":MIIBAA", "=") + ":"}},
		{"Client-Cert with stray bits", "rfc9440", []string{"Client-Cert", ":" + strayBits(t) + ":"}},
		{"Client-Cert that is not a certificate", "rfc9440", []string{"Client-Cert", ":AAAAAAAAAAAAAAAAAAAAAAAA:"}},
		{"Client-Cert of two certificates", "rfc9440", []string{"Client-Cert", ":" + base64Bytes(append(bytes.Clone(id.cert.Raw), other.cert.Raw...)) + ":"}},
		{"Client-Cert-Chain alone", "rfc9440", []string{"Client-Cert-Chain", sf(id)}},
		{"Client-Cert-Chain with a hole", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert-Chain", sf(id) + ",, " + sf(id)}},
		{"Client-Cert-Chain with garbage", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert-Chain", "garbage"}},
		{"Client-Cert-Chain that is too long", "rfc9440", []string{"Client-Cert", sf(id), "Client-Cert-Chain", strings.Join(manyRFC9440, ", ")}},

		{"PEM that is not escaped", "nginx", []string{"X-SSL-Client-Cert", strings.ReplaceAll(pemOf(id), "\n", " ")}},
		{"PEM escaped as in a form", "nginx", []string{"X-SSL-Client-Cert", url.QueryEscape(pemOf(id))}},
		{"an escape cut short", "nginx", []string{"X-SSL-Client-Cert", escaped(id) + "%0"}},
		{"garbage before the PEM", "nginx", []string{"X-SSL-Client-Cert", "x%0A" + escaped(id)}},
		{"garbage after the PEM", "nginx", []string{"X-SSL-Client-Cert", escaped(id) + "x"}},
		{"two certificates of nginx", "nginx", []string{"X-SSL-Client-Cert", escaped(id, other)}},
		{"a broken certificate before a good one", "nginx", []string{"X-SSL-Client-Cert", url.PathEscape("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n" + pemOf(id))}},
		{"PEM with headers", "nginx", []string{"X-SSL-Client-Cert", url.PathEscape(strings.Replace(pemOf(id), "-----\n", "-----\nA: b\n\n", 1))}},
		{"PEM of something else", "nginx", []string{"X-SSL-Client-Cert", url.PathEscape(strings.ReplaceAll(pemOf(id), "CERTIFICATE", "PUBLIC KEY"))}},
		{"PEM without an end", "nginx", []string{"X-SSL-Client-Cert", url.PathEscape("-----BEGIN CERTIFICATE-----\n" + base64Of(id))}},
		{"a base64 body that is another form", "nginx", []string{"X-SSL-Client-Cert", base64Of(id)}},
		{"a verdict of nginx instead of the certificate", "nginx", []string{"X-SSL-Client-Cert", "SUCCESS"}},

		{"PEM to HAProxy", "haproxy", []string{"X-SSL-Client-Cert", escaped(id)}},
		{"half a pair of quotation marks", "haproxy", []string{"X-SSL-Client-Cert", `"` + base64Of(id)}},
		{"one quotation mark", "haproxy", []string{"X-SSL-Client-Cert", `"`}},
		{"a list to HAProxy", "haproxy", []string{"X-SSL-Client-Cert", base64Of(id) + "," + base64Of(id)}},

		{"two certificates in the leaf header", "aws-alb", []string{"X-Amzn-Mtls-Clientcert-Leaf", escaped(id, other)}},
		{"a hole in Traefik's list", "traefik", []string{"X-Forwarded-Tls-Client-Cert", base64Of(id) + ",," + base64Of(id)}},
		{"too many certificates of Traefik", "traefik", []string{"X-Forwarded-Tls-Client-Cert", strings.Join(manyTraefik, ",")}},
		{"a line break in Traefik's base64", "traefik", []string{"X-Forwarded-Tls-Client-Cert", strings.ReplaceAll(url.QueryEscape(base64Of(id)), "MII", "MII%0A")}},
		{"a broken escape of Traefik", "traefik", []string{"X-Forwarded-Tls-Client-Cert", "%zz"}},

		{"an element with names only", "envoy", []string{"X-Forwarded-Client-Cert", x("By=spiffe://a", hash(id), `Subject="CN=client"`, "URI=spiffe://client")}},
		{"no Hash", "envoy", []string{"X-Forwarded-Client-Cert", cert(id)}},
		{"the Hash of another certificate", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(other), cert(id))}},
		{"a Chain that starts with another certificate", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), `Chain="`+escaped(other, id)+`"`)}},
		{"a Chain that starts with the certificate of Hash, and another Cert", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(other), cert(id), `Chain="`+escaped(other)+`"`)}},
		{"a Chain that is too long", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), `Chain="`+escaped(many...)+`"`)}},
		{"two elements, as from an Envoy that appends to what clients send", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(other), cert(other)) + "," + x(hash(id), cert(id))}},
		{"attack: an element in a name of the certificate", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), "URI=spiffe://x,"+hash(other), cert(other))}},
		{"attack: a certificate in a name of the certificate", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), "URI=spiffe://x", cert(other))}},
		{"attack: a second certificate in a name", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), "URI=spiffe://x", cert(other))}},
		{"attack: a second Hash in a name", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(other), "URI=spiffe://x", hash(other))}},
		{"an empty Cert", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), `Cert=""`, cert(id))}},
		{"a Cert of two", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), `Cert="`+escaped(id, other)+`"`)}},
		{"a quoted value without an end", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), `Cert="`+escaped(id))}},
		{"a quoted value that ends in a backslash", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), `Subject="a\`)}},
		{"text after a quoted value", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id)+"x")}},
		{"a quotation mark inside", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), `URI=a"b"`)}},
		{"no name", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), "=a")}},
		{"no pair", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), "a")}},
		{"a semicolon at the end", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id), "")}},
		{"a comma at the end", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), cert(id)) + ","}},
		{"a name with a space", "envoy", []string{"X-Forwarded-Client-Cert", x(hash(id), " "+cert(id))}},
	} {
		t.Run(row.name, func(t *testing.T) {
			requireCertificateError(t, tokenbinding.ErrCertificateHeader, newSource(t, behind(row.proxy)), forwarded(row.headers...))
		})
	}
}

// strayBits returns a certificate in base64 that has padding, and bits before that which belong to no byte.
func strayBits(t *testing.T) string {
	id := issue(t, "client", nil, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(1) })
	for i := 1; len(id.cert.Raw)%3 != 1; i++ {
		id = issue(t, "client", nil, func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", i) })
	}
	s := strings.TrimSuffix(base64Of(id), "==")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last+1:last+2] + "=="
}

func TestUntrustedSources(t *testing.T) {
	id, proxy := issue(t, "client", nil, nil), issue(t, "proxy", nil, nil)
	header := []string{"X-SSL-Client-Cert", escaped(id)}
	own := func(state *tls.ConnectionState) bool {
		return len(state.PeerCertificates) == 1 && state.PeerCertificates[0].Equal(proxy.cert)
	}
	withOwn := func(cfg *tokenbinding.CertificateSourceConfig) { cfg.ProxyConnection = own }
	unix := func(cfg *tokenbinding.CertificateSourceConfig) { cfg.TrustUnixSocket = true }
	alb := func(cfg *tokenbinding.CertificateSourceConfig) { cfg.InsecurePassthrough = true }
	for _, row := range []struct {
		name    string
		cfg     tokenbinding.CertificateSourceConfig
		peer    string
		local   net.Addr
		state   *tls.ConnectionState
		headers []string
		refused bool
	}{
		{"the proxy", behind("nginx"), proxyAddr, nil, nil, header, false},
		{"MTLS-6.5-1 a header from elsewhere", behind("nginx"), "192.0.2.16:1", nil, nil, header, true},
		{"MTLS-6.5-1 an empty header from elsewhere", behind("nginx"), "203.0.113.1:1", nil, nil, []string{"X-SSL-Client-Cert", ""}, true},
		{"MTLS-6.5-1 a chain from elsewhere", behind("rfc9440"), "203.0.113.1:1", nil, nil, []string{"Client-Cert-Chain", ""}, true},
		{"MTLS-6.5-1 two headers from elsewhere", behind("nginx"), "203.0.113.1:1", nil, nil, append(header, header...), true},
		{"IPv4 in IPv6", behind("nginx"), "[::ffff:192.0.2.7]:1", nil, nil, header, false},
		{"MTLS-6.5-1 IPv6 that ends in the address", behind("nginx"), "[64:ff9b::c000:207]:1", nil, nil, header, true},
		{"an address without port, as other code writes it", behind("nginx"), "192.0.2.7", nil, nil, header, true},
		{"no address", behind("nginx"), "", nil, nil, header, true},
		{"a socket of unknown kind", behind("nginx"), "@", nil, nil, header, true},
		{"a link-local address with zone", behind("nginx", func(cfg *tokenbinding.CertificateSourceConfig) {
			cfg.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("fe80::/10")}
		}), "[fe80::1%eth0]:1", nil, nil, header, false},
		{"a prefix of IPv4 in IPv6", behind("nginx", func(cfg *tokenbinding.CertificateSourceConfig) {
			cfg.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}
		}), proxyAddr, nil, nil, header, false},
		{"a Unix domain socket, configured", behind("nginx", unix), "@", &net.UnixAddr{Net: "unix"}, nil, header, false},
		{"a Unix domain socket, not configured", behind("nginx"), "@", &net.UnixAddr{Net: "unix"}, nil, header, true},
		{"attack: a Unix domain socket whose peer chooses its address", behind("nginx"), proxyAddr, &net.UnixAddr{Net: "unix"}, nil, header, true},
		{"another socket where Unix domain sockets are trusted", behind("nginx", unix), "@", &net.TCPAddr{}, nil, header, true},

		{"header and a certificate of the connection", behind("nginx"), proxyAddr, nil, connected(proxy), header, true},
		{"only a certificate of the connection, past the proxy", behind("nginx"), "203.0.113.1:1", nil, connected(id), nil, true},
		{"the proxy's own certificate", behind("nginx", withOwn), proxyAddr, nil, connected(proxy), header, false},
		{"the proxy's own certificate from elsewhere", behind("nginx", withOwn), "203.0.113.1:1", nil, connected(proxy), header, true},
		{"another certificate", behind("nginx", withOwn), proxyAddr, nil, connected(id), header, true},
		{"TLS without the proxy's own certificate", behind("nginx", withOwn), proxyAddr, nil, connected(), header, true},
		{"no TLS where the proxy has a certificate", behind("nginx", withOwn), proxyAddr, nil, nil, header, true},
		{"another certificate without a header", behind("nginx", withOwn), proxyAddr, nil, connected(id), nil, true},

		{"a server that terminates TLS", tokenbinding.CertificateSourceConfig{}, "203.0.113.1:1", nil, connected(id), nil, false},
		{"attack: a header without a proxy", tokenbinding.CertificateSourceConfig{}, "203.0.113.1:1", nil, connected(id), []string{"Client-Cert", ":AA==:"}, true},
		{"attack: a header of nginx without a proxy", tokenbinding.CertificateSourceConfig{}, proxyAddr, nil, connected(id), header, true},

		{"aws-alb in the wrong mode: nothing verified", behind("aws-alb"), proxyAddr, nil, nil, []string{"X-Amzn-Mtls-Clientcert", escaped(id)}, true},
		{"attack: aws-alb in the wrong mode, and a leaf that the client made", behind("aws-alb"), proxyAddr, nil, nil, []string{"X-Amzn-Mtls-Clientcert", escaped(id), "X-Amzn-Mtls-Clientcert-Leaf", escaped(id)}, true},
		{"aws-alb in passthrough mode", behind("aws-alb", alb), proxyAddr, nil, nil, []string{"X-Amzn-Mtls-Clientcert", escaped(id)}, false},
		{"aws-alb in verify mode, passthrough configured", behind("aws-alb", alb), proxyAddr, nil, nil, []string{"X-Amzn-Mtls-Clientcert-Leaf", escaped(id)}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSource(t, row.cfg)
			r := forwarded(row.headers...)
			r.RemoteAddr, r.TLS = row.peer, row.state
			if row.local != nil {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, row.local))
			}
			if row.refused {
				requireCertificateError(t, tokenbinding.ErrCertificateSource, s, r)
				return
			}
			c, err := s.Certificate(r)
			require.NoError(t, err)
			require.Equal(t, tokenbinding.CertificateThumbprint(id.cert), c.Thumbprint)
		})
	}
}

func TestUnusableCertificates(t *testing.T) {
	ca := issue(t, "ca", nil, authority)
	intermediate := issue(t, "intermediate", ca, authority)
	client, selfSigned := issue(t, "client", ca, nil), issue(t, "self-signed", nil, nil)
	at := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	for _, row := range []struct {
		name          string
		id            *identity
		now           func() time.Time
		verified, own bool
		refused       bool
	}{
		{"a client's certificate", client, nil, true, false, false},
		{"MTLS-6.2-1 a self-signed certificate", selfSigned, nil, false, false, false},
		{"an expired certificate", client, at(2 * time.Hour), true, false, true},
		{"a certificate that is not valid yet", client, at(-2 * time.Hour), true, false, true},
		{"the last second", client, func() time.Time { return client.cert.NotAfter }, true, false, false},
		{"a moment later", client, func() time.Time { return client.cert.NotAfter.Add(1) }, true, false, true},
		{"the first second", client, func() time.Time { return client.cert.NotBefore }, true, false, false},
		{"a CA's certificate", ca, nil, true, false, true},
		{"a CA's certificate, not verified", ca, nil, false, false, true},
		{"a CA's certificate, verified, where self-signed ones may say CA", ca, nil, true, true, true},
		{"a self-signed certificate that says CA, where it may", ca, nil, false, true, false},
		{"an intermediate CA's certificate where self-signed ones may say CA", intermediate, nil, false, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := tokenbinding.CertificateSourceConfig{Now: row.now, SelfSignedCA: row.own}
			direct := forwarded()
			direct.TLS = connected(row.id)
			if row.verified {
				direct.TLS.VerifiedChains = [][]*x509.Certificate{{row.id.cert, ca.cert}}
			}
			cfg2 := behind("nginx", func(c *tokenbinding.CertificateSourceConfig) {
				c.Now, c.SelfSignedCA, c.ChainVerified = row.now, row.own, row.verified
			})
			for s, r := range map[*tokenbinding.CertificateSource]*http.Request{newSource(t, cfg): direct, newSource(t, cfg2): forwarded("X-SSL-Client-Cert", escaped(row.id))} {
				if row.refused {
					requireCertificateError(t, tokenbinding.ErrCertificate, s, r)
					continue
				}
				c, err := s.Certificate(r)
				require.NoError(t, err)
				require.Equal(t, row.verified, c.Verified)
			}
		})
	}
	t.Run("a certificate that expires while it is cached", func(t *testing.T) {
		clock := testkit.NewClock(time.Now())
		s := newSource(t, behind("nginx", func(c *tokenbinding.CertificateSourceConfig) { c.Now = clock.Now }))
		r := forwarded("X-SSL-Client-Cert", escaped(client))
		_, err := s.Certificate(r)
		require.NoError(t, err)
		clock.Advance(2 * time.Hour)
		requireCertificateError(t, tokenbinding.ErrCertificate, s, r)
	})
}

func TestNewCertificateSourceRejects(t *testing.T) {
	with := func(proxy string, f func(*tokenbinding.CertificateSourceConfig)) tokenbinding.CertificateSourceConfig {
		return behind(proxy, f)
	}
	type cfg = tokenbinding.CertificateSourceConfig
	testkit.Reject(t, tokenbinding.NewCertificateSource, map[string]cfg{
		"MTLS-6.5-1 no trusted peers":        {Proxy: "nginx"},
		"MTLS-6.5-1 everybody":               with("nginx", func(c *cfg) { c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }),
		"MTLS-6.5-1 everybody by IPv6":       with("nginx", func(c *cfg) { c.TrustedPeers = append(c.TrustedPeers, netip.MustParsePrefix("::/0")) }),
		"MTLS-6.5-1 everybody, IPv4 in IPv6": with("nginx", func(c *cfg) { c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/96")} }),
		"no prefix":                          with("nginx", func(c *cfg) { c.TrustedPeers = []netip.Prefix{{}} }),
		"an unknown proxy":                   behind("Nginx"),
		"trusted peers without a proxy":      behind(""),
		"a socket without a proxy":           {TrustUnixSocket: true},
		"a header without a proxy":           {Header: "X-Client-Cert"},
		"verified without a proxy":           {ChainVerified: true},
		"elements without a proxy":           {EnvoyElements: 1},
		"passthrough without a proxy":        {InsecurePassthrough: true},
		"a proxy's connection without proxy": {ProxyConnection: func(*tls.ConnectionState) bool { return true }},
		"another name for a fixed header":    with("rfc9440", func(c *cfg) { c.Header = "X-Client-Cert" }),
		"a header that is no name":           with("nginx", func(c *cfg) { c.Header = "X-Client-Cert:" }),
		"passthrough of nginx":               with("nginx", func(c *cfg) { c.InsecurePassthrough = true }),
		"passthrough, verified":              with("aws-alb", func(c *cfg) { c.InsecurePassthrough, c.ChainVerified = true, true }),
		"elements of nginx":                  with("nginx", func(c *cfg) { c.EnvoyElements = 1 }),
		"negative elements":                  with("envoy", func(c *cfg) { c.EnvoyElements = -1 }),
		"many elements":                      with("envoy", func(c *cfg) { c.EnvoyElements = 11 }),
	})
	t.Run("the configuration is copied", func(t *testing.T) {
		c := behind("haproxy", func(c *cfg) { c.Header = "x-client-der" })
		s := newSource(t, c)
		c.TrustedPeers[0] = netip.MustParsePrefix("203.0.113.0/24")
		id := issue(t, "client", nil, nil)
		got, err := s.Certificate(forwarded("X-Client-DER", base64Of(id)))
		require.NoError(t, err)
		require.Equal(t, tokenbinding.CertificateThumbprint(id.cert), got.Thumbprint)
	})
}

func TestCertificateOfConnection(t *testing.T) {
	ca := issue(t, "ca", nil, authority)
	client, selfSigned := issue(t, "client", ca, nil), issue(t, "self-signed", nil, nil)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, row := range []struct {
		name     string
		id       *identity
		mode     tls.ClientAuthType
		verified bool
	}{
		{"MTLS-3-3 verified by TLS", client, tls.VerifyClientCertIfGiven, true},
		{"MTLS-6.2-1 asked for, not verified", client, tls.RequestClientCert, false},
		{"MTLS-6.2-1 self-signed", selfSigned, tls.RequireAnyClientCert, false},
		{"none", nil, tls.RequestClientCert, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSource(t, tokenbinding.CertificateSourceConfig{})
			var got []tokenbinding.ClientCertificate
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := s.Certificate(r)
				if err != nil {
					w.WriteHeader(400)
				}
				got = append(got, c)
			}))
			server.TLS = &tls.Config{ClientAuth: row.mode, ClientCAs: roots}
			server.StartTLS()
			defer server.Close()
			client := server.Client()
			if row.id != nil {
				client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = row.id.present
			}
			for range 2 { // one connection
				resp, err := client.Get(server.URL)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, 200, resp.StatusCode)
			}
			require.Len(t, got, 2)
			for _, c := range got {
				require.Equal(t, row.verified, c.Verified)
				if row.id == nil {
					require.Zero(t, c)
					continue
				}
				require.Equal(t, tokenbinding.CertificateThumbprint(row.id.cert), c.Thumbprint)
				require.True(t, c.Chain[0].Equal(row.id.cert))
			}
		})
	}
}

// Certificates that share a place in the cache do not get each other's thumbprint, whoever comes first.
func TestThumbprintCache(t *testing.T) {
	s := newSource(t, tokenbinding.CertificateSourceConfig{})
	certs := make([]*x509.Certificate, 64)
	for i := range certs {
		raw := fmt.Appendf(nil, "certificate %d, with the end in common", i)
		certs[i] = &x509.Certificate{Raw: raw, NotAfter: time.Now().Add(time.Hour)}
	}
	certs = append(certs, &x509.Certificate{Raw: []byte{1}, NotAfter: time.Now().Add(time.Hour)})
	errs := make([]error, 64)
	testkit.Hammer(len(errs), func(i int) {
		for round := range 64 {
			cert := certs[(i*7+round)%len(certs)]
			r := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
			c, err := s.Certificate(r)
			if err == nil && c.Thumbprint != tokenbinding.CertificateThumbprint(cert) {
				err = errors.New("another certificate's thumbprint")
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	require.NoError(t, errors.Join(errs...))
}
