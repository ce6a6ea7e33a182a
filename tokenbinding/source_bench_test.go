package tokenbinding_test

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A certificate costs a request on a warm connection at most 5 µs.
func BenchmarkCertificate(b *testing.B) {
	id := issue(b, "client", nil, nil)
	testkit.Benchmark(b, "bare SHA-256", func() bool { sha256.Sum256(id.cert.Raw); return true })
	testkit.Benchmark(b, "bare x509.ParseCertificate", func() bool { _, err := x509.ParseCertificate(id.cert.Raw); return err == nil })
	s, r := newSource(b, tokenbinding.CertificateSourceConfig{}), forwarded()
	r.TLS = connected(id)
	testkit.Benchmark(b, "TLS", func() bool { _, err := s.Certificate(r); return err == nil })
	for _, proxy := range []string{"rfc9440", "nginx", "envoy"} {
		s, r := newSource(b, behind(proxy)), forwarded()
		r.Header = certificateForms[proxy].format([]*identity{id})
		testkit.Benchmark(b, proxy+" warm", func() bool { _, err := s.Certificate(r); return err == nil })
	}
	cold := forwarded("X-SSL-Client-Cert", escaped(id))
	testkit.Benchmark(b, "nginx cold", func() bool {
		s, _ := tokenbinding.NewCertificateSource(behind("nginx"))
		_, err := s.Certificate(cold)
		return err == nil
	})
}
