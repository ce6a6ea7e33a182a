package tokenbinding_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/tokenbinding"
)

func base64Bytes(b []byte) string    { return base64.StdEncoding.EncodeToString(b) }
func base64Of(id *identity) string   { return base64Bytes(id.cert.Raw) }
func sha256Of(id *identity) [32]byte { return sha256.Sum256(id.cert.Raw) }
func asIdentities(c tokenbinding.ClientCertificate) (ids []*identity) {
	for _, cert := range c.Chain {
		ids = append(ids, &identity{cert: cert})
	}
	return ids
}

// certificateForms say for each proxy how it writes a chain.
var certificateForms = map[string]struct {
	header string
	format func(chain []*identity) http.Header
}{
	"rfc9440": {"Client-Cert", func(chain []*identity) http.Header {
		h := http.Header{"Client-Cert": {":" + base64Of(chain[0]) + ":"}}
		var rest []string
		for _, id := range chain[1:] {
			rest = append(rest, ":"+base64Of(id)+":")
		}
		if rest != nil {
			h.Set("Client-Cert-Chain", strings.Join(rest, ", "))
		}
		return h
	}},
	"nginx": {"X-Ssl-Client-Cert", func(chain []*identity) http.Header {
		return http.Header{"X-Ssl-Client-Cert": {escaped(chain...)}}
	}},
	"haproxy": {"X-Ssl-Client-Cert", func(chain []*identity) http.Header {
		return http.Header{"X-Ssl-Client-Cert": {base64Of(chain[0])}}
	}},
	"envoy": {"X-Forwarded-Client-Cert", func(chain []*identity) http.Header {
		return http.Header{"X-Forwarded-Client-Cert": {fmt.Sprintf(`Hash=%x;Cert="%s";Chain="%s";Subject=""`, sha256Of(chain[0]), escaped(chain[0]), escaped(chain...))}}
	}},
	"aws-alb": {"X-Amzn-Mtls-Clientcert-Leaf", func(chain []*identity) http.Header {
		return http.Header{"X-Amzn-Mtls-Clientcert-Leaf": {escaped(chain...)}}
	}},
	"traefik": {"X-Forwarded-Tls-Client-Cert", func(chain []*identity) http.Header {
		var all []string
		for _, id := range chain {
			all = append(all, base64Of(id))
		}
		return http.Header{"X-Forwarded-Tls-Client-Cert": {strings.Join(all, ",")}}
	}},
}

// fuzzCertificates feeds a source with headers: it never panics, has no certificate beside an error, and what it understands
// it understands again when a proxy writes it.
func fuzzCertificates(f *testing.F, proxy string) {
	form := certificateForms[proxy]
	small := func(c *x509.Certificate) { // the fuzzer is slow with long inputs
		c.KeyUsage, c.ExtKeyUsage, c.DNSNames, c.IPAddresses = 0, nil, nil, nil
	}
	id, ca := issue(f, "client", nil, small), issue(f, "ca", nil, small)
	for _, chain := range [][]*identity{{id}, {id, ca}} {
		h := form.format(chain)
		f.Add(h.Get(form.header), h.Get("Client-Cert-Chain"))
	}
	f.Add(`Hash=00;Cert="a",URI="\"";By=`, ":AA==:, :AA==:")
	f.Add("-----BEGIN%20CERTIFICATE-----%0AAA==%0A-----END%20CERTIFICATE-----%0A", "")
	cfg := behind(proxy, func(c *tokenbinding.CertificateSourceConfig) {
		c.SelfSignedCA, c.Now = true, func() time.Time { return id.cert.NotBefore }
	})
	f.Fuzz(func(t *testing.T, value, chain string) {
		s := newSource(t, cfg) // none that remembers other inputs
		r := forwarded()
		r.Header = http.Header{form.header: {value}}
		if proxy == "rfc9440" && chain != "" {
			r.Header.Set("Client-Cert-Chain", chain)
		}
		c, err := s.Certificate(r)
		if err != nil || c.Chain == nil {
			if c.Chain != nil || c.Thumbprint != "" || c.Verified {
				t.Fatal("a certificate where there is none")
			}
			return
		}
		if c.Thumbprint != tokenbinding.CertificateThumbprint(c.Chain[0]) || c.Verified {
			t.Fatal("not the thumbprint of the certificate")
		}
		r.Header = form.format(asIdentities(c))
		again, err := s.Certificate(r)
		if err != nil || again.Thumbprint != c.Thumbprint || len(again.Chain) != len(c.Chain) {
			t.Fatalf("another chain when written again: %v", err)
		}
		for i := range c.Chain {
			if !again.Chain[i].Equal(c.Chain[i]) {
				t.Fatal("another certificate when written again")
			}
		}
	})
}

func FuzzCertificateRFC9440(f *testing.F) { fuzzCertificates(f, "rfc9440") }
func FuzzCertificateNginx(f *testing.F)   { fuzzCertificates(f, "nginx") }
func FuzzCertificateHAProxy(f *testing.F) { fuzzCertificates(f, "haproxy") }
func FuzzCertificateEnvoy(f *testing.F)   { fuzzCertificates(f, "envoy") }
func FuzzCertificateALB(f *testing.F)     { fuzzCertificates(f, "aws-alb") }
func FuzzCertificateTraefik(f *testing.F) { fuzzCertificates(f, "traefik") }
