package tokenbinding_test

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/gofapi/fapi2/tokenbinding"
)

// What a certificate costs a request on a warm connection, beside one SHA-256 of it and beside parsing it. At most 5 µs.
func BenchmarkCertificate(b *testing.B) {
	id := issue(b, "client", nil, nil)
	b.Run("bare SHA-256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sha256.Sum256(id.cert.Raw)
		}
	})
	b.Run("bare x509.ParseCertificate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x509.ParseCertificate(id.cert.Raw)
		}
	})
	b.Run("TLS", func(b *testing.B) {
		s := newSource(b, tokenbinding.CertificateSourceConfig{})
		r := forwarded()
		r.TLS = connected(id)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Certificate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, proxy := range []string{"rfc9440", "nginx", "envoy"} {
		r := forwarded()
		r.Header = certificateForms[proxy].format([]*identity{id, id}[:1])
		b.Run(proxy+" warm", func(b *testing.B) {
			s := newSource(b, behind(proxy))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Certificate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("nginx cold", func(b *testing.B) {
		r := forwarded("X-SSL-Client-Cert", escaped(id))
		b.ReportAllocs()
		for b.Loop() {
			s, _ := tokenbinding.NewCertificateSource(behind("nginx"))
			if _, err := s.Certificate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
