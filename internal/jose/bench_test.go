package jose_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const benchClaims = `{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":1562262616,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}`

// The bare operation is the one of the standard library. The other operations
// also decode and check.
func BenchmarkVerify(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		token := testkit.SignPayload(b, benchClaims, jose.SignerOptions{Type: "dpop+jwt", EmbedKey: true}, p.key)
		public := p.key.Public()
		c := split(b, token)
		_, verify := testkit.Bare(b, p.key, []byte(c.Header+"."+c.Payload))
		testkit.Benchmark(b, p.alg+"/bare", verify)
		testkit.Benchmark(b, p.alg+"/Compact.Verify", func() bool { return c.Verify(p.alg, public) == nil })
		testkit.Benchmark(b, p.alg+"/Split+Header+Claims+Verify", func() bool { return read(token, public) == nil })
	}
}

func BenchmarkSign(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		s, err := jose.NewSigner(p.key, jose.SignerOptions{Type: "dpop+jwt", EmbedKey: true})
		require.NoError(b, err)
		token, err := s.Sign([]byte(benchClaims))
		require.NoError(b, err)
		c := split(b, token)
		sign, _ := testkit.Bare(b, p.key, []byte(c.Header+"."+c.Payload))
		testkit.Benchmark(b, p.alg+"/bare", sign)
		testkit.Benchmark(b, p.alg+"/Signer.Sign", func() bool { _, err := s.Sign([]byte(benchClaims)); return err == nil })
	}
}

func BenchmarkParseKey(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		raw := []byte(edit(b, publicJWK(b, p.key.Public())))
		testkit.Benchmark(b, p.alg, func() bool { _, err := jose.ParseKey(raw); return err == nil })
	}
}
